"""Between orders and the payment provider: asking for money, and applying what the provider says of a payment *now*. The page that
the buyer comes back to, an event, a task and the reconciler all end in `look_at_payment`: one step, the same however it was rung."""

from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.actors import system
from accounts.services import audit
from backends.contracts.payments import Payment, PaymentState
from common.clock import now
from common.errors import Conflict, Gone, Invalid, NotFound
from common.money import Money
from market.models import Order, SubscriptionTerm, TransactionKind
from market.services import coupons, customers, ledger, subscription_periods
from market.services.fulfilment import fulfil, locked_order
from market.services.ledger import Leg
from market.services.payment_backend import asked, backend, is_in_ledger
from market.services.refunds import refund_order
from market.services.returns import look_at_return, return_later
from market.states import ORDERS, OrderState, PlanKind
from market.subjects import refuse_recalled
from notices.services import notify
from work.door import enqueue

_ACTOR = system("payments")


def ask(order: Order) -> Payment:
    """The payment of an order, asked for or found again: its uuid is the key. No network when the backend is the ledger; else call
    it outside of any transaction. Raises Unavailable when the provider does not answer, Conflict when it refuses."""
    customer = ""
    if order.plan.kind == PlanKind.SUBSCRIPTION and not is_in_ledger(order.payment_backend):
        customer = customers.ensure_customer(order.buyer, order.payment_backend)
        if SubscriptionTerm.objects.filter(order=order, by_card=True).exists():
            return customers.charge(order, customer)
    return asked(
        backend(order.payment_backend).start,
        key=str(order.uuid),
        amount_minor=order.total_minor,
        currency=order.currency,
        description=f"{order.listing.title}: {order.plan.name}",
        return_url=f"{settings.PUBLIC_URL}/orders/{order.uuid}/payment",
        cancel_url=f"{settings.PUBLIC_URL}/orders/{order.uuid}",
        customer=customer,
    )


def ask_later(order: Order) -> None:
    """Have a task ask the provider once the order is committed."""
    enqueue("market.request_payment", order.pk, key=f"payment:{order.uuid}")


def look_at_payment(order_id: int, *, told_reference: str = "") -> Order:
    """Bring an order in line with what its provider says now: ask for the payment when that has not been done, fulfil what is
    captured, cancel what failed, note fee and tax. Outside of any transaction. Safe to repeat, at any time and from many places at
    once: the order's uuid is the key at the provider, and the locked order's state says what is left to do. `told_reference`: what
    an event calls the payment, for an order whose answer was lost. Raises Unavailable when the provider does not answer; Conflict
    when it refuses or speaks of another amount, NotFound when it does not know the payment: then nothing has changed."""
    order = Order.objects.select_related("listing", "plan").get(pk=order_id)
    if not order.payment_backend or is_in_ledger(order.payment_backend):
        return order
    reference = order.payment_reference or told_reference
    if reference:
        payment = asked(backend(order.payment_backend).look, reference, key=str(order.uuid))
    elif order.state == OrderState.PLACED:
        payment = ask(order)
    else:
        return order
    order = _apply(order_id, payment)
    look_at_return(order)
    return order


def cancel_lapsed(order_id: int) -> Order:
    """`look_at_payment` for an order that the provider will not take, ever (a currency it has not, an amount too small): cancelled,
    with a word to the buyer."""
    try:
        return look_at_payment(order_id)
    except Conflict as error:
        if error.code != "payment_refused":
            raise
        with transaction.atomic():
            order = locked_order(order_id)
            if order.state == OrderState.PLACED and not order.payment_reference:
                _cancel(order, error.message)
            return order


def order_of(backend_name: str, reference: str, key: str) -> Order | None:
    """The order that a provider speaks of, by its own name for the payment or by ours."""
    orders = Order.objects.filter(payment_backend=backend_name)
    found = orders.filter(payment_reference=reference).first() if reference else None
    if found is None and key:
        try:
            found = orders.filter(uuid=UUID(key)).first()
        except ValueError:
            return None
    return found


