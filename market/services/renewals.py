"""Collecting what subscriptions owe: one order for each period, paid from the wallet, or from the card that the buyer has left."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction

from accounts.actors import Actor
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Gone, NotFound, OverBudget
from common.money import Money
from market.models import Entitlement, Order, Plan, Subscription, SubscriptionTerm
from market.overdue import dunning
from market.services import ledger, overage, payments, royalties
from market.services.fulfilment import fulfil
from market.services.means import require_means
from market.services.orders import OWN_KEYS, shared_accounts
from market.services.payment_backend import backend_of, is_in_ledger
from market.services.subscription_periods import ACTOR, end, locked_subscription, note_failure, suspend, tell
from market.states import UNPAID, ListingState, OrderState, SubjectKind, SubscriptionState, TermKind
from market.subjects import check_sellable, require_subject
from market.subscription_queries import open_term
from market.subscriptions import price_of_period
from notices.services import notify
from work.errors import LeaseLost

log = structlog.get_logger(__name__)
_BATCH = 200
_PATIENCE = timedelta(hours=1)
"""How often a payment under way is looked at from here; the provider's events and the reconciliation are quicker."""
_POSTPONED = timedelta(days=1)


def renew_due() -> int:
    """Do what is due for every subscription: word before a renewal, the renewal, another attempt, suspension, the end; returns for how
    many. Each in a transaction of its own. Safe to run twice, late, killed anywhere or beside itself: the locked row says
    what is left to do, and a period has one order. One that fails for a reason nobody expected keeps no other waiting; the
    first such error is raised at the end."""
    count, after, surprises = 0, 0, []
    while True:
        due = Subscription.objects.filter(look_at__lte=now(), pk__gt=after).order_by("pk")
        batch = list(due.values_list("pk", flat=True)[:_BATCH])
        if not batch:
            break
        for pk in batch:
            try:
                renew(pk)
                count += 1
            except LeaseLost:
                raise
            except Exception as error:
                log.exception("a subscription was not renewed", subscription=pk)
                surprises.append(error)
        after = batch[-1]
    if surprises:
        raise surprises[0]
    return count


def renew(subscription_id: int) -> None:
    """`renew_due` for one subscription. A second call finds nothing to do."""
    with transaction.atomic():
        row = locked_subscription(subscription_id)
        if row.look_at is None or row.look_at > now():
            return
        if now() < row.period_end:
            _tell_of_renewal(row)
        elif row.cancel_at_period_end:
            end(ACTOR, row, SubscriptionState.CANCELLED, "It was cancelled.")
        elif row.listing.state == ListingState.WITHDRAWN:
            end(ACTOR, row, SubscriptionState.ENDED, "It is not on offer any more.")
        elif row.order.state == OrderState.DISPUTED:
            _look_again(row, _POSTPONED)
        elif row.failed_at is not None and now() >= dunning().end_at(row.failed_at):
            end(ACTOR, row, SubscriptionState.ENDED, "It was not paid.")
        else:
            _collect(row)
            _suspend_late(row.pk)


def place_period(
    actor: Actor,
    row: Subscription,
    plan: Plan,
    kind: TermKind,
    *,
    key: str,
    credit_minor: int = 0,
    by_buyer: bool,
    placed_by_id: int | None = None,
) -> Order:
    """The order of the period after the present one, in the caller's transaction, which holds the subscription's lock and knows that none
    is under way. Fulfilled at once when the wallet covers it; else it waits for the provider: for the buyer at Checkout
    (`by_buyer`), or for the buyer's card. `placed_by_id`: whose wish it was, when that is not `actor`. Raises OverBudget when nothing could pay it, Conflict when royalties upstream keep it from being
    sold; then nothing is written."""
    plan.listing = row.listing
    price = price_of_period(plan.price_minor, row.quantity)
    total = price - credit_minor
    chain = royalties.chain_of(row.listing)
    try:
        royalties.require_accepted(row.listing, chain)
    except Conflict:
        royalties.ask_seller(row.listing, chain)
        raise
    wallet = ledger.wallet(row.buyer, plan.currency)
    held = ledger.lock([wallet, *shared_accounts(plan, chain)])[wallet].balance_minor
    name = backend_of(row.buyer, plan.currency, total)
    require_means(row.buyer, name, Money(total, plan.currency), held, by_buyer=by_buyer)
    order = Order.objects.create(
        buyer=row.buyer,
        seller=row.seller,
        listing=row.listing,
        plan=plan,
        quantity=row.quantity,
        total_minor=total,
        discount_minor=credit_minor,
        currency=plan.currency,
        fee_percent=settings.PLATFORM_FEE_PERCENT,
        key=key,
        payment_backend=name,
        placed_by_id=placed_by_id or actor.user_id,
    )
    SubscriptionTerm.objects.create(
        subscription=row,
        order=order,
        kind=kind,
        number=row.number + 1,
        by_card=not is_in_ledger(name) and not by_buyer,
        credit_minor=credit_minor,
    )
    royalties.note_on(order, chain)
    if is_in_ledger(name):
        order.payment_reference = payments.ask(order).reference
        return fulfil(actor, order)
    payments.ask_later(order)
    audit.record(
        actor, "market:order:placed", "order", order.uuid, namespace_id=row.buyer_id,
        total=str(Money(total, plan.currency)),
    )  # fmt: skip
    return order


