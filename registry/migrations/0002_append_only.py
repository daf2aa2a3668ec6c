from django.db import migrations

from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]

    operations = [
        append_only("registry_commit", mutable=("author_id",)),
        append_only("registry_version", mutable=("created_by_id",)),
        append_only("registry_scanreport"),
    ]
