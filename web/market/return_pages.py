"""What the pages of money back show: giving a part, asking, the thread of a request, the queues of sellers and the operator."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from common.money import Money
from market.return_policies import sides_of
from market.return_queries import queue_of, thread_of
from market.services.money_back import left_minor
from market.states import OrderState, ReturnSide, ReturnState
from registry.services.cards import render_markdown
from web.links import listing_url, order_url, with_query
from web.market.return_cards import STATES, RequestCard
from web.market.return_forms import DecisionForm, EscalationForm, MessageForm

if TYPE_CHECKING:
    from market.models import Order, ReturnEntry, ReturnRequest

STEPS = {
    "asked": "asked for",
    "wrote": "wrote",
    "accepted": "gave back",
    "declined": "declined",
    "escalated": "took it to the operator",
    "escalated_late": "The time to decide was over: the operator decides",
    "rejected": "declined for good",
    "withdrawn": "took it back",
    "closed": "It is closed",
}
PAGE_ROWS = 30


@dataclass(frozen=True)
class OrderFormPage:
    """A form about an order's money: giving a part back, or asking for it."""

    title: str
    listing_title: str
    order_href: str
    action: str
    form: forms.Form
    left: Money
    total: Money
    is_by_call: bool

    @classmethod
    def of(cls, order: "Order", title: str, action: str, form: forms.Form) -> "OrderFormPage":
        return cls(
            title,
            order.listing.title,
            order_url(order.uuid),
            action,
            form,
            Money(left_minor(order), order.currency),
            Money(order.total_minor, order.currency),
            order.plan.kind == "pay_per_use",
        )


@dataclass(frozen=True)
class EntryRow:
    by: str
    side: str
    said: str
    amount: Money | None
    html: str
    at: datetime

    @classmethod
    def of(cls, entry: "ReturnEntry", currency: str) -> "EntryRow":
        is_site = entry.side == ReturnSide.SITE
        who = entry.created_by.username if entry.created_by else "Somebody who left"
        return cls(
            "" if is_site else who,
            "" if is_site else entry.side,
            STEPS[entry.step],
            Money(entry.amount_minor, currency) if entry.amount_minor else None,
            render_markdown(entry.text) if entry.text else "",
            entry.created_at,
        )


@dataclass(frozen=True)
class ReturnForms:
    """Those with errors in them, else fresh ones are shown."""

    decision: DecisionForm | None = None
    message: MessageForm | None = None
    escalation: EscalationForm | None = None


@dataclass(frozen=True)
class ReturnPage:
    title: str
    card: RequestCard
    listing_title: str
    listing_href: str
    order_href: str
    buyer: str
    seller: str
    total: Money
    given: Money | None
    base: str
    thread: list[EntryRow]
    later_href: str
    is_seller_asked: bool
    is_escalated: bool
    decision: forms.Form | None
    message: forms.Form | None
    escalation: forms.Form | None
    may_withdraw: bool

    @classmethod
    def of(cls, actor: Actor, request: "ReturnRequest", given: ReturnForms, cursor: str = "") -> "ReturnPage":
        order, sides = request.order, sides_of(actor, request)
        base = f"/orders/returns/{request.uuid}"
        is_open, is_escalated = request.state == ReturnState.OPEN, request.state == ReturnState.ESCALATED
        decides = ReturnSide.SELLER if is_open else ReturnSide.OPERATOR if is_escalated else None
        is_live = order.state == OrderState.FULFILLED
        can_escalate = (
            request.state == ReturnState.DECLINED and ReturnSide.BUYER in sides and RequestCard.is_in_time(request)
        )
        thread = thread_of(request, cursor=cursor or None)
        return cls(
            title=f"Money back for {order.listing.title}",
            card=RequestCard.of(request),
            listing_title=order.listing.title,
            listing_href=listing_url(order.listing.namespace.name, order.listing.slug),
            order_href=order_url(order.uuid),
            buyer=order.buyer.name,
            seller=order.seller.name,
            total=Money(order.total_minor, order.currency),
            given=Money(request.refund.amount_minor, order.currency) if request.refund else None,
            base=base,
            thread=[EntryRow.of(each, order.currency) for each in thread.items],
            later_href=with_query(base, cursor=thread.next_cursor) if thread.next_cursor else "",
            is_seller_asked=is_open,
            is_escalated=is_escalated,
            decision=given.decision or DecisionForm(request) if decides in sides and is_live else None,
            message=given.message or MessageForm() if sides else None,
            escalation=given.escalation or EscalationForm() if can_escalate and is_live else None,
            may_withdraw=ReturnSide.BUYER in sides and (is_open or is_escalated),
        )


@dataclass(frozen=True)
class ReturnRow:
    card: RequestCard
    title: str
    seed: str
    kind: str
    buyer: str
    seller: str
    since: datetime

    @classmethod
    def of(cls, request: "ReturnRequest") -> "ReturnRow":
        listing = request.order.listing
        return cls(
            RequestCard.of(request),
            listing.title,
            str(listing.uuid),
            listing.subject_kind,
            request.order.buyer.name,
            request.order.seller.name,
            request.escalated_at or request.created_at,
        )


@dataclass(frozen=True)
class StateChoice:
    label: str
    href: str
    is_on: bool


@dataclass(frozen=True)
class ReturnsPage:
    title: str
    lead: str
    is_staff: bool
    states: list[StateChoice]
    rows: list[ReturnRow]
    next_href: str
    first_href: str
    empty: str

    @classmethod
    def of(cls, actor: Actor, side: ReturnSide, state: str, cursor: str) -> "ReturnsPage":
        """`state`: one, or `all`."""
        is_staff = side == ReturnSide.OPERATOR
        path = "/-/returns" if is_staff else "/sell/returns"
        wanted = "" if state == "all" else state
        page = queue_of(actor, side, state=wanted, cursor=cursor or None, limit=PAGE_ROWS)
        shown = ["escalated", "open"] if is_staff else ["open", "declined", "escalated"]
        return cls(
            title="Requests for money back",
            lead="What buyers and sellers leave to you, the longest waiting first."
            if is_staff
            else "What buyers ask of you, the next deadline first. What is not decided in time goes to the operator.",
            is_staff=is_staff,
            states=[
                StateChoice(STATES.get(each, "all").capitalize(), with_query(path, state=each), each == state)
                for each in [*shown, "all"]
            ],
            rows=[ReturnRow.of(each) for each in page.items],
            next_href=with_query(path, state=state, cursor=page.next_cursor) if page.next_cursor else "",
            first_href=with_query(path, state=state) if cursor else "",
            empty="Nothing waits for you" if state == shown[0] else "Nothing here",
        )
