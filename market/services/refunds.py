"""Undoing an order: access closed, calls in flight counted, money back."""

from datetime import timedelta

from django.db import transaction

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.models import Entitlement, Order, Refund, TransactionKind
from market.policies import require_order
from market.services import coupons, invoicing, ledger, market_events, search_documents, subscription_periods
from market.services.billing import settle_upto
from market.services.entitlements import close_entitlement
from market.services.fulfilment import accounts_of, locked_order
from market.services.ledger import Leg
from market.services.money_back import note_refund, undo_sale
from market.services.payment_backend import source_of
from market.services.return_threads import close_requests
from market.states import ORDERS, OrderState, PlanKind
from metering.queries import budget_of
from notices.services import notify


def refund_order(actor: Actor, order: Order, *, reason: str = "", key: str) -> Order:
    """Undo a fulfilled order. The buyer may within the plan's window, the seller and staff at any time. Closes entitlement, grant
    and budget at once, in every process; calls that were made are charged, the rest of the money goes back, where it came
    from. While calls are in flight the order is `refunding`, and `finish_refunds` sees to the money when they are counted.

    Keyed by `key` (1 to 80 characters): a second call with it changes nothing; with another key it raises Conflict. Raises
    Forbidden, NotFound, Invalid, Conflict when there is nothing to undo."""
    if not key or len(key) > 80:
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    if len(reason) > 300:
        raise Invalid("Use at most 300 characters.", fields={"reason": "at most 300 characters"})
    _check_may_refund(actor, require_order(actor, order.uuid))
    with transaction.atomic():
        row = locked_order(order.pk)
        subscription_periods.term_of(row)
        if row.state in {OrderState.REFUNDING, OrderState.REFUNDED}:
            if row.refund_key == key:
                return row
            raise Conflict("This order is refunded already.", code="refunded_already")
        if Refund.objects.filter(order=row, key=key).exists():
            raise Conflict("This key was used for a refund of a part of the order.", code="key_reused")
        entitlement = entitlement_of(row)
        return undo(actor, row, entitlement, reason=reason, key=key)


def undo(
    actor: Actor, row: Order, entitlement: Entitlement | None, *, reason: str, key: str, returns_rest: bool = True
) -> Order:
    """End a fulfilled order, for a caller that holds the locks of order and entitlement and has checked who asks. Closes access; returns
    what is left of the money, as `refund_order` says. Without `returns_rest` of something bought for good nothing more goes back."""
    ORDERS.ensure(OrderState(row.state), OrderState.REFUNDING)
    row.state, row.refund_key, row.refund_reason = OrderState.REFUNDING, key, reason
    row.save(update_fields=["state", "refund_key", "refund_reason"])
    # order, entitlement, accounts: as billing takes them, so that the two never wait for each other in a circle
    if row.total_minor:
        ledger.lock(accounts_of(row))
    search_documents.count_sale(row.listing, -1)
    budget = close_entitlement(actor, entitlement) if entitlement is not None else None
    audit.record(
        actor,
        "market:refund:asked",
        "order",
        row.uuid,
        namespace_id=row.buyer_id,
        seller=row.seller.name,
        reason=reason,
    )
    if _waits_for_calls(row, entitlement, budget.held if budget else 0):
        return row
    return _return_money(actor, row, entitlement, budget.used if budget else 0, returns_rest=returns_rest)


def finish_refunds() -> int:
    """Return the money of refunds whose last calls have been counted meanwhile; returns how many. Runs every minute. Safe to
    repeat: the locked order's state decides."""
    waiting = Order.objects.filter(state=OrderState.REFUNDING).order_by("pk").values_list("pk", flat=True)
    return sum(_finish(pk) for pk in waiting)


def _finish(order_id: int) -> bool:
    with transaction.atomic():
        row = locked_order(order_id)
        entitlement = entitlement_of(row)
        budget = budget_of(entitlement.source) if entitlement is not None else None
        if row.state != OrderState.REFUNDING or _waits_for_calls(row, entitlement, budget.held if budget else 0):
            return False
        ledger.lock(accounts_of(row))
        _return_money(system("refunds"), row, entitlement, budget.used if budget else 0)
    return True