def _apply(order_id: int, payment: Payment) -> Order:
    with transaction.atomic():
        order = locked_order(order_id)
        if (payment.amount_minor, payment.currency) != (order.total_minor, order.currency):
            raise Conflict("The payment is not of the order's amount.", code="amount_differs", order=str(order.uuid))
        if order.payment_reference not in {"", payment.reference}:
            raise Conflict("The order has another payment.", code="payment_differs", order=str(order.uuid))
        order.payment_reference, order.payment_url = payment.reference, payment.url
        order.tax_minor = payment.tax_minor if payment.tax_minor is not None else order.tax_minor
        order.save(update_fields=["payment_reference", "payment_url", "tax_minor"])
        if payment.state == PaymentState.FAILED and order.state == OrderState.PLACED:
            _cancel(order, "The payment was not completed.")
        if payment.state == PaymentState.CAPTURED:
            _captured(order, payment)
    return order


def _captured(order: Order, payment: Payment) -> None:
    if order.state == OrderState.PLACED:
        try:
            with transaction.atomic():
                refuse_recalled(order.listing)
                fulfil(_ACTOR, order)
        except (Conflict, Gone, Invalid, NotFound) as error:
            # what was bought is not there any more: then the money goes back
            order = locked_order(order.pk)
            _cancel(order, f"It could not be handed over: {error.message}")
    if order.state == OrderState.CANCELLED:
        return_later(order)
        return
    if payment.fee_minor:
        note_provider_fee(order, payment.fee_minor)
    if payment.refunded_minor > order.refunded_minor:
        _returned_elsewhere(order, payment.refunded_minor)


def note_provider_fee(order: Order, fee_minor: int) -> None:
    """What the provider kept for the payment of an order: it holds that much less, and the platform bears it. In the caller's
    transaction. Once per order: the ledger refuses other figures under its key."""
    legs = [
        Leg(ledger.provider_fees(order.currency), -fee_minor),
        Leg(ledger.provider(order.currency), fee_minor),
    ]
    memo = f"Processing: {order.listing.title}"
    ledger.post(TransactionKind.PROVIDER_FEE, "order", f"{order.uuid}:provider-fee", legs, order=order, memo=memo)


def _returned_elsewhere(order: Order, returned_minor: int) -> None:
    """Somebody gave money back on the provider's own pages: told once for each amount; when it is the whole, access ends as well."""
    amount = str(Money(returned_minor, order.currency))
    told = notify(
        order.seller_id,
        "market:refund:elsewhere",
        f"{amount} of {order.listing.title} went back to {order.buyer.name} on the payment provider's own pages.",
        url=f"/orders/{order.uuid}",
        key=f"order:{order.uuid}:returned:{returned_minor}",
    )
    if told:
        audit.record(
            _ACTOR, "market:refund:elsewhere", "order", order.uuid, namespace_id=order.seller_id, amount=amount
        )
    if returned_minor >= order.total_minor and order.state == OrderState.FULFILLED:
        refund_order(_ACTOR, order, reason="The payment provider has returned the money.", key="provider")
        order.refresh_from_db(fields=["state", "refunded_minor", "closed_at"])


def _cancel(order: Order, why: str) -> None:
    ORDERS.ensure(OrderState(order.state), OrderState.CANCELLED)
    order.state, order.closed_at, order.payment_url = OrderState.CANCELLED, now(), ""
    order.save(update_fields=["state", "closed_at", "payment_url"])
    subscription_periods.order_cancelled(order, why)
    coupons.give_back(order)
    audit.record(_ACTOR, "market:order:cancelled", "order", order.uuid, namespace_id=order.buyer_id, reason=why[:200])
    notify(
        order.buyer_id,
        "market:order:cancelled",
        f"The order of {order.listing.title} was cancelled. {why} Whatever was paid goes back.",
        url=f"/orders/{order.uuid}",
        key=f"order:{order.uuid}:cancelled",
    )
