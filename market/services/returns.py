"""Sending money back through the provider that it came from."""

from accounts.actors import system
from accounts.services import audit
from backends.contracts.payments import Refund, RefundState
from common.clock import now
from common.money import Money
from market.models import Order
from market.services.payment_backend import asked, backend, is_in_ledger
from market.states import OrderState
from notices.services import notify
from work.door import enqueue


def return_later(order: Order) -> None:
    """Have a task send money back through the provider, if it came from one. In the transaction of the refund."""
    if owed_minor(order) and not is_in_ledger(order.payment_backend):
        enqueue("market.return_payment", order.pk, key=f"refund:{order.uuid}")


def owed_minor(order: Order) -> int:
    """What the buyer gets back: what was refunded, or everything when an order was cancelled and paid all the same."""
    return order.total_minor if order.state == OrderState.CANCELLED else order.refunded_minor


def return_payment(order_id: int) -> None:
    """Have the provider give back what is owed for an order. Safe to repeat, however late: keyed by the order's uuid, and the
    provider is asked what has gone back before anything is sent. Outside of any transaction. Raises Unavailable when the provider
    does not answer, Conflict when it refuses."""
    order = Order.objects.select_related("listing").get(pk=order_id)
    if order.returned_at is not None or not order.payment_reference or is_in_ledger(order.payment_backend):
        return
    provider, key = backend(order.payment_backend), str(order.uuid)
    amount = owed_minor(order)
    payment = asked(provider.look, order.payment_reference, key=key)
    if payment.refunded_minor < amount:
        # what others gave back at the provider's own pages is not given a second time
        left = amount - payment.refunded_minor
        refund = asked(provider.look_refund, order.payment_reference, key=key)
        if refund is None:
            refund = asked(provider.refund, order.payment_reference, left, key=key)
        if refund.state == RefundState.FAILED:
            _tell_of_failure(order, refund)
    Order.objects.filter(pk=order.pk, returned_at__isnull=True).update(returned_at=now())


def look_at_return(order: Order) -> None:
    """Whether a refund that was sent has failed at the buyer's bank since. Tells staff and buyer, once. Outside of any transaction."""
    if order.returned_at is None:
        return
    refund = asked(backend(order.payment_backend).look_refund, order.payment_reference, key=str(order.uuid))
    if refund is not None and refund.state == RefundState.FAILED:
        _tell_of_failure(order, refund)


def _tell_of_failure(order: Order, refund: Refund) -> None:
    amount = str(Money(refund.amount_minor, order.currency))
    told = notify(
        order.buyer_id,
        "market:refund:failed",
        f"Your bank did not take the {amount} for {order.listing.title}: write to the operators of this site.",
        url=f"/orders/{order.uuid}",
        key=f"order:{order.uuid}:refund-failed",
    )
    if told:
        audit.record(
            system("payments"),
            "market:refund:failed",
            "order",
            order.uuid,
            namespace_id=order.buyer_id,
            refund=refund.reference,
            amount=amount,
        )
