"""Caps in the inference process: every cap that holds for a call is taken from, or nothing is; and what was served is counted."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest

from accounts.models import Namespace
from accounts.services import teams
from api.inference.purse import Purse
from api.inference.recorder import Recorder
from api.inference.spool import Call, Spool
from common.clock import now, travel
from common.errors import OverBudget
from common.ids import new_uuid
from compute.endpoint_serving import OpenBudget, OpenCap, Seat, serving_table
from metering.meters import Meter
from metering.models import Budget, UsageRecord
from metering.services import budgets, caps, usage
from tests.api.inference.test_purse import HOLDER, Bank, opened, seat
from tests.factories.endpoints import again, make_organization, make_person, make_token, sell_calls
from tests.factories.market import make_company, make_endpoint

pytestmark = pytest.mark.django_db(transaction=True)

PRICE = 250_000
"""A quarter of a minor unit."""


@pytest.fixture
def bank() -> Iterator[Bank]:
    opened_bank = Bank()
    yield opened_bank
    opened_bank.thread.close()


def month(cap) -> Budget:
    return Budget.objects.get(cap=cap, valid_from=caps.month_of(now()))


def capped(*rows: Budget, by) -> tuple[Seat, ...]:
    """A seat with these budgets, every one of them at PRICE, under caps."""
    months = [month(cap) for cap in by]
    return (
        Seat(
            HOLDER,
            tuple(OpenBudget(row.pk, row.granted is None, None, PRICE, "CRD") for row in rows),
            needs_budget=True,
            caps=tuple(
                OpenCap(
                    row.pk,
                    f"cap {row.cap.limit}",
                    row.cap.currency,
                    row.valid_from.timestamp(),
                    row.valid_until.timestamp(),
                )
                for row in months
            ),
        ),
    )


def served(bank, seats, count: int) -> tuple[int, set[str]]:
    """(calls that were let through, what the others were told)"""

    async def many() -> list[object]:
        purse = Purse(bank.hold, bank.release)
        found = await asyncio.gather(*(purse.draw(seats) for _ in range(count)), return_exceptions=True)
        await purse.close()
        return found

    results = asyncio.run(many())
    refusals = [each for each in results if isinstance(each, OverBudget)]
    assert len(refusals) + sum(hasattr(each, "payer") for each in results) == count, results
    return count - len(refusals), {str(each) for each in refusals}


def test_the_tightest_cap_stops_the_calls_and_is_named(bank):
    budget = opened(500)
    wide, tight = caps.open_cap(holder=HOLDER, limit=100), caps.open_cap(holder=HOLDER, limit=7, token=new_uuid())
    count, told = served(bank, capped(budget, by=(wide, tight)), 40)
    assert count == 7
    (sentence,) = told
    assert sentence.startswith("A cap is used up: cap 7. It opens again on ")
    assert sorted(Budget.objects.filter(held__gt=0).values_list("held", flat=True)) == [7, 7, 7]


def test_a_cap_on_money_lets_through_what_it_covers_and_other_currencies_are_free_of_it(bank):
    budget = opened(500)
    cap = caps.open_cap(holder=HOLDER, limit=3, currency="CRD")
    assert served(bank, capped(budget, by=(cap,)), 30)[0] == 12
    other = caps.open_cap(holder=HOLDER, limit=0, currency="EUR")
    assert served(bank, capped(opened(5, "entitlement:2"), by=(other,)), 9)[0] == 5


def test_a_bought_budget_that_is_used_up_is_not_blamed_on_a_cap(bank):
    cap = caps.open_cap(holder=HOLDER, limit=100)
    count, told = served(bank, capped(opened(3), by=(cap,)), 5)
    assert (count, told) == (3, {"What was bought of this model is used up: buy more to go on."})


def test_a_call_that_was_not_served_gives_everything_back(bank):
    budget, cap = opened(10), caps.open_cap(holder=HOLDER, limit=1)
    seats = capped(budget, by=(cap,))

    async def thrice() -> None:
        purse = Purse(bank.hold, bank.release)
        for _ in range(3):
            purse.give_back(await purse.draw(seats))
        await purse.draw(seats)
        with pytest.raises(OverBudget):
            await purse.draw(seats)

    asyncio.run(thrice())


def test_calls_without_a_cap_take_the_way_they_always_took(bank):
    assert served(bank, seat(opened(4)), 6)[0] == 4
    unlimited = (Seat(HOLDER, caps=()),)
    assert served(bank, unlimited, 6)[0] == 6


def test_what_was_served_is_recorded_once_for_the_call_and_once_for_each_cap(bank, tmp_path):
    budget = budgets.top_up(
        source="entitlement:3", holder=HOLDER, subject=UUID(int=1), meter=Meter.INFERENCE_CALLS, amount=10,
        price_micro=PRICE, currency="CRD",
    )  # fmt: skip
    calls, money = caps.open_cap(holder=HOLDER, limit=5), caps.open_cap(holder=HOLDER, limit=9, currency="CRD")
    spool = Spool(tmp_path)
    ids = ((month(calls).pk, 1), (month(money).pk, PRICE))
    for pk, amount in ((budget.pk, 1), *ids):
        assert budgets.hold(pk, spool.owner, 2 * amount) == 2 * amount
    for _ in range(2):
        spool.append(
            Call(new_uuid(), HOLDER, UUID(int=1), UUID(int=2), budget.pk, int(now().timestamp() * 1e6), UUID(int=3)),
            [pk for pk, _ in ids],
        )
    spool.close()
    recorder = Recorder(tmp_path)
    assert [recorder.record_all(), recorder.record_all()] == [6, 0]
    rows = Budget.objects.filter(pk__in=[budget.pk, *(pk for pk, _ in ids)]).order_by("pk")
    assert [(row.used, row.held) for row in rows] == [(2, 0), (2, 0), (2 * PRICE, 0)]
    assert UsageRecord.objects.filter(meter=Meter.INFERENCE_CALLS).count() == 2


def test_a_new_cap_counts_what_was_used_this_month_and_months_follow_each_other():
    budget = budgets.top_up(
        source="entitlement:4", holder=HOLDER, subject=UUID(int=1), meter=Meter.INFERENCE_CALLS, amount=10,
        price_micro=PRICE, currency="CRD",
    )  # fmt: skip
    token = new_uuid()
    for number in range(6):
        at = now() - timedelta(days=40) if number == 5 else now()
        detail = {"token": str(token if number < 3 else new_uuid())}
        usage.record(
            usage.Usage(
                Meter.INFERENCE_CALLS, "inference", f"c{number}", 1, UUID(int=1), at, HOLDER, budget.pk, detail=detail
            )
        )
    everybody, one, money = (
        caps.open_cap(holder=HOLDER, limit=100),
        caps.open_cap(holder=HOLDER, limit=100, token=token),
        caps.open_cap(holder=HOLDER, limit=100, currency="CRD"),
    )
    assert [month(cap).used for cap in (everybody, one, money)] == [5, 3, 5 * PRICE]
    assert caps.open_cap(holder=HOLDER, limit=100).pk == everybody.pk
    raised = caps.open_cap(holder=HOLDER, limit=200)
    assert (raised.pk != everybody.pk, month(raised).used, month(raised).left) == (True, 5, 195)
    assert caps.open_months() == 0
    with travel(timedelta(days=32)):
        assert (caps.open_months() > 0, caps.open_months()) == (True, 0)
        assert month(raised).used == 0
    caps.end_cap(raised)
    assert not Budget.objects.filter(cap=raised, closed_at__isnull=True).exists()


def test_the_table_knows_for_whom_a_cap_holds(tmp_path):
    endpoint = make_endpoint(make_company("shop"))
    boss, ann, bob = (make_person(name) for name in ("boss", "ann", "bob"))
    firm = make_organization(boss, "firm", ann="member", bob="member")
    team = teams.create_team(again(boss), firm, "vision")
    teams.add_to_team(again(boss), team, "ann")
    namespace = Namespace.objects.get(name="firm")
    sell_calls(endpoint, namespace, 10)
    texts = {each.username: make_token(again(each)) for each in (ann, bob)}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    bobs = serving_table().credentials[digests["bob"]].uuid
    for scope in ({}, {"team": team.uuid}, {"token": bobs}, {"subject": endpoint.uuid}, {"subject": new_uuid()}):
        caps.open_cap(holder=namespace.uuid, limit=5, **scope)
    caps.open_cap(holder=new_uuid(), limit=5)
    table = serving_table()

    def held(name: str) -> set[str]:
        (found,) = table.seats(table.credentials[digests[name]], table.by_slug[endpoint.slug])
        return {cap.words for cap in found.caps}

    common = {"5 calls a month", "5 calls a month on this model"}
    assert held("ann") == common | {"5 calls a month for the team vision"}
    assert held("bob") == common | {"5 calls a month for this token"}
    teams.delete_team(again(boss), team)
    assert all("team" not in cap.words for cap in serving_table().caps[namespace.uuid])
