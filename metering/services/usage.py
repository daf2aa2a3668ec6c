"""Recording usage: exactly once per event, whatever is repeated."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from common.errors import Busy, Invalid
from metering.meters import Meter
from metering.models import Budget, BudgetHold, UsageRecord

_BATCH = 500
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Usage:
    """One event. `quantity` ≥ 0 in the meter's unit; `payer` and `subject` are uuids; `budget` is the primary key of the Budget it
    is drawn from, if any, by `units` ≥ 0 of that budget's meter (None: by the quantity); `version` of a call: what answered it;
    `occurred_at` aware."""

    meter: Meter
    source: str
    source_id: str
    quantity: int
    subject: UUID
    occurred_at: datetime
    payer: UUID | None = None
    budget: int | None = None
    units: int | None = None
    version: UUID | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def drawn(self) -> int:
        """What it draws from its budget."""
        return self.quantity if self.units is None else self.units


def record(usage: Usage, *, owner: str = "") -> bool:
    """Record one event; False when it was recorded before."""
    return record_many([usage], owner=owner) == 1


def record_many(events: Sequence[Usage], *, owner: str = "") -> int:
    """Record events and draw their budgets, each batch in one transaction; returns how many were new. `owner` is the process whose
    holds cover them: a hold shrinks by what is drawn. Events seen before, ever, are passed over, so any part of a list may be sent
    again; of two that differ the first stands. An event above its budget is recorded all the same: it has happened. Raises Invalid for
    a negative quantity, before anything is written."""
    if any(event.quantity < 0 or event.drawn < 0 for event in events):
        raise Invalid("A quantity that was used is not negative.")
    return sum(_record_batch(events[start : start + _BATCH], owner) for start in range(0, len(events), _BATCH))


def _record_batch(events: Sequence[Usage], owner: str) -> int:
    unique: dict[tuple[Meter, str, str], Usage] = {}
    for event in events:
        unique.setdefault((event.meter, event.source, event.source_id), event)
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                return _insert(unique, owner)
        except IntegrityError:
            # somebody else recorded one of these between our look and our insert: look again
            continue
    raise Busy("The usage could not be recorded at this moment: send it again.")


def _insert(unique: dict[tuple[Meter, str, str], Usage], owner: str) -> int:
    ids = [source_id for _, _, source_id in unique]
    sources = {source for _, source, _ in unique}
    known = set(
        UsageRecord.objects.filter(source__in=sources, source_id__in=ids).values_list("meter", "source", "source_id")
    )
    # in one order everywhere: two batches that share events then wait for each other in the index, and never in a circle
    fresh = [unique[key] for key in sorted(unique.keys() - known)]
    UsageRecord.objects.bulk_create(
        [
            UsageRecord(
                meter=event.meter,
                source=event.source,
                source_id=event.source_id,
                quantity=event.quantity,
                units=event.drawn,
                version=event.version,
                payer=event.payer,
                subject=event.subject,
                budget_id=event.budget,
                occurred_at=event.occurred_at,
                detail=event.detail,
            )
            for event in fresh
        ]
    )
    drawn: dict[int, int] = defaultdict(int)
    for event in fresh:
        if event.budget is not None:
            drawn[event.budget] += event.drawn
    for budget_id in sorted(drawn):
        _draw(budget_id, drawn[budget_id], owner)
    return len(fresh)


def _draw(budget_id: int, quantity: int, owner: str) -> None:
    """Move `quantity` from held (as far as the owner's hold covers it) to used."""
    budget = Budget.objects.select_for_update().get(pk=budget_id)
    hold = BudgetHold.objects.select_for_update().filter(budget=budget, owner=owner).first()
    covered = min(quantity, hold.amount) if hold else 0
    if hold and covered:
        BudgetHold.objects.filter(pk=hold.pk).update(amount=F("amount") - covered)
    Budget.objects.filter(pk=budget_id).update(used=F("used") + quantity, held=F("held") - covered)
