"""What webhooks of buyers and sellers are told of their trade, in the transaction of the deed. The sending is the registry's
(`registry/services/webhooks.py`), as for events of repositories; nothing here is told to who may not read it on the site."""

from typing import TYPE_CHECKING, Any

from django.conf import settings

from accounts.permissions import Action
from market.addresses import listing_address, review_address, thread_address
from registry.services.events import announce_trade

if TYPE_CHECKING:
    from market.models import BuyerReview, Entitlement, Listing, ListingThread, Order, Payout

EVENTS = {
    "order.paid": "An order was paid, and what it buys is open",
    "order.refunded": "An order was undone and its money is on its way back",
    "entitlement.ended": "Access that was bought has ended",
    "listing.published": "A listing went into the shop",
    "listing.withdrawn": "A listing was taken out of the shop",
    "listing.reviewed": "A buyer wrote a review, or changed it",
    "question.asked": "Somebody asked a question or began a discussion on a listing",
    "payout.paid": "A payout arrived",
}
"""Every name there is, with what it says. Amounts are whole minor units of the currency beside them."""


def tell_of_order(order: "Order", name: str) -> None:
    """`order.paid` or `order.refunded`, to the webhooks of both sides. Wants `buyer`, `seller`, `plan`, `listing__namespace` joined."""
    data = {
        "order": str(order.uuid),
        "listing": _listing(order.listing),
        "plan": {"id": str(order.plan.uuid), "name": order.plan.name, "kind": order.plan.kind},
        "buyer": order.buyer.name,
        "seller": order.seller.name,
        "quantity": order.quantity,
        "totalMinor": order.total_minor,
        "refundedMinor": order.refunded_minor,
        "currency": order.currency,
        "state": order.state,
        "url": f"{settings.PUBLIC_URL}/orders/{order.uuid}",
    }
    announce_trade(order.buyer, name, Action.ORDER_READ, data)
    announce_trade(order.seller, name, Action.NAMESPACE_SELL, data)


def tell_of_end(entitlement: "Entitlement") -> None:
    """`entitlement.ended`, to the webhooks of both sides. Asks for what is not joined."""
    data = {
        "entitlement": str(entitlement.uuid),
        "order": str(entitlement.order.uuid),
        "listing": _listing(entitlement.listing),
        "holder": entitlement.holder.name,
    }
    announce_trade(entitlement.holder, "entitlement.ended", Action.ORDER_READ, data)
    announce_trade(entitlement.listing.namespace, "entitlement.ended", Action.NAMESPACE_SELL, data)


def tell_of_listing(listing: "Listing", name: str) -> None:
    """`listing.published` or `listing.withdrawn`, to the seller's webhooks."""
    announce_trade(listing.namespace, name, Action.LISTING_MANAGE, {"listing": _listing(listing)})


def tell_of_review(review: "BuyerReview") -> None:
    """`listing.reviewed`, to the seller's webhooks."""
    data = {
        "listing": _listing(review.listing),
        "review": str(review.uuid),
        "buyer": review.buyer.name,
        "version": review.version,
        "stars": review.stars,
        "title": review.title,
        "revision": review.revisions_count,
        "url": settings.PUBLIC_URL + review_address(review),
    }
    announce_trade(review.listing.namespace, "listing.reviewed", Action.LISTING_MANAGE, data)


def tell_of_thread(thread: "ListingThread", by: str) -> None:
    """`question.asked`, to the seller's webhooks."""
    listing = thread.listing
    url = settings.PUBLIC_URL + thread_address(thread)
    data = {"listing": _listing(listing), "number": thread.number, "kind": thread.kind, "title": thread.title}
    announce_trade(listing.namespace, "question.asked", Action.LISTING_MANAGE, {**data, "by": by, "url": url})


def tell_of_payout(payout: "Payout") -> None:
    """`payout.paid`, to the seller's webhooks."""
    data = {"payout": str(payout.uuid), "amountMinor": payout.amount_minor, "currency": payout.currency}
    announce_trade(payout.namespace, "payout.paid", Action.NAMESPACE_SELL, data)


def _listing(listing: "Listing") -> dict[str, Any]:
    return {
        "id": str(listing.uuid),
        "name": f"{listing.namespace.name}/{listing.slug}",
        "title": listing.title,
        "url": settings.PUBLIC_URL + listing_address(listing),
    }
