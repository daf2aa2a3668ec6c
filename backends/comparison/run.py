"""The comparing program: `python -m backends.comparison.run` in a folder with `spec.json`. Made to run in the sandbox.

`spec.json` has `study` (weights, answers or speed) and what it needs; the answer is `result.json`, whose `problem` is a sentence when
there is none."""

import json
import sys
from pathlib import Path
from typing import Any

from backends.comparison import asking, weights
from backends.comparison.tensorfiles import Tensor, Unreadable, tensors_of


def main(folder: Path) -> int:
    """Do what the spec asks and write the answer last and whole."""
    spec = json.loads((folder / "spec.json").read_text())
    try:
        found: dict[str, Any] = {"problem": "", **_study(folder, spec)}
    except Unreadable as error:
        found = {"problem": str(error)}
    draft = folder / ".result.json"
    # lone surrogates cannot be stored; what they stood for cannot be shown
    draft.write_text(json.dumps(found, allow_nan=False).encode(errors="replace").decode())
    draft.replace(folder / "result.json")
    return 0


def _study(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    if spec["study"] == "weights":
        return weights.compare(*(_all(folder, spec[side]) for side in ("before", "after")))
    if spec["study"] == "answers":
        return asking.answers(folder / spec["model"], spec["signature"], spec["given"])
    return asking.speed(folder / spec["model"], spec["signature"])


def _all(folder: Path, paths: list[str]) -> list[Tensor]:
    return [tensor for path in paths for tensor in tensors_of(folder / path)]


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
