"""The only clock of the product, so that a test can set it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

_frozen: ContextVar[datetime | None] = ContextVar("clock_frozen", default=None)
_offset: ContextVar[timedelta] = ContextVar("clock_offset", default=timedelta(0))


def now() -> datetime:
    """The present instant, aware, UTC."""
    return _frozen.get() or datetime.now(UTC) + _offset.get()


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """For tests: `now()` stands still at `at` (aware)."""
    token = _frozen.set(at)
    try:
        yield
    finally:
        _frozen.reset(token)


@contextmanager
def travel(by: timedelta) -> Iterator[None]:
    """For tests: `now()` runs on, shifted by `by`."""
    token = _offset.set(_offset.get() + by)
    try:
        yield
    finally:
        _offset.reset(token)


def hub_time(at: datetime) -> str:
    """`2026-01-02T03:04:05.000Z`: the one date format that the Hugging Face client parses (it refuses `+00:00`)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
