"""Versions judged row by row: what each said to the same rows of the same evaluation data.

Recipes keep what a model said in `evaluation/predictions.csv` (row, answer, predicted, …; for classes also is_right). Columns whose
names begin with `slice:` put rows into slices. It is a table of strangers all the same: read with bounds, never trusted to be whole,
and passed over when it is not what it says."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.errors import DomainError
from registry.errors import EntryNotFound
from registry.queries import entry_at, read_text

if TYPE_CHECKING:
    from registry.models import Version

PATH = "evaluation/predictions.csv"
SIZE_LIMIT = 8 * 1024**2
QUICK_BYTES = 512 * 1024
"""Predictions of all versions together that are judged while somebody waits: 60 ms for each version, most of it the bootstrap."""
ROWS_LIMIT = 100_000
SLICES_LIMIT = 50
SLICE = "slice:"
_SLICE_COLUMNS = 5
_RESAMPLES = 2_000
_DRAWN_VALUES = 20_000_000
"""Numbers that a bootstrap may draw: a second of work."""
_AT_A_TIME = 500_000
"""Numbers of a bootstrap that are in memory at once."""
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Test:
    """One measure of both versions on the same rows. `low`, `high`: the 95 % interval of the `difference` after − before.
    `p_value`: the chance of a difference at least this large between versions that are equally good."""

    name: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    p_value: float
    method: str
    is_higher_better: bool

    @property
    def is_significant(self) -> bool:
        return self.p_value < SIGNIFICANT

    @property
    def is_better(self) -> bool:
        return (self.difference > 0) == self.is_higher_better


@dataclass(frozen=True)
class Slice:
    """Rows of one kind. `before`, `after`: how many of the `n` each version got right; `p_value`: McNemar's exact test, corrected
    for the number of slices (Holm 1979)."""

    name: str
    n: int
    before: int
    after: int
    p_value: float = 1.0

    @property
    def difference(self) -> float:
        return (self.after - self.before) / self.n


@dataclass(frozen=True)
class ErrorSlice:
    """Rows of one kind, of numbers: the mean absolute error of each version over the `n` of them with its 95 % interval, and the
    interval of the difference after − before (bootstrap, 2.5 % and 97.5 %); `p_value`: of the paired bootstrap, corrected for the number
    of slices (Holm 1979)."""

    name: str
    n: int
    before: float
    before_low: float
    before_high: float
    after: float
    after_low: float
    after_high: float
    low: float
    high: float
    p_value: float = 1.0

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Paired:
    """Two versions over the `n` rows that both have seen. The first of `tests` is what they are judged by. Of classes:
    `right_before`, `right_after`: rows each got right; `lost`, `won`: rows that only the first, only the second got right;
    `slices`: the worst first; `confusion`: (answer, said, rows before, rows after) where these differ, the largest change first.
    Of numbers these are zero and empty, and `error_slices` are there instead: the largest error of the second version first."""

    n: int
    tests: tuple[Test, ...]
    right_before: int = 0
    right_after: int = 0
    lost: int = 0
    won: int = 0
    slices: tuple[Slice, ...] = ()
    confusion: tuple[tuple[str, str, int, int], ...] = ()
    error_slices: tuple[ErrorSlice, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Paired":
        """What `dataclasses.asdict` made of it, out of a database."""
        return cls(
            **{
                **value,
                "tests": tuple(Test(**each) for each in value["tests"]),
                "slices": tuple(Slice(**each) for each in value["slices"]),
                "error_slices": tuple(ErrorSlice(**each) for each in value["error_slices"]),
                "confusion": tuple((a, b, c, d) for a, b, c, d in value["confusion"]),
            }
        )

    @property
    def difference(self) -> float:
        return self.tests[0].difference

    @property
    def low(self) -> float:
        return self.tests[0].low

    @property
    def high(self) -> float:
        return self.tests[0].high

    @property
    def p_value(self) -> float:
        return self.tests[0].p_value

    @property
    def is_significant(self) -> bool:
        return self.tests[0].is_significant


@dataclass(frozen=True)
class Predictions:
    """`rows`: {row: (answer, said)}; of numbers these are texts of numbers. `slices`: {row: names of slices}."""

    is_numbers: bool
    rows: dict[str, tuple[str, str]]
    slices: dict[str, tuple[str, ...]]


def paired(before: "Version", after: "Version") -> Paired | None:
    """The comparison on the rows that both versions were asked; None when one keeps no predictions, or when they share no row with
    the same answer."""
    return panel([before, after], 0)[1]


def panel(versions: "Sequence[Version]", base: int) -> list[Paired | None]:
    """Every version against the base, all on one set of rows: those that all of them were asked. A version that shares none with
    those before it, or keeps no predictions of the base's kind, has None, as the base itself has."""
    found = [predictions_of(version) for version in versions]
    first = found[base]
    common = list(first.rows) if first else []
    joined: set[int] = set()
    for place, each in enumerate(found):
        if place == base or each is None or first is None or each.is_numbers != first.is_numbers:
            continue
        shared = [row for row in common if row in each.rows and each.rows[row][0] == first.rows[row][0]]
        if shared:
            common = shared
            joined.add(place)
    answers: list[Paired | None] = []
    for place, each in enumerate(found):
        if place not in joined or each is None or first is None:
            answers.append(None)
            continue
        truth = [first.rows[row][0] for row in common]
        before, after = ([side.rows[row][1] for row in common] for side in (first, each))
        judge = _paired_numbers if first.is_numbers else _paired_classes
        answers.append(judge(truth, before, after, [first.slices.get(row, ()) for row in common]))
    return answers


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for looking at all of them: Holm, A simple sequentially rejective multiple test procedure, 1979."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def _paired_classes(
    answers: list[str], said_before: list[str], said_after: list[str], kinds: list[tuple[str, ...]]
) -> Paired:
    was = np.array([a == b for a, b in zip(answers, said_before, strict=True)])
    now = np.array([a == b for a, b in zip(answers, said_after, strict=True)])
    n, lost, won = len(answers), int((was & ~now).sum()), int((~was & now).sum())
    drawn = np.random.default_rng(0).multinomial(n, [lost / n, won / n, (n - lost - won) / n], size=_RESAMPLES)
    low, high = np.quantile((drawn[:, 1] - drawn[:, 0]) / n, [0.025, 0.975])
    accuracy = Test(
        "accuracy", float(was.mean()), float(now.mean()), (won - lost) / n, float(low), float(high), mcnemar(lost, won),
        "McNemar, exact", is_higher_better=True,
    )  # fmt: skip
    return Paired(
        n, (accuracy, *_macro_f1(answers, said_before, said_after)), int(was.sum()), int(now.sum()), lost, won,
        _slices([*zip(answers, kinds, strict=True)], was, now), _confusion(answers, said_before, said_after),
    )  # fmt: skip


