import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_device_login"),
        ("market", "0005_royalties"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="account",
            name="kind",
            field=models.CharField(
                choices=[
                    ("wallet", "wallet"),
                    ("held", "held"),
                    ("earnings", "earnings"),
                    ("clearing", "clearing"),
                    ("platform_fees", "platform_fees"),
                    ("provider", "provider"),
                    ("issued", "issued"),
                    ("payouts", "payouts"),
                    ("outside", "outside"),
                    ("tax", "tax"),
                    ("royalties", "royalties"),
                    ("refunds", "refunds"),
                    ("disputes", "disputes"),
                    ("promotions", "promotions"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="ledgertransaction",
            name="kind",
            field=models.CharField(
                choices=[
                    ("issue", "issue"),
                    ("capture", "capture"),
                    ("sale", "sale"),
                    ("hold", "hold"),
                    ("usage", "usage"),
                    ("release", "release"),
                    ("reversal", "reversal"),
                    ("payout", "payout"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="PayoutAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("currency", models.CharField(max_length=3)),
                (
                    "method",
                    models.CharField(
                        choices=[("wallet", "wallet"), ("outside", "outside"), ("provider", "provider")], max_length=12
                    ),
                ),
                ("destination", models.TextField(blank=True)),
                ("hint", models.CharField(blank=True, max_length=20)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("retired_at", models.DateTimeField(null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "namespace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payout_accounts",
                        to="accounts.namespace",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Payout",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("currency", models.CharField(max_length=3)),
                ("amount_minor", models.BigIntegerField()),
                ("key", models.CharField(max_length=80)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("sending", "sending"),
                            ("paid", "paid"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("reference", models.CharField(blank=True, max_length=120)),
                ("failure", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("paid_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                (
                    "namespace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="payouts", to="accounts.namespace"
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="payouts", to="market.payoutaccount"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PayoutHold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("reason", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("released_at", models.DateTimeField(null=True)),
                (
                    "namespace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
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
            ],
        ),
        migrations.AddConstraint(
            model_name="payoutaccount",
            constraint=models.UniqueConstraint(
                condition=models.Q(("retired_at__isnull", True)),
                fields=("namespace", "currency"),
                name="payout_account_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="payoutaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("method__in", ["wallet", "outside", "provider"])), name="payout_account_method"
            ),
        ),
        migrations.AddIndex(
            model_name="payout",
            index=models.Index(fields=["namespace", "-created_at", "-id"], name="payout_by_seller"),
        ),
        migrations.AddIndex(
            model_name="payout",
            index=models.Index(fields=["state", "-created_at", "-id"], name="payout_by_state"),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.UniqueConstraint(fields=("namespace", "currency", "key"), name="payout_once_per_run"),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(condition=models.Q(("amount_minor__gt", 0)), name="payout_amount"),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["waiting", "sending", "paid", "failed"])), name="payout_state"
            ),
        ),
        migrations.AddConstraint(
            model_name="payouthold",
            constraint=models.UniqueConstraint(
                condition=models.Q(("released_at__isnull", True)), fields=("namespace",), name="payout_hold_once"
            ),
        ),
        append_only("market_payoutaccount", mutable=("retired_at", "created_by_id")),
        append_only("market_payout", mutable=("state", "reference", "failure", "paid_at", "failed_at")),
        append_only("market_payouthold", mutable=("released_at", "placed_by_id")),
    ]
