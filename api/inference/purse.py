"""Slices of budgets, held in advance so that a call needs no database.

A slice is an amount that the database has set aside for this process. A call takes its units from it in memory; a call that is
not served puts them back. What has been served is settled when its record is ingested, which shrinks the hold by as much. So
whatever happens, `used + held` never exceeds what was granted, and a process that dies leaves its hold behind until its spool
has been replayed. Everything here is called from the event loop."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from common.errors import OverBudget
from compute.endpoint_serving import OpenBudget, OpenCap, Seat
from metering.units import Unit

FIRST_SLICE = 8
LARGEST_SLICE = 8192
"""At 10,000 calls a second, more than one hold a second: each waits for its turn to write among the others, on SQLite for a
recorder's whole batch, and the half that is left when it is asked for must last so long."""
GROWTH = 4
"""A slice that was used up quickly is followed by one so many times as large."""
IDLE_S = 2.0
"""A slice unused for so long goes back, so that another process can have it."""
USABLE_S = 60.0
"""A slice is used for so long, far below the life of the hold behind it."""
SPENT_S = 0.5
"""For so long a budget that had nothing left is not asked again."""

_SPENT = "What was bought of this model is used up: buy more to go on."
_SPENT_TRIAL = "Today's free calls are used up: choose a plan to go on, or come back tomorrow (UTC)."

