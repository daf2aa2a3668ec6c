import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import common.clock
import common.ids
import market.states
from common.append_only import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_reviewers"),
        ("market", "0018_listing_views"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=common.ids.new_uuid, editable=False, unique=True)),
                ("quantity", models.PositiveIntegerField(default=1)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("trialing", "trialing"),
                            ("active", "active"),
                            ("past_due", "past_due"),
                            ("suspended", "suspended"),
                            ("cancelled", "cancelled"),
                            ("ended", "ended"),
                        ],
                        max_length=10,
                    ),
                ),
                ("number", models.PositiveIntegerField(default=1)),
                ("anchor_at", models.DateTimeField()),
                ("period_start", models.DateTimeField()),
                ("period_end", models.DateTimeField()),
                ("had_trial", models.BooleanField()),
                ("cancel_at_period_end", models.BooleanField(default=False)),
                ("failed_at", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("problem", models.CharField(blank=True, max_length=300)),
                ("look_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                ("end_reason", models.CharField(blank=True, max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="SubscriptionTerm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("trial", "trial"),
                            ("period", "period"),
                            ("upgrade", "upgrade"),
                            ("overage", "overage"),
                        ],
                        max_length=8,
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("part", models.PositiveIntegerField(default=0)),
                ("by_card", models.BooleanField(default=False)),
                ("credit_minor", models.BigIntegerField(default=0)),
                ("calls_upto", models.BigIntegerField(default=0)),
                ("starts_at", models.DateTimeField(null=True)),
                ("ends_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=common.clock.now)),
                ("voided_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="plan",
            name="plan_price_fits_kind",
        ),
        migrations.AddField(
            model_name="plan",
            name="interval",
            field=models.CharField(blank=True, choices=[("month", "month"), ("year", "year")], max_length=5),
        ),
        migrations.AddField(
            model_name="plan",
            name="overage_calls",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="plan",
            name="overage_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="plan",
            name="trial_days",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="plan",
            name="kind",
            field=models.CharField(
                choices=[
                    ("free", "free"),
                    ("one_time", "one_time"),
                    ("pay_per_call", "pay_per_call"),
                    ("subscription", "subscription"),
                ],
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", market.states.PlanKind["FREE"]), ("price_minor", 0)),
                    models.Q(
                        (
                            "kind__in",
                            [
                                market.states.PlanKind["ONE_TIME"],
                                "pay_per_call",
                                market.states.PlanKind["SUBSCRIPTION"],
                            ],
                        ),
                        ("price_minor__gt", 0),
                    ),
                    _connector="OR",
                ),
                name="plan_price_fits_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("interval__in", ["month", "year"]), ("kind", market.states.PlanKind["SUBSCRIPTION"])),
                    models.Q(
                        models.Q(("kind", market.states.PlanKind["SUBSCRIPTION"]), _negated=True),
                        ("interval", ""),
                        ("overage_calls__isnull", True),
                        ("overage_minor__isnull", True),
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
                    models.Q(("overage_calls__isnull", True), ("overage_minor__isnull", True)),
                    models.Q(("included_calls__isnull", False), ("overage_calls__gt", 0), ("overage_minor__gt", 0)),
                    _connector="OR",
                ),
                name="plan_overage_has_limit",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="buyer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="created_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="listing",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="subscriptions", to="market.listing"
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="next_plan",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.plan"
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="order",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.order"
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="plan",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.plan"),
        ),
        migrations.AddField(
            model_name="subscription",
            name="seller",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.namespace"
            ),
        ),
        migrations.AddField(
            model_name="subscriptionterm",
            name="order",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="term", to="market.order"
            ),
        ),
        migrations.AddField(
            model_name="subscriptionterm",
            name="subscription",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="terms", to="market.subscription"
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("look_at__isnull", False)), fields=["look_at"], name="subscription_due"
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["buyer", "-created_at", "-id"], name="subscription_by_buyer"),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(fields=["seller", "-created_at", "-id"], name="subscription_by_seller"),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        [market.states.SubscriptionState["CANCELLED"], market.states.SubscriptionState["ENDED"]],
                    ),
                    _negated=True,
                ),
                fields=("buyer", "listing"),
                name="subscription_runs_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(
                condition=models.Q(("had_trial", True)), fields=("buyer", "listing"), name="subscription_trial_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["trialing", "active", "past_due", "suspended", "cancelled", "ended"])
                ),
                name="subscription_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gte", 1), ("period_end__gt", models.F("period_start"))),
                name="subscription_period",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriptionterm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("voided_at__isnull", True)),
                fields=("subscription", "number", "part"),
                name="subscription_term_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscriptionterm",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["trial", "period", "upgrade", "overage"]), ("credit_minor__gte", 0)),
                name="subscription_term",
            ),
        ),
        # market_plan has got columns, and SQLite rebuilt it without its triggers
        append_only("market_plan", mutable=("retired_at",), again=True),
        append_only("market_subscriptionterm", mutable=("starts_at", "ends_at", "voided_at")),
    ]