def charge_beyond(actor: Actor, row: Subscription, *, by_buyer: bool) -> Order | None:
    """Charge the calls beyond the quota of the present period, in the caller's transaction, which holds the subscription's lock; None when
    there is nothing. Raises OverBudget when nothing could pay it."""
    entitlement = Entitlement.objects.filter(order_id=row.order_id).select_related("order__plan").first()
    if entitlement is None or entitlement.settled_up_at is not None or row.order.state != OrderState.FULFILLED:
        return None
    return overage.charge(actor, row, entitlement, by_buyer=by_buyer)


def key_of_period(row: Subscription) -> str:
    """The key of the next order that the subscription places by itself: another one after each that was cancelled."""
    tried = row.terms.filter(number=row.number + 1).count()
    return f"{OWN_KEYS}{row.uuid}:{row.number + 1}:{tried}"


def require_renewable(row: Subscription) -> None:
    """Raises Conflict when what is subscribed to cannot be handed over now, NotFound or Gone when it is no more."""
    kind = SubjectKind(row.listing.subject_kind)
    check_sellable(kind, require_subject(ACTOR, kind, row.listing.subject_uuid), row.listing.channel)


def _collect(row: Subscription) -> None:
    """Ask for the next period, unless that is under way, or the next attempt is for later."""
    if open_term(row) is not None:
        _look_again(row, _PATIENCE)
        return
    if row.failed_at is not None:
        retry = dunning().retry_at(row.failed_at, row.attempts)
        if retry is None or retry > now():
            return
    try:
        require_renewable(row)
        owed = charge_beyond(ACTOR, row, by_buyer=False)
        if owed is not None and owed.state == OrderState.PLACED:
            _look_again(row, _PATIENCE)
            return
        plan = row.next_plan or row.plan
        order = place_period(ACTOR, row, plan, TermKind.PERIOD, key=key_of_period(row), by_buyer=False)
    except OverBudget as error:
        note_failure(row, error.message)
    except (NotFound, Gone):
        end(ACTOR, row, SubscriptionState.ENDED, "What it was for is not there any more.")
    except Conflict as error:
        _postpone(row, error.message)
    else:
        if order.state == OrderState.PLACED:
            _look_again(row, _PATIENCE)


def _suspend_late(subscription_id: int) -> None:
    """Access rests once the grace is over, whatever is under way."""
    row = locked_subscription(subscription_id)
    if row.failed_at is None or row.state not in UNPAID:
        return
    if row.state == SubscriptionState.PAST_DUE and now() >= dunning().suspend_at(row.failed_at):
        suspend(row)
    if row.look_at is not None and row.look_at <= now():
        is_suspended = row.state == SubscriptionState.SUSPENDED
        row.look_at = dunning().look_at(row.failed_at, row.attempts, is_suspended=is_suspended)
        row.save(update_fields=["look_at"])


def _tell_of_renewal(row: Subscription) -> None:
    row.look_at = row.period_end
    row.save(update_fields=["look_at"])
    if row.cancel_at_period_end or row.listing.state == ListingState.WITHDRAWN:
        return
    plan = row.next_plan or row.plan
    price = Money(price_of_period(plan.price_minor, row.quantity), plan.currency)
    tell(
        row,
        "market:subscription:coming",
        f"{row.listing.title} is renewed on {row.period_end:%-d %b %Y} for {price}. Cancel before that to end it then.",
        key=f"{row.number}:coming",
    )


def _postpone(row: Subscription, why: str) -> None:
    """It is not the buyer's fault: access goes on, and the renewal is tried again tomorrow."""
    _look_again(row, _POSTPONED)
    notify(
        row.seller_id,
        "market:subscription:postponed",
        f"The subscription of {row.listing.title} by {row.buyer.name} could not be renewed: {why}",
        url=f"/subscriptions/{row.uuid}",
        key=f"subscription:{row.uuid}:{row.number}:postponed",
    )


def _look_again(row: Subscription, after: timedelta) -> None:
    row.look_at = now() + after
    row.save(update_fields=["look_at"])