Hold = Callable[[int, int], Coroutine[Any, Any, int]]
Release = Callable[[int, int], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Slice:
    remaining: int = 0
    size: int = FIRST_SLICE
    """In calls."""
    unit: int = 1
    """What a large call takes from it: the largest of late."""
    usable_until: float = 0.0
    used_at: float = 0.0
    spent_until: float = 0.0
    waiting: int = 0
    refill: asyncio.Task[None] | None = None


@dataclass(slots=True, frozen=True)
class Size:
    """How large a call is, as its request says; each ≥ 1. What it takes in seconds is known afterwards: see `Purse.settle`."""

    rows: int = 1
    tokens: int = 1

    def units(self, unit: Unit) -> int:
        """What is taken from a budget in `unit` before the call."""
        if unit is Unit.ROWS:
            return self.rows
        return self.tokens if unit is Unit.TOKENS else 1


ONE = Size()


@dataclass(slots=True)
class Part:
    """What was taken from one budget: `each` for every unit of the call, 0 where it does not depend on units."""

    pk: int
    amount: int
    each: int = 0


@dataclass(slots=True)
class Ticket:
    """What was taken for one call. `budget_pk` 0: no budget was needed. `units`: what the call counts in that budget; `taken`: what of
    it comes back if the call is not served. `caps`: the months of caps that it counts in."""

    payer: UUID
    budget_pk: int = 0
    is_held: bool = False
    caps: tuple[Part, ...] = ()
    unit: Unit = Unit.CALLS
    units: int = 1
    taken: int = 1


class Purse:
    """`hold(budget, amount)` sets aside up to `amount` and says how much it got; `release` gives back."""

    def __init__(self, hold: Hold, release: Release) -> None:
        self._hold = hold
        self._release = release
        self._slices: dict[int, _Slice] = {}
        self._releases: set[asyncio.Task[None]] = set()

    def take(self, seats: tuple[Seat, ...], size: Size = ONE) -> Ticket | None:
        """A ticket without waiting, or None: then `draw`."""
        now = time.time()
        for seat in seats:
            if seat.valid_until is not None and seat.valid_until <= now:
                continue
            if seat.caps:
                ticket = self._take_capped(seat, size, now)
                if ticket is not None:
                    return ticket
                continue
            if not seat.needs_budget:
                return Ticket(seat.payer)
            for budget in seat.budgets:
                if budget.valid_until is not None and budget.valid_until <= now:
                    continue
                units = 1 if budget.unit is Unit.CALLS else size.units(budget.unit)
                if budget.is_unlimited:
                    return Ticket(seat.payer, budget.pk, unit=budget.unit, units=units)
                held = self._slices.get(budget.pk)
                if held is not None and held.remaining >= units and now < held.usable_until:
                    self._take_from(budget.pk, held, units, now)
                    return Ticket(seat.payer, budget.pk, True, (), budget.unit, units, units)
        return None

    async def draw(self, seats: tuple[Seat, ...], size: Size = ONE) -> Ticket:
        """A ticket, after asking the database if need be. Raises OverBudget when every budget has ended or has less left than the
        call takes, and whatever `hold` raises."""
        while True:
            ticket = self.take(seats, size)
            if ticket is not None:
                return ticket
            pending = self._first_unspent(seats, size)
            if pending is None:
                raise self._refusal(seats, size)
            held = self._slices.setdefault(pending.pk, _Slice())
            # one large call does not make this process hoard for ever
            held.unit = max(held.unit // 2, pending.amount)
            pk = pending.pk
            held.waiting += 1
            try:
                if held.refill is None:
                    self._begin_refill(pk, held)
                assert held.refill is not None
                await asyncio.shield(held.refill)
            finally:
                held.waiting -= 1

    def give_back(self, ticket: Ticket) -> None:
        """The call was not served."""
        if ticket.is_held:
            self._slices.setdefault(ticket.budget_pk, _Slice()).remaining += ticket.taken
        for part in ticket.caps:
            self._slices.setdefault(part.pk, _Slice()).remaining += part.amount

    def settle(self, ticket: Ticket, units: int) -> None:
        """The call came to `units`, which nobody knew when the ticket was drawn. What a slice lacks for it is recorded all the same: it
        has happened, and is the last of its budget."""
        more = units - ticket.units
        if more <= 0:
            return
        ticket.units = units
        if ticket.is_held:
            ticket.taken += self._take_rest(ticket.budget_pk, more)
        for part in ticket.caps:
            part.amount += self._take_rest(part.pk, more * part.each)

    def forget_spent(self) -> None:
        """Rights have changed: ask again."""
        for held in self._slices.values():
            held.spent_until = 0.0

    def tick(self) -> None:
        """Give back what is idle or old. Call it about once a second."""
        now = time.time()
        for pk, held in list(self._slices.items()):
            if held.remaining and (now - held.used_at > IDLE_S or now >= held.usable_until):
                self._give_up(pk, held)
            elif not held.remaining and held.refill is None and not held.waiting and now - held.used_at > USABLE_S:
                # tickets of calls still running come back to a slice: none runs for so long
                del self._slices[pk]

    async def close(self) -> None:
        """Give everything back."""
        for pk, held in self._slices.items():
            if held.remaining:
                self._give_up(pk, held)
        await asyncio.gather(*self._releases, return_exceptions=True)

    def _take_from(self, pk: int, held: _Slice, amount: int, now: float) -> None:
        held.remaining -= amount
        held.used_at = now
        if held.remaining < held.size * held.unit // 2 and held.refill is None and now >= held.spent_until:
            self._begin_refill(pk, held)

    def _take_rest(self, pk: int, amount: int) -> int:
        held = self._slices.get(pk)
        got = 0 if held is None else min(amount, held.remaining)
        if held is not None and got > 0:
            self._take_from(pk, held, got, time.time())
        return got

    def _take_capped(self, seat: Seat, size: Size, now: float) -> Ticket | None:
        """A ticket from one of the seat's budgets and all of its caps, or from none of them."""
        for budget in _choices(seat, now):
            needs = _needs(seat, budget, size, now)
            found = [self._slices.get(part.pk) for part in needs]
            if not all(
                held is not None and held.remaining >= part.amount and now < held.usable_until
                for held, part in zip(found, needs, strict=True)
            ):
                continue
            for held, part in zip(found, needs, strict=True):
                assert held is not None
                self._take_from(part.pk, held, part.amount, now)
            if budget is None:
                return Ticket(seat.payer, caps=tuple(needs))
            units = size.units(budget.unit)
            is_held = not budget.is_unlimited
            caps = tuple(needs[1:] if is_held else needs)
            return Ticket(seat.payer, budget.pk, is_held, caps, budget.unit, units, units)
        return None

    def _first_unspent(self, seats: tuple[Seat, ...], size: Size) -> Part | None:
        """The budget that is to be asked next, and how much of it the call takes; None when no way is left."""
        now = time.time()
        for seat in seats:
            if seat.valid_until is not None and seat.valid_until <= now:
                continue
            for budget in _choices(seat, now):
                lacking = [
                    part
                    for part in _needs(seat, budget, size, now)
                    if (held := self._slices.get(part.pk)) is None
                    or held.remaining < part.amount
                    or now >= held.usable_until
                ]
                if lacking and not any(self._is_spent(part.pk, now) for part in lacking):
                    return lacking[0]
        return None

    def _is_spent(self, pk: int, now: float) -> bool:
        held = self._slices.get(pk)
        return held is not None and now < held.spent_until

    def _refusal(self, seats: tuple[Seat, ...], size: Size) -> OverBudget:
        """Names the cap that is in the way, if it is one: a budget may be left behind it."""
        now = time.time()
        for seat in seats:
            for budget in _choices(seat, now):
                needs = {part.pk for part in _needs(seat, budget, size, now)}
                if budget is not None and self._is_spent(budget.pk, now):
                    continue
                for cap in seat.caps:
                    if cap.pk in needs and self._is_spent(cap.pk, now):
                        return OverBudget(
                            f"A cap is used up: {cap.words}. It opens again on {_first_of_next(cap)}, or when it is raised.",
                            code="cap_reached",
                        )
        units = {budget.unit for seat in seats for budget in _choices(seat, now) if budget is not None} - {Unit.CALLS}
        for unit in sorted(units):
            if size.units(unit) > 1:
                return OverBudget(
                    f"This call takes {size.units(unit):,} {unit}, and fewer are left: buy more to go on, or ask for less."
                )
        return OverBudget(_SPENT_TRIAL if all(seat.is_trial for seat in seats) else _SPENT)

    def _give_up(self, pk: int, held: _Slice) -> None:
        amount, held.remaining = held.remaining, 0
        held.size = FIRST_SLICE
        task = asyncio.create_task(self._release(pk, amount))
        self._releases.add(task)
        task.add_done_callback(self._released)

    def _released(self, task: asyncio.Task[None]) -> None:
        self._releases.discard(task)
        if not task.cancelled():
            # a release that fails leaves the hold to its expiry
            task.exception()

    def _begin_refill(self, pk: int, held: _Slice) -> None:
        held.refill = asyncio.create_task(self._refill(pk, held))
        held.refill.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _refill(self, pk: int, held: _Slice) -> None:
        now = time.time()
        try:
            if held.remaining and now >= held.usable_until:
                self._give_up(pk, held)
            elif now - held.used_at < 1.0 and held.usable_until:
                # the last slice was used up quickly
                held.size = min(LARGEST_SLICE, held.size * GROWTH)
            # what is on its way back counts as free
            await asyncio.gather(*self._releases, return_exceptions=True)
            got = await self._hold(pk, max(held.size, held.waiting) * held.unit)
            if got:
                held.remaining += got
                held.usable_until = now + USABLE_S
                held.used_at = time.time()
            if not got or held.remaining < held.unit:
                held.spent_until = time.time() + SPENT_S
        finally:
            held.refill = None


def _choices(seat: Seat, now: float) -> tuple[OpenBudget, ...] | tuple[None]:
    """What a call could draw on: budgets that have not ended, or, where none is needed, none."""
    if not seat.needs_budget:
        return (None,)
    return tuple(each for each in seat.budgets if each.valid_until is None or each.valid_until > now)


def _needs(seat: Seat, budget: OpenBudget | None, size: Size, now: float) -> list[Part]:
    """What one call takes: its units of its budget, if that has an end, and from each cap of this month 1 or their price."""
    units = 1 if budget is None else size.units(budget.unit)
    needs = [] if budget is None or budget.is_unlimited else [Part(budget.pk, units, 1)]
    for cap in seat.caps:
        if cap.starts_at <= now < cap.ends_at:
            if not cap.currency:
                needs.append(Part(cap.pk, 1))
            elif budget is not None and budget.currency == cap.currency and budget.price_micro:
                needs.append(Part(cap.pk, budget.price_micro * units, budget.price_micro))
    return needs


def _first_of_next(cap: OpenCap) -> str:
    return f"{datetime.fromtimestamp(cap.ends_at, UTC):%-d %b %Y} UTC"
