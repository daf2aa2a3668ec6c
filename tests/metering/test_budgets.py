"""A budget gives what it has and no more, whoever asks, dies or comes back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.access_version import access_version
from common import clock
from common.errors import Conflict, NotFound
from metering.meters import Meter
from metering.models import Budget, BudgetHold, UsageRecord
from metering.queries import open_budgets
from metering.services import budgets
from metering.services.usage import Usage, record_many
from work.door import enqueue
from work.loops import run_due

CALLS = Meter.INFERENCE_CALLS
ENDPOINT, BUYER = UUID(int=1), UUID(int=11)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LIFETIME_MIN = int(budgets.HOLD_LIFETIME.total_seconds() // 60)


def opened(amount: int | None = 50, *, source: str = "entitlement:1", **more) -> Budget:
    return budgets.top_up(source=source, holder=BUYER, subject=ENDPOINT, meter=CALLS, amount=amount, **more)


def used(budget: Budget, prefix: str, count: int, *, owner: str = "") -> int:
    happened = [Usage(CALLS, "inference", f"{prefix}-{n}", 1, ENDPOINT, NOON, BUYER, budget.pk) for n in range(count)]
    return record_many(happened, owner=owner)


def figures(budget: Budget) -> tuple[int, int]:
    """(used, held), the latter found equal to the sum of the holds."""
    budget.refresh_from_db()
    assert budget.held == sum(budget.holds.values_list("amount", flat=True))
    return budget.used, budget.held


OWNERS = st.sampled_from(["a", "b", "c"])
STEPS = st.one_of(
    st.tuples(st.just("hold"), OWNERS, st.integers(0, 30)),
    st.tuples(st.just("use"), OWNERS, st.integers(1, 12)),
    st.tuples(st.just("give_back"), OWNERS, st.integers(0, 30)),
    st.tuples(st.just("release"), OWNERS, st.just(0)),
    st.tuples(st.just("renew"), OWNERS, st.just(0)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, LIFETIME_MIN + 2)),
    st.tuples(st.just("close"), st.just(""), st.just(0)),
)


class Model:
    """What the docstrings of the services promise, in integers. `minute` is the time."""

    def __init__(self, granted: int | None) -> None:
        self.granted, self.used, self.minute, self.is_closed = granted, 0, 0, False
        self.holds: dict[str, list[int]] = {}  # owner → [amount, the minute in which it expires]

    @property
    def held(self) -> int:
        return sum(amount for amount, _ in self.holds.values())

    def hold(self, owner: str, amount: int) -> int:
        if self.is_closed:
            return 0
        got = amount if self.granted is None else min(amount, max(0, self.granted - self.used - self.held))
        before = self.holds.get(owner, [0, 0])[0]
        self.holds[owner] = [before + got, self.minute + LIFETIME_MIN]
        return got

    def use(self, owner: str, count: int) -> int:
        self.used += count
        if owner in self.holds:
            self.holds[owner][0] -= min(count, self.holds[owner][0])
        return count

    def give_back(self, owner: str, amount: int) -> int:
        if owner not in self.holds:
            return 0
        units = min(amount, self.holds[owner][0])
        self.holds[owner][0] -= units
        return units

    def release(self, owner: str, _amount: int) -> int:
        return self.holds.pop(owner, [0, 0])[0]

    def renew(self, owner: str, _amount: int) -> None:
        if owner in self.holds and not self.is_closed:
            self.holds[owner][1] = self.minute + LIFETIME_MIN

    def wait(self, _owner: str, minutes: int) -> int:
        self.minute += minutes
        lapsed = [owner for owner, (_, end) in self.holds.items() if end < self.minute]
        return sum(self.holds.pop(owner)[0] for owner in lapsed)

    def close(self, _owner: str, _amount: int) -> None:
        self.is_closed = True


class TestAgainstModel(TestCase):
    @given(st.sampled_from([0, 1, 40, None]), st.lists(STEPS, max_size=30))
    @settings(max_examples=40, deadline=None)
    def test_random_lives_of_a_budget_match_a_reference_model(self, granted, steps):
        with clock.frozen(NOON):
            budget = opened(granted)
        model = Model(granted)
        services = {
            "hold": lambda owner, amount: budgets.hold(budget.pk, owner, amount),
            "use": lambda owner, amount: used(budget, str(number), amount, owner=owner),
            "give_back": lambda owner, amount: budgets.give_back(budget.pk, owner, amount),
            "release": lambda owner, _: budgets.release(owner),
            "renew": lambda owner, _: budgets.renew(owner),
            "wait": lambda _, __: budgets.release_expired(),
            "close": lambda _, __: budgets.close(budget.source) and None,
        }
        for number, (deed, owner, amount) in enumerate(steps):
            promised = getattr(model, deed)(owner, amount)
            with clock.frozen(NOON + timedelta(minutes=model.minute)):
                assert services[deed](owner, amount) == promised, (number, deed)
            assert figures(budget) == (model.used, model.held), (number, deed)


@pytest.mark.django_db
class TestOpening:
    def test_a_source_fills_its_budget_once(self):
        before = access_version()
        first, again = opened(50), opened(50)
        assert (again.pk, again.granted, Budget.objects.count()) == (first.pk, 50, 1)
        assert access_version() == before + 1

    def test_after_use_the_same_top_up_still_changes_nothing(self):
        budget = opened(50)
        used(budget, "x", 30)
        assert opened(50).left == 20

    @pytest.mark.parametrize(
        "change", [{"amount": 51}, {"amount": None}, {"subject": UUID(int=9)}, {"holder": UUID(int=9)}]
    )
    def test_other_figures_for_the_same_source_are_refused(self, change):
        opened(50)
        with pytest.raises(Conflict) as refusal:
            budgets.top_up(**{
                "source": "entitlement:1", "holder": BUYER, "subject": ENDPOINT, "meter": CALLS, "amount": 50, **change
            })  # fmt: skip
        assert refusal.value.code == "budget_differs"
        assert Budget.objects.get().granted == 50

    def test_a_closed_budget_is_not_opened_again(self):
        opened(50)
        budgets.close("entitlement:1")
        with pytest.raises(Conflict):
            opened(50)
        assert list(open_budgets()) == []


@pytest.mark.django_db
class TestEnding:
    def test_a_closed_budget_gives_nothing_and_says_so_once(self):
        budget = opened(50)
        assert budgets.hold(budget.pk, "a", 10) == 10
        before = access_version()
        closed = budgets.close("entitlement:1")
        assert budgets.close("entitlement:1").closed_at == closed.closed_at
        assert access_version() == before + 1
        assert budgets.hold(budget.pk, "a", 10) == 0
        assert figures(budget) == (0, 10)

    def test_calls_in_flight_at_the_closing_are_still_settled(self):
        budget = opened(50)
        budgets.hold(budget.pk, "a", 10)
        budgets.close("entitlement:1")
        used(budget, "late", 4, owner="a")
        assert figures(budget) == (4, 6)
        assert budgets.release("a") == 6
        assert figures(budget) == (4, 0)

    def test_a_budget_that_is_over_gives_nothing(self):
        with clock.frozen(NOON):
            budget = opened(50, valid_until=NOON + timedelta(days=1))
            assert budgets.hold(budget.pk, "a", 5) == 5
        with clock.frozen(NOON + timedelta(days=1)):
            assert budgets.hold(budget.pk, "a", 5) == 0
            assert list(open_budgets()) == []
        assert figures(budget) == (0, 5)

    def test_closing_what_was_never_opened_changes_nothing(self):
        before = access_version()
        assert budgets.close("entitlement:none") is None
        assert access_version() == before

    def test_a_budget_that_does_not_exist_cannot_be_held(self):
        with pytest.raises(NotFound):
            budgets.hold(10**9, "a", 1)
        assert BudgetHold.objects.count() == 0

    def test_the_slices_of_a_dead_process_come_back_by_the_task(self):
        budget = opened(50)
        budgets.hold(budget.pk, "dead", 30)
        with clock.travel(timedelta(minutes=6)):
            budgets.hold(budget.pk, "alive", 20)
            assert budgets.hold(budget.pk, "alive", 1) == 0
        with clock.travel(timedelta(minutes=11)):
            enqueue("metering.release_expired")
            run_due()
            assert figures(budget) == (0, 20)
            assert budgets.hold(budget.pk, "alive", 50) == 30


@pytest.mark.django_db(transaction=True)
def test_fifty_paid_calls_and_sixteen_servers_make_exactly_fifty():
    budget = opened(50)
    most = threading.Lock()
    seen: list[int] = []

    def serve(number: int) -> int:
        """Take slices and serve from them until nothing is left, as an inference process does."""
        owner, served = f"server-{number}", 0
        try:
            while got := budgets.hold(budget.pk, owner, 3):
                used(budget, f"{owner}-{served}", got - 1, owner=owner)
                budgets.give_back(budget.pk, owner, 1)
                served += got - 1
                now = Budget.objects.get(pk=budget.pk)
                with most:
                    seen.append(now.used + now.held)
                if got == 1:
                    # one unit left for everybody: this server takes it
                    took = budgets.hold(budget.pk, owner, 1)
                    used(budget, f"{owner}-{served}", took, owner=owner)
                    served += took
        finally:
            connection.close()
        return served

    with ThreadPoolExecutor(16) as pool:
        served = sum(pool.map(serve, range(16)))
    assert (served, UsageRecord.objects.count(), figures(budget)) == (50, 50, (50, 0))
    assert max(seen) <= 50
