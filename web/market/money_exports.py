"""The tables of money as rows for CSV files: headings, then every row there is, read while it is sent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.money import Money
from market import queries
from market.access_details import AccessTerm, access_terms
from market.invoices import counted_in
from market.prices import price_of
from web.exports import PAGE, Cell, amount, every

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Order

Row = list[Cell]
MOVEMENTS = ["date", "what", "kind", "amount", "balance", "currency", "listing", "order"]
ORDERS = [
    "date", "listing", "plan", "price", "quantity", "discount", "total", "returned", "currency", "state", "buyer", "seller", "paid", "order",
]  # fmt: skip
ACCESS = [
    "listing", "kind", "seller", "bought by", "plan", "since", "until", "renews", "state", "unit", "granted", "used", "left", "charged", "currency", "order",
]  # fmt: skip
EARNED = ["listing", "orders", "paid by buyers", "returned", "earned", "currency"]


def movements(owner: "Namespace", kind: str) -> Iterator[Row]:
    """The statement of the wallet or the earnings, newest first."""
    for entry in every(lambda cursor: queries.statement(owner, kind=kind, cursor=cursor, limit=PAGE)):
        currency, order = entry.account.currency, entry.transaction.order
        yield [
            entry.transaction.at,
            entry.transaction.memo or entry.transaction.kind,
            entry.transaction.kind,
            amount(Money(entry.amount_minor, currency)),
            amount(Money(entry.balance_after_minor, currency)),
            currency,
            order.listing.title if order else None,
            str(order.uuid) if order else None,
        ]


def orders(owner: "Namespace") -> Iterator[Row]:
    """What was bought, newest first."""
    return map(_order, every(lambda cursor: queries.orders_of(owner, cursor=cursor, limit=PAGE)))


def sales(owner: "Namespace") -> Iterator[Row]:
    """What was sold, newest first."""
    return map(_order, every(lambda cursor: queries.sales_of(owner, cursor=cursor, limit=PAGE)))


def access(owner: "Namespace") -> Iterator[Row]:
    """What there is access to through purchases, newest first; no end is written where it is for good."""
    cursor: str | None = None
    while True:
        page = queries.entitlements_of(owner, cursor=cursor, limit=PAGE)
        terms = access_terms(owner, [each.entitlement for each in page.items])
        yield from (_access(each, terms[each.entitlement.pk]) for each in page.items)
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def _access(each: queries.Access, term: AccessTerm) -> Row:
    entitlement = each.entitlement
    listing, order = entitlement.listing, entitlement.order
    return [
        listing.title,
        listing.subject_kind,
        listing.namespace.name,
        entitlement.holder.name,
        order.plan.name,
        term.since,
        term.until,
        "yes" if term.renews else "no",
        term.state,
        counted_in(order.plan.unit) if each.used_units is not None else "",
        entitlement.granted_units,
        each.used_units,
        each.left_units,
        amount(Money(each.charged_minor, order.currency)),
        order.currency,
        str(order.uuid),
    ]


def earned(owner: "Namespace") -> Iterator[Row]:
    """What each listing brought, most money first."""
    for each in queries.earnings_by_listing(owner):
        yield [
            each.listing.title,
            each.orders,
            amount(Money(each.gross_minor, each.currency)),
            amount(Money(each.refunded_minor, each.currency)),
            amount(Money(each.earned_minor, each.currency)),
            each.currency,
        ]


def _order(order: "Order") -> Row:
    return [
        order.created_at,
        order.listing.title,
        order.plan.name,
        price_of(order.plan),
        order.quantity,
        amount(Money(order.discount_minor, order.currency)),
        amount(Money(order.total_minor, order.currency)),
        amount(Money(order.refunded_minor, order.currency)),
        order.currency,
        order.state,
        order.buyer.name,
        order.seller.name,
        order.paid_at,
        str(order.uuid),
    ]
