"""Scanning files through a runner: the caller never parses a byte of them."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends import catalogue
from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.contracts.scanners import FileReport, Finding, Verdict, worst
from backends.runners.asking import ask

FAILED = FileReport(Verdict.UNKNOWN, "", (Finding("run.failed", Verdict.UNKNOWN, "The scan did not come to an end."),))


def rules_of(scanners: Sequence[str]) -> str:
    """The state of the rules of these scanners together, as a short digest: it changes when any of them does, or another joins."""
    said = ",".join(f"{name}={catalogue.find('scanners', name).rules_version}" for name in sorted(scanners))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def scan_files(
    runner: Runner, folder: Path, files: Mapping[str, Path], *, key: str, scanners: Sequence[str], wall_s: int = 240
) -> dict[str, FileReport]:
    """Scan `files` (name → local file, hard-linked into the empty `folder`, which the caller removes) and wait for the reports, by name.

    The same key scans once. An error, a time-out or an answer that is not one makes every verdict unknown.
    Raises what `Runner.start` raises. Takes up to `wall_s` seconds.
    """
    inputs = folder / "files"
    inputs.mkdir(exist_ok=True)
    listed = []
    for number, (name, path) in enumerate(files.items()):
        place = inputs / str(number)
        if not place.exists():
            os.link(path, place)
        listed.append({"name": name, "path": f"files/{number}"})
    (folder / "spec.json").write_text(json.dumps({"scanners": list(scanners), "files": listed, "wall_s": wall_s}))
    spec = RunSpec(
        argv=(sys.executable, "-m", "backends.scanners.run"),
        workdir=folder,
        limits=Limits(memory_bytes=GIB, cpu_s=wall_s, wall_s=wall_s, disk_bytes=9 * GIB),
        read_only_paths=(inputs, folder / "spec.json"),
    )
    return _reports(ask(runner, spec, key=key), list(files))


def _reports(answer: Any, names: list[str]) -> dict[str, FileReport]:
    """What the program says, as far as it has the agreed shape: it may have been taken over by what it read."""
    try:
        entries = {entry["name"]: entry for entry in answer["files"]}
    except (TypeError, KeyError, AttributeError):
        entries = {}
    return {name: _report(entries.get(name)) for name in names}


def _report(entry: Any) -> FileReport:
    try:
        findings = tuple(
            Finding(
                str(each["rule"])[:80], Verdict(each["verdict"]), str(each["message"])[:300], str(each["place"])[:300]
            )
            for each in entry["findings"][:50]
        )
        verdict = worst([Verdict(entry["verdict"]), *(finding.verdict for finding in findings)])
        return FileReport(verdict, str(entry["format"])[:80], findings)
    except (TypeError, KeyError, ValueError, AttributeError):
        return FAILED
