"""Coupons of sellers, and the fact that an order used one. A coupon is never edited: archive it and make another."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from market.models.orders import Order

CODE_LIMIT = 40


class Coupon(models.Model):
    """A code that takes an amount or a part off the price of what one seller sells. The seller bears it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """The seller."""
    code = models.CharField(max_length=CODE_LIMIT)
    """Normalised: capital letters, digits, dashes, underscores."""
    percent_bp = models.PositiveIntegerField(null=True)
    """Basis points of the price, 1 to 10,000 (all of it); or null, and then `amount_minor` of `currency`."""
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    """Of `amount_minor`; plans in another currency don't take the coupon. Empty with `percent_bp`."""
    limit_total = models.PositiveIntegerField(null=True)
    """Orders that may use it, all buyers together; null: any number."""
    limit_per_buyer = models.PositiveIntegerField(null=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    """Valid in [starts_at, ends_at); null: without a beginning or an end."""
    listings = models.JSONField(default=list)
    """Uuids of the listings that it is for; empty: all that the seller sells."""
    plans = models.JSONField(default=list)
    """Uuids of the plans that it is for; empty: all plans of those listings."""
    created_at = models.DateTimeField(default=now)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "code"], condition=Q(archived_at__isnull=True), name="coupon_code_once"
            ),
            models.CheckConstraint(
                condition=Q(percent_bp__gte=1, percent_bp__lte=10_000, amount_minor__isnull=True, currency="")
                | (Q(percent_bp__isnull=True, amount_minor__gte=1) & ~Q(currency="")),
                name="coupon_amount_or_percent",
            ),
        ]
        indexes = [models.Index(fields=["namespace", "-created_at", "-id"], name="coupon_of_seller")]

    def __str__(self) -> str:
        return self.code


class CouponRedemption(models.Model):
    """An order used a coupon. One that was given back (`returned_at`) no longer counts against the limits."""

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="redemption")
    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="redemptions")
    buyer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    returned_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["coupon", "buyer"], condition=Q(returned_at__isnull=True), name="redemption_counts")
        ]

    def __str__(self) -> str:
        return f"{self.coupon_id} for {self.order_id}"