def _return_money(
    actor: Actor, order: Order, entitlement: Entitlement | None, used_units: int, *, returns_rest: bool = True
) -> Order:
    amount = 0
    if order.plan.kind == PlanKind.PAY_PER_USE and entitlement is not None:
        amount = _return_unused(order, entitlement, used_units)
    elif returns_rest:
        amount = undo_sale(order, entitlement, key=order.refund_key)
    subscription_periods.order_ended(actor, order, subscription_periods.RETURNED)
    if entitlement is not None and entitlement.settled_up_at is None:
        entitlement.settled_up_at = now()
        entitlement.save(update_fields=["settled_up_at"])
    ORDERS.ensure(OrderState(order.state), OrderState.REFUNDED)
    order.state, order.closed_at = OrderState.REFUNDED, now()
    order.save(update_fields=["state", "closed_at"])
    if amount:
        is_first = not Refund.objects.filter(order=order, key=order.refund_key).exists()
        key = order.refund_key if is_first else f"{order.refund_key}:unused"
        note_refund(actor, order, amount, key=key, reason=order.refund_reason)
    if order.refunded_minor == order.total_minor and not (used_units and order.plan.kind == PlanKind.PAY_PER_USE):
        coupons.give_back(order)
    close_requests(order)
    returned = str(Money(order.refunded_minor, order.currency))
    for namespace in (order.buyer, order.seller):
        audit.record(actor, "market:order:refunded", "order", order.uuid, namespace_id=namespace.pk, amount=returned)
        notify(
            namespace.pk,
            "market:order:refunded",
            f"The order of {order.listing.title} by {order.buyer.name} was refunded: {returned}.",
            url=f"/orders/{order.uuid}",
            key=f"order:{order.uuid}:refunded:{namespace.pk}",
        )
    market_events.tell_of_order(order, "order.refunded")
    invoicing.credit_upto(order, order.refunded_minor, reason=order.refund_reason)
    return order


def _return_unused(order: Order, entitlement: Entitlement, used_units: int) -> int:
    """Charge the calls that were made, give back what is still held; returns that, minor units."""
    settle_upto(entitlement, used_units)
    held = ledger.held(order.buyer, order.currency, order.uuid)
    left = ledger.lock([held])[held].balance_minor
    if left:
        legs = [Leg(held, -left), Leg(source_of(order), left)]
        memo = f"Refund: {order.listing.title}"
        ledger.post(TransactionKind.RELEASE, "order", f"{order.uuid}:release", legs, order=order, memo=memo)
    return left


def _waits_for_calls(order: Order, entitlement: Entitlement | None, held_calls: int) -> bool:
    """Whether calls in flight may still cost something."""
    if order.plan.kind != PlanKind.PAY_PER_USE or entitlement is None:
        return False
    return entitlement.held_minor > 0 and held_calls > 0


def _check_may_refund(actor: Actor, order: Order) -> None:
    if actor.is_staff or actor.is_system or actor.may(Action.NAMESPACE_SELL, order.seller_id):
        return
    if not actor.may(Action.NAMESPACE_BUY, order.buyer_id):
        raise Forbidden("You may not undo this order.")
    if subscription_periods.is_past(order):
        raise Forbidden(
            "The period of this order is over, another plan took its place, or its calls were made: ask the seller.",
            code="period_over",
        )
    # an order that is undone already, or was never paid, is told apart under its lock
    if order.paid_at is not None and now() > order.paid_at + timedelta(days=order.plan.refund_window_days):
        raise Forbidden(
            f"The time to undo this order ({order.plan.refund_window_days} days) is over; ask the seller.",
            code="refund_window_over",
        )


def entitlement_of(order: Order) -> Entitlement | None:
    """What an order opened, locked until the caller's transaction ends, after the order itself. None for calls beyond the quota of a
    subscription: what they were made on is the access of the period."""
    entitlement = Entitlement.objects.select_for_update(no_key=True).filter(order=order).first()
    if entitlement is not None:
        entitlement.order = order
    return entitlement
