"""The way of a listing through review, who asks for one, and the pictures of a listing."""

from enum import StrEnum

from django.db import models

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing
from market.states import ReviewStep


def _one_of(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


class ReviewEntry(models.Model):
    """One line in the thread of a listing's reviews. Append-only."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="review_entries")
    step = models.CharField(max_length=12, choices=[(word, word) for word in _one_of(ReviewStep)])
    text = models.TextField(blank=True)
    checks = models.JSONField(default=list)
    """APPROVED: what the reviewer has confirmed, keys of `REVIEW_CHECKS`."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(step__in=_one_of(ReviewStep)), name="review_entry_step"),
        ]

    def __str__(self) -> str:
        return f"{self.step}: {self.listing_id}"


class ReviewPolicy(models.Model):
    """Whether an organisation wants its listings reviewed by its own reviewers. No row: it does not."""

    namespace = models.OneToOneField("accounts.Namespace", primary_key=True, on_delete=models.CASCADE, related_name="+")
    is_needed = models.BooleanField(default=False)
    updated_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.namespace_id}: {self.is_needed}"


class ListingImage(models.Model):
    """A picture in the gallery of a listing; the first one stands on its card. The bytes were decoded and encoded anew."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="images")
    blob = models.ForeignKey("registry.Blob", on_delete=models.PROTECT, related_name="+")
    media_type = models.CharField(max_length=20)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    """Pixels."""
    alt = models.CharField(max_length=200)
    """What it shows, for those who do not see it."""
    position = models.PositiveIntegerField()
    """1, 2, 3… from the left."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["listing", "position"], name="listing_gallery")]

    def __str__(self) -> str:
        return self.alt