def _macro_f1(answers: list[str], before: list[str], after: list[str]) -> list[Test]:
    """Resampling rows is drawing from the distinct (answer, said before, said after), which is quicker. Left out when there are so
    many classes that this is not so."""
    labels, codes = np.unique(np.array([*answers, *before, *after]), return_inverse=True)
    rows, counts = np.unique(codes.reshape(3, -1), axis=1, return_counts=True)
    draws = min(_RESAMPLES, _DRAWN_VALUES // max(1, len(counts) * len(labels)))
    if draws < 200:
        return []
    n = int(counts.sum())
    drawn = np.random.default_rng(0).multinomial(n, counts / n, size=draws)

    def score(weights: NDArray[np.int64], said: int) -> NDArray[np.float64]:
        """Of the classes that are among the answers of the weighed rows."""
        is_class = np.arange(len(labels))
        answered, told = rows[0][:, None] == is_class, rows[said][:, None] == is_class
        hits, found, given = (weights @ each.astype(np.int64) for each in (answered & told, answered, told))
        of_class = np.where(found > 0, 2 * hits / np.maximum(found + given, 1), 0.0)
        mean: NDArray[np.float64] = of_class.sum(axis=-1) / np.maximum((found > 0).sum(axis=-1), 1)
        return mean

    old, new = float(score(counts, 1)), float(score(counts, 2))
    return [_bootstrapped("macro F1", old, new, score(drawn, 2) - score(drawn, 1), is_higher_better=True)]


def _paired_numbers(
    answers: list[str], before: list[str], after: list[str], kinds: list[tuple[str, ...]]
) -> Paired | None:
    truth, old, new = (np.array([float(each) for each in side]) for side in (answers, before, after))
    a, b = np.abs(old - truth), np.abs(new - truth)
    usable = np.isfinite(a) & np.isfinite(b)
    truth, a, b = truth[usable], a[usable], b[usable]
    kinds = [each for each, is_usable in zip(kinds, usable, strict=True) if is_usable]
    n = len(a)
    if not n:
        return None
    generator = np.random.default_rng(0)
    mean, root = [], []
    for _ in range(int(np.clip(_DRAWN_VALUES // n, 200, _RESAMPLES))):
        at = generator.integers(0, n, n)
        one, two = a[at], b[at]
        mean.append(two.mean() - one.mean())
        root.append(math.sqrt((two**2).mean()) - math.sqrt((one**2).mean()))
    rmse = [math.sqrt(float((side**2).mean())) for side in (a, b)]
    return Paired(
        n,
        (
            _bootstrapped(
                "mean absolute error", float(a.mean()), float(b.mean()), np.array(mean), is_higher_better=False
            ),
            _bootstrapped("RMSE", rmse[0], rmse[1], np.array(root), is_higher_better=False),
        ),
        error_slices=_error_slices(truth, a, b, kinds),
    )


def _bootstrapped(name: str, before: float, after: float, drawn: NDArray[Any], *, is_higher_better: bool) -> Test:
    """The interval and the two-sided test of the paired bootstrap (Efron and Tibshirani 1993, chapter 16)."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    if before == after and low == high:
        return Test(name, before, after, 0.0, 0.0, 0.0, 1.0, "paired bootstrap", is_higher_better)
    tail = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    p_value = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
    return Test(
        name, before, after, after - before, float(low), float(high), p_value, "paired bootstrap", is_higher_better
    )


def mcnemar(lost: int, won: int) -> float:
    """The exact two-sided test (McNemar 1947 in its binomial form): the chance that rows flip at least this unevenly between
    versions that are equally good."""
    flips = lost + won
    if flips == 0:
        return 1.0
    if flips <= 2_000:
        term = tail = 1
        for k in range(min(lost, won)):
            term = term * (flips - k) // (k + 1)
            tail += term
        return min(1.0, 2 * tail / 2**flips)
    # the normal distribution with the continuity correction: exact to four digits at so many
    distance = max(0.0, abs(lost - won) - 1) / math.sqrt(flips)
    return math.erfc(distance / math.sqrt(2))


def size_of(version: "Version") -> int:
    """Bytes of a version's predictions, 0 without any."""
    try:
        entry = entry_at(version.commit, PATH)
    except EntryNotFound:
        return 0
    return 0 if entry.is_dir else min(entry.size_bytes, SIZE_LIMIT)


def predictions_of(version: "Version") -> Predictions | None:
    """A version's predictions; None when it has none that can be read."""
    try:
        text = read_text(version.commit, PATH, limit=SIZE_LIMIT)
    except DomainError:
        return None
    try:
        return _read(csv.DictReader(text.splitlines(), strict=True))
    except (csv.Error, ValueError):
        return None


def _read(reader: "csv.DictReader[str]") -> Predictions | None:
    """Raises ValueError when what should be numbers are none."""
    names = set(reader.fieldnames or ())
    if not {"row", "answer", "predicted"} <= names:
        return None
    is_numbers = "is_right" not in names
    columns = sorted(name for name in names if name and name.startswith(SLICE))[:_SLICE_COLUMNS]
    rows: dict[str, tuple[str, str]] = {}
    slices: dict[str, tuple[str, ...]] = {}
    for row in islice(reader, ROWS_LIMIT):
        if not row["row"] or row["answer"] is None or row["predicted"] is None:
            continue
        if is_numbers:
            float(row["answer"]), float(row["predicted"])
        rows[row["row"]] = (row["answer"], row["predicted"])
        if columns:
            slices[row["row"]] = tuple(
                f"{name.removeprefix(SLICE).strip()[:60]} {row[name][:60]}" for name in columns if row[name]
            )
    return Predictions(is_numbers, rows, slices) if rows else None


def _slices(kinds: list[tuple[str, tuple[str, ...]]], was: np.ndarray, now: np.ndarray) -> tuple[Slice, ...]:
    """By answer, and by every slice that the table names."""
    places: dict[str, list[int]] = {}
    for place, (answer, others) in enumerate(kinds):
        for name in (f"answer {answer}", *others):
            places.setdefault(name, []).append(place)
    found = []
    for name, rows in places.items():
        a, b = was[rows], now[rows]
        chance = mcnemar(int((a & ~b).sum()), int((~a & b).sum()))
        found.append(Slice(name, len(rows), int(a.sum()), int(b.sum()), chance))
    corrected = holm([each.p_value for each in found])
    slices = [
        Slice(each.name, each.n, each.before, each.after, chance) for each, chance in zip(found, corrected, strict=True)
    ]
    return tuple(sorted(slices, key=lambda each: (each.after / each.n, each.name))[:SLICES_LIMIT])


def _error_slices(
    truth: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64], kinds: list[tuple[str, ...]]
) -> tuple[ErrorSlice, ...]:
    """By how large the answer is, in quarters of the rows, and by every slice that the table names; `a`, `b`: how far off each version
    is, row by row."""
    places: dict[str, Any] = dict(_quarters(truth))
    for place, others in enumerate(kinds):
        for name in others:
            places.setdefault(name, []).append(place)
    # the largest are kept when there are too many to draw for
    chosen = sorted(places, key=lambda name: (-len(places[name]), name))[:SLICES_LIMIT]
    total = sum(len(places[name]) for name in chosen)
    draws = int(np.clip(_DRAWN_VALUES // 4 // max(1, total), 200, _RESAMPLES))
    generator = np.random.default_rng(0)
    found: list[ErrorSlice] = []
    for name in chosen:
        one, two = a[places[name]], b[places[name]]
        n = len(one)
        means = np.concatenate(
            [_drawn_means(generator, one, two, count) for count in _chunks(draws, max(1, _AT_A_TIME // n))], axis=1
        )
        tested = _bootstrapped("", float(one.mean()), float(two.mean()), means[1] - means[0], is_higher_better=False)
        (before_low, before_high), (after_low, after_high) = np.quantile(means, [0.025, 0.975], axis=1).T.tolist()
        found.append(
            ErrorSlice(
                name, n, tested.before, before_low, before_high, tested.after, after_low, after_high, tested.low, tested.high,
                tested.p_value,
            )
        )  # fmt: skip
    corrected = holm([each.p_value for each in found])
    slices = [replace(each, p_value=chance) for each, chance in zip(found, corrected, strict=True)]
    return tuple(sorted(slices, key=lambda each: (-each.after, each.name)))


def _drawn_means(
    generator: np.random.Generator, one: NDArray[np.float64], two: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """The means of both over `count` resamples of the same rows."""
    at = generator.integers(0, len(one), (count, len(one)))
    return np.stack([one[at].mean(axis=1), two[at].mean(axis=1)])


def _chunks(total: int, size: int) -> Iterator[int]:
    for start in range(0, total, size):
        yield min(size, total - start)


def _quarters(truth: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Rows whose answers are alike in size, with the ends of each quarter; fewer where many answers are the same."""
    ends = np.unique(np.quantile(truth, [0.25, 0.5, 0.75]))
    part = np.searchsorted(ends, truth, side="left")
    for number in range(len(ends) + 1):
        rows = np.flatnonzero(part == number)
        if len(rows):
            low, high = float(truth[rows].min()), float(truth[rows].max())
            yield (f"answer {low:.4g}" if low == high else f"answer {low:.4g} to {high:.4g}"), rows


def _confusion(answers: list[str], before: list[str], after: list[str]) -> tuple[tuple[str, str, int, int], ...]:
    cells: dict[tuple[str, str], list[int]] = {}
    for side, said in enumerate((before, after)):
        for answer, label in zip(answers, said, strict=True):
            if answer != label:
                cells.setdefault((answer, label), [0, 0])[side] += 1
    changed = [(answer, label, one, two) for (answer, label), (one, two) in cells.items() if one != two]
    return tuple(sorted(changed, key=lambda each: (-abs(each[3] - each[2]), each[:2]))[:SLICES_LIMIT])
