"""Blind evaluation through a runner: the caller parses neither the model nor the rows, and believes nothing of the answer that is not
of its shape. The model may be a hostile file, and the rows may be, too."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.blind.metrics import CLASSES_SHOWN, DIGITS, METRICS, BlindMetric, rounded
from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.runners.asking import ask

WALL_S = 600
MEMORY_BYTES = 4 * GIB
FAILED = f"It could not be evaluated within {WALL_S // 60} minutes and {MEMORY_BYTES // GIB} GiB of memory: take fewer rows, or smaller ones."
_TEXT_LIMIT = 600
_NAME_LIMIT = 200


@dataclass(frozen=True)
class Score:
    """What left the sandbox. `classes`: `{class, rows, precision, recall, f1}`; `class` is None for the small ones together, whose
    figures may be None. `problem` is a sentence when there is no score."""

    problem: str = ""
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    classes: list[dict[str, Any]] = field(default_factory=list)


def evaluate(
    runner: Runner,
    folder: Path,
    *,
    metric: str,
    target: str,
    file: str,
    rows_min: int,
    rows_max: int,
    key: str,
    keep_going: Callable[[], None],
) -> Score:
    """Run the program in `folder`, whose `inputs/model` and `inputs/data` hold the files of the two versions. `keep_going` as in `ask`.
    Raises what `Runner.start` raises. Takes up to ten minutes."""
    spec = {
        "recipe": "blind",
        "parameters": {"metric": metric, "target": target, "file": file, "rows_min": rows_min, "rows_max": rows_max},
        # titles, not names: what the program says to the buyer never names the seller's repository
        "inputs": {
            "model": {"dir": "inputs/model", "kind": "model", "title": "The model"},
            "data": {"dir": "inputs/data", "kind": "dataset", "title": "The test set"},
        },
        "seed": 0,
        "threads": 1,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.blind.run"),
        workdir=folder,
        limits=Limits(memory_bytes=MEMORY_BYTES, cpu_s=WALL_S, wall_s=WALL_S, disk_bytes=64 * 1024**2),
        # two parties trust us that nothing gets out: where nothing can be isolated, nothing is run
        is_foreign=True,
        read_only_paths=(folder / "inputs", folder / "spec.json"),
    )
    return checked(ask(runner, run, key=key, keep_going=keep_going), METRICS[metric], rows_min, rows_max)


def checked(answer: Any, metric: BlindMetric, rows_min: int, rows_max: int) -> Score:
    """What the program said, held to its shape and rounded once more: it may have been taken over by what it read."""
    try:
        if answer["problem"]:
            return Score(problem=_text(answer["problem"], _TEXT_LIMIT))
        value, low, high = (rounded(_number(answer[name]), metric) for name in ("value", "low", "high"))
        n = _count(answer["n"], rows_max)
        rows = answer["classes"]
        if n < rows_min or not low <= value <= high or not isinstance(rows, list) or len(rows) > CLASSES_SHOWN + 1:
            return Score(problem=FAILED)
        if metric.is_share and not (low >= 0 and high <= 1):
            return Score(problem=FAILED)
        return Score("", value, low, high, n, [_class(row, rows_max) for row in rows])
    except (TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError):
        return Score(problem=FAILED)


def _class(row: Any, rows_max: int) -> dict[str, Any]:
    name = row["class"]
    return {
        "class": None if name is None else _text(name, _NAME_LIMIT),
        "rows": _count(row["rows"], rows_max),
        **{each: None if row[each] is None else _share(row[each]) for each in ("precision", "recall", "f1")},
    }


def _text(value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {type(value).__name__}")
    plain = "".join(c if c.isprintable() else " " for c in value.encode(errors="replace").decode())
    return " ".join(plain.split())[:limit]


def _count(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("not a count")
    return value


def _number(value: object) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError("not a number")
    return float(value)  # type: ignore[arg-type]


def _share(value: object) -> float:
    share = _number(value)
    if not 0 <= share <= 1:
        raise ValueError("not a share")
    return round(share, DIGITS)
