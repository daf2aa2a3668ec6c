"""Links from an order to its documents."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from market import invoice_queries
from market.invoices import TITLES
from market.states import DocumentKind
from web.links import invoice_url

if TYPE_CHECKING:
    from market.models import Order

ACTIONS = {"received": Action.NAMESPACE_WALLET, "issued": Action.NAMESPACE_SELL}
"""What it takes to see the documents of a namespace, by side."""


@dataclass(frozen=True)
class Link:
    label: str
    href: str


def documents_about(actor: Actor, order: "Order") -> list[Link]:
    """The documents of an order, for those who may see them."""
    is_mine = actor.may(ACTIONS["received"], order.buyer_id) or actor.may(ACTIONS["issued"], order.seller_id)
    if not (is_mine or actor.is_staff):
        return []
    rows = invoice_queries.documents_about(order)
    return [Link(f"{TITLES[DocumentKind(row.kind)]} {row.number}", invoice_url(row.uuid)) for row in rows]
