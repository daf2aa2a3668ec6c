"""A query through a runner. The rows of the sample are handed in as text: no file of the dataset is in the sandbox, so that nothing but the
sample can come out, whatever the query does to the engine."""

import json
import sys
from pathlib import Path
from typing import Any

from backends.contracts.runners import Limits, Runner, RunSpec
from backends.datasets.shapes import Maybe, Misshapen, held
from backends.runners.asking import ask
from backends.sql.limits import COLUMNS, PROCESS_MB, ROWS, WALL_S

FAILED = f"It was stopped: it took longer than {WALL_S} seconds or needed more than {PROCESS_MB} MB of memory. Ask for less, or for shorter values."
_SHAPE = {
    "columns": [(str, str)],
    "rows": [[Maybe(str)]],
    "is_cut": bool,
    "problem": Maybe({"kind": str, "message": str, "line": Maybe(int), "column": Maybe(int)}),
}


def query(runner: Runner, folder: Path, tables: list[dict[str, Any]], text: str, *, key: str) -> dict[str, Any]:
    """What `querying.answer` says, held to its shape; whatever goes wrong in the sandbox is a `problem`. Raises what `Runner.start`
    raises. Takes up to WALL_S."""
    (folder / "spec.json").write_text(json.dumps({"tables": tables, "query": text}))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.sql.run"),
        workdir=folder,
        limits=Limits(memory_bytes=PROCESS_MB * 1024**2, cpu_s=WALL_S, wall_s=WALL_S, disk_bytes=16 * 1024**2),
        # somebody's words are run here: isolated, or not at all
        is_foreign=True,
        read_only_paths=(folder / "spec.json",),
    )
    return checked(ask(runner, run, key=key))


def checked(answer: Any) -> dict[str, Any]:
    """The program may have been taken over by the query."""
    failed = {"kind": "stopped", "message": FAILED, "line": None, "column": None}
    try:
        found: dict[str, Any] = held(answer, _SHAPE)
    except Misshapen:
        return {"columns": [], "rows": [], "is_cut": False, "problem": failed}
    width = len(found["columns"])
    if width > COLUMNS or len(found["rows"]) > ROWS or any(len(row) != width for row in found["rows"]):
        return {"columns": [], "rows": [], "is_cut": False, "problem": failed}
    return found
