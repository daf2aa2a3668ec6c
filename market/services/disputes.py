"""Disputes: while one is open, access rests and the money of the sale waits in an account of its own; it ends in the state before, or
with the money gone.

    fulfilled --opened--> disputed --won---> fulfilled   (the same legs backwards, access as before)
                                   --lost--> lost        (what waited goes to the provider, access ends)

A dispute of an order that was paid back already finds no sale: then the platform bears it until the bank has decided."""

from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Sum

from accounts.actors import system
from accounts.services import audit
from backends.contracts.payments import Dispute as Told
from backends.contracts.payments import DisputeState
from common.clock import now
from common.errors import Busy, Conflict
from common.money import Money, split
from market.models import (
    AccountKind,
    Dispute,
    Entitlement,
    LedgerEntry,
    LedgerTransaction,
    Order,
    TransactionKind,
)
from market.services import invoicing, ledger, search_documents, subscription_periods
from market.services.billing import settle_upto
from market.services.entitlements import close_entitlement, freeze_entitlement, unfreeze_entitlement
from market.services.fulfilment import accounts_of, locked_order
from market.services.ledger import AccountRef, Leg
from market.services.money_back import note_refund
from market.services.payment_backend import asked, backend
from market.services.payments import look_at_payment, order_of
from market.services.return_threads import close_requests
from market.states import ORDERS, DisputeStanding, OrderState, PlanKind
from metering.queries import budget_of
from notices.services import notify

_ACTOR = system("payments")


def take_in_dispute(backend_name: str, reference: str) -> Dispute | None:
    """Bring a dispute in line with what the provider says of it now; None when it is not about an order of this site. Outside of any
    transaction. Safe to repeat and in any order: the dispute's row, under the order's lock, says what is left to do. Raises
    Unavailable when the provider does not answer, Busy while the order's last calls are being counted, Conflict when the bank
    takes back more than the order's currency allows."""
    told = asked(backend(backend_name).look_dispute, reference)
    found = order_of(backend_name, told.payment, "") if told.payment else None
    if found is None:
        return None
    if found.state == OrderState.PLACED:
        # the event of the payment was lost: first things first
        look_at_payment(found.pk)
    with transaction.atomic():
        order = locked_order(found.pk)
        subscription_periods.term_of(order)
        if told.currency != order.currency:
            raise Conflict("The dispute is in another currency than the order.", code="currency_differs")
        if order.state in {OrderState.REFUNDING, OrderState.PLACED}:
            raise Busy("The order is being refunded or paid at this moment.", retry_after_s=60)
        row = Dispute.objects.filter(backend=backend_name, reference=reference).first() or _open(
            order, backend_name, told
        )
        if row.state == DisputeStanding.OPEN and told.state != DisputeState.OPEN:
            _close(order, row, told)
    return row


def _open(order: Order, backend_name: str, told: Told) -> Dispute:
    freezes = order.state == OrderState.FULFILLED
    row = Dispute.objects.create(
        order=order,
        backend=backend_name,
        reference=told.reference,
        state=DisputeStanding.OPEN,
        amount_minor=told.amount_minor,
        reason=told.reason[:60],
        froze_access=freezes,
        due_at=datetime.fromtimestamp(told.due_at, UTC) if told.due_at else None,
    )
    entitlement = _entitlement_of(order)
    ledger.lock([*accounts_of(order), ledger.disputed(order.currency), ledger.provider_fees(order.currency)])
    if freezes:
        if order.plan.kind == PlanKind.PAY_PER_USE and entitlement is not None:
            budget = budget_of(entitlement.source)
            settle_upto(entitlement, budget.used if budget else 0)
        if entitlement is not None:
            freeze_entitlement(_ACTOR, entitlement)
        ORDERS.ensure(OrderState(order.state), OrderState.DISPUTED)
        order.state = OrderState.DISPUTED
        order.save(update_fields=["state"])
    legs = _taken_from(order, told.amount_minor, from_sale=freezes)
    memo = f"Dispute: {order.listing.title}"
    ledger.post(TransactionKind.DISPUTE, "dispute", f"{row.uuid}:opened", legs, order=order, memo=memo)
    amount = str(Money(told.amount_minor, order.currency))
    until = f" Evidence can be handed in at the payment provider until {row.due_at:%Y-%m-%d}." if row.due_at else ""
    _tell(order, "market:dispute:opened", f"The payment of {amount} for {order.listing.title} is disputed.{until}", row)
    return row


def _taken_from(order: Order, amount_minor: int, *, from_sale: bool) -> list[Leg]:
    """From where the money of a sale is now: what is still held first, then whoever has got a share of it (seller, owners upstream,
    platform), in proportion to what they got; what the sale does not cover, the platform bears."""
    legs, left = [Leg(ledger.disputed(order.currency), amount_minor)], amount_minor
    if from_sale and order.plan.kind == PlanKind.PAY_PER_USE:
        held = ledger.held(order.buyer, order.currency, order.uuid)
        part = min(left, ledger.lock([held])[held].balance_minor)
        legs.append(Leg(held, -part))
        left -= part
    got = _got_from(order) if from_sale else {}
    sold = min(left, sum(got.values()))
    if sold:
        parts = split(sold, list(got.values()))
        legs += [Leg(account, -part) for account, part in zip(got, parts, strict=True)]
    return [*legs, Leg(ledger.fees(order.currency), sold - left)]


