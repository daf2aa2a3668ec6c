"""The terms that orders were placed on: every text that was accepted, once, and who accepted it."""

from django.db import models

from common.clock import now
from market.models.orders import Order


class TermsText(models.Model):
    """One exact text, for good. Append-only."""

    digest = models.CharField(max_length=64, unique=True)
    """SHA-256 of the text in UTF-8, hexadecimal."""
    text = models.TextField()
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.digest


class TermsAcceptance(models.Model):
    """Who accepted which text for an order, when. Append-only."""

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="acceptance")
    terms = models.ForeignKey(TermsText, on_delete=models.PROTECT, related_name="acceptances")
    accepted_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    accepted_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.order_id} on {self.terms_id}"
