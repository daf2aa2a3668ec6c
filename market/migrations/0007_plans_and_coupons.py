import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_device_login"),
        ("market", "0006_payouts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Coupon",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("code", models.CharField(max_length=40)),
                ("percent_bp", models.PositiveIntegerField(null=True)),
                ("amount_minor", models.BigIntegerField(null=True)),
                ("currency", models.CharField(blank=True, max_length=3)),
                ("limit_total", models.PositiveIntegerField(null=True)),
                ("limit_per_buyer", models.PositiveIntegerField(null=True)),
                ("starts_at", models.DateTimeField(null=True)),
                ("ends_at", models.DateTimeField(null=True)),
                ("listings", models.JSONField(default=list)),
                ("plans", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("archived_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="CouponRedemption",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("returned_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="order",
            name="order_amounts",
        ),
        migrations.AddField(
            model_name="order",
            name="discount_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="plan",
            name="offer_ends_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="plan",
            name="offer_note",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="plan",
            name="offered_to",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="plan",
            name="tiers",
            field=models.JSONField(default=list),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gte", 1), ("total_minor__gte", 0), ("discount_minor__gte", 0)),
                name="order_amounts",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("offered_to__isnull", False),
                    models.Q(("offer_ends_at__isnull", True), ("offer_note", "")),
                    _connector="OR",
                ),
                name="plan_offer_has_buyer",
            ),
        ),
        migrations.AddField(
            model_name="coupon",
            name="namespace",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="couponredemption",
            name="buyer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="couponredemption",
            name="coupon",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="redemptions", to="market.coupon"
            ),
        ),
        migrations.AddField(
            model_name="couponredemption",
            name="order",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="redemption", to="market.order"
            ),
        ),
        migrations.AddIndex(
            model_name="coupon",
            index=models.Index(fields=["namespace", "-created_at", "-id"], name="coupon_of_seller"),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.UniqueConstraint(
                condition=models.Q(("archived_at__isnull", True)), fields=("namespace", "code"), name="coupon_code_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount_minor__isnull", True),
                        ("currency", ""),
                        ("percent_bp__gte", 1),
                        ("percent_bp__lte", 10000),
                    ),
                    models.Q(
                        ("amount_minor__gte", 1),
                        ("percent_bp__isnull", True),
                        models.Q(("currency", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="coupon_amount_or_percent",
            ),
        ),
        migrations.AddIndex(
            model_name="couponredemption",
            index=models.Index(
                condition=models.Q(("returned_at__isnull", True)), fields=["coupon", "buyer"], name="redemption_counts"
            ),
        ),
        # market_plan has got columns, and SQLite rebuilt it without its triggers
        append_only("market_plan", mutable=("retired_at",), again=True),
        append_only("market_coupon", mutable=("archived_at",)),
        append_only("market_couponredemption", mutable=("returned_at",)),
    ]
