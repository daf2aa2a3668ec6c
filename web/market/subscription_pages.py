"""What the pages of subscriptions show. Amounts in templates are Money."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Conflict, Invalid
from common.ids import new_uuid
from common.money import Money
from market.approval_policies import asking_limits
from market.order_terms import terms_for
from market.overdue import dunning
from market.policies import plans_on_sale
from market.services.approval_requests import ApprovalNeeded, approval_needed
from market.services.plan_switches import PlanChange, change_of, unused_of
from market.services.subscription_periods import is_running
from market.states import UNPAID, ApprovalOutcome, PlanKind, SubscriptionState
from market.subscription_queries import (
    open_term,
    subscribers_of,
    subscriptions_of,
    switches_of,
    terms_of,
    waiting_switch,
)
from market.subscriptions import price_of_period
from web.links import listing_url, order_url, subscription_url, with_query
from web.market.cards import PlanView
from web.market.forms import put_shown
from web.market.money_pages import OwnerChoice, owner_choices
from web.market.subscription_words import standing_of

if TYPE_CHECKING:
    from accounts.models import Namespace
    from common.pagination import Page
    from market.models import Plan, PlanSwitch, Subscription, SubscriptionTerm

_DAY = "%-d %b %Y"
SWITCHES_SHOWN = 20
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
    """Another plan, and what taking it now would mean. `href` leads to the page on which it is taken; empty for the present plan, which
    is kept with `hidden` at once, and where there is nothing to do."""

    plan: PlanView
    sentence: str
    href: str
    label: str
    hidden: list[tuple[str, str]]


@dataclass(frozen=True)
class SwitchRow:
    """A plan that was chosen. `outcome` of its approval, empty when it needed none."""

    former: str
    plan: str
    by: str
    at: datetime
    outcome: str
    approval_href: str
    order_href: str
    terms: str
    digest: str

    @classmethod
    def of(cls, row: "PlanSwitch", actor: Actor, buyer_id: int) -> "SwitchRow":
        """Wants what `switches_of` joins."""
        approval = getattr(row, "approval", None)
        sees_approval = actor.may(Action.NAMESPACE_APPROVE, buyer_id) or row.placed_by_id == actor.user_id
        return cls(
            former=row.former.name,
            plan=row.plan.name,
            by=row.placed_by.username if row.placed_by else "somebody who left",
            at=row.created_at,
            outcome=approval.outcome if approval else "",
            approval_href=f"/approvals/{approval.uuid}" if approval and sees_approval else "",
            order_href=order_url(row.order.uuid) if row.order else "",
            terms=row.acceptance.terms.text,
            digest=row.acceptance.terms.digest,
        )


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
    asked: SwitchRow | None
    """The plan that waits for an approval."""
    switches: list[SwitchRow]

    @classmethod
    def of(cls, actor: Actor, found: "Subscription") -> "SubscriptionPage":
        row, is_on = SubscriptionRow.of(found), is_running(found)
        is_buyers = is_on and actor.may(Action.NAMESPACE_BUY, found.buyer_id)
        is_due = found.state in UNPAID
        waiting = open_term(found) if is_buyers else None
        switches = [SwitchRow.of(each, actor, found.buyer_id) for each in switches_of(actor, found)[:SWITCHES_SHOWN]]
        asked = next((each for each in switches if each.outcome == ApprovalOutcome.WAITING), None)
        choices = _choices(actor, found, is_asked=asked is not None) if is_buyers and not is_due else []
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
            asked=asked,
            switches=switches,
        )


@dataclass(frozen=True)
class ChangePage:
    """The page on which another plan is taken: what changes, what is due, the terms, and the approval that it would wait for. `change` is
    None when it can't be taken: `problem` says why."""

    title: str
    row: SubscriptionRow
    plan: PlanView
    price: Money
    change: PlanChange | None
    when: str
    due: Money | None
    credit: Money | None
    problem: str
    approval: ApprovalNeeded | None
    takes_back: str
    terms: str
    form: forms.Form

    @classmethod
    def of(cls, actor: Actor, found: "Subscription", plan: "Plan", form: forms.Form) -> "ChangePage":
        row, terms = SubscriptionRow.of(found), terms_for(plan)
        put_shown(form, accept_terms=terms.digest)
        change, problem, waiting = None, "", waiting_switch(found)
        try:
            change = change_of(found, plan)
        except (Conflict, Invalid) as error:
            problem = error.message
        if waiting is not None:
            problem = f"The plan {waiting.plan.name} waits for an approval: have that decided, or take it back."
        price = _price(found, plan)
        needed = approval_needed(actor, found.buyer, plan.currency, price.amount_minor) if change else None
        if needed is None:
            form.fields.pop("reason", None)
        return cls(
            title=f"Another plan of {row.title}",
            row=row,
            plan=PlanView.of(found.listing, plan),
            price=price,
            change=change,
            when=_begins(change) if change else "",
            due=Money(change.due_now_minor, plan.currency) if change else None,
            credit=Money(change.credit_minor, plan.currency) if change and change.credit_minor else None,
            problem=problem,
            approval=needed,
            takes_back="It takes your cancellation back." if found.cancel_at_period_end else "",
            terms=terms.text,
            form=form,
        )


