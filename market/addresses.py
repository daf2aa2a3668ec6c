"""Addresses of pages that notices and webhooks lead to. Each wants the listing's namespace joined."""

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from market.models import BuyerReview, Listing, ListingThread


def listing_address(listing: "Listing") -> str:
    return f"/listings/{quote(listing.namespace.name)}/{quote(listing.slug)}"


def review_address(review: "BuyerReview") -> str:
    return f"{listing_address(review.listing)}/reviews/{review.uuid}"


def thread_address(thread: "ListingThread") -> str:
    return f"{listing_address(thread.listing)}/questions/{thread.number}"
