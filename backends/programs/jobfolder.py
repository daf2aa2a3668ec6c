"""The folder a job runs in: its spec and inputs, and the files by which it reports.

One truth: `result.json` exists only when everything else has been written, so whoever sees it may collect the outputs.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.clock import now


class Refused(Exception):
    """The job cannot succeed as it is. The message is one or two sentences for the person who started it. `equivalence` is the
    report that it was refused for, so that this person can look at it."""

    def __init__(self, message: str, *, equivalence: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.equivalence = equivalence


@dataclass(frozen=True)
class Input:
    """Files of one version, read-only. `paths`: relative path with forward slashes -> file, the only way to open one,
    so that a name found inside a dataset can never lead out of its folder."""

    name: str
    kind: str
    title: str
    version_uuid: str
    paths: dict[str, Path]

    def read_json(self, path: str) -> dict[str, Any] | None:
        """A JSON object of this version; None when there is no such file. Raises `Refused` when it cannot be read."""
        if path not in self.paths:
            return None
        try:
            value = json.loads(self.paths[path].read_bytes())
        except (ValueError, RecursionError) as error:
            raise Refused(f"{path} of {self.title} is not valid JSON.") from error
        if not isinstance(value, dict):
            raise Refused(f"{path} of {self.title} must hold a JSON object.")
        return value


class JobFolder:
    """`spec.json`, `inputs/`, `outputs/` and the report files of one job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        spec = json.loads((root / "spec.json").read_bytes())
        self.recipe: str = spec["recipe"]
        self.parameters: dict[str, Any] = spec["parameters"]
        self.seed: int = spec.get("seed", 0)
        self.threads: int = spec.get("threads", 1)
        self._inputs: dict[str, dict[str, str]] = spec["inputs"]

    def input(self, name: str) -> Input:
        """The input of that name. Raises `Refused` when the job was given none."""
        if name not in self._inputs:
            raise Refused(f"This job needs an input named «{name}».")
        given = self._inputs[name]
        folder = self.root / given["dir"]
        paths = {
            (Path(directory) / file).relative_to(folder).as_posix(): Path(directory) / file
            for directory, _, files in os.walk(folder)
            for file in files
        }
        return Input(name, given["kind"], given["title"], given.get("version_uuid", ""), dict(sorted(paths.items())))

    def progress(self, fraction: float, message: str) -> None:
        """Tell people how far the job is. `fraction` 0–1."""
        self._append("progress.jsonl", {"at": _now(), "fraction": round(fraction, 4), "message": message})
        print(f"[{fraction:4.0%}] {message}", flush=True)

    def metric(self, name: str, step: int, value: float) -> None:
        """One point of a curve that is drawn while the job runs."""
        self._append("metrics.jsonl", {"at": _now(), "step": step, "name": name, "value": float(value)})

    def output(self, path: str) -> Path:
        """Where to write a file that becomes part of the result. `path` is one of our own names."""
        target = self.root / "outputs" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def output_json(self, path: str, value: dict[str, Any]) -> None:
        self.output(path).write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def finish(self, result: dict[str, Any]) -> None:
        """Write `result.json`, whole or not at all: the sign that the job is done."""
        self._write_atomically("result.json", result)

    def refuse(self, message: str, *, equivalence: dict[str, Any] | None = None) -> None:
        """Write `error.json`: why the job ended without a result, and the comparison that decided it."""
        self._write_atomically("error.json", {"message": message, "equivalence": equivalence})

    def _append(self, name: str, line: dict[str, Any]) -> None:
        with (self.root / name).open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

    def _write_atomically(self, name: str, value: dict[str, Any]) -> None:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        unfinished = self.root / f"{name}.part"
        with unfinished.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.root / name)


def _now() -> str:
    return now().isoformat(timespec="milliseconds")
