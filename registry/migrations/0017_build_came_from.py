from django.db import migrations, models

from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0016_custom_licences"),
    ]

    operations = [
        migrations.AddField(
            model_name="build",
            name="came_from",
            field=models.CharField(blank=True, max_length=200),
        ),
        append_only("registry_build", mutable=("created_by_id",), again=True),
    ]
