"""Comparing through a runner: the caller never parses a byte of a model. What comes back is held to its shape."""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.comparison.limits import TENSORS_SHOWN, VALUES_SHOWN
from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.runners.asking import ask

_TEXT_LIMIT = 400
WEIGHTS_WALL_S = 540
WALL_S = 90
FAILED = "It could not be done within the memory and the time that a sandbox has."


def weigh(runner: Runner, folder: Path, before: Sequence[Path], after: Sequence[Path], *, key: str) -> dict[str, Any]:
    """The distance of the weights in the files `after` from those in `before`, see `weights.compare`; `problem` is a sentence when
    there is none. The files are hard-linked into the empty `folder`, which the caller removes. Raises what `Runner.start` raises.
    Takes up to nine minutes."""
    sides = {"before": list(before), "after": list(after)}
    spec = {side: [f"files/{side}-{number}" for number in range(len(files))] for side, files in sides.items()}
    files = {name: path for side, paths in sides.items() for name, path in zip(spec[side], paths, strict=True)}
    answer = _asked(runner, folder, {"study": "weights", **spec}, files, key=key, wall_s=WEIGHTS_WALL_S, memory=2 * GIB)
    return _checked(answer, _weights)


def answer(
    runner: Runner,
    folder: Path,
    model: Path,
    signature: Any,
    given: Mapping[str, Any],
    picture: Path | None,
    *,
    key: str,
) -> dict[str, Any]:
    """What the model says to an input, see `asking.answers`. `picture` is the file of an input of the form picture."""
    files = {"files/model.onnx": model} | ({"files/picture": picture} if picture else {})
    spec = {
        "study": "answers",
        "model": "files/model.onnx",
        "signature": signature,
        "given": {**given, **({"path": "files/picture"} if picture else {})},
    }
    return _checked(_asked(runner, folder, spec, files, key=key, wall_s=WALL_S, memory=4 * GIB), _answers)


def time_calls(runner: Runner, folder: Path, model: Path, signature: Any, *, key: str) -> dict[str, Any]:
    """How quick the model is and how much memory it takes, see `asking.speed`."""
    spec = {"study": "speed", "model": "files/model.onnx", "signature": signature}
    found = _asked(runner, folder, spec, {"files/model.onnx": model}, key=key, wall_s=WALL_S, memory=4 * GIB)
    return _checked(found, _speed)


def _asked(
    runner: Runner,
    folder: Path,
    spec: Mapping[str, Any],
    files: Mapping[str, Path],
    *,
    key: str,
    wall_s: int,
    memory: int,
) -> Any:
    inputs = folder / "files"
    inputs.mkdir(exist_ok=True)
    for name, path in files.items():
        os.link(path, folder / name)
    (folder / "spec.json").write_text(json.dumps(spec))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.comparison.run"),
        workdir=folder,
        limits=Limits(memory_bytes=memory, cpu_s=wall_s, wall_s=wall_s, disk_bytes=64 * 1024**2),
        read_only_paths=(inputs, folder / "spec.json"),
    )
    return ask(runner, run, key=key)


def _checked(answer: Any, check: Any) -> dict[str, Any]:
    """What the program said, held to its shape: it may have been taken over by what it read."""
    try:
        if answer["problem"]:
            return {"problem": _text(answer["problem"])}
        return {"problem": "", **check(answer)}
    except (TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError):
        return {"problem": FAILED}


def _weights(found: Any) -> dict[str, Any]:
    counts = (
        "matched", "by_shape", "identical", "only_before_count", "only_after_count", "parameters_before", "parameters_after",
    )  # fmt: skip
    return {
        "tensors": [
            {
                "name": _text(row["name"]),
                "matched": _text(row["matched"]),
                "shape": [_count(size) for size in row["shape"][:8]],
                "dtype": _text(row["dtype"]),
                **_distance(row),
            }
            for row in found["tensors"][:TENSORS_SHOWN]
        ],
        **{name: _count(found[name]) for name in counts},
        **{side: [_text(each) for each in found[side][:50]] for side in ("only_before", "only_after")},
        "total": _distance(found["total"]),
    }


def _distance(row: Any) -> dict[str, Any]:
    return {
        "count": _count(row["count"]),
        "changed": _count(row["changed"]),
        **{name: None if row[name] is None else _number(row[name]) for name in ("l2", "relative", "cosine")},
    }


def _answers(found: Any) -> dict[str, Any]:
    return {
        "outputs": [
            {
                "name": _text(each["name"]),
                "datatype": _text(each["datatype"])[:8],
                "shape": [_count(size) for size in each["shape"][:8]],
                "values": [_value(value) for value in each["values"][:VALUES_SHOWN]],
                "is_cut": bool(each["is_cut"]),
            }
            for each in found["outputs"][:32]
        ],
        "rows": _count(found["rows"]),
        "notes": [_text(each) for each in found["notes"][:20]],
        "run_s": _number(found["run_s"]),
    }


def _speed(found: Any) -> dict[str, Any]:
    return {
        **{name: _number(found[name]) for name in ("p50_s", "p95_s", "load_s")},
        **{name: _count(found[name]) for name in ("calls", "memory_bytes")},
    }


def _value(value: object) -> str | int | float | None:
    return None if value is None else _text(value) if isinstance(value, str) else _number(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {type(value).__name__}")
    return value.replace("\x00", "").encode(errors="replace").decode()[:_TEXT_LIMIT]


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a count")
    return value


def _number(value: object) -> int | float:
    if type(value) not in {int, float} or not math.isfinite(value):  # type: ignore[arg-type]
        raise ValueError("not a number")
    return value  # type: ignore[return-value]
