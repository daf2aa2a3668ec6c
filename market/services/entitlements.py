"""Opening and closing what an order buys: grants below in the registry and in compute, budgets in metering."""

from contextlib import suppress
from typing import TYPE_CHECKING

from accounts.actors import Actor, system
from accounts.directory import holder_of, people_by_id
from accounts.services import grants
from common.clock import now
from common.errors import NotFound
from market.models import Entitlement, Order, SeatHolder
from market.rating import CallPack
from market.services import market_events
from market.states import PlanKind, SubjectKind
from market.subjects import LEVELS, model_of, require_subject
from market.tiers import tiers_of
from metering.services import budgets
from metering.services.caps import MICRO
from metering.units import METER_OF, Unit

if TYPE_CHECKING:
    from django.db.models import Model

    from accounts.models import Organization, User
    from metering.models import Budget


def open_entitlement(actor: Actor, order: Order, *, is_first: bool) -> Entitlement:
    """Open what a paid order buys, in the caller's transaction: entitlement, grant to the buyer (of seats: to whomever the buyer gives
    one), and for an endpoint a budget of calls. `is_first`: the buyer never ordered from this listing, so the plan's included calls come with it. One per order:
    the database refuses a second."""
    plan, kind = order.plan, SubjectKind(order.listing.subject_kind)
    granted, included = _calls(order, is_first=is_first) if kind == SubjectKind.ENDPOINT else (None, 0)
    is_prepaid = plan.kind == PlanKind.PAY_PER_USE
    entitlement = Entitlement.objects.create(
        order=order,
        holder=order.buyer,
        listing=order.listing,
        subject_kind=kind,
        subject_uuid=order.listing.subject_uuid,
        granted_units=granted,
        included_units=included,
        seats=order.quantity if plan.per_seat and order.buyer.is_organization else None,
        held_minor=order.total_minor if is_prepaid else 0,
        settled_up_at=None if is_prepaid or plan.overage_minor is not None else now(),
    )
    subject = require_subject(system("market"), kind, entitlement.subject_uuid)
    _grant(actor, entitlement, subject)
    if kind == SubjectKind.ENDPOINT:
        budgets.top_up(
            source=entitlement.source,
            holder=order.buyer.uuid,
            subject=entitlement.subject_uuid,
            meter=METER_OF[Unit(plan.unit)],
            amount=granted,
            price_micro=-(-order.total_minor * MICRO // granted) if is_prepaid and granted else 0,
            currency=order.currency,
        )
    return entitlement


def close_entitlement(actor: Actor, entitlement: Entitlement) -> "Budget | None":
    """Take back what an entitlement opens, in the caller's transaction; returns its budget, if it has one, with what was used and
    what is still held for calls in flight. A second call changes nothing."""
    kind = SubjectKind(entitlement.subject_kind)
    grants.revoke(actor, model_of(kind), entitlement.source)
    if entitlement.revoked_at is None:
        entitlement.revoked_at = now()
        entitlement.save(update_fields=["revoked_at"])
        market_events.tell_of_end(entitlement)
    return budgets.close(entitlement.source) if kind == SubjectKind.ENDPOINT else None


def freeze_entitlement(actor: Actor, entitlement: Entitlement) -> "Budget | None":
    """Let what an entitlement opens rest, in the caller's transaction: in every process at once, as if it were closed. Returns its
    budget, if it has one. A second call changes nothing."""
    kind = SubjectKind(entitlement.subject_kind)
    grants.revoke(actor, model_of(kind), entitlement.source)
    if entitlement.frozen_at is None:
        entitlement.frozen_at = now()
        entitlement.save(update_fields=["frozen_at"])
    return budgets.close(entitlement.source) if kind == SubjectKind.ENDPOINT else None


def unfreeze_entitlement(actor: Actor, entitlement: Entitlement) -> None:
    """Open again what rested, in the caller's transaction. What is gone meanwhile (a deleted
    repository) stays shut. A second call changes nothing."""
    if entitlement.frozen_at is None or entitlement.revoked_at is not None:
        return
    kind = SubjectKind(entitlement.subject_kind)
    entitlement.frozen_at = None
    entitlement.save(update_fields=["frozen_at"])
    with suppress(NotFound):
        subject = require_subject(system("market"), kind, entitlement.subject_uuid)
        _grant(actor, entitlement, subject)
    if kind == SubjectKind.ENDPOINT:
        budgets.reopen(entitlement.source)


def _grant(actor: Actor, entitlement: Entitlement, subject: "Model") -> None:
    holders: list[User | Organization] = [holder_of(entitlement.holder)]
    if entitlement.seats is not None:
        seated = SeatHolder.objects.filter(entitlement=entitlement).order_by("user_id")
        holders = list(people_by_id(seated.values_list("user_id", flat=True)).values())
    for holder in holders:
        grants.grant(actor, subject, holder, LEVELS[SubjectKind(entitlement.subject_kind)], source=entitlement.source)


def pack_of(entitlement: Entitlement) -> CallPack:
    """What rating needs to know of a prepaid entitlement. Wants `order__plan` joined. Tiers are counted for each order by itself:
    its first paid call is the first call of the first tier."""
    assert entitlement.granted_units is not None, "only prepaid calls are rated"
    return CallPack(
        entitlement.granted_units,
        entitlement.included_units,
        entitlement.held_minor,
        tiers_of(entitlement.order.plan),
    )


def _calls(order: Order, *, is_first: bool) -> tuple[int | None, int]:
    """(calls granted, None: without limit; how many of them are free)"""
    plan = order.plan
    if plan.kind == PlanKind.SUBSCRIPTION and plan.included_units is not None:
        included = plan.included_units * order.quantity
        return included + (plan.overage_units or 0), included
    if plan.kind != PlanKind.PAY_PER_USE:
        seats = order.quantity if plan.per_seat else 1
        return (None if plan.included_units is None else plan.included_units * seats), 0
    included = (plan.included_units or 0) if is_first else 0
    return order.quantity * plan.unit_size + included, included
