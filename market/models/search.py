"""What search knows of published listings. The texts are indexed by the database (`0003_search`: FTS5 or GIN), the rest is held
in memory by every process (`market/search_index.py`), which follows the changes by their numbers."""

from django.db import models

from market.models.catalogue import Listing


class ListingDocument(models.Model):
    """One published listing as search sees it. Texts are normalised: lower case, no accents."""

    listing = models.OneToOneField(Listing, primary_key=True, on_delete=models.CASCADE, related_name="document")
    seller_id = models.BigIntegerField()
    """Primary key of the namespace."""
    is_public = models.BooleanField()
    """False: only members of the seller's namespace find it."""
    sales = models.BigIntegerField(default=0)
    rating_milli = models.IntegerField(null=True)
    """`market/stars.py`: the Bayesian average of its buyer reviews, in thousandths of a star; null without a review."""
    published_us = models.BigIntegerField()
    """Microseconds since 1970 UTC: a number is read many times faster than an instant."""
    title = models.TextField()
    summary = models.TextField(blank=True)
    """With seller, slug, tags and facets, so that each word a card shows is found."""
    body = models.TextField(blank=True)
    facets = models.TextField()
    """JSON `{facet: [values]}` for kind, task, category, licence, tag, price."""

    def __str__(self) -> str:
        return self.title


class SearchHead(models.Model):
    """The one row (pk 1) that says how many changes there have been; locked by each writer, so numbers appear in order."""

    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)


class SearchChange(models.Model):
    """Document of `listing_id` was written or removed. `stamp` tells a process whether the change it knows under this number is
    still the one that happened (a restored backup counts again)."""

    number = models.BigIntegerField(primary_key=True)
    stamp = models.UUIDField()
    listing_id = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.number}: {self.listing_id}"
