"""Taking another plan of a subscription: on accepted terms, at once or with the next period, after an approval where it needs one."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from common.errors import Conflict, Invalid
from common.money import Money
from market.models import Order, Plan, PlanSwitch, Subscription
from market.policies import require_plan
from market.services import acceptances
from market.services.approval_requests import ask_for_approval, check_reason, limit_for
from market.services.orders import OWN_KEYS
from market.services.quotes import check_offered
from market.services.renewals import place_period, require_renewable
from market.services.subscription_periods import locked_subscription, tell
from market.services.subscriptions import go_on, require_running
from market.states import UNPAID, OrderState, PlanKind, SubscriptionState, TermKind
from market.subscription_queries import open_term, require_subscription, waiting_switch
from market.subscriptions import price_of_period, unused_minor, yearly_minor

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True)
class PlanChange:
    """What taking another plan means. Minor units of the plan's currency."""

    plan: Plan
    is_now: bool
    """It begins a period of its own at once; else it is the plan of the next period."""
    at: datetime
    price_minor: int
    """Of a period of it."""
    credit_minor: int
    """What is left of the present period, taken off; rounded down. 0 when it begins later."""

    @property
    def due_minor(self) -> int:
        """What is paid when it begins."""
        return self.price_minor - self.credit_minor

    @property
    def due_now_minor(self) -> int:
        """What is paid at once."""
        return self.due_minor if self.is_now else 0


def change_of(subscription: Subscription, plan: Plan, *, credit_minor: int | None = None) -> PlanChange:
    """What taking `plan` would mean now; nothing is written. `credit_minor`: `unused_of` for a caller that asks about many plans. One that costs more in a year begins at once, when its price is more than
    what is left of the present period; others begin with the next period. Raises Invalid for a plan of something else or in another
    currency, Conflict for one that is not on sale, while something is due, and when the subscription is over."""
    if plan.listing_id != subscription.listing_id or plan.kind != PlanKind.SUBSCRIPTION:
        raise Invalid("Choose a subscription plan of the same listing.", fields={"plan": "not of this listing"})
    if plan.currency != subscription.plan.currency:
        raise Invalid(
            f"Plans are changed within a currency: this one is in {plan.currency}. Cancel and subscribe anew.",
            fields={"plan": "another currency"},
        )
    require_running(subscription)
    if plan.pk != subscription.plan_id:
        check_offered(plan, subscription.buyer)
    if subscription.state in UNPAID:
        raise Conflict("Pay what is due first, then change the plan.", code="payment_due")
    price = price_of_period(plan.price_minor, subscription.quantity)
    credit = unused_of(subscription) if credit_minor is None else credit_minor
    dearer = yearly_minor(plan.price_minor, plan.interval) > yearly_minor(
        subscription.plan.price_minor, subscription.plan.interval
    )
    if subscription.state == SubscriptionState.ACTIVE and dearer and price > credit:
        return PlanChange(plan, True, now(), price, credit)
    return PlanChange(plan, False, subscription.period_end, price, 0)


def change_plan(
    actor: Actor,
    subscription: Subscription,
    plan_uuid: "UUID",
    *,
    key: str,
    accept_terms: str = "",
    reason: str = "",
) -> tuple[Subscription, PlanSwitch | None]:
    """Take another plan, as `change_of` says: at once, by an order of its own whose price is less what is left of the present
    period, or for the next period. `accept_terms` is the digest of the plan's terms that `actor` accepts; the switch keeps their text.
    When a period of the plan is above a limit of the organisation's it waits for an approval: nothing changes, and `reason` is told to
    those who decide. Naming the present plan takes a change for the next period back, without terms, limit or switch (None). Takes
    back a cancellation. Needs the right to buy for the buyer. Keyed by subscription and `key` (1 to 80 characters): a second call
    returns the first switch. Raises what `change_of` does, Conflict while a payment or another request is under way, when the terms
    have changed (the error has the new `digest`) or when the key was used for something else, OverBudget, Invalid, NotFound,
    Forbidden."""
    require_subscription(actor, subscription.uuid, Action.NAMESPACE_BUY)
    plan = require_plan(actor, plan_uuid)
    if not key or len(key) > 80 or key.startswith(OWN_KEYS):
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    reason = check_reason(reason)
    with transaction.atomic():
        row = locked_subscription(subscription.pk)
        earlier = row.switches.filter(key=key).select_related("order").first()
        if earlier is not None and earlier.plan_id == plan.pk:
            return row, earlier
        if earlier is not None or Order.objects.filter(buyer=row.buyer, key=key).exists():
            raise Conflict("This idempotency key was used for another order.", code="key_reused")
        change = change_of(row, plan)
        if plan.pk == row.plan_id:
            _note_next(actor, row, plan)
            return row, None
        terms = acceptances.check_terms(plan, accept_terms)
        waiting = waiting_switch(row)
        if waiting is not None:
            raise Conflict(
                f"The plan {waiting.plan.name} waits for an approval already: have that decided, or take it back.",
                code="approval_waiting",
                approval=str(waiting.approval.uuid),
            )
        limit = limit_for(actor, row.buyer, plan.currency, change.price_minor)
        switch = PlanSwitch.objects.create(
            subscription=row,
            former=row.plan,
            plan=plan,
            is_now=change.is_now,
            due_minor=change.due_now_minor,
            key=key,
            placed_by_id=actor.user_id,
        )
        acceptances.note_acceptance(actor, switch, terms)
        if limit is not None:
            ask_for_approval(actor, switch, limit, reason)
            return row, switch
        _begin(actor, row, switch, change)
    row.refresh_from_db()
    return row, switch


