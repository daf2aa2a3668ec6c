"""Charging calls beyond the quota of a subscription: by orders of the subscription, when the period is over, or before when they have
come to much. What is charged is the difference of two sums from the beginning of the period, so no call is charged twice."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, OverBudget
from common.money import Money
from market.models import Entitlement, Order, Subscription, SubscriptionTerm
from market.overdue import dunning, overage_threshold
from market.rating import beyond_upto
from market.services import ledger, payments, royalties
from market.services.fulfilment import fulfil
from market.services.means import require_means
from market.services.orders import OWN_KEYS, shared_accounts
from market.services.payment_backend import backend_of, is_in_ledger
from market.services.subscription_periods import ACTOR, locked_subscription
from market.states import OrderState, PlanKind, TermKind
from market.tiers import tiers_of
from metering.queries import budget_of
from notices.services import notify
from work.errors import LeaseLost

log = structlog.get_logger(__name__)
_BATCH = 500
_RETRY = timedelta(days=1)


def charge_due() -> int:
    """Charge the calls beyond quotas that are due: those of periods that are over once the last call is counted, and others when they
    have come to `SUBSCRIPTION_OVERAGE`; returns how many orders were placed. Each in a transaction of its own. Safe to run twice,
    late or beside itself: the watermark moves with the order, under the subscription's lock. What nobody can pay now is
    tried again; a fault of one keeps no other waiting, and the first is raised at the end."""
    count, after, surprises = 0, 0, []
    while True:
        waiting = Entitlement.objects.filter(settled_up_at__isnull=True, order__plan__kind=PlanKind.SUBSCRIPTION)
        batch = list(waiting.filter(pk__gt=after).order_by("pk").values_list("pk", "order__term__subscription_id"))
        batch = batch[:_BATCH]
        if not batch:
            break
        for pk, subscription_id in batch:
            try:
                count += _charge_one(subscription_id, pk)
            except LeaseLost:
                raise
            except Exception as error:
                log.exception("calls beyond a quota were not charged", entitlement=pk)
                surprises.append(error)
        after = batch[-1][0]
    if surprises:
        raise surprises[0]
    return count


def charge(actor: Actor, row: Subscription, entitlement: Entitlement, *, by_buyer: bool) -> Order | None:
    """Charge what was used of an entitlement beyond its quota and is not charged yet, in the caller's transaction, which holds the
    subscription's lock; None when there is nothing. An order under way is returned as it is. Fulfilled at once when the wallet
    covers it. Raises OverBudget when nothing could pay it; then nothing is written."""
    order, budget = entitlement.order, budget_of(entitlement.source)
    term = SubscriptionTerm.objects.get(order=order)
    parts = row.terms.filter(number=term.number, part__gt=0, voided_at__isnull=True).select_related("order__plan")
    latest = parts.order_by("-part").first()
    if latest is not None and latest.order.state == OrderState.PLACED:
        return latest.order
    charged = latest.units_upto if latest else 0
    if entitlement.settled_units != charged:
        entitlement.settled_units = charged
        entitlement.save(update_fields=["settled_units"])
    used = min(budget.used if budget else 0, entitlement.granted_units or 0)
    over = max(used - entitlement.included_units, 0)
    plan = order.plan
    total = _cost(entitlement, over) - _cost(entitlement, charged)
    if total <= 0:
        return None
    plan.listing = row.listing
    chain = royalties.chain_of(row.listing)
    wallet = ledger.wallet(row.buyer, plan.currency)
    held = ledger.lock([wallet, *shared_accounts(plan, chain)])[wallet].balance_minor
    name = backend_of(row.buyer, plan.currency, total)
    require_means(row.buyer, name, Money(total, plan.currency), held, by_buyer=by_buyer)
    part = (latest.part if latest else 0) + 1
    tried = row.terms.filter(number=term.number, part=part).count()
    made = Order.objects.create(
        buyer=row.buyer,
        seller=row.seller,
        listing=row.listing,
        plan=plan,
        quantity=over - charged,
        total_minor=total,
        currency=plan.currency,
        fee_percent=settings.PLATFORM_FEE_PERCENT,
        key=f"{OWN_KEYS}{row.uuid}:{term.number}.{part}:{tried}",
        payment_backend=name,
        placed_by_id=actor.user_id,
    )
    SubscriptionTerm.objects.create(
        subscription=row,
        order=made,
        kind=TermKind.OVERAGE,
        number=term.number,
        part=part,
        by_card=not is_in_ledger(name) and not by_buyer,
        units_upto=over,
    )
    royalties.note_on(made, chain)
    if is_in_ledger(name):
        made.payment_reference = payments.ask(made).reference
        fulfil(actor, made)
        entitlement.settled_units = over
        entitlement.save(update_fields=["settled_units"])
        return made
    payments.ask_later(made)
    audit.record(
        actor, "market:order:placed", "order", made.uuid, namespace_id=row.buyer_id,
        total=str(Money(total, plan.currency)),
    )  # fmt: skip
    return made


def _charge_one(subscription_id: int, entitlement_id: int) -> int:
    with transaction.atomic():
        row = locked_subscription(subscription_id)
        entitlement = Entitlement.objects.select_related("order__plan", "order__term").get(pk=entitlement_id)
        budget = budget_of(entitlement.source)
        if entitlement.settled_up_at is not None or budget is None or _was_refused_lately(row, entitlement):
            return 0
        ended_at = entitlement.revoked_at
        is_over = ended_at is not None
        if ended_at is not None and now() >= ended_at + timedelta(days=dunning().end_days):
            # nobody paid it in all the time that there is for a renewal
            entitlement.settled_up_at = now()
            entitlement.save(update_fields=["settled_up_at"])
            return 0
        over = max(min(budget.used, entitlement.granted_units or 0) - entitlement.included_units, 0)
        open_minor = _cost(entitlement, over) - _cost(entitlement, entitlement.settled_units)
        if is_over and open_minor == 0 and not budget.held:
            entitlement.settled_up_at = now()
            entitlement.save(update_fields=["settled_up_at"])
            return 0
        if entitlement.order.state != OrderState.FULFILLED:
            return 0
        threshold = overage_threshold(entitlement.order.currency).amount_minor
        if not open_minor or (not (is_over and not budget.held) and open_minor < max(threshold, 1)):
            return 0
        try:
            made = charge(ACTOR, row, entitlement, by_buyer=False)
        except OverBudget as error:
            _tell(row, entitlement, error.message)
            return 0
        except Conflict:
            # royalties upstream that the seller has not accepted: tried again
            return 0
        return int(made is not None)


def _tell(row: Subscription, entitlement: Entitlement, why: str) -> None:
    """Once for each period."""
    told = notify(
        row.buyer_id,
        "market:subscription:owed",
        f"Calls beyond the quota of {row.listing.title} could not be charged: {why}",
        url=f"/subscriptions/{row.uuid}",
        key=f"subscription:{row.uuid}:{entitlement.order.term.number}:owed",
    )
    if told:
        audit.record(
            ACTOR, "market:subscription:owed", "subscription", row.uuid, namespace_id=row.buyer_id, reason=why[:200]
        )


def _was_refused_lately(row: Subscription, entitlement: Entitlement) -> bool:
    """Whether a card refused it less than a day ago: it is not asked every minute."""
    number = entitlement.order.term.number
    refused = row.terms.filter(number=number, part__gt=0, voided_at__gt=now() - _RETRY)
    return refused.exists()


def _cost(entitlement: Entitlement, calls: int) -> int:
    plan = entitlement.order.plan
    return beyond_upto(plan.overage_minor or 0, plan.unit_size, tiers_of(plan), calls)
