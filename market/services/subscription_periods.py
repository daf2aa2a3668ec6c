"""The life of a subscription, step by step, in the transaction of whoever makes the step: a period begins when its order is paid, a
failure is noted, access rests, it is over.

Locks are taken in one order: an order, its subscription, accounts."""

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from accounts.actors import Actor, system
from accounts.services import audit
from common.clock import now
from common.errors import Conflict
from common.money import Money
from market.models import Entitlement, Order, Subscription, SubscriptionTerm
from market.overdue import dunning, notice_ahead
from market.services import seats
from market.services.entitlements import close_entitlement, freeze_entitlement
from market.states import SUBSCRIPTIONS, UNPAID, PlanKind, SubscriptionState, TermKind
from market.subscriptions import period_after
from notices.services import notify

ACTOR = system("subscriptions")
RETURNED = "Its order was returned."
_DAY = "%-d %b %Y"


def locked_subscription(pk: int) -> Subscription:
    """The subscription as it is now, locked until the caller's transaction ends; joined with all that it names."""
    # the lock first and the joins after it: PostgreSQL drops a row from a locking join when its keys have changed while it waited
    Subscription.objects.select_for_update(no_key=True).get(pk=pk)
    joined = ("buyer", "seller", "listing__namespace", "plan", "next_plan", "order")
    return Subscription.objects.select_related(*joined).get(pk=pk)


def is_running(subscription: Subscription) -> bool:
    return not SUBSCRIPTIONS.is_final(SubscriptionState(subscription.state))


def term_of(order: Order) -> SubscriptionTerm | None:
    """What an order pays of a subscription, its subscription locked; None for an order that begins one, and for all others."""
    if order.plan.kind != PlanKind.SUBSCRIPTION:
        return None
    term = SubscriptionTerm.objects.filter(order=order).first()
    if term is not None:
        term.subscription = locked_subscription(term.subscription_id)
    return term


def claim(order: Order) -> SubscriptionTerm | None:
    """`term_of` an order that is about to be fulfilled. Raises Conflict when the subscription is over, or has been paid another way
    meanwhile: then the money goes back."""
    term = term_of(order)
    if term is None:
        return None
    subscription = term.subscription
    if term.part:
        return term
    if not is_running(subscription):
        raise Conflict("The subscription is over.", code="subscription_over")
    if term.number != subscription.number + 1:
        raise Conflict("This period is paid already.", code="period_paid")
    return term


def begin_period(actor: Actor, order: Order, entitlement: Entitlement, term: SubscriptionTerm | None) -> None:
    """Begin what a paid order pays: a new subscription, or the next period of one, whose former access ends. The
    state machine of the order lets it happen once. Raises Conflict when the buyer has a subscription of the listing already."""
    if term is None:
        _begin_subscription(actor, order)
    else:
        _begin_next(actor, order, entitlement, term)


def order_cancelled(order: Order, why: str) -> None:
    """The order was never paid: its period can be asked for again, and what was taken from a card counts as a failed attempt. A second
    call changes nothing."""
    term = term_of(order)
    if term is None or term.voided_at is not None:
        return
    term.voided_at = now()
    term.save(update_fields=["voided_at"])
    subscription = term.subscription
    is_next = term.part == 0 and term.number == subscription.number + 1
    # calls beyond the quota are paid before the next period is
    is_owed = term.part > 0 and term.number == subscription.number and now() >= subscription.period_end
    if not is_running(subscription) or not (is_next or is_owed):
        return
    if term.by_card:
        note_failure(subscription, why)
    else:
        subscription.look_at = _next_look(subscription)
        subscription.save(update_fields=["look_at"])


def order_ended(actor: Actor, order: Order, reason: str) -> None:
    """The order was returned, or its payment taken back for good: when it paid the present period, the subscription is over."""
    term = term_of(order)
    if term is not None and is_running(term.subscription) and term.subscription.order_id == order.pk:
        end(actor, term.subscription, SubscriptionState.ENDED, reason)


def is_past(order: Order) -> bool:
    """Whether an order paid a period of a subscription that is not the present one, or calls of a period. One or two queries."""
    if order.plan.kind != PlanKind.SUBSCRIPTION:
        return False
    term = SubscriptionTerm.objects.filter(order=order).select_related("subscription").first()
    return term is not None and term.subscription.order_id != order.pk


