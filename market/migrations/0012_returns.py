from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
import market.states
from common.append_only import append_only


def note_earlier(apps: Any, schema_editor: Any) -> None:
    """What was refunded before has a refund, too: under the order's own uuid, which the payment provider knows it by."""
    refunded = apps.get_model("market", "Order").objects.filter(refunded_minor__gt=0)
    apps.get_model("market", "Refund").objects.bulk_create(
        (
            apps.get_model("market", "Refund")(
                uuid=order.uuid,
                order=order,
                key=order.refund_key or "earlier",
                amount_minor=order.refunded_minor,
                reason=order.refund_reason,
                ended_access=True,
                created_at=order.closed_at or order.created_at,
                returned_at=order.returned_at,
                send_minor=order.refunded_minor if order.returned_at else None,
            )
            for order in refunded.iterator(chunk_size=500)
        ),
        batch_size=500,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("market", "0011_payment_providers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
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
                    ("dispute", "dispute"),
                    ("provider_fee", "provider_fee"),
                    ("refund", "refund"),
                ],
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="Refund",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("key", models.CharField(max_length=120)),
                ("amount_minor", models.BigIntegerField()),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("ended_access", models.BooleanField()),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("send_minor", models.BigIntegerField(null=True)),
                ("reference", models.CharField(blank=True, max_length=120)),
                ("returned_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
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
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="refunds", to="market.order"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReturnRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("key", models.CharField(max_length=80)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("declined", "declined"),
                            ("escalated", "escalated"),
                            ("accepted", "accepted"),
                            ("rejected", "rejected"),
                            ("withdrawn", "withdrawn"),
                            ("closed", "closed"),
                        ],
                        max_length=12,
                    ),
                ),
                ("asked_minor", models.BigIntegerField()),
                ("decide_by", models.DateTimeField()),
                ("escalated_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
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
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="return_requests", to="market.order"
                    ),
                ),
                (
                    "refund",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="request",
                        to="market.refund",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ReturnEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                (
                    "step",
                    models.CharField(
                        choices=[
                            ("asked", "asked"),
                            ("wrote", "wrote"),
                            ("accepted", "accepted"),
                            ("declined", "declined"),
                            ("escalated", "escalated"),
                            ("escalated_late", "escalated_late"),
                            ("rejected", "rejected"),
                            ("withdrawn", "withdrawn"),
                            ("closed", "closed"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "side",
                    models.CharField(
                        choices=[("buyer", "buyer"), ("seller", "seller"), ("operator", "operator"), ("site", "site")],
                        max_length=8,
                    ),
                ),
                ("text", models.TextField(blank=True)),
                ("amount_minor", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
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
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="entries", to="market.returnrequest"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.UniqueConstraint(fields=("order", "key"), name="refund_once_per_key"),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(condition=models.Q(("amount_minor__gte", 1)), name="refund_amount"),
        ),
        migrations.AddConstraint(
            model_name="refund",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("send_minor", None),
                    models.Q(("send_minor__gte", 0), ("send_minor__lte", models.F("amount_minor"))),
                    _connector="OR",
                ),
                name="refund_sent_within_amount",
            ),
        ),
        migrations.AddIndex(
            model_name="returnrequest",
            index=models.Index(
                condition=models.Q(("state", market.states.ReturnState["OPEN"])),
                fields=["decide_by"],
                name="return_to_decide",
            ),
        ),
        migrations.AddIndex(
            model_name="returnrequest",
            index=models.Index(
                condition=models.Q(("state", market.states.ReturnState["ESCALATED"])),
                fields=["escalated_at"],
                name="return_escalated",
            ),
        ),
        migrations.AddConstraint(
            model_name="returnrequest",
            constraint=models.UniqueConstraint(fields=("order", "key"), name="return_once_per_key"),
        ),
        migrations.AddConstraint(
            model_name="returnrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["escalated", "open"])), fields=("order",), name="return_one_waits"
            ),
        ),
        migrations.AddConstraint(
            model_name="returnrequest",
            constraint=models.CheckConstraint(condition=models.Q(("asked_minor__gte", 1)), name="return_amount"),
        ),
        migrations.AddConstraint(
            model_name="returnrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["open", "declined", "escalated", "accepted", "rejected", "withdrawn", "closed"])
                ),
                name="return_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="returnentry",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "step__in",
                        [
                            "asked",
                            "wrote",
                            "accepted",
                            "declined",
                            "escalated",
                            "escalated_late",
                            "rejected",
                            "withdrawn",
                            "closed",
                        ],
                    )
                ),
                name="return_entry_step",
            ),
        ),
        migrations.AddConstraint(
            model_name="returnentry",
            constraint=models.CheckConstraint(
                condition=models.Q(("side__in", ["buyer", "seller", "operator", "site"])), name="return_entry_side"
            ),
        ),
        append_only("market_refund", mutable=("created_by_id", "send_minor", "reference", "returned_at", "failed_at")),
        append_only("market_returnentry", mutable=("created_by_id",)),
        migrations.RunPython(note_earlier, migrations.RunPython.noop),
    ]
