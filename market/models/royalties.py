"""What owners ask of listings that are derived from their versions, what sellers have accepted, and what an order pays."""

from django.db import models
from django.db.models import F, Q

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing
from market.models.orders import Order
from market.royalties import WHOLE, Share


class RoyaltyTerms(models.Model):
    """A declaration about one repository; append-only. It holds for the versions that are published while it is the newest, and for
    them for ever: a later one never touches a version that was there before it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """Whose repository it was, and who is paid."""
    repo_uuid = models.UUIDField()
    basis_points = models.PositiveIntegerField()
    """Of what the seller receives for an order after the fee of the site; 0 with no minimum: nothing is asked."""
    minimum_minor = models.BigIntegerField(default=0)
    """For each paid order; like the cap in `currency`, and only for orders in it."""
    cap_minor = models.BigIntegerField(null=True)
    """For each order."""
    currency = models.CharField(max_length=3)
    until = models.DateTimeField(null=True)
    """Orders placed from then on pay nothing."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(basis_points__lte=WHOLE) & Q(minimum_minor__gte=0), name="royalty_within_price"
            ),
            models.CheckConstraint(
                condition=Q(cap_minor=None) | Q(cap_minor__gt=0, cap_minor__gte=F("minimum_minor")), name="royalty_cap"
            ),
        ]
        indexes = [models.Index(fields=["repo_uuid", "-created_at", "-id"], name="royalty_of_repo")]

    def __str__(self) -> str:
        return f"{self.basis_points} of {WHOLE}"

    @property
    def asks(self) -> bool:
        """False for a declaration that ended an earlier one."""
        return bool(self.basis_points or self.minimum_minor)

    def share_in(self, currency: str) -> Share:
        """What it comes to for an order in `currency`."""
        if currency != self.currency:
            return Share(self.basis_points)
        return Share(self.basis_points, self.minimum_minor, self.cap_minor)


class RoyaltyAcceptance(models.Model):
    """The seller of a listing has agreed to pay what these terms ask, for good; append-only."""

    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="accepted_royalties")
    terms = models.ForeignKey(RoyaltyTerms, on_delete=models.PROTECT, related_name="acceptances")
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["listing", "terms"], name="royalty_accepted_once")]

    def __str__(self) -> str:
        return f"{self.listing_id} accepts {self.terms_id}"


class OrderRoyalty(models.Model):
    """These terms take part in an order: noted when it was placed, so that nothing which happens later changes who is paid of it, or how
    much. Append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="royalties")
    terms = models.ForeignKey(RoyaltyTerms, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["order", "terms"], name="order_royalty_once")]

    def __str__(self) -> str:
        return f"{self.order_id} pays {self.terms_id}"
