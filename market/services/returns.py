"""Sending money back through the provider that it came from."""

from django.db import transaction
from django.db.models import Sum

from accounts.actors import system
from accounts.services import audit
from backends.contracts.payments import Refund as Sent
from backends.contracts.payments import RefundState
from common.clock import now
from common.money import Money
from market.models import Order, Refund
from market.services.fulfilment import locked_order
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
    """Have the provider give back what is owed for an order, refund by refund. Safe to repeat, however late and beside itself: each is
    keyed by its own uuid, and the provider is asked what has gone back before anything is sent. Outside of any transaction. Raises
    Unavailable when the provider does not answer, Conflict when it refuses."""
    order = Order.objects.select_related("listing").get(pk=order_id)
    if order.returned_at is not None or not order.payment_reference or is_in_ledger(order.payment_backend):
        return
    if order.state == OrderState.CANCELLED:
        _return_whole(order)
    for refund in Refund.objects.filter(order=order, returned_at__isnull=True).order_by("pk"):
        _send(order, refund)
    with transaction.atomic():
        row = locked_order(order.pk)
        if row.returned_at is None and not Refund.objects.filter(order=row, returned_at__isnull=True).exists():
            row.returned_at = now()
            row.save(update_fields=["returned_at"])


def look_at_return(order: Order) -> None:
    """Whether a refund that was sent has failed at the buyer's bank since. Tells staff and buyer, once. Outside of any transaction."""
    provider = backend(order.payment_backend)
    for refund in Refund.objects.filter(order=order, returned_at__isnull=False, send_minor__gt=0, failed_at=None):
        sent = asked(provider.look_refund, order.payment_reference, key=str(refund.uuid))
        if sent is not None and sent.state == RefundState.FAILED:
            _note_failure(order, refund, sent)
    if order.state == OrderState.CANCELLED and order.returned_at is not None:
        sent = asked(provider.look_refund, order.payment_reference, key=str(order.uuid))
        if sent is not None and sent.state == RefundState.FAILED:
            _tell_of_failure(order, sent)


def _return_whole(order: Order) -> None:
    """A cancelled order was in no ledger, so it has no refund: its own uuid is the key."""
    provider, key = backend(order.payment_backend), str(order.uuid)
    payment = asked(provider.look, order.payment_reference, key=key)
    left = order.total_minor - payment.refunded_minor
    if left > 0:
        sent = asked(provider.look_refund, order.payment_reference, key=key)
        sent = sent or asked(provider.refund, order.payment_reference, left, key=key)
        if sent.state == RefundState.FAILED:
            _tell_of_failure(order, sent)


def _send(order: Order, refund: Refund) -> None:
    provider, key, reference = backend(order.payment_backend), str(refund.uuid), ""
    if refund.send_minor is None:
        payment = asked(provider.look, order.payment_reference, key=str(order.uuid))
        refund = _decided(refund.pk, payment.refunded_minor)
    if refund.send_minor:
        sent = asked(provider.look_refund, order.payment_reference, key=key)
        sent = sent or asked(provider.refund, order.payment_reference, refund.send_minor, key=key)
        reference = sent.reference
        if sent.state == RefundState.FAILED:
            _note_failure(order, refund, sent)
    Refund.objects.filter(pk=refund.pk, returned_at__isnull=True).update(returned_at=now(), reference=reference)


def _decided(refund_id: int, gone_minor: int) -> Refund:
    """Fix what the provider has to send of a refund: what somebody gave back on the provider's own pages is not given a second time.
    `gone_minor`: what had gone back of the payment when the provider was asked. Under the order's lock and before anything is
    sent, so that two tasks never take each other's refund for somebody else's."""
    with transaction.atomic():
        order_id = Refund.objects.values_list("order_id", flat=True).get(pk=refund_id)
        locked_order(order_id)
        refund = Refund.objects.get(pk=refund_id)
        if refund.send_minor is None:
            decided = Refund.objects.filter(order_id=order_id, send_minor__isnull=False)
            known = decided.aggregate(sum=Sum("amount_minor"))["sum"] or 0
            elsewhere = max(0, gone_minor - known)
            refund.send_minor = refund.amount_minor - min(refund.amount_minor, elsewhere)
            refund.save(update_fields=["send_minor"])
    return refund


def _note_failure(order: Order, refund: Refund, sent: Sent) -> None:
    if Refund.objects.filter(pk=refund.pk, failed_at__isnull=True).update(failed_at=now()):
        _tell_of_failure(order, sent)


def _tell_of_failure(order: Order, sent: Sent) -> None:
    amount = str(Money(sent.amount_minor, order.currency))
    told = notify(
        order.buyer_id,
        "market:refund:failed",
        f"Your bank did not take the {amount} for {order.listing.title}: write to the operators of this site.",
        url=f"/orders/{order.uuid}",
        key=f"order:{order.uuid}:refund-failed:{sent.reference}"[:120],
    )
    if told:
        audit.record(
            system("payments"),
            "market:refund:failed",
            "order",
            order.uuid,
            namespace_id=order.buyer_id,
            refund=sent.reference,
            amount=amount,
        )
