"""What a buyer does with a subscription: pay what is due, cancel, take that back."""

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from common.errors import Conflict
from market.models import Order, Subscription
from market.services.renewals import charge_beyond, key_of_period, place_period, require_renewable
from market.services.subscription_periods import end, is_running, locked_subscription, tell
from market.states import UNPAID, ListingState, OrderState, SubscriptionState, TermKind
from market.subscription_queries import open_term, require_subscription

_DAY = "%-d %b %Y"


def pay_now(actor: Actor, subscription: Subscription) -> Order | None:
    """Pay the period that could not be collected, and calls beyond the quota of the one before first. With a wallet that covers it access is back when this returns; else the order waits for
    the provider, and `payments.look_at_payment` tells where it is paid. None when nothing is due. Needs the right to buy for the
    buyer. A second call returns the order under way. Raises Conflict while a card is being asked, when the subscription is over or
    cannot be renewed; OverBudget, NotFound, Forbidden."""
    require_subscription(actor, subscription.uuid, Action.NAMESPACE_BUY)
    with transaction.atomic():
        row = locked_subscription(subscription.pk)
        require_running(row)
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
        require_running(row)
        if row.cancel_at_period_end:
            go_on(actor, row)
    return row


def go_on(actor: Actor, row: Subscription) -> None:
    """Take a cancellation back, in the caller's transaction, which holds the lock; buyer and seller are told."""
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


def require_running(row: Subscription) -> None:
    """Raises Conflict when the subscription is over."""
    if not is_running(row):
        raise Conflict("The subscription is over: subscribe anew.", code="subscription_over")
