"""Keeping the search documents in step with the listings, in the transaction of the change."""

import orjson
from django.db.models import F

from common.ids import new_uuid
from market.models import Listing, ListingDocument, SearchChange, SearchHead
from market.policies import public_plans
from market.search_index import REBUILD_FROM
from market.search_text import normalise
from market.stars import bayesian_milli
from market.states import ListingState, Visibility

_BODY_LIMIT = 20_000
"""Characters of a description that are searched; what comes later is rarely what a listing is about."""


def index_listing(listing: Listing) -> None:
    """Write the document of a published listing that people may find as it is now, remove that of any other. Runs in the caller's transaction, before
    its audit record (one order of locks). Safe to repeat."""
    is_found = listing.visibility in {Visibility.PUBLIC, Visibility.ORGANIZATION}
    if listing.state != ListingState.PUBLISHED or listing.published_at is None or not is_found:
        if ListingDocument.objects.filter(pk=listing.pk).delete()[0]:
            _note(listing.pk)
        return
    prices = public_plans().filter(listing=listing).values_list("kind", flat=True)
    facets = {
        "kind": [listing.subject_kind],
        "task": [listing.task],
        "category": [listing.category],
        "licence": [listing.licence],
        "tag": listing.tags,
        "price": sorted(set(prices)),
    }
    beside = [
        listing.summary,
        listing.namespace.name,
        listing.slug,
        *(word for words in facets.values() for word in words),
    ]
    ListingDocument.objects.update_or_create(
        pk=listing.pk,
        defaults={
            "seller_id": listing.namespace_id,
            "is_public": listing.visibility == Visibility.PUBLIC,
            "sales": listing.sales,
            "rating_milli": bayesian_milli(listing.rating_count, listing.rating_sum) or None,
            "published_us": int(listing.published_at.timestamp() * 1_000_000),
            "title": normalise(listing.title),
            "summary": normalise(" ".join(beside)),
            "body": normalise(listing.description[:_BODY_LIMIT]),
            "facets": orjson.dumps({name: [word for word in words if word] for name, words in facets.items()}).decode(),
        },
    )
    _note(listing.pk)


def count_sale(listing: Listing, by: int) -> None:
    """Add `by` (+1 sold, -1 refunded) to the sales of a listing and of its document. Runs once per order, in its transaction."""
    Listing.objects.filter(pk=listing.pk).update(sales=F("sales") + by)
    if ListingDocument.objects.filter(pk=listing.pk).update(sales=F("sales") + by):
        _note(listing.pk)


def count_rating(listing: Listing, *, count: int, stars: int) -> None:
    """Add `count` (+1, 0, -1) buyer reviews and `stars` to the rating of a listing, and put its document where that leads. Runs in the
    transaction of the review, which holds the listing's lock."""
    rows = Listing.objects.filter(pk=listing.pk)
    rows.update(rating_count=F("rating_count") + count, rating_sum=F("rating_sum") + stars)
    listing.rating_count, listing.rating_sum = rows.values_list("rating_count", "rating_sum").get()
    rating = bayesian_milli(listing.rating_count, listing.rating_sum) or None
    if ListingDocument.objects.filter(pk=listing.pk).update(rating_milli=rating):
        _note(listing.pk)


def forget_changes() -> int:
    """Remove the changes that no process will ask for any more; how many. Harmless twice and beside writers."""
    head = SearchHead.objects.filter(pk=1).first()
    if head is None:
        return 0
    return SearchChange.objects.filter(number__lt=head.number - REBUILD_FROM).delete()[0]


def _note(listing_id: int) -> None:
    head, _ = SearchHead.objects.select_for_update(no_key=True).get_or_create(pk=1)
    head.number += 1
    head.save(update_fields=["number"])
    SearchChange.objects.create(number=head.number, stamp=new_uuid(), listing_id=listing_id)
