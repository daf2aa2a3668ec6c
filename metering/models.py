"""What was used, and how much of it may still be. Records are append-only and unique for ever; budgets are counters that the
market fills and compute draws on, neither knowing the other."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from metering.meters import Meter


class Cap(models.Model):
    """How much a namespace lets be used in a month (UTC): by everybody, or by one team, one token, on one subject, or all of these. Never
    edited: another limit is another cap. What it has left in a month is a Budget of its own."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    holder = models.UUIDField()
    """Uuid of the namespace that answers for the calls."""
    team = models.UUIDField(null=True)
    """A team that is gone holds nobody back."""
    token = models.UUIDField(null=True)
    subject = models.UUIDField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    """Empty: the limit is a number of calls. Else it is minor units of this currency."""
    limit = models.BigIntegerField()
    scope = models.CharField(max_length=160)
    """Team, token, subject and currency as one text: one open cap for each."""
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["holder", "scope"], condition=models.Q(ended_at__isnull=True), name="cap_open_once"
            ),
            models.CheckConstraint(condition=models.Q(limit__gte=0), name="cap_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.limit} {self.currency or 'calls'}"


class Budget(models.Model):
    """How much of one meter a namespace may use of one subject (an endpoint, say). `granted` null: without limit.
    Left is granted − used − held."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    source = models.CharField(max_length=80, unique=True)
    """The fact that opened it, `entitlement:<uuid>`."""
    holder = models.UUIDField()
    """Uuid of the namespace that may use it."""
    subject = models.UUIDField()
    meter = models.CharField(max_length=24, choices=[(meter.value, meter.value) for meter in Meter])
    granted = models.BigIntegerField(null=True)
    used = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    valid_from = models.DateTimeField(null=True)
    """Null: since it was opened."""
    valid_until = models.DateTimeField(null=True)
    cap = models.ForeignKey(Cap, null=True, on_delete=models.CASCADE, related_name="budgets")
    """Of the budget of one month of a cap."""
    price_micro = models.BigIntegerField(default=0)
    """What one unit counts for in caps on money: millionths of a minor unit of `currency`; 0: nothing."""
    currency = models.CharField(max_length=3, blank=True)
    warned_percent = models.PositiveSmallIntegerField(default=0)
    """The highest threshold of use that people have been told of."""
    created_at = models.DateTimeField(default=now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(used__gte=0, held__gte=0)
                & (models.Q(granted__isnull=True) | models.Q(granted__gte=0)),
                name="budget_not_negative",
            )
        ]
        indexes = [
            models.Index(fields=["subject", "meter"], condition=models.Q(closed_at__isnull=True), name="budget_open"),
            models.Index(fields=["holder", "-created_at"], name="budget_of_holder"),
            models.Index(
                fields=["id"],
                condition=models.Q(closed_at__isnull=True, granted__gt=0, warned_percent__lt=100),
                name="budget_to_warn",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.used} of {self.granted} {self.meter}"

    @property
    def left(self) -> int | None:
        """What may still be held; None: without limit."""
        return None if self.granted is None else max(0, self.granted - self.used - self.held)


class BudgetHold(models.Model):
    """A slice of a budget that one process serves from without asking again."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="holds")
    owner = models.CharField(max_length=80)
    amount = models.BigIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "owner"], name="budget_hold_once"),
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="budget_hold_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} held by {self.owner}"


class UsageRecord(models.Model):
    """Something that was used, once. `source` and `source_id` name the event for ever: a second report of it is ignored, however
    late it comes."""

    meter = models.CharField(max_length=24, choices=[(meter.value, meter.value) for meter in Meter])
    source = models.CharField(max_length=32)
    source_id = models.CharField(max_length=80)
    quantity = models.BigIntegerField()
    units = models.BigIntegerField()
    """What it drew from its budget, in the budget's meter: of a call, its rows or tokens, say. Elsewhere the quantity."""
    payer = models.UUIDField(null=True)
    """Uuid of the namespace that used it."""
    subject = models.UUIDField()
    version = models.UUIDField(null=True)
    """Of a call: the version that answered."""
    budget = models.ForeignKey(Budget, null=True, on_delete=models.PROTECT, related_name="records")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(default=now)
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "source_id", "meter"], name="usage_once"),
            models.CheckConstraint(condition=models.Q(quantity__gte=0, units__gte=0), name="usage_not_negative"),
        ]
        indexes = [
            models.Index(fields=["subject", "meter", "occurred_at"], name="usage_of_subject"),
            models.Index(fields=["payer", "meter", "occurred_at"], name="usage_of_payer"),
            models.Index(fields=["budget", "id"], name="usage_of_budget"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.meter}"
