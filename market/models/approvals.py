"""Purchases that somebody has to agree to: the limits of a namespace, and each wish above one."""

from typing import TYPE_CHECKING

from django.db import models

from common.clock import now
from common.ids import new_uuid
from market.models.orders import Order
from market.models.subscriptions import PlanSwitch
from market.states import ApprovalOutcome

if TYPE_CHECKING:
    from accounts.models import Namespace, User
    from market.models.catalogue import Listing


class PurchaseLimit(models.Model):
    """Orders of a namespace in one currency above `limit_minor` need an approval. No row: no limit."""

    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.CASCADE, related_name="+")
    currency = models.CharField(max_length=3)
    limit_minor = models.BigIntegerField()
    changed_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "currency"], name="purchase_limit_once"),
            models.CheckConstraint(condition=models.Q(limit_minor__gte=0), name="purchase_limit_amount"),
        ]

    def __str__(self) -> str:
        return f"{self.limit_minor} {self.currency}"


class Approval(models.Model):
    """What was asked for an order, or another plan of a subscription, above a limit, and what became of it. Decided once: the lock of
    the order, or of the subscription, sees to it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    order = models.OneToOneField(Order, null=True, on_delete=models.PROTECT, related_name="approval")
    switch = models.OneToOneField(PlanSwitch, null=True, on_delete=models.PROTECT, related_name="approval")
    limit_minor = models.BigIntegerField()
    """The limit that the order, or a period of the plan, was above."""
    reason = models.CharField(max_length=500, blank=True)
    """Why it is wanted, for those who decide."""
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField()
    outcome = models.CharField(
        max_length=12, default=ApprovalOutcome.WAITING, choices=[(each.value, each.value) for each in ApprovalOutcome]
    )
    decided_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True)
    comment = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(outcome__in=[each.value for each in ApprovalOutcome]), name="approval_outcome"
            ),
            models.CheckConstraint(
                condition=models.Q(outcome=ApprovalOutcome.WAITING, decided_at__isnull=True)
                | (~models.Q(outcome=ApprovalOutcome.WAITING) & models.Q(decided_at__isnull=False)),
                name="approval_decided",
            ),
            models.CheckConstraint(
                condition=models.Q(order__isnull=True, switch__isnull=False)
                | models.Q(order__isnull=False, switch__isnull=True),
                name="approval_of_one_thing",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at", "id"],
                condition=models.Q(outcome=ApprovalOutcome.WAITING),
                name="approval_waiting",
            )
        ]

    def __str__(self) -> str:
        return f"{self.outcome} approval of {self.switch_id if self.order is None else self.order_id}"

    @property
    def buyer(self) -> "Namespace":
        """Wants the order, or the switch with its subscription, joined; so do all that follow."""
        return self.switch.subscription.buyer if self.switch is not None else self._order.buyer

    @property
    def listing(self) -> "Listing":
        return self.switch.subscription.listing if self.switch is not None else self._order.listing

    @property
    def placed_by(self) -> "User | None":
        return self.switch.placed_by if self.switch is not None else self._order.placed_by

    @property
    def currency(self) -> str:
        return self.switch.plan.currency if self.switch is not None else self._order.currency

    @property
    def _order(self) -> Order:
        assert self.order is not None, "the database lets it be of one thing"
        return self.order