def rests(order: Order) -> bool:
    """Whether access that an order gave rests because the next period is not paid."""
    term = term_of(order)
    return term is not None and term.subscription.state == SubscriptionState.SUSPENDED


def note_failure(subscription: Subscription, why: str) -> None:
    """The next period could not be collected: tried again later, access goes on for the grace. The caller holds the lock."""
    at = now()
    if subscription.state not in UNPAID:
        _move(subscription, SubscriptionState.PAST_DUE)
    subscription.failed_at = subscription.failed_at or at
    subscription.attempts += 1
    subscription.problem = why[:300]
    subscription.look_at = _next_look(subscription)
    subscription.save(update_fields=["state", "failed_at", "attempts", "problem", "look_at"])
    until = dunning().suspend_at(subscription.failed_at)
    ending = (
        f"access goes on until {until:{_DAY}}" if subscription.state == SubscriptionState.PAST_DUE else "access rests"
    )
    tell(
        subscription,
        "market:subscription:failed",
        f"The renewal of {subscription.listing.title} could not be paid: {why} Pay it yourself; {ending}.",
        key=f"{subscription.number}:failed:{subscription.attempts}",
        detail={"attempt": subscription.attempts, "reason": why[:200]},
    )


def suspend(subscription: Subscription) -> None:
    """The grace is over: access rests, in every process at once. The caller holds the lock. A second call changes nothing."""
    if subscription.state != SubscriptionState.PAST_DUE:
        return
    _move(subscription, SubscriptionState.SUSPENDED)
    entitlement = _entitlement_of(subscription)
    if entitlement is not None and entitlement.revoked_at is None:
        freeze_entitlement(ACTOR, entitlement)
    subscription.look_at = _next_look(subscription)
    subscription.save(update_fields=["state", "look_at"])
    tell(
        subscription,
        "market:subscription:suspended",
        f"Access to {subscription.listing.title} rests: its renewal is not paid. It is back as soon as you pay.",
        key=f"{subscription.number}:suspended",
        with_seller=True,
    )


def end(actor: Actor, subscription: Subscription, state: SubscriptionState, reason: str) -> None:
    """It is over (`cancelled` or `ended`), and access with it. The caller holds the lock."""
    _move(subscription, state)
    entitlement = _entitlement_of(subscription)
    if entitlement is not None:
        close_entitlement(actor, entitlement)
    subscription.ended_at, subscription.end_reason, subscription.look_at = now(), reason[:200], None
    subscription.save(update_fields=["state", "ended_at", "end_reason", "look_at"])
    tell(
        subscription,
        "market:subscription:ended",
        f"The subscription of {subscription.listing.title} by {subscription.buyer.name} is over. {reason}",
        key="ended",
        with_seller=True,
        actor=actor,
        detail={"reason": reason[:200]},
    )


def tell(
    subscription: Subscription,
    tag: str,
    text: str,
    *,
    key: str,
    with_seller: bool = False,
    actor: Actor = ACTOR,
    detail: dict[str, Any] | None = None,
) -> None:
    """Audit record and word to the buyer, and the seller where it is theirs to know. `key` names the step within the subscription: each
    is told once."""
    told = [subscription.buyer, subscription.seller] if with_seller else [subscription.buyer]
    for namespace in told:
        audit.record(
            actor, tag, "subscription", subscription.uuid, namespace_id=namespace.pk, state=subscription.state,
            **(detail or {}),
        )  # fmt: skip
        notify(
            namespace.pk,
            tag,
            text,
            url=f"/subscriptions/{subscription.uuid}",
            key=f"subscription:{subscription.uuid}:{key}:{namespace.pk}",
        )


def is_trial(order: Order) -> bool:
    """Whether an order that begins a subscription costs nothing because it is a trial."""
    return order.plan.trial_days > 0 and not order.total_minor and not order.discount_minor


