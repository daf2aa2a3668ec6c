"""Between orders and the payment backend: asking for money, and taking in what a provider reports."""

from django.db import transaction

from accounts.actors import system
from accounts.services import audit
from backends.contracts.payments import EventKind, Intent, IntentState, PaymentEvent
from backends.errors import Rejected, Transient
from common.clock import now
from common.errors import Conflict, Gone, Unavailable
from market.models import Order
from market.services import coupons
from market.services.fulfilment import fulfil
from market.services.payment_backend import backend, backend_name, is_in_ledger
from market.states import ORDERS, OrderState
from notices.services import notify
from work.door import enqueue


def ask(order: Order) -> Intent:
    """The payment of an order, asked for or found again: its uuid is the key. No network when the backend is the ledger; else call
    it outside of any transaction. Raises Unavailable when the provider does not answer, Conflict when it refuses."""
    try:
        intent = backend().create_intent(
            key=str(order.uuid),
            amount_minor=order.total_minor,
            currency=order.currency,
            description=f"{order.listing.title}: {order.plan.name}",
        )
    except Transient as error:
        raise Unavailable("The payment provider does not answer.") from error
    except Rejected as error:
        raise Conflict(f"The payment was refused: {error}", code="payment_refused") from error
    return intent


def ask_later(order: Order) -> None:
    """Have a task ask the provider once the order is committed."""
    enqueue("market.request_payment", order.pk, key=f"payment:{order.uuid}")


def request_payment(order_id: int) -> Order:
    """Ask the provider for the payment of a placed order and note what it answers; a payment that is captured at once is fulfilled.
    Safe to repeat: the provider finds the intent by the order's uuid, the order's state says what is left to do."""
    order = Order.objects.select_related("listing", "plan").get(pk=order_id)
    if order.state != OrderState.PLACED:
        return order
    intent = ask(order)
    with transaction.atomic():
        order = _locked(pk=order_id) or order
        if order.state != OrderState.PLACED:
            return order
        order.payment_reference, order.payment_url = intent.reference, intent.url
        order.save(update_fields=["payment_reference", "payment_url"])
        return _apply(order, intent.state)


def confirm_payment(event: PaymentEvent) -> Order | None:
    """Take in what a provider reports, its signature proven by `parse_event`. Captured: the order is fulfilled; failed: cancelled;
    refunds were ours to begin with and change nothing. Safe to repeat and in any order: the locked order's state decides.
    None when the payment is not of this site. Raises Conflict when the amount is not the order's, Gone when the order was
    cancelled meanwhile."""
    with transaction.atomic():
        order = _locked(payment_backend=backend_name(), payment_reference=event.reference)
        if order is None or event.kind == EventKind.REFUNDED:
            return order
        if (event.amount_minor, event.currency) != (order.total_minor, order.currency):
            raise Conflict("The payment is not of the order's amount.", code="amount_differs", order=str(order.uuid))
        if order.state == OrderState.CANCELLED and event.kind == EventKind.CAPTURED:
            raise Gone("The order was cancelled before it was paid.", order=str(order.uuid))
        if order.state != OrderState.PLACED:
            return order
        return _apply(order, IntentState.CAPTURED if event.kind == EventKind.CAPTURED else IntentState.FAILED)


def return_payment(order_id: int) -> None:
    """Have the provider give back what an order's refund says. Safe to repeat: keyed by the order's uuid. Outside of any
    transaction. Raises Unavailable when the provider does not answer."""
    order = Order.objects.get(pk=order_id)
    if order.refunded_minor:
        try:
            backend().refund(order.payment_reference, order.refunded_minor, key=str(order.uuid))
        except Transient as error:
            raise Unavailable("The payment provider does not answer.") from error


def return_later(order: Order) -> None:
    """Have a task send money back through the provider, if it came from one."""
    if order.refunded_minor and not is_in_ledger(order.payment_backend):
        enqueue("market.return_payment", order.pk, key=f"refund:{order.uuid}")


def _locked(**where: object) -> Order | None:
    orders = Order.objects.select_for_update(of=("self",), no_key=True).select_related(
        "listing__namespace", "plan", "buyer", "seller"
    )
    return orders.filter(**where).first()


def _apply(order: Order, state: IntentState) -> Order:
    actor = system("payments")
    if state == IntentState.CAPTURED:
        return fulfil(actor, order)
    if state == IntentState.FAILED:
        ORDERS.ensure(OrderState(order.state), OrderState.CANCELLED)
        order.state, order.closed_at = OrderState.CANCELLED, now()
        order.save(update_fields=["state", "closed_at"])
        coupons.give_back(order)
        audit.record(actor, "market:order:cancelled", "order", order.uuid, namespace_id=order.buyer_id)
        notify(
            order.buyer_id,
            "market:order:cancelled",
            f"The payment for {order.listing.title} failed; the order was cancelled.",
            url=f"/orders/{order.uuid}",
            key=f"order:{order.uuid}:cancelled",
        )
    return order
