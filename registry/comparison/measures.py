"""Rows of what was measured: metrics with their intervals, and what tests on the same rows say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from registry.comparison.shape import Cell, Direction, Judgement, Row, Unit, direction_of, measured, number_of, row_of
from registry.evaluations import SIGNIFICANT, Paired, Test, holm

if TYPE_CHECKING:
    from registry.models import Version

SLICES_SHOWN = 30
MAIN_METRICS = (
    "accuracy", "map", "roc_auc", "auc", "macro_f1", "f1", "bleu", "iou", "r2", "rmse", "mae", "log_loss", "loss", "wer", "perplexity",
)  # fmt: skip
"""What a version is judged by, the first that all have; else the first by name."""


def main_metric(versions: "Sequence[Version]") -> str:
    """The metric that the versions are judged by: one that most of them have."""
    counts: dict[str, int] = {}
    for version in versions:
        for name in measured(version.metrics):
            counts[name] = counts.get(name, 0) + 1
    order = {name: place for place, name in enumerate(MAIN_METRICS)}
    return min(counts, key=lambda name: (-counts[name], order.get(name.lower(), len(order)), name), default="")


def metric_rows(versions: "Sequence[Version]", base: int, judged: Sequence[Paired | None]) -> list[Row]:
    metrics = [measured(version.metrics) for version in versions]
    chances = corrected([each.tests[0] if each else None for each in judged])
    rows = []
    for name in sorted({name for each in metrics for name in each}):
        direction = direction_of(name)
        cells = []
        for place, each in enumerate(metrics):
            found, pair = each.get(name), judged[place]
            if found is None:
                cells.append(Cell())
                continue
            cell = Cell(
                float(found["value"]), number_of(found.get("low")), number_of(found.get("high")),
                found["n"] if type(found.get("n")) is int else None,
                note=", ".join(str(found[key])[:120] for key in ("dataset", "split") if found.get(key)),
            )  # fmt: skip
            test = next((test for test in pair.tests if _is_same(test, name)), None) if pair else None
            if test and pair and test is pair.tests[0]:
                cell = replace(cell, p_value=chances[place], method=f"{test.method}, the same {pair.n:,} rows")
            cells.append(replace(cell, judgement=_judged(cell, metrics[base].get(name), direction)))
        rows.append(
            row_of(f"metric:{name}", name.replace("_", " "), cells, base, unit=Unit.NUMBER, direction=direction)
        )
    return rows


def _is_same(test: Test, metric: str) -> bool:
    return test.name.replace(" ", "_").lower() == {"mae": "mean_absolute_error"}.get(metric.lower(), metric.lower())


def _judged(cell: Cell, reference: Mapping[str, Any] | None, direction: Direction) -> Judgement:
    """By the paired test where there is one, else by whether the intervals share a value."""
    before = number_of(reference["value"]) if reference else None
    if before is None or cell.value == before or not isinstance(cell.value, float):
        return Judgement.NONE
    better = Judgement.BETTER if (cell.value > before) == (direction == Direction.HIGHER) else Judgement.WORSE
    if cell.p_value is not None:
        return better if cell.p_value < SIGNIFICANT else Judgement.UNCLEAR
    low, high = (number_of(reference.get(end)) for end in ("low", "high")) if reference else (None, None)
    if None not in {low, high, cell.low, cell.high} and cell.low <= high and low <= cell.high:  # type: ignore[operator]
        return Judgement.UNCLEAR
    return better


def same_rows_title(judged: Sequence[Paired | None]) -> str:
    n = next((each.n for each in judged if each), 0)
    return f"On the same {n:,} rows"


def corrected(tests: Sequence[Test | None]) -> list[float | None]:
    """The chances of all versions, corrected for looking at so many."""
    places = [place for place, test in enumerate(tests) if test]
    corrected = holm([test.p_value for test in tests if test])
    found: list[float | None] = [None] * len(tests)
    for place, chance in zip(places, corrected, strict=True):
        found[place] = chance
    return found


def paired_rows(judged: Sequence[Paired | None], base: int) -> list[Row]:
    first = next((each for each in judged if each), None)
    if first is None:
        return []
    rows = []
    for number, named in enumerate(first.tests):
        tests = [each.tests[number] if each and len(each.tests) > number else None for each in judged]
        cells = []
        for place, (test, chance) in enumerate(zip(tests, corrected(tests), strict=True)):
            if place == base:
                cells.append(Cell(named.before))
            elif test is None:
                cells.append(Cell())
            else:
                judgement = Judgement.NONE
                if test.difference:
                    better = Judgement.BETTER if test.is_better else Judgement.WORSE
                    judgement = better if chance is not None and chance < SIGNIFICANT else Judgement.UNCLEAR
                cells.append(
                    Cell(
                        test.after, difference=test.difference, difference_low=test.low, difference_high=test.high,
                        p_value=chance, method=test.method, judgement=judgement,
                    )
                )  # fmt: skip
        direction = Direction.HIGHER if named.is_higher_better else Direction.LOWER
        unit = Unit.SHARE if named.name in {"accuracy", "macro F1"} else Unit.NUMBER
        rows.append(
            row_of(f"same-rows:{named.name.replace(' ', '_')}", named.name, cells, base, unit=unit, direction=direction)
        )
    if first.slices:
        flips = (("won", "right here, wrong in the base"), ("lost", "wrong here, right in the base"))
        for key, label in flips:
            cells = [Cell(getattr(each, key) if each else None) for each in judged]
            made = row_of(f"same-rows:{key}", label, cells, base, unit=Unit.COUNT)
            changed = (replace(cell, is_changed=bool(cell.value)) for cell in made.cells)
            rows.append(replace(made, cells=tuple(changed)))
    return rows


def slice_rows(judged: Sequence[Paired | None], base: int) -> list[Row]:
    """The part of each slice that is answered rightly. Slices are the same for all: they are of one set of rows."""
    named: dict[str, list[Cell]] = {}
    counts: dict[str, int] = {}
    for place, each in enumerate(judged):
        for piece in each.slices if each else ():
            cells = named.setdefault(piece.name, [Cell() for _ in judged])
            counts[piece.name] = piece.n
            cells[base] = Cell(piece.before / piece.n, n=piece.n)
            judgement = Judgement.NONE
            if piece.difference:
                better = Judgement.BETTER if piece.difference > 0 else Judgement.WORSE
                judgement = better if piece.p_value < SIGNIFICANT else Judgement.UNCLEAR
            cells[place] = Cell(
                piece.after / piece.n, n=piece.n, p_value=piece.p_value, judgement=judgement, method="McNemar, exact"
            )
    worst = sorted(
        named,
        key=lambda name: (min(cell.value for cell in named[name] if isinstance(cell.value, float)), name),
    )
    return [
        row_of(
            f"slice:{name}", f"{name} ({counts[name]:,} row{'' if counts[name] == 1 else 's'})", named[name], base,
            unit=Unit.SHARE, direction=Direction.HIGHER,
        )
        for name in worst[:SLICES_SHOWN]
    ]  # fmt: skip


def error_slice_rows(judged: Sequence[Paired | None], base: int) -> list[Row]:
    """How far off each version is in each slice, with intervals: the mean absolute error, where the largest is first."""
    named: dict[str, list[Cell]] = {}
    counts: dict[str, int] = {}
    for place, each in enumerate(judged):
        for piece in each.error_slices if each else ():
            cells = named.setdefault(piece.name, [Cell() for _ in judged])
            counts[piece.name] = piece.n
            cells[base] = Cell(piece.before, piece.before_low, piece.before_high, piece.n)
            judgement = Judgement.NONE
            if piece.difference:
                better = Judgement.BETTER if piece.difference < 0 else Judgement.WORSE
                judgement = better if piece.p_value < SIGNIFICANT else Judgement.UNCLEAR
            cells[place] = Cell(
                piece.after, piece.after_low, piece.after_high, piece.n, piece.difference, piece.low, piece.high,
                p_value=piece.p_value, method="paired bootstrap", judgement=judgement,
            )  # fmt: skip
    worst = sorted(
        named, key=lambda name: (-max(cell.value for cell in named[name] if isinstance(cell.value, float)), name)
    )
    return [
        row_of(
            f"error-slice:{name}", f"{name} ({counts[name]:,} row{'' if counts[name] == 1 else 's'})", named[name], base,
            unit=Unit.NUMBER, direction=Direction.LOWER,
        )
        for name in worst[:SLICES_SHOWN]
    ]  # fmt: skip


def confusion_rows(judged: Sequence[Paired | None], base: int) -> list[Row]:
    """Pairs of answer and what was said whose count differs from the base's for some version, the largest change first. None is
    called better: no test says how much of a change is chance."""
    named: dict[tuple[str, str], list[Cell]] = {}
    moved: dict[tuple[str, str], int] = {}
    for place, each in enumerate(judged):
        for answer, said, before, after in each.confusion if each else ():
            cells = named.setdefault((answer, said), [Cell() for _ in judged])
            cells[base], cells[place] = Cell(before), Cell(after)
            moved[answer, said] = max(moved.get((answer, said), 0), abs(after - before))
    for pair, cells in named.items():
        # a version whose count is the base's has no line of its own in what was found
        for place, each in enumerate(judged):
            if each and cells[place].value is None:
                cells[place] = replace(cells[base])
        named[pair] = cells
    order = sorted(named, key=lambda pair: (-moved[pair], pair))
    return [
        row_of(
            f"confusion:{answer}:{said}", f"{answer} taken for {said}", named[answer, said], base, unit=Unit.COUNT,

        )
        for answer, said in order[:SLICES_SHOWN]
    ]  # fmt: skip
