"""What happens when an order is paid: money to its places, access to the buyer, word to both."""

from accounts.actors import Actor
from accounts.services import audit
from common.clock import now
from common.money import Money
from lineage.services.record import Ref, record_edge
from market.models import Order, SubscriptionTerm, TransactionKind
from market.rating import shares_upto
from market.services import invoicing, ledger, market_events, royalties, search_documents, subscription_periods
from market.services.entitlements import open_entitlement
from market.services.ledger import AccountRef, Leg
from market.services.payment_backend import source_of
from market.states import ORDERS, OrderState, PlanKind
from notices.services import notify


def locked_order(order_id: int) -> Order:
    """The order as it is now, locked until the caller's transaction ends; joined with listing, plan, buyer and seller."""
    orders = Order.objects.select_for_update(of=("self",), no_key=True).select_related(
        "listing__namespace", "plan", "buyer", "seller"
    )
    return orders.get(pk=order_id)


def fulfil(actor: Actor, order: Order) -> Order:
    """Take the money of a placed order and open access, in the caller's transaction, which holds the order's lock. Writes the
    ledger, then everything that follows from it. The state machine lets it happen once. Raises OverBudget, Conflict."""
    ORDERS.ensure(OrderState(order.state), OrderState.PAID)
    term = subscription_periods.claim(order)
    order.state, order.paid_at = OrderState.PAID, now()
    is_first = not (
        Order.objects.filter(buyer=order.buyer, listing=order.listing, paid_at__isnull=False)
        .exclude(pk=order.pk)
        .exists()
    )
    if order.total_minor:
        _move_money(order)
    ORDERS.ensure(OrderState.PAID, OrderState.FULFILLED)
    order.state = OrderState.FULFILLED
    order.save(update_fields=["state", "paid_at", "payment_reference"])
    search_documents.count_sale(order.listing, +1)
    if term is None or not term.part:
        entitlement = open_entitlement(actor, order, is_first=is_first)
        if order.plan.kind == PlanKind.SUBSCRIPTION:
            subscription_periods.begin_period(actor, order, entitlement, term)
    record_edge(Ref("listing", order.listing.uuid), Ref("order", order.uuid), "sold")
    price = str(Money(order.total_minor, order.currency))
    for namespace, tag in ((order.buyer, "market:order:fulfilled"), (order.seller, "market:sale:made")):
        audit.record(
            actor, tag, "order", order.uuid, namespace_id=namespace.pk, listing=str(order.listing.uuid), total=price
        )
    notify(
        order.buyer_id,
        "market:order:fulfilled",
        f"{order.buyer.name} {_did(order, term)} {order.listing.title} for {price}.",
        url=f"/orders/{order.uuid}",
        key=f"order:{order.uuid}:bought",
    )
    notify(
        order.seller_id,
        "market:sale:made",
        f"{order.buyer.name} {_did(order, term)} {order.listing.title} for {price}.",
        url=f"/orders/{order.uuid}",
        key=f"order:{order.uuid}:sold",
    )
    invoicing.issue_for(order)
    market_events.tell_of_order(order, "order.paid")
    return order


def _did(order: Order, term: SubscriptionTerm | None) -> str:
    if order.plan.kind != PlanKind.SUBSCRIPTION:
        return "bought"
    if term is None:
        return "tries" if subscription_periods.is_trial(order) else "subscribed to"
    return "paid calls beyond the quota of" if term.part else "goes on with"


def _move_money(order: Order) -> None:
    """Buyer → clearing → seller, owners upstream and platform; for prepaid calls clearing → held, to be earned call by call."""
    total, currency = order.total_minor, order.currency
    clearing, paid_from = ledger.clearing(currency), source_of(order)
    locked = ledger.lock(accounts_of(order))
    if order.plan.kind == PlanKind.PAY_PER_USE:
        second, kind = [Leg(ledger.held(order.buyer, currency, order.uuid), total)], TransactionKind.HOLD
    else:
        shares = shares_upto(total, order.fee_percent)
        second = [Leg(ledger.fees(currency), shares.fee_minor), *royalties.shared(order, 0, shares.seller_minor)]
        kind = TransactionKind.SALE
    for step, legs in (
        (TransactionKind.CAPTURE, [Leg(paid_from, -total), Leg(clearing, total)]),
        (kind, [Leg(clearing, -total), *second]),
    ):
        memo = f"{order.listing.title}: {order.plan.name}"
        ledger.post(step, "order", f"{order.uuid}:{step}", legs, order=order, memo=memo, locked=locked)
    if kind == TransactionKind.SALE:
        royalties.tell_owners(order, second)


def accounts_of(order: Order) -> list[AccountRef]:
    """Every account that an order moves money through in its life, for one lock in one order."""
    currency = order.currency
    shared = [
        source_of(order),
        ledger.clearing(currency),
        ledger.fees(currency),
        ledger.earnings(order.seller, currency),
        *royalties.accounts_of(order),
    ]
    return (
        [*shared, ledger.held(order.buyer, currency, order.uuid)] if order.plan.kind == PlanKind.PAY_PER_USE else shared
    )
