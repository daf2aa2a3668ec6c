"""The terms that orders were placed, and plans chosen, on: every text that was accepted, once, and who accepted it."""

from django.db import models

from common.clock import now
from market.models.orders import Order
from market.models.subscriptions import PlanSwitch


class TermsText(models.Model):
    """One exact text, for good. Append-only."""

    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the text in UTF-8, hexadecimal."""
    text = models.TextField()
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.digest


class TermsAcceptance(models.Model):
    """Who accepted which text for an order, or for another plan of a subscription, when. Append-only."""

    order = models.OneToOneField(Order, null=True, on_delete=models.PROTECT, related_name="acceptance")
    switch = models.OneToOneField(PlanSwitch, null=True, on_delete=models.PROTECT, related_name="acceptance")
    terms = models.ForeignKey(TermsText, on_delete=models.PROTECT, related_name="acceptances")
    accepted_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    accepted_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(order__isnull=True, switch__isnull=False)
                | models.Q(order__isnull=False, switch__isnull=True),
                name="acceptance_of_one_thing",
            )
        ]

    def __str__(self) -> str:
        return f"{self.switch_id if self.order_id is None else self.order_id} on {self.terms_id}"
