"""Previews through a runner: the caller never parses a byte of the file."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.runners.asking import ask

ROWS = 100
COLUMNS = 60
_TEXT_LIMIT = 200
_WALL_S = 60
FAILED = "Its first rows could not be read within one gigabyte of memory and one minute."


@dataclass(frozen=True)
class TablePreview:
    """`columns`: name and type; `rows`: text, None for null, as long as `columns`. `problem` is a sentence, or empty."""

    column_count: int
    row_count: int
    columns: list[tuple[str, str]]
    rows: list[list[str | None]]
    problem: str


def preview_table(runner: Runner, folder: Path, file: Path, *, key: str, head_bytes: int) -> TablePreview:
    """The first rows of the Parquet `file`, of which the first `head_bytes` and the footer are there; it is hard-linked into the
    empty `folder`, which the caller removes. Whatever goes wrong in the sandbox is a `problem`. Raises what `Runner.start` raises.
    Takes up to a minute."""
    inputs = folder / "files"
    inputs.mkdir(exist_ok=True)
    os.link(file, inputs / "0")
    spec = {"path": "files/0", "head_bytes": head_bytes, "rows": ROWS, "columns": COLUMNS}
    (folder / "spec.json").write_text(json.dumps(spec))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.previews.run"),
        workdir=folder,
        limits=Limits(memory_bytes=GIB, cpu_s=_WALL_S, wall_s=_WALL_S, disk_bytes=16 * 1024**2),
        read_only_paths=(inputs, folder / "spec.json"),
    )
    return _checked(ask(runner, run, key=key))


def _checked(answer: Any) -> TablePreview:
    """What the program said, held to its shape: it may have been taken over by what it read."""
    try:
        columns = [(_text(name), _text(kind)) for name, kind in answer["columns"][:COLUMNS]]
        rows = [[None if value is None else _text(value) for value in row] for row in answer["rows"][:ROWS]]
        found = TablePreview(
            _count(answer["column_count"]), _count(answer["row_count"]), columns, rows, _text(answer["problem"])
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        return TablePreview(0, 0, [], [], FAILED)
    if any(len(row) != len(columns) for row in rows):
        return TablePreview(0, 0, [], [], FAILED)
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not text: {type(value).__name__}")
    return value.replace("\x00", "").encode(errors="replace").decode()[: 2 * _TEXT_LIMIT]


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a count")
    return value
