"""What somebody likes, follows and has put together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.actors import Actor
from common.pagination import Page, keyset_page
from market.models import CollectionListing, Follow, Listing, ListingLike
from market.policies import visible_listings
from market.queries import with_offers

if TYPE_CHECKING:
    from registry.models import Collection

NEWEST = ("-created_at", "-pk")


@dataclass(frozen=True)
class Standing:
    """How the actor stands to a listing."""

    is_liked: bool = False
    is_followed: bool = False
    is_seller_followed: bool = False


def standing_to(actor: Actor, listing: Listing) -> Standing:
    """Two queries; none for nobody in particular."""
    if actor.user_id is None:
        return Standing()
    follows = Follow.objects.filter(user_id=actor.user_id)
    found: set[tuple[int | None, int | None]] = set(
        follows.filter(listing=listing).values_list("listing_id", "namespace_id").union(
            follows.filter(namespace=listing.namespace_id).values_list("listing_id", "namespace_id")
        )
    )  # fmt: skip
    return Standing(
        ListingLike.objects.filter(listing=listing, user_id=actor.user_id).exists(),
        (listing.pk, None) in found,
        (None, listing.namespace_id) in found,
    )


def follows_of(actor: Actor, *, cursor: str | None = None, limit: int = 50) -> Page[Follow]:
    """What the actor follows, newest first, with listings, their sellers, namespaces. One query. A followed listing that is not in the
    shop any more is still there: its title is what the follower knows."""
    rows = Follow.objects.filter(user_id=actor.person_id).select_related("listing__namespace", "namespace")
    return keyset_page(rows, order=NEWEST, cursor=cursor, limit=limit)


def likes_of(actor: Actor, *, cursor: str | None = None, limit: int = 50) -> Page[ListingLike]:
    """The listings that the actor likes and may still see, newest first. One query."""
    seen = visible_listings(actor).values("pk")
    rows = ListingLike.objects.filter(user_id=actor.person_id, listing__in=seen).select_related("listing__namespace")
    return keyset_page(rows, order=NEWEST, cursor=cursor, limit=limit)


def listings_in(actor: Actor, collections: "Iterable[Collection]") -> dict[int, list[CollectionListing]]:
    """The listings in each of these collections, by its primary key, as far as the actor may see them, with their plans on sale in
    `offers`; in the order in which they came. Three queries."""
    pks = [each.pk for each in collections]
    items = CollectionListing.objects.filter(collection__in=pks)
    seen = visible_listings(actor).filter(pk__in=items.values("listing")).prefetch_related(with_offers())
    by_pk = {listing.pk: listing for listing in seen}
    found: dict[int, list[CollectionListing]] = {pk: [] for pk in pks}
    for item in items.filter(listing__in=by_pk).order_by("pk"):
        item.listing = by_pk[item.listing_id]
        found[item.collection_id].append(item)
    return found
