"""Unpacking through a runner: the caller never parses a byte of the archive."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backends.archives.bounds import Bounds
from backends.archives.names import Refused, check_together, path_of
from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.runners.asking import ask

WALL_S = 1200
MEMORY_BYTES = 2 * GIB
FAILED = f"The archive could not be unpacked within {MEMORY_BYTES // GIB} GiB of memory and {WALL_S // 60} minutes."


@dataclass(frozen=True)
class UnpackedFile:
    """What lies at `out/<number>` of the work folder, and which path it had in the archive."""

    number: int
    name: str
    size_bytes: int


def unpack_archive(
    runner: Runner, work: Path, archive: Path, *, key: str, bounds: Bounds | None = None
) -> list[UnpackedFile]:
    """Unpack `archive` below `work`; what it held, by the paths it had. Raises Refused with a sentence for whatever is not unpacked, also
    when the program did not come to its end; what `Runner.start` raises. Takes up to WALL_S."""
    bounds = bounds or Bounds()
    (work / "spec.json").write_text(json.dumps({"path": str(archive), "bounds": asdict(bounds)}))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.archives.run"),
        workdir=work,
        limits=Limits(memory_bytes=MEMORY_BYTES, cpu_s=WALL_S, wall_s=WALL_S, disk_bytes=bounds.unpacked_bytes + GIB),
        read_only_paths=(archive, work / "spec.json"),
    )
    return _held(ask(runner, run, key=key), bounds)


def _held(answer: Any, bounds: Bounds) -> list[UnpackedFile]:
    """The answer as far as it has the agreed shape: the program may have been taken over by what it read."""
    if (
        not isinstance(answer, dict)
        or not isinstance(answer.get("files"), list)
        or len(answer["files"]) > bounds.entries
    ):
        raise Refused(FAILED)
    if problem := answer.get("problem"):
        raise Refused(str(problem)[:1000].replace("\x00", "").encode(errors="replace").decode())
    files = []
    for number, each in enumerate(answer["files"]):
        if not isinstance(each, dict) or each.get("number") != number or not isinstance(each.get("name"), str):
            raise Refused(FAILED)
        if type(each.get("size_bytes")) is not int or each["size_bytes"] < 0:
            raise Refused(FAILED)
        files.append(UnpackedFile(number, path_of(each["name"]), each["size_bytes"]))
    check_together(file.name for file in files)
    return files
