"""How often listings were looked at: a number a day, and nothing about who looked."""

from django.db import models

from market.models.catalogue import Listing


class ListingViews(models.Model):
    """Views of one listing's page on one day (UTC)."""

    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    views = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["listing", "day"], name="listing_views_once")]
        indexes = [models.Index(fields=["day", "listing"], name="listing_views_by_day")]

    def __str__(self) -> str:
        return f"{self.listing_id} {self.day}: {self.views}"
