"""Small charts drawn by the server: bars as rectangles of an SVG, each with its range in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

WIDTH, HEIGHT = 120.0, 36.0


@dataclass(frozen=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    title: str


@dataclass(frozen=True)
class Bars:
    """A histogram drawn on 120 × 36: `low` and `high` stand below it, `label` says it in words. `ghosts` are the bars of an earlier
    version behind."""

    bars: list[Bar]
    label: str
    low: str = ""
    high: str = ""
    ghosts: list[Bar] = field(default_factory=list)


@dataclass(frozen=True)
class Tile:
    label: str
    value: str
    note: str = ""
    tone: str = ""


def shares(counts: Sequence[Sequence[Any]]) -> list[tuple[str, int, int]]:
    """Each with its part of the largest, in per cent."""
    most = max((n for _, n in counts), default=1) or 1
    return [(name or "(empty text)", n, round(100 * n / most)) for name, n in counts]


def bars_of(histogram: Mapping[str, Any], what: str, *, is_time: bool = False, ghost: Sequence[int] = ()) -> Bars:
    """The histogram as bars, each with its range in words."""
    edges, counts = histogram["edges"], histogram["counts"]
    write = _day if is_time else short
    tallest = max([*counts, *ghost, 1])
    low, high = (write(edges[0]), write(edges[-1])) if edges else ("", "")
    return Bars(
        _bars(counts, tallest, [f"{write(a)} to {write(b)}" for a, b in pairwise(edges)]),
        f"Histogram of {what} from {low} to {high}",
        low,
        high,
        _bars(ghost, tallest, []) if ghost else [],
    )


def _bars(counts: Sequence[int], tallest: int, titles: Sequence[str]) -> list[Bar]:
    step = WIDTH / max(1, len(counts))
    found = []
    for place, n in enumerate(counts):
        height = max(1.0, HEIGHT * n / tallest) if n else 0.0
        title = f"{titles[place]}: {n:,}" if place < len(titles) else f"{n:,}"
        found.append(
            Bar(
                f"{place * step + 0.4:.2f}",
                f"{HEIGHT - height:.2f}",
                f"{max(step - 0.8, 0.4):.2f}",
                f"{height:.2f}",
                title,
            )
        )
    return found


def short(value: float | None) -> str:
    """Four significant digits; whole numbers whole."""
    if value is None:
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}"


def _day(seconds: float | None) -> str:
    try:
        return datetime.fromtimestamp(seconds or 0, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return short(seconds)
