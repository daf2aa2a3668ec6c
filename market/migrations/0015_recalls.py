import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_reviewers"),
        ("market", "0014_buying_for_organisations"),
        ("registry", "0016_custom_licences"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Recall",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("title", models.CharField(max_length=300)),
                ("category", models.CharField(max_length=12)),
                ("severity", models.CharField(max_length=8)),
                ("reason", models.TextField()),
                ("advice", models.TextField()),
                ("private_note", models.TextField(blank=True)),
                ("is_by_staff", models.BooleanField(default=False)),
                ("state", models.CharField(default="open", max_length=8)),
                ("freeze_scope", models.CharField(blank=True, max_length=4)),
                ("frozen_at", models.DateTimeField(null=True)),
                ("walked_at", models.DateTimeField(null=True)),
                ("is_cut", models.BooleanField(default=False)),
                ("opened_at", models.DateTimeField(default=common.clock.now)),
                ("closed_at", models.DateTimeField(null=True)),
                ("lifted_at", models.DateTimeField(null=True)),
                ("lift_reason", models.TextField(blank=True)),
                (
                    "namespace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
                    ),
                ),
                (
                    "opened_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "replacement",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.version"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="registry.version"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RecallAction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("kind", models.CharField(max_length=12)),
                ("percent", models.PositiveSmallIntegerField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "recall",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="actions", to="market.recall"
                    ),
                ),
                (
                    "seller",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.namespace",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RecallItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("kind", models.CharField(max_length=8)),
                ("object_uuid", models.UUIDField()),
                ("title", models.CharField(max_length=300)),
                ("version_uuid", models.UUIDField()),
                ("path", models.JSONField(default=list)),
                ("state", models.CharField(default="open", max_length=10)),
                ("action", models.CharField(blank=True, max_length=40)),
                ("note", models.CharField(blank=True, max_length=500)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("changed_at", models.DateTimeField(null=True)),
                ("frozen_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(null=True)),
                ("refunded_at", models.DateTimeField(null=True)),
                ("job_uuid", models.UUIDField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                (
                    "changed_by",
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
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.order"
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
                    ),
                ),
                (
                    "recall",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="items", to="market.recall"
                    ),
                ),
                (
                    "seller",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.namespace",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RecallEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("word", models.CharField(max_length=40)),
                ("note", models.CharField(blank=True, max_length=500)),
                ("detail", models.JSONField(default=dict)),
                ("by_label", models.CharField(max_length=150)),
                ("audit_sequence", models.BigIntegerField()),
                ("audit_sha256", models.CharField(max_length=64)),
                ("at", models.DateTimeField(default=common.clock.now)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "recall",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="events", to="market.recall"
                    ),
                ),
                (
                    "item",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="market.recallitem",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="recall",
            index=models.Index(fields=["namespace", "-opened_at", "-id"], name="recall_in_namespace"),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "lifted"), _negated=True), fields=("version",), name="recall_once_in_force"
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["open", "closed", "lifted"])), name="recall_state"
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(("category__in", ["safety", "licence", "data_rights", "quality", "security"])),
                name="recall_category",
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(("severity__in", ["warn", "stop"])), name="recall_severity"
            ),
        ),
        migrations.AddConstraint(
            model_name="recall",
            constraint=models.CheckConstraint(
                condition=models.Q(("freeze_scope__in", ["", "own", "all"])), name="recall_freeze_scope"
            ),
        ),
        migrations.AddIndex(
            model_name="recallaction",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", True)), fields=["recall", "id"], name="recall_action_waiting"
            ),
        ),
        migrations.AddConstraint(
            model_name="recallaction",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["hold", "release", "notify", "retrain", "refund", "tell_lifted"])),
                name="recall_action_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="recallaction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("percent__isnull", True), models.Q(("percent__gte", 1), ("percent__lte", 100)), _connector="OR"
                ),
                name="recall_action_percent",
            ),
        ),
        migrations.AddIndex(
            model_name="recallitem",
            index=models.Index(fields=["recall", "kind", "state"], name="recall_item_tally"),
        ),
        migrations.AddIndex(
            model_name="recallitem",
            index=models.Index(fields=["owner", "recall"], name="recall_item_by_owner"),
        ),
        migrations.AddIndex(
            model_name="recallitem",
            index=models.Index(
                condition=models.Q(("frozen_at__isnull", False)), fields=["object_uuid"], name="recall_frozen"
            ),
        ),
        migrations.AddConstraint(
            model_name="recallitem",
            constraint=models.UniqueConstraint(fields=("recall", "kind", "object_uuid"), name="recall_item_once"),
        ),
        migrations.AddConstraint(
            model_name="recallitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["version", "build", "endpoint", "listing", "holder", "copy"])),
                name="recall_item_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="recallitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["open", "contested", "handled", "waived"])), name="recall_item_state"
            ),
        ),
        migrations.AddIndex(
            model_name="recallevent",
            index=models.Index(fields=["recall", "id"], name="recall_event_order"),
        ),
        append_only("market_recallevent", mutable=["by_id"]),
        append_only(
            "market_recallitem",
            mutable=[
                "state",
                "action",
                "note",
                "problem",
                "changed_by_id",
                "changed_at",
                "frozen_at",
                "told_at",
                "refunded_at",
                "job_uuid",
            ],
        ),
    ]
