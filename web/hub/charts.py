"""Small charts that the server draws: every mark has its place, so templates only write them down. The table beside a chart says the
same in words."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from web.templatetags.ui import number

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 28, 12, 34
WIDE = 760
_FEW = 6
_LABELS = 9


@dataclass(frozen=True)
class Tick:
    """Where a number stands on an axis, in pixels of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point; `low` and `high` are the ends of its interval, equal to `y` without one. `anchor` says on which side its name stands."""

    x: float
    y: float
    low: float
    high: float
    name: str
    text: str
    anchor: str
    label_x: float
    label_y: float
    is_base: bool
    href: str = ""


@dataclass(frozen=True)
class Drawing:
    """`line`: the points joined, empty when they are not."""

    id: str
    title: str
    x_label: str
    y_label: str
    width: int
    height: int
    left: int
    bottom: float
    right: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    marks: list[Mark]
    line: str = ""


@dataclass(frozen=True)
class Point:
    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    is_base: bool = False
    href: str = ""


def scatter(
    key: str, title: str, x_label: str, y_label: str, points: Sequence[Point], said: Callable[[float], str]
) -> Drawing:
    """One value against another. The x axis begins at zero, or is one of powers of ten when values are far apart; `said` writes its
    numbers."""
    xs = [point.x for point in points]
    is_log = min(xs) > 0 and max(xs) / min(xs) > 20
    place_x, x_ticks = _powers(xs, said) if is_log else _axis([0.0, *xs], LEFT, WIDTH - RIGHT, said)
    place_y, y_ticks = _values(points)
    marks = []
    taken: list[tuple[float, float]] = []
    for point in points:
        x, y = place_x(point.x), place_y(point.y)
        anchor, label_x = ("end", x - 8) if x > WIDTH * 0.6 else ("start", x + 8)
        label_y = y - 7
        while any(abs(label_y - other_y) < 12 and abs(label_x - other_x) < 90 for other_x, other_y in taken):
            label_y += 13
        taken.append((label_x, label_y))
        marks.append(_mark(point, x, place_y, f"{said(point.x)}, {number(point.y)}", anchor, label_x, label_y))
    return Drawing(
        key, title, x_label, y_label, WIDTH, HEIGHT, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, x_ticks, y_ticks, marks
    )


def trend(key: str, title: str, y_label: str, points: Sequence[Point]) -> Drawing:
    """Values in order, joined; each stands for a version, so the x axis has names and no numbers."""
    place_y, y_ticks = _values(points)
    # a few fit on a phone without scrolling
    width = WIDE if len(points) > _FEW else WIDTH
    step = (width - LEFT - RIGHT - 24) / max(1, len(points) - 1)
    start = LEFT + 12 if len(points) > 1 else (LEFT + width) / 2
    every = math.ceil(len(points) / _LABELS)
    marks, ticks = [], []
    for place, point in enumerate(points):
        x = round(start + place * step, 1)
        marks.append(_mark(point, x, place_y, number(point.y), "middle", x, 0))
        if (len(points) - 1 - place) % every == 0:
            ticks.append(Tick(x, point.name if len(point.name) <= 12 else f"{point.name[:11]}…"))
    line = " ".join(f"{mark.x},{mark.y}" for mark in marks)
    return Drawing(
        key, title, "version", y_label, width, HEIGHT, LEFT, HEIGHT - BOTTOM, width - RIGHT, ticks, y_ticks, marks, line
    )


def _mark(
    point: Point, x: float, place_y: Callable[[float], float], text: str, anchor: str, label_x: float, label_y: float
) -> Mark:
    low, high = (point.y if end is None else end for end in (point.low, point.high))
    return Mark(
        round(x, 1), round(place_y(point.y), 1), round(place_y(low), 1), round(place_y(high), 1), point.name,
        f"{point.name}: {text}", anchor, round(label_x, 1), round(label_y, 1), point.is_base, point.href,
    )  # fmt: skip


def _values(points: Sequence[Point]) -> tuple[Callable[[float], float], list[Tick]]:
    ends = [end for point in points for end in (point.y, point.low, point.high) if end is not None]
    return _axis(ends, HEIGHT - BOTTOM, TOP, lambda value: f"{value:.10g}")


def _axis(
    values: Sequence[float], start: float, end: float, said: Callable[[float], str]
) -> tuple[Callable[[float], float], list[Tick]]:
    """From values to pixels, and about four round numbers."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - abs(low or 1) * 0.1, high + abs(high or 1) * 0.1
    raw = (high - low) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    bottom, top = first * step, last * step

    def place(value: float) -> float:
        return start + (value - bottom) / (top - bottom) * (end - start)

    rounds = [round(step * each, 12) for each in range(first, last + 1)]
    return place, [Tick(round(place(each), 1), said(each)) for each in rounds]


def _powers(values: Sequence[float], said: Callable[[float], str]) -> tuple[Callable[[float], float], list[Tick]]:
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def place(value: float) -> float:
        return LEFT + (math.log10(value) - first) / (last - first) * (WIDTH - RIGHT - LEFT)

    every = math.ceil((last - first) / 4)
    ticks = [Tick(round(place(10.0**power), 1), said(10.0**power)) for power in range(first, last + 1, every)]
    return place, ticks
