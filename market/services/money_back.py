"""Giving money of an order back: out of every account that got a share of it, noted as a refund. Every refund of a site passes
`note_refund`; who may ask for one, and what becomes of the access, is decided by the callers.

What is left after a refund is as if the order had cost that much less from the beginning: fee, royalties and the price of calls are
reckoned anew for the lower price, and the difference goes back. So it does not matter in how many parts money goes back: the sums of
several refunds are those of one, for every party and to the last minor unit."""

from collections.abc import Iterable
from dataclasses import replace

from django.db.models import Sum

from accounts.actors import Actor
from common.money import Money
from market.models import Dispute, Entitlement, LedgerTransaction, Order, Refund, TransactionKind
from market.rating import charge_upto, shares_upto
from market.services import ledger, royalties
from market.services.entitlements import pack_of
from market.services.ledger import Leg
from market.services.payment_backend import is_in_ledger, source_of
from market.services.returns import return_later
from market.states import DisputeStanding, PlanKind
from notices.services import notify


def left_minor(order: Order) -> int:
    """What can still go back of an order, minor units: what was paid less what went back and what banks hold or have taken."""
    standing = [DisputeStanding.OPEN, DisputeStanding.LOST]
    taken = Dispute.objects.filter(order=order, state__in=standing).aggregate(sum=Sum("amount_minor"))["sum"] or 0
    return max(0, order.total_minor - order.refunded_minor - taken)


def lower_price(order: Order, entitlement: Entitlement | None, amount_minor: int, *, key: str) -> None:
    """Give `amount_minor` (1 to what is left) of an order back: one transaction takes it from seller, owners upstream and platform, and of
    prepaid calls from what is held for them. Calls that are left cost less from then on. In the caller's transaction, which holds
    the locks of order, entitlement and accounts, in this order. Keyed by order and `key` for ever."""
    price = order.total_minor - order.refunded_minor
    legs = [Leg(source_of(order), amount_minor)]
    if order.plan.kind == PlanKind.PAY_PER_USE and entitlement is not None:
        pack = pack_of(entitlement)
        cheaper = replace(pack, total_minor=pack.total_minor - amount_minor)
        before, after = (charge_upto(each, entitlement.settled_units) for each in (pack, cheaper))
        legs.append(Leg(ledger.held(order.buyer, order.currency, order.uuid), before - after - amount_minor))
        entitlement.held_minor = cheaper.total_minor
        entitlement.save(update_fields=["held_minor"])
    else:
        before, after = price, price - amount_minor
    shares = [shares_upto(charged, order.fee_percent) for charged in (before, after)]
    earned = royalties.shared(order, shares[0].seller_minor, shares[1].seller_minor)
    legs += [Leg(ledger.fees(order.currency), shares[1].fee_minor - shares[0].fee_minor), *earned]
    memo = f"Refund: {order.listing.title}"
    ledger.post(TransactionKind.REFUND, "refund", f"{order.uuid}:{key}", legs, order=order, memo=memo)
    _tell_owners(order, earned, key)


def undo_sale(order: Order, entitlement: Entitlement | None, *, key: str) -> int:
    """Give back what is left of something bought for good; returns it, minor units. See `lower_price` for what the caller holds."""
    left = order.total_minor - order.refunded_minor
    if not left:
        return 0
    if order.refunded_minor:
        lower_price(order, entitlement, left, key=key)
        return left
    for step in ("sale", "capture"):
        original = LedgerTransaction.objects.get(source="order", source_id=f"{order.uuid}:{step}")
        ledger.reverse(original, "order", f"{order.uuid}:{step}-reversed", memo=f"Refund: {order.listing.title}")
    sold = shares_upto(left, order.fee_percent)
    _tell_owners(order, royalties.shared(order, sold.seller_minor, 0), key)
    return left


def note_refund(
    actor: Actor, order: Order, amount_minor: int, *, key: str, reason: str = "", ended_access: bool = True
) -> Refund:
    """Note that `amount_minor` (≥ 1) of an order has gone back in the ledger, and have the payment provider send it when it came from
    one. In the caller's transaction, which holds the order's lock. Whatever else has to follow from every refund follows here,
    but its credit note: that takes the last locks, so callers have it issued at their end (`invoicing.credit_upto`).
    The database refuses a second one of the same order and `key`."""
    refund = Refund.objects.create(
        order=order,
        key=key,
        amount_minor=amount_minor,
        reason=reason,
        ended_access=ended_access,
        created_by_id=actor.user_id,
    )
    order.refunded_minor += amount_minor
    fields = ["refunded_minor"]
    if not is_in_ledger(order.payment_backend):
        order.returned_at = None
        fields.append("returned_at")
    order.save(update_fields=fields)
    return_later(order)
    return refund


def _tell_owners(order: Order, legs: Iterable[Leg], key: str) -> None:
    for leg in legs:
        owner = leg.account.namespace_id
        if owner is not None and owner != order.seller_id and leg.amount_minor < 0:
            back = Money(-leg.amount_minor, order.currency)
            notify(
                owner,
                "market:royalty:returned",
                f"A sale of {order.listing.title}, which is derived from yours, was refunded: {back} of your royalty went back.",
                url="/earnings",
                key=f"order:{order.uuid}:back:{key}:{owner}"[:120],
            )
