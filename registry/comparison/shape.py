"""The shape of a comparison: groups of rows, a cell for each version, and what follows from the numbers of one row."""

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from registry.evaluations import Paired
from registry.services.cards import Card
from registry.services.studies import Asked, ModelFiles
from registry.signatures import SignatureVerdict

if TYPE_CHECKING:
    from registry.models import Version

LIMIT = 8
"""Versions side by side."""
LOWER_IS_BETTER = frozenset(
    "loss losses error errors err mae mse rmse mape brier latency size perplexity wer cer fid time memory ms seconds bytes distance "
    "deviation".split()
)
"""Words in the name of a metric that say that less is better."""


class Unit(enum.StrEnum):
    """What the numbers of a row count; `text` rows have no numbers."""

    TEXT = "text"
    NUMBER = "number"
    SHARE = "share"
    COUNT = "count"
    BYTES = "bytes"
    SECONDS = "seconds"


class Direction(enum.StrEnum):
    HIGHER = "higher"
    LOWER = "lower"
    NONE = ""


class Judgement(enum.StrEnum):
    """Of a value beside the base's. `unclear`: better or worse, and within what chance explains."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"
    NONE = ""


@dataclass(frozen=True)
class Cell:
    """One version's value. `difference`: value − base's, of numbers. `p_value`: of the paired test against the base, corrected for
    the number of versions; None without one. `extreme`: best, worst or nothing."""

    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    method: str = ""
    judgement: Judgement = Judgement.NONE
    extreme: str = ""
    is_changed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Row:
    """`key` is stable for programs, `label` is for people."""

    key: str
    label: str
    unit: Unit
    direction: Direction
    cells: tuple[Cell, ...]

    @property
    def is_changed(self) -> bool:
        return any(cell.is_changed for cell in self.cells)


@dataclass(frozen=True)
class Group:
    key: str
    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Verdict:
    """One sentence; `confidence` is high, moderate or none, and `reason` says what it rests on."""

    sentence: str
    confidence: str
    reason: str


@dataclass(frozen=True)
class Change:
    """Files of a version that are not as the base's; `is_cut` when only the first were counted."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    paths: tuple[tuple[str, str], ...] = ()
    is_cut: bool = False


@dataclass(frozen=True)
class Side:
    """What is known of one version. `files` is None when the actor may not read the files."""

    version: "Version"
    ref: str
    card: Card
    files: ModelFiles | None
    signature: SignatureVerdict
    change: Change
    speed: Asked
    weights: Asked


@dataclass(frozen=True)
class Comparison:
    """`groups` are whole; hiding what is identical is up to who shows them (`only_changed`). `panel_pending`: a worker is judging
    the predictions."""

    sides: tuple[Side, ...]
    base: int
    groups: tuple[Group, ...]
    panel: tuple[Paired | None, ...]
    panel_pending: bool
    main_metric: str
    verdict: Verdict = field(default_factory=lambda: Verdict("", "none", ""))

    @property
    def refs(self) -> list[str]:
        return [side.ref for side in self.sides]


def only_changed(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups without the rows in which all versions are alike."""
    left = (Group(group.key, group.title, tuple(row for row in group.rows if row.is_changed)) for group in groups)
    return tuple(group for group in left if group.rows)


def measured(metrics: object) -> dict[str, Mapping[str, Any]]:
    """The metrics that have a number, by name."""
    return {
        str(name): each
        for name, each in (metrics.items() if isinstance(metrics, Mapping) else ())
        if isinstance(each, Mapping) and number_of(each.get("value")) is not None
    }


def direction_of(metric: str) -> Direction:
    """Whether more or less of a metric is better, by the words of its name."""
    words = re.split(r"[^a-z0-9]+", metric.lower())
    return Direction.LOWER if LOWER_IS_BETTER.intersection(words) else Direction.HIGHER


def row_of(
    key: str, label: str, cells: Sequence[Cell], base: int, *, unit: Unit, direction: Direction = Direction.NONE
) -> Row:
    """A row whose cells know their difference from the base, and which are the best and the worst. Judgements that are set stay."""
    reference = cells[base].value
    numbers = [cell.value for cell in cells if isinstance(cell.value, int | float)]
    best, worst = (max(numbers), min(numbers)) if numbers else (None, None)
    if direction == Direction.LOWER:
        best, worst = worst, best
    made = []
    for cell in cells:
        value, extreme = cell.value, ""
        if direction and best != worst and isinstance(value, int | float):
            extreme = "best" if value == best else "worst" if value == worst and len(numbers) > 2 else ""
        difference, judgement = cell.difference, cell.judgement
        if isinstance(value, int | float) and isinstance(reference, int | float) and value != reference:
            difference = value - reference if difference is None else difference
            if direction and not judgement:
                is_better = (value > reference) == (direction == Direction.HIGHER)
                judgement = Judgement.BETTER if is_better else Judgement.WORSE
        made.append(
            replace(cell, difference=difference, judgement=judgement, extreme=extreme, is_changed=value != reference)
        )
    return Row(key, label, unit, direction, tuple(made))


def number_of(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
