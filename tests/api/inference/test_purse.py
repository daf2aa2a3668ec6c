"""The purse against real budgets, without a server."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.db import connection

from api.inference.database import DatabaseThread
from api.inference.purse import Purse, Size, Ticket
from common.clock import now
from common.errors import OverBudget
from common.ids import new_uuid
from compute.endpoint_serving import OpenBudget, Seat
from metering.meters import Meter
from metering.models import Budget
from metering.services import budgets, usage
from metering.units import Unit

pytestmark = pytest.mark.django_db(transaction=True)

HOLDER = new_uuid()


def opened(amount: int | None, source: str = "entitlement:1") -> Budget:
    return budgets.top_up(source=source, holder=HOLDER, subject=UUID(int=1), meter=Meter.INFERENCE_CALLS, amount=amount)


def seat(*rows: Budget) -> tuple[Seat, ...]:
    return (Seat(HOLDER, tuple(OpenBudget(row.pk, row.granted is None, None) for row in rows), needs_budget=True),)


class Bank:
    """The database's side, as the process has it; counts how often it is asked."""

    def __init__(self) -> None:
        self.holds = 0
        self.thread = DatabaseThread()

    async def hold(self, pk: int, amount: int) -> int:
        self.holds += 1
        return await self.thread.run(budgets.hold, pk, "me", amount)

    async def release(self, pk: int, amount: int) -> None:
        await self.thread.run(budgets.give_back, pk, "me", amount)


@pytest.fixture
def bank() -> Iterator[Bank]:
    opened_bank = Bank()
    yield opened_bank
    opened_bank.thread.close()


def test_exactly_what_was_granted_is_served_and_the_database_is_asked_seldom(bank):
    budget = opened(500)

    async def many() -> list[object]:
        purse = Purse(bank.hold, bank.release)
        return await asyncio.gather(*(purse.draw(seat(budget)) for _ in range(700)), return_exceptions=True)

    results = asyncio.run(many())
    assert sum(isinstance(each, OverBudget) for each in results) == 200
    assert sum(getattr(each, "budget_pk", None) == budget.pk for each in results) == 500
    assert bank.holds < 30


def test_a_ticket_given_back_is_served_again(bank):
    budget = opened(1)

    async def story() -> None:
        purse = Purse(bank.hold, bank.release)
        ticket = await purse.draw(seat(budget))
        with pytest.raises(OverBudget):
            await purse.draw(seat(budget))
        purse.give_back(ticket)
        assert purse.take(seat(budget)) is not None

    asyncio.run(story())


def test_the_next_budget_is_used_when_the_first_is_spent(bank):
    first, second = opened(1), opened(1, "entitlement:2")

    async def story() -> list[int]:
        purse = Purse(bank.hold, bank.release)
        return [(await purse.draw(seat(first, second))).budget_pk for _ in range(2)]

    assert asyncio.run(story()) == [first.pk, second.pk]


def test_closing_gives_back_what_was_not_used(bank):
    budget = opened(100)

    async def story() -> None:
        purse = Purse(bank.hold, bank.release)
        await purse.draw(seat(budget))
        await purse.close()

    asyncio.run(story())
    assert Budget.objects.get(pk=budget.pk).held == 1


def test_a_budget_that_has_ended_serves_nothing(bank):
    budget = opened(100)
    ended = (Seat(HOLDER, (OpenBudget(budget.pk, False, 1.0),), needs_budget=True),)

    async def story() -> None:
        with pytest.raises(OverBudget):
            await Purse(bank.hold, bank.release).draw(ended)

    asyncio.run(story())
    assert bank.holds == 0


def test_a_seat_that_has_ended_is_passed_over(bank):
    async def story() -> object:
        purse = Purse(bank.hold, bank.release)
        return purse.take((Seat(HOLDER, valid_until=1.0), Seat(UUID(int=5))))

    assert asyncio.run(story()).payer == UUID(int=5)


def in_units(budget: Budget, unit: Unit) -> tuple[Seat, ...]:
    return (Seat(HOLDER, (OpenBudget(budget.pk, False, None, unit=unit),), needs_budget=True),)


def test_a_call_takes_its_rows_or_nothing(bank):
    budget = opened(100)
    seats = in_units(budget, Unit.ROWS)

    async def some() -> list[int]:
        purse = Purse(bank.hold, bank.release)
        whole = await purse.draw(seats, Size(rows=60, tokens=7))
        with pytest.raises(OverBudget, match="This call takes 50 rows, and fewer are left"):
            await purse.draw(seats, Size(rows=50))
        small = [await purse.draw(seats, Size(rows=20)) for _ in range(2)]
        with pytest.raises(OverBudget, match="used up"):
            await purse.draw(seats, Size(rows=1))
        purse.give_back(whole)
        again = await purse.draw(seats, Size(rows=60))
        return [each.units for each in (whole, *small, again)]

    assert asyncio.run(some()) == [60, 20, 20, 60]


def test_rows_of_many_at_once_are_never_more_than_was_granted(bank):
    budget = opened(1000)

    async def many() -> list[object]:
        purse = Purse(bank.hold, bank.release)
        sizes = [Size(rows=1 + number % 37) for number in range(200)]
        return await asyncio.gather(
            *(purse.draw(in_units(budget, Unit.ROWS), size) for size in sizes), return_exceptions=True
        )

    served = [each.units for each in asyncio.run(many()) if isinstance(each, Ticket)]
    assert 1000 - 37 < sum(served) <= 1000
    budget.refresh_from_db()
    assert budget.held <= 1000


def test_seconds_are_known_afterwards_and_the_last_call_may_go_over(bank):
    budget = opened(1000)
    seats = in_units(budget, Unit.SECONDS)

    def record(units: int) -> None:
        usage.record(
            usage.Usage(Meter.INFERENCE_CALLS, "inference", "a", 1, UUID(int=1), now(), HOLDER, budget.pk, units=units),
            owner="me",
        )
        connection.close()

    async def some() -> tuple[int, int, int]:
        purse = Purse(bank.hold, bank.release)
        first = await purse.draw(seats)
        purse.settle(first, 5)
        purse.give_back(first)
        second = await purse.draw(seats)
        purse.settle(second, 5000)
        await asyncio.to_thread(record, second.units)
        # what was set aside meanwhile may still be used, and then no more
        drawn = await asyncio.gather(*(purse.draw(seats) for _ in range(100)), return_exceptions=True)
        assert isinstance(drawn[-1], OverBudget)
        await purse.close()
        return first.units, second.units, second.taken

    assert asyncio.run(some())[:2] == (5, 5000)
    budget.refresh_from_db()
    assert budget.used == 5000
    assert budget.held < 100
