from typing import Any

from django.db import migrations, models

from common.append_only import append_only


def rename_kind(apps: Any, schema_editor: Any) -> None:
    apps.get_model("market", "Plan").objects.filter(kind="pay_per_call").update(kind="pay_per_use")


class Migration(migrations.Migration):
    dependencies = [("market", "0019_subscriptions")]

    operations = [
        migrations.RemoveConstraint("plan", "plan_price_fits_kind"),
        migrations.RemoveConstraint("plan", "plan_interval_fits_kind"),
        migrations.RemoveConstraint("plan", "plan_overage_has_limit"),
        migrations.RemoveConstraint("plan", "plan_unit_calls"),
        append_only("market_plan", mutable=("retired_at", "kind"), again=True),
        migrations.RunPython(rename_kind, migrations.RunPython.noop),
        migrations.RemoveConstraint(
            model_name="entitlement",
            name="entitlement_amounts",
        ),
        migrations.RenameField(
            model_name="entitlement",
            old_name="granted_calls",
            new_name="granted_units",
        ),
        migrations.RenameField(
            model_name="entitlement",
            old_name="included_calls",
            new_name="included_units",
        ),
        migrations.RenameField(
            model_name="entitlement",
            old_name="settled_calls",
            new_name="settled_units",
        ),
        migrations.RenameField(
            model_name="plan",
            old_name="included_calls",
            new_name="included_units",
        ),
        migrations.RenameField(
            model_name="plan",
            old_name="overage_calls",
            new_name="overage_units",
        ),
        migrations.RenameField(
            model_name="plan",
            old_name="unit_calls",
            new_name="unit_size",
        ),
        migrations.RenameField(
            model_name="subscriptionterm",
            old_name="calls_upto",
            new_name="units_upto",
        ),
        migrations.AddField(
            model_name="plan",
            name="unit",
            field=models.CharField(
                choices=[("calls", "calls"), ("rows", "rows"), ("seconds", "seconds"), ("tokens", "tokens")],
                default="calls",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="plan",
            name="kind",
            field=models.CharField(
                choices=[
                    ("free", "free"),
                    ("one_time", "one_time"),
                    ("pay_per_use", "pay_per_use"),
                    ("subscription", "subscription"),
                ],
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="entitlement",
            constraint=models.CheckConstraint(
                condition=models.Q(("settled_units__gte", 0), ("held_minor__gte", 0)), name="entitlement_amounts"
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "free"), ("price_minor", 0)),
                    models.Q(("kind__in", ["one_time", "pay_per_use", "subscription"]), ("price_minor__gt", 0)),
                    _connector="OR",
                ),
                name="plan_price_fits_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("interval__in", ["month", "year"]), ("kind", "subscription")),
                    models.Q(
                        models.Q(("kind", "subscription"), _negated=True),
                        ("interval", ""),
                        ("overage_minor__isnull", True),
                        ("overage_units__isnull", True),
                        ("trial_days", 0),
                    ),
                    _connector="OR",
                ),
                name="plan_interval_fits_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("overage_minor__isnull", True), ("overage_units__isnull", True)),
                    models.Q(("included_units__isnull", False), ("overage_minor__gt", 0), ("overage_units__gt", 0)),
                    _connector="OR",
                ),
                name="plan_overage_has_limit",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("unit_size__in", [1, 1000, 1000000])), name="plan_unit_size"
            ),
        ),
        append_only("market_plan", mutable=("retired_at",), again=True),
        append_only("market_subscriptionterm", mutable=("starts_at", "ends_at", "voided_at"), again=True),
    ]
