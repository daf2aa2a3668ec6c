"""What a buyer does with a subscription: pay what is due, cancel, take that back, take another plan."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.models import Order, Plan, Subscription
from market.policies import require_plan
from market.services.approval_requests import limit_for
from market.services.orders import OWN_KEYS
from market.services.quotes import check_offered
from market.services.renewals import charge_beyond, key_of_period, place_period, require_renewable
from market.services.subscription_periods import end, is_running, locked_subscription, tell
from market.states import UNPAID, ListingState, OrderState, PlanKind, SubscriptionState, TermKind
from market.subscription_queries import open_term, require_subscription
from market.subscriptions import price_of_period, unused_minor, yearly_minor

if TYPE_CHECKING:
    from uuid import UUID

_DAY = "%-d %b %Y"


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


def pay_now(actor: Actor, subscription: Subscription) -> Order | None:
    """Pay the period that could not be collected, and calls beyond the quota of the one before first. With a wallet that covers it access is back when this returns; else the order waits for
    the provider, and `payments.look_at_payment` tells where it is paid. None when nothing is due. Needs the right to buy for the
    buyer. A second call returns the order under way. Raises Conflict while a card is being asked, when the subscription is over or
    cannot be renewed; OverBudget, NotFound, Forbidden."""
    require_subscription(actor, subscription.uuid, Action.NAMESPACE_BUY)
    with transaction.atomic():
        row = locked_subscription(subscription.pk)
        _require_running(row)
        if row.state not in UNPAID:
            return None
        under_way = open_term(row)
        if under_way is not None and under_way.by_card:
            raise Conflict("Your card is being asked at this moment: look again in a minute.", code="payment_under_way")
        if under_way is not None:
            return under_way.order
        if row.listing.state == ListingState.WITHDRAWN:
            raise Conflict("It is not on offer any more, so it is not renewed.", code="not_on_sale")
        require_renewable(row)
        owed = charge_beyond(actor, row, by_buyer=True)
        if owed is not None and owed.state == OrderState.PLACED:
            return owed
        plan = row.next_plan or row.plan
        return place_period(actor, row, plan, TermKind.PERIOD, key=key_of_period(row), by_buyer=True)


def cancel(actor: Actor, subscription: Subscription) -> Subscription:
    """End a subscription with its present period; at once when that is over and not paid. Needs the right to buy for the buyer. A second
    call changes nothing. Raises NotFound, Forbidden."""
    require_subscription(actor, subscription.uuid, Action.NAMESPACE_BUY)
    with transaction.atomic():
        row = locked_subscription(subscription.pk)
        if not is_running(row) or row.cancel_at_period_end:
            return row
        row.cancel_at_period_end = True
        row.save(update_fields=["cancel_at_period_end"])
        if row.state in UNPAID:
            end(actor, row, SubscriptionState.CANCELLED, "It was cancelled.")
            return row
        tell(
            row,
            "market:subscription:cancelled",
            f"The subscription of {row.listing.title} by {row.buyer.name} ends on {row.period_end:{_DAY}}.",
            key=f"{row.number}:cancelled:{now().timestamp():.0f}",
            with_seller=True,
            actor=actor,
        )
    return row


def undo_cancellation(actor: Actor, subscription: Subscription) -> Subscription:
    """Let a subscription go on that was to end with its period. Needs the right to buy for the buyer. A second call changes nothing. Raises
    Conflict when it is over, NotFound, Forbidden."""
    require_subscription(actor, subscription.uuid, Action.NAMESPACE_BUY)
    with transaction.atomic():
        row = locked_subscription(subscription.pk)
        _require_running(row)
        if row.cancel_at_period_end:
            _go_on(actor, row)
    return row


def change_of(subscription: Subscription, plan: Plan, *, credit_minor: int | None = None) -> PlanChange:
    """What taking `plan` would mean now; nothing is written. `credit_minor`: `unused_of` for a caller that asks about many plans. One that costs more in a year begins at once, when its price is more than
    what is left of the present period; others begin with the next period. Raises Invalid for a plan of something else or in another
    currency, Conflict for one that is not on sale and while something is due."""
    if plan.listing_id != subscription.listing_id or plan.kind != PlanKind.SUBSCRIPTION:
        raise Invalid("Choose a subscription plan of the same listing.", fields={"plan": "not of this listing"})
    if plan.currency != subscription.plan.currency:
        raise Invalid(
            f"Plans are changed within a currency: this one is in {plan.currency}. Cancel and subscribe anew.",
            fields={"plan": "another currency"},
        )
    if plan.pk != subscription.plan_id:
        check_offered(plan, subscription.buyer)
    _require_running(subscription)
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
    actor: Actor, subscription: Subscription, plan_uuid: "UUID", *, key: str
) -> tuple[Subscription, Order | None]:
    """Take another plan, as `change_of` says: at once, by an order of its own whose price is less what is left of the present
    period, or for the next period. Naming the present plan takes a change for the next period back. Takes back a cancellation. Needs
    the right to buy for the buyer. Keyed by buyer and `key` (1 to 80 characters): a second call returns the first order; a change for
    the next period is the same however often it is asked for. Raises what `change_of` does, Conflict while a payment is under way
    or when the key was used for something else, OverBudget, NotFound, Forbidden."""
    require_subscription(actor, subscription.uuid, Action.NAMESPACE_BUY)
    plan = require_plan(actor, plan_uuid)
    if not key or len(key) > 80 or key.startswith(OWN_KEYS):
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    with transaction.atomic():
        row = locked_subscription(subscription.pk)
        earlier = Order.objects.filter(buyer=row.buyer, key=key).first()
        if earlier is not None:
            if earlier.plan_id != plan.pk or earlier.listing_id != row.listing_id:
                raise Conflict("This idempotency key was used for another order.", code="key_reused")
            return row, earlier
        change = change_of(row, plan)
        if limit_for(actor, row.buyer, plan.currency, change.price_minor) is not None:
            raise Forbidden(
                f"A period of it costs more than you may spend for {row.buyer.name} alone: ask an owner, an admin or an approver to "
                "take the plan.",
                code="needs_approval",
            )
        if row.cancel_at_period_end:
            _go_on(actor, row)
        if not change.is_now:
            _note_change(actor, row, plan)
            return row, None
        if open_term(row) is not None:
            raise Conflict("A payment for this subscription is under way: finish it first.", code="payment_under_way")
        if row.order.state != OrderState.FULFILLED:
            raise Conflict("The payment of the present period is disputed or returned.", code="payment_disputed")
        order = place_period(
            actor, row, plan, TermKind.UPGRADE, key=key, credit_minor=change.credit_minor, by_buyer=True
        )
    row.refresh_from_db()
    return row, order


def unused_of(row: Subscription) -> int:
    """What is left of what the present period was paid with: money, and what was taken over from the period before. Minor units. One
    query."""
    term = row.terms.filter(order_id=row.order_id).first()
    paid = row.order.total_minor - row.order.refunded_minor + (term.credit_minor if term else 0)
    return unused_minor(max(paid, 0), row.period_start, row.period_end, now())


def _note_change(actor: Actor, row: Subscription, plan: Plan) -> None:
    wanted = None if plan.pk == row.plan_id else plan
    if row.next_plan_id == (wanted.pk if wanted else None):
        return
    row.next_plan = wanted
    row.save(update_fields=["next_plan"])
    price = Money(price_of_period(plan.price_minor, row.quantity), plan.currency)
    tell(
        row,
        "market:subscription:changed",
        f"{row.listing.title} goes on with {plan.name} for {price} from {row.period_end:{_DAY}}.",
        key=f"{row.number}:change:{plan.number}:{now().timestamp():.0f}",
        actor=actor,
        detail={"plan": str(plan.uuid)},
    )


def _go_on(actor: Actor, row: Subscription) -> None:
    row.cancel_at_period_end = False
    row.save(update_fields=["cancel_at_period_end"])
    tell(
        row,
        "market:subscription:resumed",
        f"The subscription of {row.listing.title} by {row.buyer.name} goes on after {row.period_end:{_DAY}}.",
        key=f"{row.number}:resumed:{now().timestamp():.0f}",
        with_seller=True,
        actor=actor,
    )


def _require_running(row: Subscription) -> None:
    if not is_running(row):
        raise Conflict("The subscription is over: subscribe anew.", code="subscription_over")