def _begins(change: PlanChange) -> str:
    return "at once" if change.is_now else f"on {change.at:{_DAY}}, with the next period"


def _cancel_text(found: "Subscription", *, is_due: bool) -> str:
    if is_due:
        return "Access ends at once: its period is over, and the next one is not paid."
    return f"Access goes on until {found.period_end:%-d %b %Y}. Nothing more is charged, and you can take it back until then."


def _choices(actor: Actor, found: "Subscription", *, is_asked: bool) -> list[PlanChoice]:
    """`is_asked`: another plan waits for an approval, and none is taken before that is decided."""
    plans = plans_on_sale(actor, found.listing).filter(kind=PlanKind.SUBSCRIPTION).exclude(pk=found.plan_id)
    left = unused_of(found)
    asking = asking_limits(actor, [found.buyer_id], found.plan.currency).get(found.buyer_id)
    choices = [_choice(found, plan, left, asking) for plan in plans[:20]]
    if found.next_plan_id is not None:
        choices.insert(0, _choice(found, found.plan, left, None))
    return [replace(each, href="") if is_asked else each for each in choices if each is not None]


def _choice(found: "Subscription", plan: "Plan", left: int, limit: int | None) -> PlanChoice | None:
    """`limit`: above it the reader has to ask."""
    plan.listing = found.listing
    try:
        change = change_of(found, plan, credit_minor=left)
    except (Conflict, Invalid):
        return None
    due, credit = Money(change.due_minor, plan.currency), Money(change.credit_minor, plan.currency)
    href, label, hidden = with_query(f"{subscription_url(found.uuid)}/change", plan=str(plan.uuid)), "Change to it", []
    if change.is_now:
        sentence = f"Begins now for {due}: what is left of your period, {credit}, is taken off."
    elif plan.pk == found.next_plan_id:
        sentence, href, label = f"Chosen: begins on {change.at:{_DAY}} for {due}.", "", ""
    else:
        sentence = f"Begins on {change.at:{_DAY}} for {due}; until then all stays as it is."
    if plan.pk == found.plan_id:
        href, label, hidden = "", "Keep the present plan", [("plan", str(plan.uuid)), ("key", str(new_uuid()))]
    elif href and limit is not None and change.price_minor > limit:
        sentence += f" Above {Money(limit, plan.currency)} it waits for an approval."
        label = "Ask for it"
    return PlanChoice(PlanView.of(found.listing, plan), sentence, href, label, hidden)


def _price(found: "Subscription", plan: "Plan") -> Money:
    return Money(price_of_period(plan.price_minor, found.quantity), plan.currency)
