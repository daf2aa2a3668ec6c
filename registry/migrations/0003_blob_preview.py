import django.db.models.deletion
from django.db import migrations, models

import common.clock


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_append_only")]

    operations = [
        migrations.CreateModel(
            name="BlobPreview",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rules", models.CharField(max_length=40)),
                ("content", models.JSONField()),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                (
                    "blob",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="previews", to="registry.blob"
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("blob", "rules"), name="blob_preview_once")]},
        ),
    ]
