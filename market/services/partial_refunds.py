"""Giving a part of an order's money back, or all of it, by the seller or the operator."""

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.errors import Conflict, Forbidden, Invalid
from common.money import Money
from market.models import Order, Refund
from market.policies import require_order
from market.services import invoicing, ledger, subscription_periods
from market.services.fulfilment import accounts_of, locked_order
from market.services.money_back import left_minor, lower_price, note_refund
from market.services.refunds import entitlement_of, undo
from market.states import OrderState
from notices.services import notify


def refund_part(
    actor: Actor, order: Order, amount_minor: int, *, reason: str = "", ends_access: bool = False, key: str
) -> Refund:
    """Give `amount_minor` (1 to what is left, minor units) of a fulfilled order back: as if it had cost that much less, for everybody who
    got a share. Access goes on, unless it was all that was left, or `ends_access`; of prepaid calls what is unused then goes back,
    too, as a refund of its own. The seller and staff may. Writes ledger, refund, audit, notices; the payment provider sends the
    money when it came from one.

    Keyed by order and `key` (1 to 80 characters): a second call with it returns the first one's refund, or raises Conflict when
    it asks for something else. Raises Invalid, Forbidden, NotFound, Conflict when the order is not open."""
    check_words(key, reason)
    seen = require_order(actor, order.uuid)
    if not (actor.is_staff or actor.is_system or actor.may(Action.NAMESPACE_SELL, seen.seller_id)):
        raise Forbidden("Only the seller and the operator give money back; you can ask for it.", code="ask_for_it")
    with transaction.atomic():
        return give_back(actor, locked_order(seen.pk), amount_minor, reason=reason, ends_access=ends_access, key=key)


def give_back(actor: Actor, order: Order, amount_minor: int, *, reason: str, ends_access: bool, key: str) -> Refund:
    """`refund_part` for a caller that holds the order's lock and has checked who asks."""
    earlier = Refund.objects.filter(order=order, key=key).first()
    if earlier is not None:
        if earlier.amount_minor != amount_minor:
            raise Conflict("This key was used for a refund of another amount.", code="key_reused")
        return earlier
    _check(order, amount_minor)
    subscription_periods.term_of(order)
    entitlement = entitlement_of(order)
    is_rest = amount_minor == order.total_minor - order.refunded_minor
    ends = ends_access or is_rest
    ledger.lock(accounts_of(order))
    lower_price(order, entitlement, amount_minor, key=key)
    refund = note_refund(actor, order, amount_minor, key=key, reason=reason, ended_access=ends)
    if ends:
        # before the audit record, which every deed locks last
        undo(actor, order, entitlement, reason=reason, key=key, returns_rest=False)
    amount = str(Money(amount_minor, order.currency))
    for namespace in (order.buyer, order.seller):
        audit.record(
            actor,
            "market:refund:made",
            "order",
            order.uuid,
            namespace_id=namespace.pk,
            amount=amount,
            ends_access=ends,
            reason=reason,
        )
        if not ends:
            notify(
                namespace.pk,
                "market:refund:made",
                f"{amount} of the order of {order.listing.title} by {order.buyer.name} went back. Access goes on.",
                url=f"/orders/{order.uuid}",
                key=f"refund:{refund.uuid}:{namespace.pk}",
            )
    invoicing.credit_upto(order, order.refunded_minor, reason=reason)
    return refund


def check_words(key: str, reason: str) -> None:
    """Raises Invalid for a key or a reason that can't be kept."""
    if not 1 <= len(key) <= 80:
        raise Invalid("Send an idempotency key of 1 to 80 characters.", fields={"key": "1 to 80 characters"})
    if len(reason) > 300 or "\x00" in reason:
        raise Invalid("Use at most 300 characters.", fields={"reason": "at most 300 characters"})


def check_amount(order: Order, amount_minor: int) -> None:
    """Raises Invalid unless the amount is one that can still go back of the order."""
    left = left_minor(order)
    if type(amount_minor) is not int or not 1 <= amount_minor <= left:
        most = Money(left, order.currency)
        said = (
            f"Enter an amount up to {most}, which is left of this order." if left else "Nothing is left to give back."
        )
        raise Invalid(said, code="more_than_left", fields={"amount_minor": f"1 to {left}"})


def _check(order: Order, amount_minor: int) -> None:
    if order.state == OrderState.DISPUTED:
        raise Conflict("The buyer's bank has taken the money back: wait until the dispute is decided.", code="disputed")
    if order.state in {OrderState.REFUNDING, OrderState.REFUNDED}:
        raise Conflict("This order is refunded already.", code="refunded_already")
    if order.state != OrderState.FULFILLED:
        raise Conflict(f"An order that is {order.state} has nothing to give back.", code="not_open")
    check_amount(order, amount_minor)
