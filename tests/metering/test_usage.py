"""Usage is recorded once per event, for ever, however often and in whatever pieces it is reported."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from common import clock
from common.errors import Invalid
from metering.meters import Meter
from metering.models import Budget, UsageRecord
from metering.queries import daily_usage, records_of_budget, usage_by_subject, usage_total
from metering.services import budgets
from metering.services.usage import Usage, record, record_many

CALLS = Meter.INFERENCE_CALLS
ENDPOINT, OTHER = UUID(int=1), UUID(int=2)
BUYER, STRANGER = UUID(int=11), UUID(int=12)
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def call(number: int, quantity: int = 1, **changes) -> Usage:
    return replace(Usage(CALLS, "inference", f"r{number}", quantity, ENDPOINT, NOON, BUYER), **changes)


def budget_of_calls(source: str = "entitlement:1", amount: int | None = 100) -> Budget:
    return budgets.top_up(source=source, holder=BUYER, subject=ENDPOINT, meter=CALLS, amount=amount)


def events(budget_ids: Sequence[int | None]) -> st.SearchStrategy[Usage]:
    """Few names, so that most are repeated; a name has the same figures whenever it comes."""
    return st.builds(
        lambda number, meter: call(
            number,
            number % 4,
            meter=meter,
            subject=ENDPOINT if number % 2 else OTHER,
            budget=budget_ids[number % len(budget_ids)] if meter is CALLS else None,
        ),
        st.integers(0, 23),
        st.sampled_from([CALLS, Meter.JOB_CPU_SECONDS]),
    )


class TestAgainstModel(TestCase):
    @given(st.data())
    @settings(max_examples=30, deadline=None)
    def test_batches_with_repeats_and_splits_come_to_what_happened(self, data):
        sources = ["entitlement:1", "entitlement:2"]
        ids = [budget_of_calls(source, None).pk for source in sources]
        batches = data.draw(st.lists(st.lists(events([*ids, None]), max_size=12), max_size=8))
        happened: dict[tuple[Meter, str], Usage] = {}
        for batch in batches:
            news = {(event.meter, event.source_id): event for event in batch}
            assert record_many(batch) == len(news.keys() - happened.keys())
            happened |= news
        assert UsageRecord.objects.count() == len(happened)
        for meter in (CALLS, Meter.JOB_CPU_SECONDS):
            for subject in (ENDPOINT, OTHER):
                expected = sum(
                    event.quantity for event in happened.values() if (event.meter, event.subject) == (meter, subject)
                )
                assert usage_total(meter, subject=subject) == expected
        for pk in ids:
            drawn = [event for event in happened.values() if event.budget == pk]
            assert Budget.objects.get(pk=pk).used == sum(event.quantity for event in drawn)
            assert len(records_of_budget(pk)) == len(drawn)


@pytest.mark.django_db
class TestRecording:
    def test_an_event_is_known_for_ever(self):
        budget = budget_of_calls()
        assert record(call(1, budget=budget.pk)) is True
        for days in (0, 1, 40, 400):
            with clock.travel(timedelta(days=days)):
                assert record(call(1, budget=budget.pk)) is False
        budget.refresh_from_db()
        assert (budget.used, UsageRecord.objects.count()) == (1, 1)

    def test_of_two_reports_that_differ_the_first_stands(self):
        assert record_many([call(1, 3), call(1, 8)]) == 1
        assert record_many([call(1, 8)]) == 0
        assert usage_total(CALLS) == 3

    def test_more_than_one_batch_is_recorded_whole(self):
        budget = budget_of_calls(amount=None)
        many = [call(number, budget=budget.pk) for number in range(1_100)]
        assert record_many(many[:700]) == 700
        assert record_many(many) == 400
        budget.refresh_from_db()
        assert (budget.used, UsageRecord.objects.count()) == (1_100, 1_100)

    def test_the_same_name_from_another_source_or_meter_is_another_event(self):
        assert record_many([call(1), call(1, source="jobs"), call(1, meter=Meter.JOB_CPU_SECONDS)]) == 3

    def test_what_happened_above_the_budget_is_recorded_all_the_same(self):
        budget = budget_of_calls(amount=2)
        assert record_many([call(number, budget=budget.pk) for number in range(3)]) == 3
        budget.refresh_from_db()
        assert (budget.used, budget.left) == (3, 0)

    def test_a_negative_quantity_is_refused_and_nothing_is_recorded(self):
        budget = budget_of_calls()
        with pytest.raises(Invalid):
            record_many([call(1, 5, budget=budget.pk), call(2, -1, budget=budget.pk)])
        budget.refresh_from_db()
        assert (budget.used, UsageRecord.objects.count()) == (0, 0)

    def test_a_failure_half_way_leaves_neither_record_nor_draw(self):
        budget = budget_of_calls()
        with pytest.raises(Budget.DoesNotExist):
            record_many([call(1, budget=budget.pk), call(2, budget=budget.pk + 1)])
        budget.refresh_from_db()
        assert (budget.used, UsageRecord.objects.count()) == (0, 0)

    @pytest.mark.parametrize(
        "statement", ["UPDATE metering_usagerecord SET quantity = 0", "DELETE FROM metering_usagerecord"]
    )
    def test_the_database_refuses_to_change_a_record(self, statement):
        record(call(1, 7))
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        assert list(UsageRecord.objects.values_list("source_id", "quantity")) == [("r1", 7)]


@pytest.mark.django_db
class TestReading:
    def test_totals_by_payer_subject_and_time(self):
        hour = timedelta(hours=1)
        record_many([
            call(1, 2),
            call(2, 3, subject=OTHER),
            call(3, 5, payer=STRANGER),
            call(4, 7, occurred_at=NOON + hour),
            call(5, 11, meter=Meter.JOB_CPU_SECONDS),
        ])  # fmt: skip
        assert usage_total(CALLS) == 17
        assert usage_total(CALLS, payer=BUYER) == 12
        assert usage_total(CALLS, subject=ENDPOINT, payer=BUYER) == 9
        assert usage_total(CALLS, since=NOON, until=NOON + hour) == 10
        assert usage_by_subject(CALLS, BUYER, since=NOON) == {ENDPOINT: (9, 2), OTHER: (3, 1)}

    def test_days_are_of_universal_time_and_quiet_ones_are_there(self):
        midnight = datetime(2026, 3, 3, tzinfo=UTC)
        second = timedelta(seconds=1)
        record_many([
            call(1, occurred_at=midnight - second),
            call(2, occurred_at=midnight),
            call(3, occurred_at=midnight + second),
            call(4, occurred_at=midnight - timedelta(days=5)),
        ])  # fmt: skip
        with clock.frozen(NOON):
            days = daily_usage(CALLS, subject=ENDPOINT, days=4)
        assert [(day.day, total) for day, total in days] == [(1, 0), (2, 1), (3, 2), (4, 0)]


@pytest.mark.django_db(transaction=True)
def test_many_reporters_of_overlapping_events_record_each_once():
    budget = budget_of_calls(amount=None)
    every = [call(number, budget=budget.pk) for number in range(120)]

    def report(number: int) -> int:
        mine = every[number * 10 : number * 10 + 50]
        try:
            return record_many(mine[::-1] if number % 2 else mine)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(report, range(8)))
    budget.refresh_from_db()
    assert (sum(counts), budget.used, UsageRecord.objects.count()) == (120, 120, 120)
