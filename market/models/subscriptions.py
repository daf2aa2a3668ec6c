"""What is paid again and again: a subscription, the orders that pay its periods, the plans that its buyer chose instead."""

from django.db import models
from django.db.models import F, Q

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing, Plan
from market.models.orders import Order
from market.states import SUBSCRIPTIONS, SubscriptionState, TermKind

_RUNNING = ~Q(state__in=sorted(SUBSCRIPTIONS.final))


class Subscription(models.Model):
    """Somebody's lasting purchase of a plan. Its terms are those of `plan`, which is never edited: they change when the buyer takes
    another plan. Instants are UTC."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    buyer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    seller = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    next_plan = models.ForeignKey(Plan, null=True, on_delete=models.PROTECT, related_name="+")
    """The plan that the buyer has chosen for the next period; null: the same."""
    quantity = models.PositiveIntegerField(default=1)
    """How often the plan is paid for each period."""
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in SubscriptionState])
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="+")
    """The order that paid the present period; its entitlement is the access."""
    number = models.PositiveIntegerField(default=1)
    """Of the present period: 1, 2, 3…; a trial is one."""
    anchor_at = models.DateTimeField()
    """From where periods are counted: its day of the month is kept, as far as a month has it."""
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    had_trial = models.BooleanField()
    cancel_at_period_end = models.BooleanField(default=False)
    failed_at = models.DateTimeField(null=True)
    """When the next period could not be collected for the first time; null: nothing is overdue."""
    attempts = models.PositiveSmallIntegerField(default=0)
    """How often it could not be collected."""
    problem = models.CharField(max_length=300, blank=True)
    """Why, in a sentence."""
    look_at = models.DateTimeField(null=True)
    """When there is something to do next; null: never."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["buyer", "listing"], condition=_RUNNING, name="subscription_runs_once"),
            models.UniqueConstraint(
                fields=["buyer", "listing"], condition=Q(had_trial=True), name="subscription_trial_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in SubscriptionState]), name="subscription_state"
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1) & Q(period_end__gt=F("period_start")), name="subscription_period"
            ),
        ]
        indexes = [
            models.Index(fields=["look_at"], condition=Q(look_at__isnull=False), name="subscription_due"),
            models.Index(fields=["buyer", "-created_at", "-id"], name="subscription_by_buyer"),
            models.Index(fields=["seller", "-created_at", "-id"], name="subscription_by_seller"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class SubscriptionTerm(models.Model):
    """That an order pays for a period of a subscription, or for calls beyond its quota. One living row for each period and part: a
    period is not asked for twice, however often and from wherever it is collected."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="terms")
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="term")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in TermKind])
    number = models.PositiveIntegerField()
    """Of the period that it is about."""
    part = models.PositiveIntegerField(default=0)
    """0: the period itself; 1, 2, 3…: charges for calls beyond its quota."""
    by_card = models.BooleanField(default=False)
    """The provider takes the money from the card that the buyer left, without asking."""
    credit_minor = models.BigIntegerField(default=0)
    """What was left of the period before, taken off the price; minor units of the order's currency."""
    units_upto = models.BigIntegerField(default=0)
    """OVERAGE: calls beyond the quota that are charged with this one, those of earlier parts included."""
    starts_at = models.DateTimeField(null=True)
    """Of the period; null until it is paid, and for overage."""
    ends_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=now)
    voided_at = models.DateTimeField(null=True)
    """When its order was cancelled unpaid: the period can be asked for again."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "number", "part"],
                condition=Q(voided_at__isnull=True),
                name="subscription_term_once",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=[k.value for k in TermKind]) & Q(credit_minor__gte=0), name="subscription_term"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}.{self.part}"


class PlanSwitch(models.Model):
    """That another plan was chosen for a subscription, on terms that were accepted then. It takes effect once: at once, or, where it needs
    an approval, with that."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="switches")
    former = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    """The plan of the subscription when it was chosen."""
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    is_now = models.BooleanField()
    """It begins a period of its own at once; else it is the plan of the next period."""
    due_minor = models.BigIntegerField()
    """What was due at once when it was chosen, minor units of the plan's currency; 0 for one that begins later. What is left of a
    period shrinks, so that an approval finds more due."""
    key = models.CharField(max_length=80)
    """The buyer's idempotency key."""
    order = models.OneToOneField(Order, null=True, on_delete=models.PROTECT, related_name="switch")
    """What pays a period that begins at once; null until it is ordered."""
    placed_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "key"], name="plan_switch_once_per_key"),
            models.CheckConstraint(
                condition=Q(due_minor__gte=0) & (Q(is_now=True) | Q(order__isnull=True, due_minor=0)),
                name="plan_switch_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id} to plan {self.plan_id}"
