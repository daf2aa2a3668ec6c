"""Periods and prices of subscriptions, and what follows when one is not paid. Pure: no database, no clock.

Periods are counted from an anchor, not from each other, so that a subscription begun on 31 January is renewed on 28 February and
on 31 March. What is left of a period is reckoned once, in whole minor units, and used and unused part sum to what was paid."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from common.errors import Invalid
from market.states import Interval

_GRACE_LIMIT, _END_LIMIT = 27, 365


def add_intervals(anchor: datetime, interval: Interval | str, count: int) -> datetime:
    """The instant `count` (≥ 0) intervals after `anchor` (aware): the same day and time, UTC; the last day of a month that is too
    short for it."""
    anchor = anchor.astimezone(UTC)
    months = anchor.month - 1 + count * (12 if interval == Interval.YEAR else 1)
    year, month = anchor.year + months // 12, months % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))


def period_after(anchor: datetime, interval: Interval | str, start: datetime) -> datetime:
    """The end of the period that begins at `start` (≥ anchor): the first instant of the anchor's row that is later."""
    anchor, start = anchor.astimezone(UTC), start.astimezone(UTC)
    months = (start.year - anchor.year) * 12 + start.month - anchor.month
    count = max(0, months // (12 if interval == Interval.YEAR else 1))
    while (end := add_intervals(anchor, interval, count)) <= start:
        count += 1
    return end


def unused_minor(paid_minor: int, start: datetime, end: datetime, at: datetime) -> int:
    """What is left of `paid_minor` (≥ 0) for the rest of a period at an instant, rounded down: the used part is the whole less this.
    All before it begins, nothing when it is over."""
    whole = _seconds(end - start)
    rest = min(max(_seconds(end - at), 0), whole)
    return paid_minor * rest // whole


def price_of_period(price_minor: int, quantity: int) -> int:
    """Minor units that one period costs."""
    return price_minor * quantity


def yearly_minor(price_minor: int, interval: Interval | str) -> int:
    """What a plan costs in a year: how plans with other intervals are compared."""
    return price_minor * (1 if interval == Interval.YEAR else 12)


@dataclass(frozen=True)
class Dunning:
    """What happens when a period is not paid: days after the first failure."""

    retry_days: tuple[int, ...]
    grace_days: int
    """So long access goes on."""
    end_days: int

    def retry_at(self, failed_at: datetime, attempts: int) -> datetime | None:
        """When it is tried again after `attempts` (≥ 1) failures; None: not any more."""
        tries = self.retry_days[attempts - 1 : attempts]
        return failed_at + timedelta(days=tries[0]) if tries else None

    def suspend_at(self, failed_at: datetime) -> datetime:
        return failed_at + timedelta(days=self.grace_days)

    def end_at(self, failed_at: datetime) -> datetime:
        return failed_at + timedelta(days=self.end_days)

    def look_at(self, failed_at: datetime, attempts: int, *, is_suspended: bool) -> datetime:
        """When there is something to do next."""
        found = [self.end_at(failed_at)]
        if not is_suspended:
            found.append(self.suspend_at(failed_at))
        retry = self.retry_at(failed_at, attempts)
        return min([*found, retry] if retry else found)


def dunning_of(retry_days: Sequence[str], grace_days: int, end_days: int) -> Dunning:
    """Settings as figures. Raises Invalid when they make no sense."""
    try:
        days = tuple(int(day) for day in retry_days if day.strip())
    except ValueError as error:
        raise Invalid("SUBSCRIPTION_RETRY_DAYS holds whole days that rise, such as 1,3,7.") from error
    if list(days) != sorted(set(days)) or (days and days[0] < 1):
        raise Invalid("SUBSCRIPTION_RETRY_DAYS holds whole days that rise, such as 1,3,7.")
    if not 0 <= grace_days <= _GRACE_LIMIT:
        raise Invalid(f"SUBSCRIPTION_GRACE_DAYS is 0 to {_GRACE_LIMIT}: less than a period.")
    if not grace_days < end_days <= _END_LIMIT:
        raise Invalid(f"SUBSCRIPTION_END_DAYS is more than the grace and at most {_END_LIMIT}.")
    return Dunning(days, grace_days, end_days)


def _seconds(span: timedelta) -> int:
    return span.days * 86_400 + span.seconds