def _got_from(order: Order) -> dict[AccountRef, int]:
    """What each account has of a sale, after everything that was taken back before; above zero only."""
    kinds = [AccountKind.EARNINGS, AccountKind.FEES]
    rows = (
        LedgerEntry.objects.filter(transaction__order=order, account__kind__in=kinds, account__currency=order.currency)
        .values_list("account__kind", "account__namespace_id")
        .annotate(total=Sum("amount_minor"))
        .filter(total__gt=0)
        .order_by("account__kind", "account__namespace_id")
    )
    return {AccountRef(AccountKind(kind), order.currency, namespace): total for kind, namespace, total in rows}


def _close(order: Order, row: Dispute, told: Told) -> None:
    is_won = told.state == DisputeState.WON
    row.state = DisputeStanding.WON if is_won else DisputeStanding.LOST
    row.closed_at = now()
    row.save(update_fields=["state", "closed_at"])
    entitlement = _entitlement_of(order)
    disputed, provider = ledger.disputed(order.currency), ledger.provider(order.currency)
    ledger.lock([*accounts_of(order), disputed, ledger.provider_fees(order.currency)])
    memo = f"Dispute: {order.listing.title}"
    opened = LedgerTransaction.objects.get(source="dispute", source_id=f"{row.uuid}:opened")
    if is_won:
        ledger.reverse(opened, "dispute", f"{row.uuid}:won", memo=memo)
    else:
        legs = [Leg(disputed, -row.amount_minor), Leg(provider, row.amount_minor)]
        ledger.post(TransactionKind.DISPUTE, "dispute", f"{row.uuid}:lost", legs, order=order, memo=memo)
    if told.fee_minor:
        legs = [Leg(ledger.provider_fees(order.currency), -told.fee_minor), Leg(provider, told.fee_minor)]
        ledger.post(TransactionKind.PROVIDER_FEE, "dispute", f"{row.uuid}:fee", legs, order=order, memo=memo)
    others = Dispute.objects.filter(order=order, state=DisputeStanding.OPEN).exclude(pk=row.pk).exists()
    if order.state == OrderState.DISPUTED and is_won and not others:
        _go_on(order, entitlement)
    is_lost = order.state == OrderState.DISPUTED and not is_won
    if is_lost:
        _lose(order, entitlement, row)
    amount = str(Money(row.amount_minor, order.currency))
    if is_won:
        _tell(order, "market:dispute:won", f"The dispute over {order.listing.title} is won: {amount} are back.", row)
    else:
        _tell(order, "market:dispute:lost", f"The dispute over {order.listing.title} is lost: {amount} are gone.", row)
    if is_lost:
        returned = min(order.refunded_minor + row.amount_minor, order.total_minor)
        invoicing.credit_upto(order, returned, reason="The buyer's bank has taken the payment back.")


def _go_on(order: Order, entitlement: Entitlement | None) -> None:
    ORDERS.ensure(OrderState.DISPUTED, OrderState.FULFILLED)
    order.state = OrderState.FULFILLED
    order.save(update_fields=["state"])
    if entitlement is not None and not subscription_periods.rests(order):
        unfreeze_entitlement(_ACTOR, entitlement)


def _lose(order: Order, entitlement: Entitlement | None, row: Dispute) -> None:
    """Access ends. What is held for calls beyond the disputed amount was never used: it goes back to the buyer."""
    ORDERS.ensure(OrderState.DISPUTED, OrderState.LOST)
    order.state, order.closed_at = OrderState.LOST, now()
    order.save(update_fields=["state", "closed_at"])
    search_documents.count_sale(order.listing, -1)
    if entitlement is not None:
        close_entitlement(_ACTOR, entitlement)
        if entitlement.settled_up_at is None:
            entitlement.settled_up_at = now()
            entitlement.save(update_fields=["settled_up_at"])
    subscription_periods.order_ended(_ACTOR, order, "The bank of its buyer took the payment back.")
    if order.plan.kind == PlanKind.PAY_PER_USE:
        held = ledger.held(order.buyer, order.currency, order.uuid)
        left = ledger.lock([held])[held].balance_minor
        if left:
            legs = [Leg(held, -left), Leg(ledger.provider(order.currency), left)]
            memo = f"Dispute: {order.listing.title}"
            ledger.post(TransactionKind.RELEASE, "order", f"{order.uuid}:release", legs, order=order, memo=memo)
            note_refund(_ACTOR, order, left, key=f"dispute:{row.uuid}", reason="Calls that were not made.")
    close_requests(order)


def _tell(order: Order, tag: str, text: str, row: Dispute) -> None:
    for namespace in (order.seller, order.buyer):
        audit.record(
            _ACTOR, tag, "order", order.uuid, namespace_id=namespace.pk, dispute=row.reference, reason=row.reason
        )
        notify(
            namespace.pk,
            tag,
            text,
            url=f"/orders/{order.uuid}",
            key=f"dispute:{row.uuid}:{row.state}:{namespace.pk}",
        )


def _entitlement_of(order: Order) -> Entitlement | None:
    entitlement = Entitlement.objects.select_for_update(no_key=True).filter(order=order).first()
    if entitlement is not None:
        entitlement.order = order
    return entitlement
