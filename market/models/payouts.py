"""Money that leaves the market to sellers: where it goes, each payout, and whose payouts are held."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from market.states import PayoutMethod, PayoutState


class PayoutAccount(models.Model):
    """Where the earnings of a namespace in one currency go. Never edited: another destination is another row, and the old one is
    retired, so a payout says for ever where it went."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="payout_accounts")
    currency = models.CharField(max_length=3)
    method = models.CharField(max_length=12, choices=[(method.value, method.value) for method in PayoutMethod])
    destination = models.TextField(blank=True)
    """Sealed (`common.sealed`). OUTSIDE: what the operator needs to pay, such as an IBAN; PROVIDER: the seller's account there."""
    hint = models.CharField(max_length=20, blank=True)
    """The last characters of the destination, to tell accounts apart without showing them."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "currency"], condition=Q(retired_at__isnull=True), name="payout_account_once"
            ),
            models.CheckConstraint(
                condition=Q(method__in=[method.value for method in PayoutMethod]), name="payout_account_method"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.currency}"


class Payout(models.Model):
    """`amount_minor` of a seller's earnings on the way out. The ledger has taken it from the earnings when the row exists."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="payouts")
    account = models.ForeignKey(PayoutAccount, on_delete=models.PROTECT, related_name="payouts")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    key = models.CharField(max_length=80)
    """The run that made it: one payout per seller, currency and run, for ever."""
    state = models.CharField(
        max_length=12, default=PayoutState.WAITING, choices=[(state.value, state.value) for state in PayoutState]
    )
    reference = models.CharField(max_length=120, blank=True)
    """What the operator's bank or the provider calls the transfer."""
    failure = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=now)
    paid_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "currency", "key"], name="payout_once_per_run"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_amount"),
            models.CheckConstraint(condition=Q(state__in=[state.value for state in PayoutState]), name="payout_state"),
        ]
        indexes = [
            models.Index(fields=["namespace", "-created_at", "-id"], name="payout_by_seller"),
            models.Index(fields=["state", "-created_at", "-id"], name="payout_by_state"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)


class PayoutHold(models.Model):
    """Nothing is paid out to a namespace while it has one that is not released."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=300)
    """Shown to the seller."""
    placed_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["namespace"], condition=Q(released_at__isnull=True), name="payout_hold_once"
            )
        ]

    def __str__(self) -> str:
        return self.reason[:60]
