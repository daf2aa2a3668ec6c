import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("market", "0020_units"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="approval",
            name="order",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="approval", to="market.order"
            ),
        ),
        migrations.AlterField(
            model_name="termsacceptance",
            name="order",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="acceptance", to="market.order"
            ),
        ),
        migrations.CreateModel(
            name="PlanSwitch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("is_now", models.BooleanField()),
                ("due_minor", models.BigIntegerField()),
                ("key", models.CharField(max_length=80)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                (
                    "former",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.plan"),
                ),
                (
                    "order",
                    models.OneToOneField(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="switch", to="market.order"
                    ),
                ),
                (
                    "placed_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.plan"),
                ),
                (
                    "subscription",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="switches", to="market.subscription"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="approval",
            name="switch",
            field=models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="approval", to="market.planswitch"
            ),
        ),
        migrations.AddField(
            model_name="termsacceptance",
            name="switch",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="acceptance",
                to="market.planswitch",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("order__isnull", True), ("switch__isnull", False)),
                    models.Q(("order__isnull", False), ("switch__isnull", True)),
                    _connector="OR",
                ),
                name="approval_of_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="termsacceptance",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("order__isnull", True), ("switch__isnull", False)),
                    models.Q(("order__isnull", False), ("switch__isnull", True)),
                    _connector="OR",
                ),
                name="acceptance_of_one_thing",
            ),
        ),
        migrations.AddConstraint(
            model_name="planswitch",
            constraint=models.UniqueConstraint(fields=("subscription", "key"), name="plan_switch_once_per_key"),
        ),
        migrations.AddConstraint(
            model_name="planswitch",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("due_minor__gte", 0),
                    models.Q(("is_now", True), models.Q(("due_minor", 0), ("order__isnull", True)), _connector="OR"),
                ),
                name="plan_switch_due",
            ),
        ),
        append_only("market_planswitch", mutable=("order_id", "placed_by_id")),
        append_only("market_termsacceptance", mutable=("accepted_by_id",), again=True),
    ]
