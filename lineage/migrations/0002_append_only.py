from django.db import migrations

from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [("lineage", "0001_initial")]

    operations = [append_only("lineage_node"), append_only("lineage_edge")]