def _begin_subscription(actor: Actor, order: Order) -> None:
    plan, start, trial = order.plan, now(), is_trial(order)
    period_end = start + timedelta(days=plan.trial_days) if trial else period_after(start, plan.interval, start)
    try:
        with transaction.atomic():
            subscription = Subscription.objects.create(
                buyer=order.buyer,
                seller=order.seller,
                listing=order.listing,
                plan=plan,
                quantity=order.quantity,
                state=SubscriptionState.TRIALING if trial else SubscriptionState.ACTIVE,
                order=order,
                anchor_at=period_end if trial else start,
                period_start=start,
                period_end=period_end,
                had_trial=trial,
                look_at=_told_at(start, period_end),
                created_by_id=order.placed_by_id,
            )
    except IntegrityError as error:
        raise Conflict(f"{order.buyer.name} has a subscription of this already.", code="subscribed_already") from error
    SubscriptionTerm.objects.create(
        subscription=subscription,
        order=order,
        kind=TermKind.TRIAL if trial else TermKind.PERIOD,
        number=1,
        starts_at=start,
        ends_at=period_end,
    )
    for namespace in (order.buyer, order.seller):
        audit.record(
            actor, "market:subscription:started", "subscription", subscription.uuid, namespace_id=namespace.pk,
            plan=str(plan.uuid), until=f"{period_end:%Y-%m-%d}",
        )  # fmt: skip


def _begin_next(actor: Actor, order: Order, entitlement: Entitlement, term: SubscriptionTerm) -> None:
    subscription, at = term.subscription, now()
    before = SubscriptionState(subscription.state)
    former = _entitlement_of(subscription)
    # what was given while it was not paid is paid with the period; days on which access rested are not
    begins_now = (
        term.kind == TermKind.UPGRADE
        or before == SubscriptionState.SUSPENDED
        or at >= dunning().suspend_at(subscription.period_end)
    )
    start = max(at, subscription.period_start) if begins_now else subscription.period_end
    plan = order.plan
    was_trial = before == SubscriptionState.TRIALING or (subscription.had_trial and subscription.number == 1)
    if begins_now or was_trial or plan.interval != subscription.plan.interval:
        subscription.anchor_at = start
    _move(subscription, SubscriptionState.ACTIVE)
    subscription.plan, subscription.next_plan, subscription.quantity = plan, None, order.quantity
    subscription.order, subscription.number = order, term.number
    subscription.period_start = start
    subscription.period_end = period_after(subscription.anchor_at, plan.interval, start)
    subscription.failed_at, subscription.attempts, subscription.problem = None, 0, ""
    subscription.look_at = _told_at(start, subscription.period_end)
    subscription.save()
    term.starts_at, term.ends_at = start, subscription.period_end
    term.save(update_fields=["starts_at", "ends_at"])
    if former is not None and former.pk != entitlement.pk:
        seats.carry_over(actor, former, entitlement)
        close_entitlement(actor, former)
    _tell_of_period(actor, subscription, term, before, Money(order.total_minor, order.currency))


def _tell_of_period(
    actor: Actor, subscription: Subscription, term: SubscriptionTerm, before: SubscriptionState, paid: Money
) -> None:
    title, until = subscription.listing.title, f"{subscription.period_end:{_DAY}}"
    tag, text = "market:subscription:renewed", f"{title} is renewed for {paid}, until {until}."
    if term.kind == TermKind.UPGRADE:
        tag, text = "market:subscription:changed", f"{title} goes on with {subscription.plan.name}, until {until}."
    elif before in UNPAID:
        tag, text = "market:subscription:restored", f"{title} is paid: access is yours until {until}."
    tell(subscription, tag, text, key=f"{term.number}:paid", actor=actor, detail={"until": until, "total": str(paid)})


def _next_look(subscription: Subscription) -> datetime:
    if subscription.failed_at is None:
        return max(subscription.period_end, now())
    is_suspended = subscription.state == SubscriptionState.SUSPENDED
    return dunning().look_at(subscription.failed_at, subscription.attempts, is_suspended=is_suspended)


def _told_at(start: datetime, period_end: datetime) -> datetime:
    return max(start, period_end - notice_ahead())


def _move(subscription: Subscription, state: SubscriptionState) -> None:
    SUBSCRIPTIONS.ensure(SubscriptionState(subscription.state), state)
    subscription.state = state


def _entitlement_of(subscription: Subscription) -> Entitlement | None:
    return Entitlement.objects.select_related("holder").filter(order_id=subscription.order_id).first()