def carry_out(actor: Actor, row: Subscription, switch: PlanSwitch) -> None:
    """Take the plan that has been approved, in the caller's transaction, which holds the lock of the subscription (`row`): everything
    that choosing looks at is looked at again. What is due is the price of a period less what is left of the present one now. Raises
    Conflict, also when it would mean something else than was asked for; OverBudget, Invalid, NotFound: the caller's transaction leaves
    nothing behind then."""
    change = change_of(row, switch.plan)
    if row.plan_id != switch.former_id:
        raise Conflict(
            f"The subscription has the plan {row.plan.name} by now: decline it, and have it asked for anew.",
            code="plan_changed",
        )
    if change.is_now != switch.is_now:
        raise Conflict(
            f"It would begin {'at once' if change.is_now else 'with the next period'} now, other than asked: decline it, and have it "
            "asked for anew.",
            code="plan_changed",
        )
    acceptances.check_again(switch, switch.plan)
    _begin(actor, row, switch, change)


def unused_of(row: Subscription) -> int:
    """What is left of what the present period was paid with: money, and what was taken over from the period before. Minor units. One
    query."""
    term = row.terms.filter(order_id=row.order_id).first()
    paid = row.order.total_minor - row.order.refunded_minor + (term.credit_minor if term else 0)
    return unused_minor(max(paid, 0), row.period_start, row.period_end, now())


def _begin(actor: Actor, row: Subscription, switch: PlanSwitch, change: PlanChange) -> None:
    if not change.is_now:
        _note_next(actor, row, change.plan)
        return
    if open_term(row) is not None:
        raise Conflict("A payment for this subscription is under way: finish it first.", code="payment_under_way")
    if row.order.state != OrderState.FULFILLED:
        raise Conflict("The payment of the present period is disputed or returned.", code="payment_disputed")
    require_renewable(row)
    if row.cancel_at_period_end:
        go_on(actor, row)
    switch.order = place_period(
        actor,
        row,
        change.plan,
        TermKind.UPGRADE,
        key=f"{OWN_KEYS}{row.uuid}:switch:{switch.uuid}",
        credit_minor=change.credit_minor,
        by_buyer=True,
        placed_by_id=switch.placed_by_id,
    )
    switch.save(update_fields=["order"])


def _note_next(actor: Actor, row: Subscription, plan: Plan) -> None:
    if row.cancel_at_period_end:
        go_on(actor, row)
    wanted = None if plan.pk == row.plan_id else plan
    if row.next_plan_id == (wanted.pk if wanted else None):
        return
    row.next_plan = wanted
    row.save(update_fields=["next_plan"])
    price = Money(price_of_period(plan.price_minor, row.quantity), plan.currency)
    tell(
        row,
        "market:subscription:changed",
        f"{row.listing.title} goes on with {plan.name} for {price} from {row.period_end:%-d %b %Y}.",
        key=f"{row.number}:change:{plan.number}:{now().timestamp():.0f}",
        actor=actor,
        detail={"plan": str(plan.uuid)},
    )
