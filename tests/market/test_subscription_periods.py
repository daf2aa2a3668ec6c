"""Periods and what is left of them, for any dates and amounts."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as some

from market.states import Interval
from market.subscriptions import Dunning, add_intervals, period_after, unused_minor

INSTANTS = some.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=some.just(UTC))  # noqa: DTZ001 - bounds without zone
INTERVALS = some.sampled_from(list(Interval))


@settings(max_examples=80, deadline=None)
@given(INSTANTS, INTERVALS, some.integers(1, 40))
def test_periods_follow_each_other_without_gap_and_keep_their_day(anchor, interval, count) -> None:
    start = anchor
    for number in range(1, count + 1):
        end = period_after(anchor, interval, start)
        assert end == add_intervals(anchor, interval, number)
        assert end > start
        assert end.day == anchor.day or (end + timedelta(days=1)).day == 1
        assert end.timetz() == anchor.timetz()
        start = end


@settings(max_examples=80, deadline=None)
@given(some.integers(0, 10**12), INSTANTS, some.integers(1, 400), some.lists(some.floats(0, 1), min_size=2, max_size=6))
def test_what_is_used_and_what_is_left_sum_to_what_was_paid(paid, start, days, cuts) -> None:
    end = start + timedelta(days=days)
    moments = sorted(start + (end - start) * cut for cut in cuts)
    left = [unused_minor(paid, start, end, at) for at in [start, *moments, end]]
    assert (left[0], left[-1]) == (paid, 0)
    assert left == sorted(left, reverse=True)
    # whatever number of steps it is taken in, the used parts are the whole
    assert sum(before - after for before, after in pairwise(left)) == paid
    assert unused_minor(paid, start, end, start - timedelta(days=3)) == paid
    assert unused_minor(paid, start, end, end + timedelta(days=3)) == 0


def test_february_and_leap_years() -> None:
    day = datetime(2024, 2, 29, 23, 59, tzinfo=UTC)
    assert add_intervals(day, Interval.YEAR, 1) == datetime(2025, 2, 28, 23, 59, tzinfo=UTC)
    assert add_intervals(day, Interval.YEAR, 4) == datetime(2028, 2, 29, 23, 59, tzinfo=UTC)
    assert add_intervals(datetime(2025, 12, 31, tzinfo=UTC), Interval.MONTH, 2) == datetime(2026, 2, 28, tzinfo=UTC)


def test_attempts_grace_and_end_follow_the_first_failure() -> None:
    terms, failed = Dunning((1, 3, 7), 7, 30), datetime(2026, 1, 1, tzinfo=UTC)
    found = [terms.look_at(failed, attempts, is_suspended=False) - failed for attempts in (1, 2, 3, 4)]
    assert [span.days for span in found] == [1, 3, 7, 7]
    assert (terms.look_at(failed, 4, is_suspended=True) - failed).days == 30
