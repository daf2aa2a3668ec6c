"""What was bought, and what it opens."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing, Plan
from market.states import OrderState, SubjectKind

if TYPE_CHECKING:
    from market.models.terms import TermsAcceptance


class Order(models.Model):
    """One purchase: the plan, how often, and at which price it was. Amounts in minor units of `currency`."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    buyer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    seller = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="orders")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="orders")
    quantity = models.PositiveIntegerField()
    total_minor = models.BigIntegerField()
    """What the buyer pays: the price of the plan less `discount_minor`."""
    discount_minor = models.BigIntegerField(default=0)
    """What a coupon took off (the seller bears it: fee and earnings are shares of `total_minor`), or what was left of the period of a
    subscription that this order replaces."""
    refunded_minor = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    fee_percent = models.PositiveSmallIntegerField()
    """The platform's share when the order was placed; later changes don't touch it."""
    key = models.CharField(max_length=120)
    """The buyer's idempotency key: one order per buyer and key, for ever."""
    payment_backend = models.CharField(max_length=40)
    payment_reference = models.CharField(max_length=120, blank=True)
    """What the payment backend calls the payment."""
    payment_url = models.CharField(max_length=2000, blank=True)
    """Where the buyer completes the payment, if the backend has such a page."""
    tax_minor = models.BigIntegerField(null=True)
    """The tax within `total_minor` as the payment provider reckoned it; null: not told."""
    state = models.CharField(max_length=20, default=OrderState.PLACED, choices=[(s.value, s.value) for s in OrderState])
    placed_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    paid_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    """When it was refunded, cancelled or lost."""
    returned_at = models.DateTimeField(null=True)
    """When the payment provider took the order to send money back; null: there was nothing to send, or not yet."""
    refund_key = models.CharField(max_length=120, blank=True)
    refund_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["buyer", "key"], name="order_once_per_key"),
            models.UniqueConstraint(
                fields=["payment_backend", "payment_reference"],
                condition=~Q(payment_reference=""),
                name="order_payment_once",
            ),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0) & Q(refunded_minor__lte=F("total_minor")),
                name="order_refund_within_total",
            ),
            models.CheckConstraint(
                condition=Q(quantity__gte=1) & Q(total_minor__gte=0) & Q(discount_minor__gte=0), name="order_amounts"
            ),
            models.CheckConstraint(condition=Q(fee_percent__lte=100), name="order_fee_percent"),
            models.CheckConstraint(condition=Q(state__in=[s.value for s in OrderState]), name="order_state"),
        ]
        indexes = [
            models.Index(fields=["buyer", "-created_at", "-id"], name="order_by_buyer"),
            models.Index(fields=["seller", "-created_at", "-id"], name="order_by_seller"),
            models.Index(fields=["listing", "-created_at"], name="order_by_listing"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)

    @property
    def coupon_code(self) -> str:
        """The coupon that it was placed with, or nothing. Wants `redemption__coupon` joined."""
        redemption = getattr(self, "redemption", None)
        return redemption.coupon.code if redemption else ""

    @property
    def accepted(self) -> "TermsAcceptance | None":
        """Of the terms that it was placed on, or that its plan was chosen on; None for orders from before they were kept, and for those
        that subscriptions place. Wants `acceptance__terms` and `switch__acceptance__terms` joined."""
        found: TermsAcceptance | None = getattr(self, "acceptance", None)
        return found or getattr(getattr(self, "switch", None), "acceptance", None)

    @property
    def terms_digest(self) -> str:
        """Of the terms of `accepted`; nothing without any."""
        return self.accepted.terms.digest if self.accepted else ""


class Entitlement(models.Model):
    """What an order opens for its buyer, as long as it is not revoked. `source` is the name of its grant and its budget."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="entitlement")
    holder = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="entitlements")
    subject_kind = models.CharField(max_length=12, choices=[(kind.value, kind.value) for kind in SubjectKind])
    subject_uuid = models.UUIDField()
    granted_units = models.BigIntegerField(null=True)
    """Calls that may be made, those included; null: no limit, or nothing to call."""
    included_units = models.BigIntegerField(default=0)
    """Calls of `granted_units` that cost nothing; they are used first."""
    seats = models.PositiveIntegerField(null=True)
    """How many people of an organisation may use it; null: everybody whom the holder stands for."""
    held_minor = models.BigIntegerField(default=0)
    """What all its paid calls cost together: put aside when it was bought, charged as they are made."""
    settled_units = models.BigIntegerField(default=0)
    """Calls that have been charged: the watermark of billing. Of a subscription those beyond the quota."""
    created_at = models.DateTimeField(default=now)
    revoked_at = models.DateTimeField(null=True)
    frozen_at = models.DateTimeField(null=True)
    """Since when access rests because the payment is disputed; null: it does not."""
    settled_up_at = models.DateTimeField(null=True)
    """When the last of the held money had been charged or returned, or the last call beyond a quota been charged; billing leaves it
    alone from then on."""

    class Meta:
        indexes = [
            models.Index(fields=["holder", "-created_at", "-id"], name="entitlement_by_holder"),
            models.Index(fields=["subject_uuid"], name="entitlement_by_subject"),
            models.Index(fields=["id"], condition=Q(settled_up_at__isnull=True), name="entitlement_to_bill"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(settled_units__gte=0) & Q(held_minor__gte=0), name="entitlement_amounts")
        ]

    def __str__(self) -> str:
        return str(self.uuid)

    @property
    def source(self) -> str:
        """Names its grant and its budget below."""
        return f"entitlement:{self.uuid}"
