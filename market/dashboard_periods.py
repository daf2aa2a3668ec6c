"""The days that a dashboard looks at, in the time zone of the person. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from common.clock import now
from common.errors import Invalid

CHOICES = (7, 30, 90)
LIMIT_DAYS = 366


@dataclass(frozen=True)
class Period:
    """From the beginning of `first` to the end of `last`, both days in `zone`."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def since(self) -> datetime:
        return datetime.combine(self.first, time.min, self.zone)

    @property
    def until(self) -> datetime:
        """The first instant after it."""
        return datetime.combine(self.last + timedelta(days=1), time.min, self.zone)

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def period_of(*, days: str = "", first: str = "", last: str = "", zone: str = "UTC") -> Period:
    """What an address asks for: the last `days` (30 unless said), or the days from `first` to `last` (`2026-01-31`, either alone too).
    Raises Invalid with a sentence."""
    found = _zone(zone)
    today = now().astimezone(found).date()
    if first or last:
        end = _day(last, "until") if last else today
        start = _day(first, "since") if first else end - timedelta(days=29)
    else:
        end, start = today, today - timedelta(days=_count(days) - 1)
    if start > end:
        raise Invalid("The period ends before it begins.", fields={"until": "before since"})
    if (end - start).days >= LIMIT_DAYS:
        raise Invalid(f"Choose at most {LIMIT_DAYS} days.", fields={"since": "too long ago"})
    return Period(start, end, found)


def month_of(zone: str) -> Period:
    """The month that it is in `zone`, to its last day."""
    found = _zone(zone)
    first = now().astimezone(found).date().replace(day=1)
    return Period(first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1), found)


def _count(days: str) -> int:
    if not days:
        return CHOICES[1]
    if not days.isascii() or not days.isdigit() or len(days) > 4 or not 1 <= int(days) <= LIMIT_DAYS:
        raise Invalid(f"days is a number from 1 to {LIMIT_DAYS}.", fields={"days": "out of range"})
    return int(days)


def _day(text: str, name: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{name} is a day such as 2026-01-31.", fields={name: "not a day"}) from error
    if not 2000 <= found.year <= 2999:
        raise Invalid(f"{name} is a day such as 2026-01-31.", fields={name: "out of range"})
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid("Name a time zone such as Europe/Berlin.", fields={"time_zone": "unknown"}) from error
