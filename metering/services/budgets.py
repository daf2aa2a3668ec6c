"""Filling budgets, holding slices of them, giving slices back. Whoever changes a budget holds its row's lock."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.services.access import bump_access_version
from common.clock import now
from common.errors import Conflict, NotFound
from metering.meters import Meter
from metering.models import Budget, BudgetHold

HOLD_LIFETIME = timedelta(minutes=10)
"""A slice that was not renewed for so long belongs to a dead process; the process's own spool is replayed well before."""


def top_up(
    *,
    source: str,
    holder: UUID,
    subject: UUID,
    meter: Meter,
    amount: int | None,
    valid_until: datetime | None = None,
    price_micro: int = 0,
    currency: str = "",
) -> Budget:
    """Open the budget of `source` with `amount` units (None: without limit), in the caller's transaction. Safe to repeat: a source
    fills its budget once. `price_micro`: what a unit counts for in caps on money, millionths of a minor unit of `currency`. Raises Conflict when it was closed or says something else than before."""
    with transaction.atomic():
        budget, is_new = Budget.objects.get_or_create(
            source=source,
            defaults={
                "holder": holder,
                "subject": subject,
                "meter": meter,
                "granted": amount,
                "valid_until": valid_until,
                "price_micro": price_micro,
                "currency": currency,
            },
        )
        if is_new:
            bump_access_version()
        elif budget.closed_at or (budget.holder, budget.subject, budget.meter, budget.granted) != (
            holder,
            subject,
            meter,
            amount,
        ):
            raise Conflict("This budget was opened before, with other figures.", code="budget_differs")
    return budget


def close(source: str) -> Budget | None:
    """End a budget: nothing more is held from it. Returns it with what was used and is still held (calls in flight); None when
    there is none. A second call changes nothing."""
    with transaction.atomic():
        budget = Budget.objects.select_for_update().filter(source=source).first()
        if budget is not None and budget.closed_at is None:
            budget.closed_at = now()
            budget.save(update_fields=["closed_at"])
            bump_access_version()
    return budget


def reopen(source: str) -> Budget | None:
    """Let a budget that was closed be held from again, with what is left of it, until the same day as before. None when there is
    none. A second call changes nothing."""
    with transaction.atomic():
        budget = Budget.objects.select_for_update().filter(source=source).first()
        if budget is not None and budget.closed_at is not None:
            budget.closed_at = None
            budget.save(update_fields=["closed_at"])
            bump_access_version()
    return budget


def hold(budget_id: int, owner: str, amount: int) -> int:
    """Set aside up to `amount` more units for the process `owner`; returns how many it got: fewer near the end of the budget, 0 when
    it is spent, closed or over. Renews the slice's life. Never more is held than is left, however many ask at once."""
    with transaction.atomic():
        budget = Budget.objects.select_for_update().filter(pk=budget_id).first()
        if budget is None:
            raise NotFound("There is no such budget.")
        if budget.closed_at or (budget.valid_until and budget.valid_until <= now()):
            return 0
        got = amount if budget.left is None else min(amount, budget.left)
        if got:
            Budget.objects.filter(pk=budget_id).update(held=F("held") + got)
        slice_, _ = BudgetHold.objects.select_for_update().get_or_create(
            budget=budget, owner=owner, defaults={"amount": 0, "expires_at": now() + HOLD_LIFETIME}
        )
        BudgetHold.objects.filter(pk=slice_.pk).update(amount=F("amount") + got, expires_at=now() + HOLD_LIFETIME)
    return got


def renew(owner: str) -> None:
    """Keep the slices of a living process from expiring; those of closed budgets lapse, so that a refund can be reckoned."""
    BudgetHold.objects.filter(owner=owner, budget__closed_at__isnull=True).update(expires_at=now() + HOLD_LIFETIME)


def give_back(budget_id: int, owner: str, amount: int) -> int:
    """Give back up to `amount` units of one slice that its living owner no longer counts on; returns how many. Not safe to repeat:
    the owner sets the units aside in its own memory first."""
    with transaction.atomic():
        budget = Budget.objects.select_for_update().filter(pk=budget_id).first()
        slice_ = BudgetHold.objects.select_for_update().filter(budget_id=budget_id, owner=owner).first()
        if budget is None or slice_ is None:
            return 0
        units = min(amount, slice_.amount)
        BudgetHold.objects.filter(pk=slice_.pk).update(amount=F("amount") - units)
        Budget.objects.filter(pk=budget_id).update(held=F("held") - units)
    return units


def release(owner: str) -> int:
    """Give back everything that `owner` holds and has not drawn; returns how many units. For a process that ends, or whose spool
    has been replayed. A second call gives back nothing."""
    return sum(
        _give_back(pk)
        for pk in BudgetHold.objects.filter(owner=owner).order_by("budget_id").values_list("pk", flat=True)
    )


def release_expired() -> int:
    """Give back the slices of processes that have not been heard of; returns how many units."""
    lapsed = BudgetHold.objects.filter(expires_at__lt=now()).order_by("budget_id")
    return sum(_give_back(pk, only_expired=True) for pk in lapsed.values_list("pk", flat=True))


def _give_back(hold_id: int, *, only_expired: bool = False) -> int:
    with transaction.atomic():
        found = BudgetHold.objects.filter(pk=hold_id).first()
        if found is None:
            return 0
        # the order of locks is everywhere: budget, then hold
        Budget.objects.select_for_update().get(pk=found.budget_id)
        slice_ = BudgetHold.objects.select_for_update().filter(pk=hold_id).first()
        if slice_ is None or (only_expired and slice_.expires_at >= now()):
            return 0
        Budget.objects.filter(pk=slice_.budget_id).update(held=F("held") - slice_.amount)
        slice_.delete()
        return slice_.amount


def note_warning(budget_id: int, percent: int) -> bool:
    """Note, in the caller's transaction, that people are told that `percent` of a budget are used; False when they have been told of as
    much already: one caller of many gets True."""
    return bool(Budget.objects.filter(pk=budget_id, warned_percent__lt=percent).update(warned_percent=percent))
