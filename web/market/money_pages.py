"""What the pages of money show: orders, access, wallet, earnings. Amounts in templates are Money."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from common.ids import new_uuid
from common.money import Money
from market import queries
from market.access_details import AccessDetail, AccessState, AccessTerm, UsedBy, details_of
from market.cap_policies import CapView
from market.prices import price_of
from market.seat_policies import Unseated
from market.services.subscription_periods import is_past
from market.statements import is_royalty
from market.states import OrderState, PlanKind, SubscriptionState
from metering.units import in_words, number_of
from web.links import listing_url, order_url, with_query
from web.market.cards import next_call_in_words
from web.market.document_links import Link, documents_about
from web.market.forms import RefundForm
from web.market.pages import subject_of
from web.market.payment_pages import DisputeRow, disputes_of
from web.market.return_cards import MoneyBack
from web.market.subscription_words import Standing
from web.namespaces import acting_namespaces

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Entitlement, Order

EARNINGS_DAYS = 30


@dataclass(frozen=True)
class OwnerChoice:
    name: str
    href: str
    is_on: bool


def owner_choices(actor: Actor, action: Action, path: str, current: str) -> list[OwnerChoice]:
    """The namespaces whose page at `path` the actor may see."""
    return [
        OwnerChoice(each.name, with_query(path, owner=each.name), each.name == current)
        for each in acting_namespaces(actor, action)
    ]


@dataclass(frozen=True)
class OrderRow:
    uuid: str
    href: str
    title: str
    listing_href: str
    plan: str
    price: str
    quantity: int
    total: Money
    discount: Money | None
    coupon: str
    refunded: Money | None
    state: str
    buyer: str
    seller: str
    created_at: datetime

    @classmethod
    def of(cls, order: "Order") -> "OrderRow":
        return cls(
            uuid=str(order.uuid),
            href=order_url(order.uuid),
            title=order.listing.title,
            listing_href=listing_url(order.listing.namespace.name, order.listing.slug),
            plan=order.plan.name,
            price=price_of(order.plan),
            quantity=order.quantity,
            total=Money(order.total_minor, order.currency),
            discount=Money(-order.discount_minor, order.currency) if order.discount_minor else None,
            coupon=order.coupon_code,
            refunded=Money(order.refunded_minor, order.currency) if order.refunded_minor else None,
            state=order.state,
            buyer=order.buyer.name,
            seller=order.seller.name,
            created_at=order.created_at,
        )


@dataclass(frozen=True)
class OrdersPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    orders: list[OrderRow]
    next_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", cursor: str) -> "OrdersPage":
        found = queries.orders_of(owner, cursor=cursor or None)
        return cls(
            "Orders",
            owner.name,
            owner_choices(actor, Action.ORDER_READ, "/orders", owner.name),
            [OrderRow.of(order) for order in found.items],
            with_query("/orders", owner=owner.name, cursor=found.next_cursor) if found.next_cursor else "",
        )


@dataclass(frozen=True)
class OrderPage:
    """`next_href` is where the buyer goes on: the repository or the endpoint."""

    title: str
    order: OrderRow
    paid_at: datetime | None
    closed_at: datetime | None
    refund_reason: str
    refund_until: datetime | None
    refund_href: str
    refund_fields: list[forms.BoundField]
    refund_hidden: list[tuple[str, str]]
    next_href: str
    next_title: str
    is_endpoint: bool
    is_open: bool
    payment_href: str
    is_waiting: bool
    approval_href: str
    terms_digest: str
    terms: str
    accepted_by: str
    disputes: list[DisputeRow]
    money_back: MoneyBack
    used: str
    """Empty: nothing to call."""
    used_label: str
    granted: str
    documents: list[Link]

    @classmethod
    def of(cls, actor: Actor, order: "Order") -> "OrderPage":
        row = OrderRow.of(order)
        until = order.paid_at + timedelta(days=order.plan.refund_window_days) if order.paid_at else None
        is_buyer = (
            actor.may(Action.NAMESPACE_BUY, order.buyer_id)
            and until is not None
            and now() <= until
            and not is_past(order)
        )
        may_refund = order.state == OrderState.FULFILLED and (
            is_buyer or actor.may(Action.NAMESPACE_SELL, order.seller_id)
        )
        entitlement: Entitlement | None = getattr(order, "entitlement", None)
        access = queries.access_of(entitlement) if entitlement else None
        unit, granted = order.plan.unit, entitlement.granted_units if entitlement else None
        acceptance = order.accepted
        by = acceptance.accepted_by if acceptance else None
        subject = subject_of(actor, order.listing.subject_kind, order.listing.subject_uuid, order.listing.channel)
        return cls(
            title=f"Order of {row.title}",
            order=row,
            paid_at=order.paid_at,
            closed_at=order.closed_at,
            refund_reason=order.refund_reason,
            refund_until=until if order.plan.kind != PlanKind.FREE else None,
            refund_href=f"{row.href}/refund" if may_refund else "",
            refund_fields=[RefundForm()["reason"]],
            refund_hidden=[("key", str(new_uuid()))],
            next_href=subject.href if subject else "",
            next_title=subject.title if subject else "",
            is_endpoint=order.listing.subject_kind == "endpoint",
            is_open=order.state == OrderState.FULFILLED,
            payment_href=f"{row.href}/payment" if _may_pay(actor, order) else "",
            is_waiting=order.state == OrderState.PLACED,
            terms_digest=order.terms_digest,
            terms=acceptance.terms.text if acceptance else "",
            accepted_by=by.username if by else "",
            approval_href=f"/approvals/{order.uuid}" if order.state == OrderState.AWAITING_APPROVAL else "",
            disputes=disputes_of(order),
            money_back=MoneyBack.of(actor, order),
            used=number_of(unit, access.used_units) if access and access.used_units is not None else "",
            used_label=f"{unit.capitalize()} used",
            granted=f"{number_of(unit, granted)} bought" if granted is not None else "without limit",
            documents=documents_about(actor, order),
        )


@dataclass(frozen=True)
class AccessRow:
    """`order_href`, `seats_href` and `subscription` are empty for those who may not see them, `use_href` where the reader can't use it.
    `by`: whose purchase it is, where it is a seat of another's. `until`: how long, in words. `no_seat`: what is said to those who have none."""

    title: str
    kind: str
    seed: str
    seller: str
    listing_href: str
    order_href: str
    use_href: str
    plan: str
    by: str
    since: str
    until: str
    state: str
    reason: str
    used: int | None
    unit_label: str
    use: str
    """What is used, in words; of how much, where there is a limit."""
    left: int | None
    granted: int | None
    low: int
    high: int
    uuid: str
    next_call: str
    seats: str
    seats_href: str
    has_seat: bool
    no_seat: str
    used_by: list[UsedBy]
    caps: list[CapView]
    subscription: Standing | None


