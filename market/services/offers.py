"""Private offers: word to the one who may take it."""

from typing import cast
from urllib.parse import quote

from django.db.models import Q

from common.clock import now
from market.models import Listing, Plan
from market.prices import price_of
from notices.services import notify


def tell_of_offers(listing: Listing) -> None:
    """Tell the buyers of the open private offers of a published listing, in the caller's transaction. Each offer is told once, so
    that publishing again, or another offer, repeats nothing."""
    lasting = Q(offer_ends_at__isnull=True) | Q(offer_ends_at__gt=now())
    offers = Plan.objects.filter(lasting, listing=listing, retired_at__isnull=True, offered_to__isnull=False)
    for offer in offers.order_by("pk"):
        until = f", until {offer.offer_ends_at:%-d %b %Y, %H:%M} UTC" if offer.offer_ends_at else ""
        note = f" “{offer.offer_note}”" if offer.offer_note else ""
        notify(
            cast("int", offer.offered_to_id),
            "market:offer:made",
            f"{listing.namespace.name} offers you {listing.title} for {price_of(offer)}{until}.{note}",
            url=f"/listings/{quote(listing.namespace.name)}/{quote(listing.slug)}/checkout?plan={offer.uuid}",
            key=f"offer:{offer.uuid}",
        )
