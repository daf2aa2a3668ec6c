from typing import Any

from django.db import migrations, models
from django.db.models import F

from common.append_only import append_only

METERS = [
    (word, word)
    for word in (
        "inference_calls",
        "inference_rows",
        "inference_milliseconds",
        "inference_tokens",
        "job_cpu_seconds",
        "capped_calls",
        "capped_spending",
        "storage_bytes",
    )
]


def fill(apps: Any, schema_editor: Any) -> None:
    apps.get_model("metering", "UsageRecord").objects.update(units=F("quantity"))


class Migration(migrations.Migration):
    dependencies = [("metering", "0003_caps")]

    operations = [
        migrations.AlterField("budget", "meter", models.CharField(choices=METERS, max_length=24)),
        migrations.AlterField("usagerecord", "meter", models.CharField(choices=METERS, max_length=24)),
        migrations.AddField("usagerecord", "units", models.BigIntegerField(default=0), preserve_default=False),
        migrations.AddField("usagerecord", "version", models.UUIDField(null=True)),
        append_only("metering_usagerecord", mutable=("units",), again=True),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RemoveConstraint("usagerecord", "usage_not_negative"),
        migrations.AddConstraint(
            "usagerecord",
            models.CheckConstraint(condition=models.Q(quantity__gte=0, units__gte=0), name="usage_not_negative"),
        ),
        append_only("metering_usagerecord", again=True),
    ]