@dataclass(frozen=True)
class LibraryPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    accesses: list[AccessRow]
    caps_href: str
    next_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", cursor: str) -> "LibraryPage":
        found = queries.entitlements_of(owner, cursor=cursor or None, limit=20)
        details = details_of(actor, owner, [access.entitlement for access in found.items])
        return cls(
            "What I have access to",
            owner.name,
            owner_choices(actor, Action.NAMESPACE_READ, "/library", owner.name),
            [_access_row(actor, owner, access, details[access.entitlement.pk]) for access in found.items],
            with_query("/library/caps", owner=owner.name),
            with_query("/library", owner=owner.name, cursor=found.next_cursor) if found.next_cursor else "",
        )


@dataclass(frozen=True)
class BalanceView:
    currency: str
    wallet: Money
    held: Money
    earnings: Money


@dataclass(frozen=True)
class MovementRow:
    at: datetime
    text: str
    note: str
    amount: Money
    balance: Money
    is_in: bool


@dataclass(frozen=True)
class WalletPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    balances: list[BalanceView]
    movements: list[MovementRow]
    next_href: str
    first_href: str
    credit_command: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", cursor: str) -> "WalletPage":
        found = queries.statement(owner, cursor=cursor or None)
        return cls(
            title="Wallet",
            owner=owner.name,
            owners=owner_choices(actor, Action.NAMESPACE_WALLET, "/wallet", owner.name),
            balances=_balances(owner),
            movements=_movements(found.items),
            next_href=with_query("/wallet", owner=owner.name, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=with_query("/wallet", owner=owner.name) if cursor else "",
            credit_command=f"manage.py add_credits {owner.name} 100 CRD",
        )


@dataclass(frozen=True)
class CreditsPage:
    """`owner` is whose wallet is shown, empty before a name is chosen."""

    title: str
    form: forms.Form
    owner: str
    balances: list[BalanceView]

    @classmethod
    def of(cls, form: forms.Form, owner: "Namespace | None") -> "CreditsPage":
        return cls("Add credits", form, owner.name if owner else "", _balances(owner) if owner else [])


@dataclass(frozen=True)
class EarnedRow:
    title: str
    href: str
    orders: int
    gross: Money
    refunded: Money
    earned: Money


@dataclass(frozen=True)
class EarningsPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    balances: list[BalanceView]
    recent: list[Money]
    days: int
    listings: list[EarnedRow]
    movements: list[MovementRow]
    sales: list[OrderRow]
    next_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", cursor: str) -> "EarningsPage":
        since = now() - timedelta(days=EARNINGS_DAYS)
        balances = _balances(owner)
        found = queries.statement(owner, kind="earnings", cursor=cursor or None, limit=30)
        return cls(
            title="Earnings",
            owner=owner.name,
            owners=owner_choices(actor, Action.NAMESPACE_SELL, "/earnings", owner.name),
            balances=balances,
            recent=[queries.earned_between(owner, each.currency, since=since) for each in balances],
            days=EARNINGS_DAYS,
            listings=[
                EarnedRow(
                    each.listing.title,
                    listing_url(each.listing.namespace.name, each.listing.slug),
                    each.orders,
                    Money(each.gross_minor, each.currency),
                    Money(each.refunded_minor, each.currency),
                    Money(each.earned_minor, each.currency),
                )
                for each in queries.earnings_by_listing(owner)
            ],
            movements=_movements(found.items),
            sales=[OrderRow.of(order) for order in queries.sales_of(owner, limit=20).items],
            next_href=with_query("/earnings", owner=owner.name, cursor=found.next_cursor) if found.next_cursor else "",
        )


def _may_pay(actor: Actor, order: "Order") -> bool:
    return order.state == OrderState.PLACED and actor.may(Action.NAMESPACE_BUY, order.buyer_id)


def _balances(owner: "Namespace") -> list[BalanceView]:
    return [
        BalanceView(
            each.currency,
            Money(each.wallet_minor, each.currency),
            Money(each.held_minor, each.currency),
            Money(each.earnings_minor, each.currency),
        )
        for each in queries.balances(owner)
    ]


MOVEMENTS = {
    "issue": "credits of this site",
    "capture": "purchase",
    "sale": "sale",
    "hold": "set aside",
    "usage": "calls made",
    "release": "paid back",
    "reversal": "taken back",
    "payout": "payout",
    "dispute": "disputed",
    "provider_fee": "payment provider",
    "refund": "refund",
}
"""Kinds of movements in the words of those whose money it is."""


def _movements(entries: list) -> list[MovementRow]:
    rows = []
    for entry in entries:
        moved = entry.transaction
        about = moved.order.listing.title if moved.order else ""
        kind = "royalty" if is_royalty(entry) else MOVEMENTS.get(moved.kind, moved.kind)
        memo = moved.memo or kind
        rows.append(
            MovementRow(
                moved.at,
                memo if not about or about in memo else f"{about}: {memo}",
                kind,
                Money(entry.amount_minor, entry.account.currency),
                Money(entry.balance_after_minor, entry.account.currency),
                entry.amount_minor > 0,
            )
        )
    return rows


def _use_in_words(unit: str, used: int | None, granted: int | None) -> str:
    if used is None:
        return ""
    return (
        f"{in_words(unit, used)} used" if granted is None else f"{number_of(unit, used)} of {number_of(unit, granted)}"
    )


def _access_row(actor: Actor, owner: "Namespace", access: queries.Access, detail: AccessDetail) -> AccessRow:
    entitlement, term = access.entitlement, detail.term
    listing, holder = entitlement.listing, entitlement.holder
    granted, sees_order = entitlement.granted_units, actor.may(Action.ORDER_READ, holder.pk)
    is_trial = access.subscription is not None and access.subscription.state == SubscriptionState.TRIALING
    is_locked = detail.has_seat is False or term.state == AccessState.FROZEN
    unit = entitlement.order.plan.unit
    return AccessRow(
        title=listing.title,
        kind=listing.subject_kind,
        seed=str(listing.uuid),
        seller=listing.namespace.name,
        listing_href=listing_url(listing.namespace.name, listing.slug),
        order_href=order_url(entitlement.order.uuid) if sees_order else "",
        use_href="" if is_locked else f"/subjects/{listing.subject_kind}/{listing.subject_uuid}",
        plan=entitlement.order.plan.name,
        by="" if holder.pk == owner.pk else holder.name,
        since=f"{term.since:%-d %b %Y}",
        until=until_in_words(term, is_trial=is_trial),
        state=term.state,
        reason=term.reason,
        used=access.used_units,
        unit_label=unit.capitalize(),
        use=_use_in_words(unit, access.used_units, granted),
        left=access.left_units,
        granted=granted,
        low=(granted or 0) * 3 // 4,
        high=(granted or 0) * 19 // 20,
        uuid=str(entitlement.uuid),
        next_call="" if is_locked else next_call_in_words(access.next_call),
        seats="" if detail.seats is None else f"{detail.seats_taken:,} of {detail.seats:,} seats taken",
        seats_href="" if detail.seats is None else f"/library/seats/{entitlement.uuid}",
        has_seat=bool(detail.has_seat),
        no_seat=Unseated(entitlement, detail.givers).sentence if detail.has_seat is False else "",
        used_by=detail.used_by,
        caps=detail.caps,
        subscription=Standing.of(access.subscription) if access.subscription and sees_order else None,
    )


def until_in_words(term: AccessTerm, *, is_trial: bool = False) -> str:
    """`until 28 Feb 2026, then renewed`; `for good` without an end."""
    if term.until is None:
        return "for good"
    day = f"{term.until:%-d %b %Y}"
    if term.state == AccessState.FROZEN:
        return f"rests since {day}" if term.until <= now() else f"until {day}"
    until = f"until {day}, then renewed" if term.renews else f"ends on {day}"
    return f"trial {until}" if is_trial else until
