"""Periods: each once, by whichever scheduler comes first."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from common import clock
from tests.work import playground
from work import schedules
from work.loops import run_due
from work.models import Schedule, Task
from work.schedules import next_period, schedule, start_due, write_declared

NOON = datetime(2026, 5, 4, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setattr(schedules, "DECLARED", {})
    schedule("look", "tests.see", 60, "x")


def test_periods_lie_on_a_grid_from_1970():
    assert next_period(NOON, 60) == datetime(2026, 5, 4, 12, 1, tzinfo=UTC)
    assert next_period(NOON, 86400) == datetime(2026, 5, 5, tzinfo=UTC)
    assert next_period(datetime(2026, 5, 4, 12, 1, tzinfo=UTC), 60) == datetime(2026, 5, 4, 12, 2, tzinfo=UTC)
    with pytest.raises(ValueError):
        schedule("never", "tests.see", 0)


@pytest.mark.django_db
def test_rows_follow_what_is_declared(declared):
    with clock.frozen(NOON):
        write_declared()
        write_declared()
        row = Schedule.objects.get()
        assert (row.name, row.task, row.args, row.every_s) == ("look", "tests.see", ["x"], 60)
        assert row.next_at == datetime(2026, 5, 4, 12, 1, tzinfo=UTC)
        schedule("look", "tests.see", 10, "y")
        write_declared()
        row = Schedule.objects.get()
        assert (row.args, row.every_s, row.next_at) == (["y"], 10, datetime(2026, 5, 4, 12, 0, 40, tzinfo=UTC))
        schedules.DECLARED.clear()
        write_declared()
        assert Schedule.objects.count() == 0


@pytest.mark.django_db
def test_a_schedule_of_an_unknown_task_stops_the_start(declared):
    schedule("odd", "tests.nobody_declared_this", 60)
    with pytest.raises(LookupError):
        write_declared()


@pytest.mark.django_db
def test_each_period_is_started_once_and_a_standstill_is_made_up_for_by_one_run(declared):
    with clock.frozen(NOON):
        write_declared()
        assert start_due() == 0
    for later_s, runs in ((31, 1), (32, 0), (91, 1), (91 + 3600, 1), (91 + 3601, 0)):
        with clock.frozen(NOON + timedelta(seconds=later_s)):
            assert start_due() == runs
            assert run_due() == runs
    assert playground.seen == [{"value": "x"}] * 3
    assert Schedule.objects.get().next_at == datetime(2026, 5, 4, 13, 3, tzinfo=UTC)


@pytest.mark.django_db
def test_a_run_that_is_still_waiting_is_not_doubled_by_the_next_period(declared):
    with clock.frozen(NOON):
        write_declared()
    for minutes in (1, 2, 3):
        with clock.frozen(NOON + timedelta(minutes=minutes)):
            assert start_due() == 1
    assert Task.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_the_same_time_start_each_period_once(declared):
    for number in range(10):
        schedule(f"look {number}", "tests.see", 60, number)
    with clock.frozen(NOON):
        write_declared()
    together = threading.Barrier(4)

    def tick(_):
        try:
            with clock.frozen(NOON + timedelta(minutes=1)):
                together.wait(10)
                return start_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(tick, range(4))) == 11
    assert Task.objects.count() == 11
