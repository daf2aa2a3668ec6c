"""What the pages of subscriptions show. Amounts in templates are Money."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Conflict, Invalid
from common.ids import new_uuid
from common.money import Money
from market.overdue import dunning
from market.policies import plans_on_sale
from market.services.subscription_periods import is_running
from market.services.subscriptions import change_of, unused_of
from market.states import UNPAID, PlanKind, SubscriptionState
from market.subscription_queries import open_term, subscribers_of, subscriptions_of, terms_of
from market.subscriptions import price_of_period
from web.links import listing_url, order_url, subscription_url, with_query
from web.market.cards import PlanView
from web.market.money_pages import OwnerChoice, owner_choices
from web.market.subscription_words import standing_of

if TYPE_CHECKING:
    from accounts.models import Namespace
    from common.pagination import Page
    from market.models import Plan, Subscription, SubscriptionTerm

_KINDS = {"trial": "Trial", "period": "Period", "upgrade": "Change of plan", "overage": "Calls beyond the quota"}


@dataclass(frozen=True)
class SubscriptionRow:
    href: str
    title: str
    kind: str
    seed: str
    buyer: str
    seller: str
    listing_href: str
    plan: str
    price: Money
    interval: str
    quantity: int
    state: str
    standing: str
    since: datetime

    @classmethod
    def of(cls, row: "Subscription") -> "SubscriptionRow":
        return cls(
            href=subscription_url(row.uuid),
            title=row.listing.title,
            kind=row.listing.subject_kind,
            seed=str(row.listing.uuid),
            buyer=row.buyer.name,
            seller=row.seller.name,
            listing_href=listing_url(row.listing.namespace.name, row.listing.slug),
            plan=row.plan.name,
            price=_price(row, row.plan),
            interval=row.plan.interval,
            quantity=row.quantity,
            state=row.state,
            standing=standing_of(row),
            since=row.created_at,
        )


@dataclass(frozen=True)
class SubscriptionsPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    rows: list[SubscriptionRow]
    next_href: str
    is_sellers: bool

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", cursor: str) -> "SubscriptionsPage":
        found = subscriptions_of(owner, cursor=cursor or None, limit=20)
        choices = owner_choices(actor, Action.ORDER_READ, "/subscriptions", owner.name)
        return cls._shown("Subscriptions", owner, choices, found, "/subscriptions", is_sellers=False)

    @classmethod
    def sold(cls, actor: Actor, owner: "Namespace", cursor: str) -> "SubscriptionsPage":
        found = subscribers_of(owner, cursor=cursor or None, limit=50)
        choices = owner_choices(actor, Action.NAMESPACE_SELL, "/sell/subscribers", owner.name)
        return cls._shown("Subscribers", owner, choices, found, "/sell/subscribers", is_sellers=True)

    @classmethod
    def _shown(
        cls,
        title: str,
        owner: "Namespace",
        owners: list[OwnerChoice],
        found: "Page[Subscription]",
        path: str,
        *,
        is_sellers: bool,
    ) -> "SubscriptionsPage":
        following = with_query(path, owner=owner.name, cursor=found.next_cursor) if found.next_cursor else ""
        rows = [SubscriptionRow.of(row) for row in found.items]
        return cls(title, owner.name, owners, rows, following, is_sellers)


@dataclass(frozen=True)
class TermRow:
    href: str
    what: str
    state: str
    starts_at: datetime | None
    ends_at: datetime | None
    total: Money
    credit: Money | None

    @classmethod
    def of(cls, term: "SubscriptionTerm") -> "TermRow":
        currency = term.order.currency
        return cls(
            href=order_url(term.order.uuid),
            what=f"{_KINDS[term.kind]} {term.number}" if term.kind == "period" else _KINDS[term.kind],
            state=term.order.state,
            starts_at=term.starts_at,
            ends_at=term.ends_at,
            total=Money(term.order.total_minor, currency),
            credit=Money(term.credit_minor, currency) if term.credit_minor else None,
        )


@dataclass(frozen=True)
class PlanChoice:
    """Another plan, and what taking it now would mean."""

    plan: PlanView
    sentence: str
    hidden: list[tuple[str, str]]
    label: str


@dataclass(frozen=True)
class SubscriptionPage:
    """`pay_href`, `cancel_href`, `continue_href` and `change_href` are empty where there is nothing of the kind to do, or not for the
    one who looks."""

    title: str
    row: SubscriptionRow
    period_start: datetime
    period_end: datetime
    next_plan: str
    problem: str
    rests_at: datetime | None
    ends_at: datetime | None
    end_reason: str
    order_href: str
    terms: list[TermRow]
    pay_href: str
    pay_label: str
    waiting_href: str
    cancel_href: str
    cancel_text: str
    continue_href: str
    change_href: str
    choices: list[PlanChoice]

    @classmethod
    def of(cls, actor: Actor, found: "Subscription") -> "SubscriptionPage":
        row, is_on = SubscriptionRow.of(found), is_running(found)
        is_buyers = is_on and actor.may(Action.NAMESPACE_BUY, found.buyer_id)
        is_due = found.state in UNPAID
        waiting = open_term(found) if is_buyers else None
        choices = _choices(actor, found) if is_buyers and not is_due else []
        due = _price(found, found.next_plan or found.plan)
        failed = found.failed_at if is_on else None
        is_past_due = found.state == SubscriptionState.PAST_DUE
        return cls(
            title=row.title,
            row=row,
            period_start=found.period_start,
            period_end=found.period_end,
            next_plan=found.next_plan.name if found.next_plan else "",
            problem=found.problem if failed else "",
            rests_at=dunning().suspend_at(failed) if failed and is_past_due else None,
            ends_at=dunning().end_at(failed) if failed else None,
            end_reason=found.end_reason,
            order_href=order_url(found.order.uuid),
            terms=[TermRow.of(term) for term in terms_of(found)],
            pay_href=f"{row.href}/payment" if is_buyers and is_due else "",
            pay_label=f"Pay {due} now",
            waiting_href=order_url(waiting.order.uuid) if waiting and not waiting.by_card else "",
            cancel_href=f"{row.href}/cancellation" if is_buyers and not found.cancel_at_period_end else "",
            cancel_text=_cancel_text(found, is_due=is_due),
            continue_href=f"{row.href}/continuation" if is_buyers and found.cancel_at_period_end else "",
            change_href=f"{row.href}/change" if choices else "",
            choices=choices,
        )


def _cancel_text(found: "Subscription", *, is_due: bool) -> str:
    if is_due:
        return "Access ends at once: its period is over, and the next one is not paid."
    return f"Access goes on until {found.period_end:%-d %b %Y}. Nothing more is charged, and you can take it back until then."


def _choices(actor: Actor, found: "Subscription") -> list[PlanChoice]:
    plans = plans_on_sale(actor, found.listing).filter(kind=PlanKind.SUBSCRIPTION).exclude(pk=found.plan_id)
    left = unused_of(found)
    choices = [_choice(found, plan, left) for plan in plans[:20]]
    if found.next_plan_id is not None:
        choices.insert(0, _choice(found, found.plan, left, "Keep the present plan"))
    return [each for each in choices if each is not None]


def _choice(found: "Subscription", plan: "Plan", left: int, label: str = "Change to this plan") -> PlanChoice | None:
    plan.listing = found.listing
    try:
        change = change_of(found, plan, credit_minor=left)
    except (Conflict, Invalid):
        return None
    due, credit = Money(change.due_minor, plan.currency), Money(change.credit_minor, plan.currency)
    if change.is_now:
        sentence = f"Begins now for {due}: what is left of your period, {credit}, is taken off."
    elif plan.pk == found.next_plan_id:
        sentence, label = f"Chosen: begins on {change.at:%-d %b %Y} for {due}.", ""
    else:
        sentence = f"Begins on {change.at:%-d %b %Y} for {due}; until then all stays as it is."
    hidden = [("plan", str(plan.uuid)), ("key", str(new_uuid()))]
    return PlanChoice(PlanView.of(found.listing, plan), sentence, hidden, label)


def _price(found: "Subscription", plan: "Plan") -> Money:
    return Money(price_of_period(plan.price_minor, found.quantity), plan.currency)
