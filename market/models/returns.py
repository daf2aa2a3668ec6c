"""Money that went back to buyers, and what buyers ask back."""

from enum import StrEnum

from django.db import models
from django.db.models import F, Q

from common.clock import now
from common.ids import new_uuid
from market.models.orders import Order
from market.states import WAITING_RETURNS, ReturnSide, ReturnState, ReturnStep


def _words(of: type[StrEnum]) -> list[str]:
    return [word.value for word in of]


class Refund(models.Model):
    """Money of an order that went back to its buyer, once. Append-only but for the columns that say how far the payment provider is. The
    refunds of an order sum to its `refunded_minor`."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    """The key of the refund at the payment provider."""
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
    key = models.CharField(max_length=120)
    """The idempotency key of whoever gave it back."""
    amount_minor = models.BigIntegerField()
    """Of the order's currency."""
    reason = models.CharField(max_length=300, blank=True)
    ended_access = models.BooleanField()
    """Whether access ended with it."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    send_minor = models.BigIntegerField(null=True)
    """What the provider has to send: the amount less what somebody gave back on the provider's own pages before. Null: not decided."""
    reference = models.CharField(max_length=120, blank=True)
    """What the provider calls it."""
    returned_at = models.DateTimeField(null=True)
    """When the provider took the order to send it; null for wallets, where the ledger has moved it."""
    failed_at = models.DateTimeField(null=True)
    """When the buyer's bank was found not to have taken it."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "key"], name="refund_once_per_key"),
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="refund_amount"),
            models.CheckConstraint(
                condition=Q(send_minor=None) | Q(send_minor__gte=0, send_minor__lte=F("amount_minor")),
                name="refund_sent_within_amount",
            ),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class ReturnRequest(models.Model):
    """A buyer asks for money back: the seller decides in time, or the operator does."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="return_requests")
    key = models.CharField(max_length=80)
    """The buyer's idempotency key."""
    state = models.CharField(max_length=12, choices=[(word, word) for word in _words(ReturnState)])
    asked_minor = models.BigIntegerField()
    """Of the order's currency."""
    decide_by = models.DateTimeField()
    """`open`: until when the seller decides; `declined`: until when the buyer may ask the operator."""
    escalated_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    """When it was accepted, declined for good, withdrawn or closed."""
    refund = models.OneToOneField(Refund, null=True, on_delete=models.PROTECT, related_name="request")
    """What was given back because of it."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "key"], name="return_once_per_key"),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state__in=[each.value for each in sorted(WAITING_RETURNS)]),
                name="return_one_waits",
            ),
            models.CheckConstraint(condition=Q(asked_minor__gte=1), name="return_amount"),
            models.CheckConstraint(condition=Q(state__in=_words(ReturnState)), name="return_state"),
        ]
        indexes = [
            models.Index(fields=["decide_by"], condition=Q(state=ReturnState.OPEN), name="return_to_decide"),
            models.Index(fields=["escalated_at"], condition=Q(state=ReturnState.ESCALATED), name="return_escalated"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class ReturnEntry(models.Model):
    """One line in the thread of a request. Append-only."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    request = models.ForeignKey(ReturnRequest, on_delete=models.PROTECT, related_name="entries")
    step = models.CharField(max_length=16, choices=[(word, word) for word in _words(ReturnStep)])
    side = models.CharField(max_length=8, choices=[(word, word) for word in _words(ReturnSide)])
    text = models.TextField(blank=True)
    amount_minor = models.BigIntegerField(null=True)
    """What was asked or accepted."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(step__in=_words(ReturnStep)), name="return_entry_step"),
            models.CheckConstraint(condition=Q(side__in=_words(ReturnSide)), name="return_entry_side"),
        ]

    def __str__(self) -> str:
        return f"{self.step}: {self.request_id}"
