"""Slices of budgets, held in advance so that a call needs no database.

A slice is an amount that the database has set aside for this process. A call takes one unit from it in memory; a call that is
not served puts it back. What has been served is settled when its record is ingested, which shrinks the hold by as much. So
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

_SPENT = "The calls that were bought for this model are used up: buy more to go on."
_SPENT_TRIAL = "Today's free calls are used up: choose a plan to go on, or come back tomorrow (UTC)."

Hold = Callable[[int, int], Coroutine[Any, Any, int]]
Release = Callable[[int, int], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class _Slice:
    remaining: int = 0
    size: int = FIRST_SLICE
    """In calls."""
    unit: int = 1
    """The most that one call has taken from it."""
    usable_until: float = 0.0
    used_at: float = 0.0
    spent_until: float = 0.0
    waiting: int = 0
    refill: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Ticket:
    """One unit taken for one call. `budget_pk` 0: none was needed. `caps`: (budget of a cap's month, what was taken from it)."""

    payer: UUID
    budget_pk: int = 0
    is_held: bool = False
    caps: tuple[tuple[int, int], ...] = ()


class Purse:
    """`hold(budget, amount)` sets aside up to `amount` and says how much it got; `release` gives back."""

    def __init__(self, hold: Hold, release: Release) -> None:
        self._hold = hold
        self._release = release
        self._slices: dict[int, _Slice] = {}
        self._releases: set[asyncio.Task[None]] = set()

    def take(self, seats: tuple[Seat, ...]) -> Ticket | None:
        """A ticket without waiting, or None: then `draw`."""
        now = time.time()
        for seat in seats:
            if seat.valid_until is not None and seat.valid_until <= now:
                continue
            if seat.caps:
                ticket = self._take_capped(seat, now)
                if ticket is not None:
                    return ticket
                continue
            if not seat.needs_budget:
                return Ticket(seat.payer)
            for budget in seat.budgets:
                if budget.valid_until is not None and budget.valid_until <= now:
                    continue
                if budget.is_unlimited:
                    return Ticket(seat.payer, budget.pk)
                held = self._slices.get(budget.pk)
                if held is not None and held.remaining > 0 and now < held.usable_until:
                    held.remaining -= 1
                    held.used_at = now
                    if held.remaining < held.size // 2 and held.refill is None and now >= held.spent_until:
                        self._begin_refill(budget.pk, held)
                    return Ticket(seat.payer, budget.pk, is_held=True)
        return None

    async def draw(self, seats: tuple[Seat, ...]) -> Ticket:
        """A ticket, after asking the database if need be. Raises OverBudget when every budget is spent or has ended, and
        whatever `hold` raises."""
        while True:
            ticket = self.take(seats)
            if ticket is not None:
                return ticket
            pending = self._first_unspent(seats)
            if pending is None:
                raise self._refusal(seats)
            pk, amount = pending
            held = self._slices.setdefault(pk, _Slice())
            held.unit = max(held.unit, amount)
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
            self._slices.setdefault(ticket.budget_pk, _Slice()).remaining += 1
        for pk, amount in ticket.caps:
            self._slices.setdefault(pk, _Slice()).remaining += amount

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

    def _take_capped(self, seat: Seat, now: float) -> Ticket | None:
        """A ticket from one of the seat's budgets and all of its caps, or from none of them."""
        for budget in _choices(seat, now):
            needs = _needs(seat, budget, now)
            found = [self._slices.get(pk) for pk, _ in needs]
            if not all(
                held is not None and held.remaining >= amount and now < held.usable_until
                for held, (_, amount) in zip(found, needs, strict=True)
            ):
                continue
            for held, (pk, amount) in zip(found, needs, strict=True):
                assert held is not None
                held.remaining -= amount
                held.used_at = now
                low = held.size * held.unit // 2
                if held.remaining < low and held.refill is None and now >= held.spent_until:
                    self._begin_refill(pk, held)
            is_held = budget is not None and not budget.is_unlimited
            return Ticket(seat.payer, budget.pk if budget else 0, is_held, tuple(needs[1:] if is_held else needs))
        return None

    def _first_unspent(self, seats: tuple[Seat, ...]) -> tuple[int, int] | None:
        """The budget that is to be asked next, and how much of it a call takes; None when no way is left."""
        now = time.time()
        for seat in seats:
            if seat.valid_until is not None and seat.valid_until <= now:
                continue
            for budget in _choices(seat, now):
                lacking = [
                    (pk, amount)
                    for pk, amount in _needs(seat, budget, now)
                    if (held := self._slices.get(pk)) is None or held.remaining < amount or now >= held.usable_until
                ]
                if lacking and not any(self._is_spent(pk, now) for pk, _ in lacking):
                    return lacking[0]
        return None

    def _is_spent(self, pk: int, now: float) -> bool:
        held = self._slices.get(pk)
        return held is not None and now < held.spent_until

    def _refusal(self, seats: tuple[Seat, ...]) -> OverBudget:
        """Names the cap that is in the way, if it is one: a budget may be left behind it."""
        now = time.time()
        for seat in seats:
            for budget in _choices(seat, now):
                needs = dict(_needs(seat, budget, now))
                if budget is not None and self._is_spent(budget.pk, now):
                    continue
                for cap in seat.caps:
                    if cap.pk in needs and self._is_spent(cap.pk, now):
                        return OverBudget(
                            f"A cap is used up: {cap.words}. It opens again on {_first_of_next(cap)}, or when it is raised.",
                            code="cap_reached",
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


def _needs(seat: Seat, budget: OpenBudget | None, now: float) -> list[tuple[int, int]]:
    """What one call takes: a unit of its budget, if that has an end, and from each cap of this month 1 or its price."""
    needs = [] if budget is None or budget.is_unlimited else [(budget.pk, 1)]
    for cap in seat.caps:
        if cap.starts_at <= now < cap.ends_at:
            amount = 1
            if cap.currency:
                amount = budget.price_micro if budget is not None and budget.currency == cap.currency else 0
            if amount:
                needs.append((cap.pk, amount))
    return needs


def _first_of_next(cap: OpenCap) -> str:
    return f"{datetime.fromtimestamp(cap.ends_at, UTC):%-d %b %Y} UTC"
