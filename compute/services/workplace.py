"""The folder a job's program runs in: prepared from registry versions, and read back with distrust, since the program wrote it."""

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeGuard

from django.conf import settings

from backends.contracts.runners import Capability, Limits, Runner
from common import strict_json
from common.errors import DomainError, Invalid, Unavailable
from common.ids import new_uuid
from compute.models import Attempt, Job
from registry.build_queries import build_by_uuid
from registry.queries import Entry, all_files, blobs_of, version_by_uuid
from registry.services import storage
from registry.services.quarantine import require_free

CHUNK_BYTES = 1024**2
_BATCH = 500
_RESULT_LIMIT = 4 * 1024**2
_SERIES_LIMIT = 5_000
"""Points kept of all curves of one attempt together: enough for a chart, small enough for a row."""
_LINES_LIMIT = 16 * 1024**2
_FILES_LIMIT = 10_000
_FIGURES_LIMIT = 50
_FULL = {errno.ENOSPC, errno.EDQUOT}


class NoResult(Exception):
    """What the program left is not what a program leaves. The message is for the person who started the job."""


@dataclass(frozen=True)
class Progress:
    """The last word of the program. `fraction` 0–1."""

    fraction: float
    message: str


@dataclass(frozen=True)
class Result:
    """`result.json`, checked for shape only."""

    metrics: dict[str, Any] = field(default_factory=dict)
    signature: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    equivalence: dict[str, Any] = field(default_factory=dict)
    summary: str = ""


def folder_of(attempt: Attempt) -> Path:
    return Path(settings.DATA) / "jobs" / str(attempt.uuid)


def read_only_parts(folder: Path) -> tuple[Path, ...]:
    """What the program may read and not change."""
    return folder / "inputs", folder / "spec.json"


def prepare(job: Job, attempt: Attempt, runner: Runner, limits: Limits, keep_going: Callable[[], None]) -> Path:
    """Make the folder of an attempt, with all its inputs. It appears whole, by rename: a second call, also beside the first,
    finds it. `keep_going` is called now and then and may raise to stop. Raises Unavailable when the disk is full."""
    folder = folder_of(attempt)
    if folder.exists():
        return folder
    draft = folder.with_name(f".{new_uuid()}")
    try:
        (draft / "outputs").mkdir(parents=True, mode=0o700)
        (draft / "inputs").mkdir()
        for name, given in job.inputs.items():
            _fill(draft / "inputs" / name, given["version_uuid"], runner, keep_going)
            if "build_uuid" in given:
                _add_build(draft / "inputs" / name, given["build_uuid"], runner, keep_going)
        spec = {
            "recipe": job.recipe,
            "parameters": job.parameters,
            "inputs": {name: {**given, "dir": f"inputs/{name}"} for name, given in job.inputs.items()},
            "seed": 0,
            "threads": limits.threads,
        }
        (draft / "spec.json").write_text(json.dumps(spec))
        try:
            draft.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable("There is no disk space to prepare the job.", code="storage_full") from error
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def remove(attempt: Attempt) -> None:
    """Gone is success."""
    shutil.rmtree(folder_of(attempt), ignore_errors=True)


def progress_of(folder: Path) -> Progress | None:
    """The last complete line of `progress.jsonl`; None when there is none or it makes no sense."""
    for line in reversed(_lines(folder, "progress.jsonl", tail_bytes=8192)):
        fraction, message = line.get("fraction"), line.get("message")
        if _is_number(fraction) and isinstance(message, str):
            return Progress(min(max(float(fraction), 0.0), 1.0), plain(message, 200))
    return None


def series_of(folder: Path) -> dict[str, list[list[float]]]:
    """Curves from `metrics.jsonl`: `{name: [[step, value], …]}` in the order written, thinned to 5,000 points in all."""
    found: dict[str, list[list[float]]] = {}
    count = 0
    for line in _lines(folder, "metrics.jsonl", tail_bytes=_LINES_LIMIT):
        name, step, value = line.get("name"), line.get("step"), line.get("value")
        if isinstance(name, str) and _is_number(step) and _is_number(value) and (name in found or len(found) < 50):
            found.setdefault(plain(name, 80), []).append([step, value])
            count += 1
    every = -(-count // _SERIES_LIMIT)
    if every <= 1:
        return found
    return {name: [*points[:-1:every], points[-1]] for name, points in found.items()}


@dataclass(frozen=True)
class Problem:
    """`error.json`: what it says to people, and the comparison that decided it; empty where it says nothing."""

    message: str = ""
    equivalence: dict[str, Any] = field(default_factory=dict)


def problem_of(folder: Path) -> Problem:
    """`error.json`, as far as it makes sense."""
    try:
        content = _read_json(folder, "error.json")
    except (NoResult, FileNotFoundError):
        return Problem()
    message, report = content.get("message"), content.get("equivalence")
    return Problem(
        plain(message, 1000) if isinstance(message, str) else "",
        figures_of(report) if isinstance(report, dict) else {},
    )


def figures_of(report: dict[str, Any]) -> dict[str, Any]:
    """Of a comparison the numbers, words and verdicts, as far as a row holds them."""
    return {
        plain(name, 80): plain(value, 300) if isinstance(value, str) else value
        for name, value in list(report.items())[:_FIGURES_LIMIT]
        if isinstance(value, str | bool) or _is_number(value)
    }


def result_of(folder: Path) -> Result:
    """`result.json`. Raises NoResult when it is missing or not of the agreed shape."""
    try:
        content = _read_json(folder, "result.json")
    except FileNotFoundError:
        raise NoResult("The program ended without a result.") from None
    parts = {name: content.get(name) or {} for name in ("metrics", "signature", "environment", "equivalence")}
    summary = content.get("summary") or ""
    if not all(isinstance(part, dict) for part in parts.values()) or not isinstance(summary, str):
        raise NoResult("The result of the program is not in the agreed form.")
    return Result(**parts, summary=plain(summary, 2000))


def outputs_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Relative path (with `/`) and size of every file below `outputs/`. Raises NoResult for anything but plain files and
    folders, and for more than 10,000 files."""
    top = folder / "outputs"
    count = 0
    for place, folders, names in os.walk(top, onerror=_cannot_read, followlinks=False):
        here = Path(place)
        for name in folders:
            if (here / name).is_symlink():
                raise NoResult("The program left a link among its outputs.")
        for name in sorted(names):
            found = (here / name).lstat()
            if not stat.S_ISREG(found.st_mode):
                raise NoResult("The program left something that is not a plain file among its outputs.")
            count += 1
            if count > _FILES_LIMIT:
                raise NoResult(f"The program left more than {_FILES_LIMIT} files.")
            yield (here / name).relative_to(top).as_posix(), found.st_size


def open_output(folder: Path, path: str) -> IO[bytes]:
    """One output file, to be read. Raises NoResult when it is not a plain file."""
    return _open(folder / "outputs" / path)


def plain(text: str, limit: int) -> str:
    """`text` as one line that any database holds: no control characters, no lone surrogates, at most `limit` characters."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit]


def _fill(folder: Path, version_uuid: str, runner: Runner, keep_going: Callable[[], None]) -> None:
    """All files of a version below `folder`. Linked where the store has them on this disk and the sandbox cannot write to
    them, copied otherwise."""
    folder.mkdir()
    may_link = Capability.ISOLATES in runner.capabilities
    batch: list[Entry] = []
    version = version_by_uuid(version_uuid)

    def place() -> None:
        keep_going()
        blobs = blobs_of(batch)
        require_free(version.repo, list(blobs))
        for entry in batch:
            target = folder / PurePosixPath(entry.path)
            if not target.resolve().is_relative_to(folder.resolve()):
                raise Invalid(f"The path {entry.path!r} cannot be given to a program.")
            target.parent.mkdir(parents=True, exist_ok=True)
            _bring(blobs[entry.ref], target, may_link=may_link, keep_going=keep_going)
        batch.clear()

    for entry in all_files(version.commit):
        batch.append(entry)
        if len(batch) == _BATCH:
            place()
    place()


def _add_build(folder: Path, build_uuid: str, runner: Runner, keep_going: Callable[[], None]) -> None:
    """The files of a build beside those of its version, and its signature where the version names none."""
    may_link = Capability.ISOLATES in runner.capabilities
    build = build_by_uuid(build_uuid)
    files = {each.path: each.blob for each in build.files.all()}
    require_free(build.version.repo, list(files.values()))
    for path, blob in files.items():
        target = folder / PurePosixPath(path)
        if not target.resolve().is_relative_to(folder.resolve()) or target.exists():
            raise Invalid(f"The path {path!r} of a build cannot be given to a program.")
        target.parent.mkdir(parents=True, exist_ok=True)
        _bring(blob, target, may_link=may_link, keep_going=keep_going)
    signature = folder / "signature.json"
    if build.signature and not signature.exists():
        signature.write_text(json.dumps(build.signature))


def _bring(blob: Any, target: Path, *, may_link: bool, keep_going: Callable[[], None]) -> None:
    source = storage.local_path(blob) if may_link else None
    if source is not None:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK}:
                raise
        else:
            return
    with storage.open_blob(blob) as reader, target.open("wb") as out:
        for chunk in reader:
            out.write(chunk)
            keep_going()


def _lines(folder: Path, name: str, *, tail_bytes: int) -> list[dict[str, Any]]:
    """The objects among the last complete lines of a file that may be growing."""
    try:
        with _open(folder / name) as stream:
            size = os.fstat(stream.fileno()).st_size
            stream.seek(max(size - tail_bytes, 0))
            data = stream.read(tail_bytes)
    except (FileNotFoundError, NoResult):
        return []
    found = []
    for line in data.split(b"\n")[1 if size > tail_bytes else 0 : -1]:
        try:
            content = strict_json.loads(line, max_bytes=65536)
        except DomainError:
            continue
        if isinstance(content, dict):
            found.append(content)
    return found


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    with _open(folder / name) as stream:
        raw = stream.read(_RESULT_LIMIT + 1)
    try:
        content = strict_json.loads(raw, max_bytes=_RESULT_LIMIT)
    except DomainError as error:
        raise NoResult("The result of the program is not valid JSON.") from error
    if not isinstance(content, dict):
        raise NoResult("The result of the program is not in the agreed form.")
    return content


def _open(path: Path) -> IO[bytes]:
    """A plain file the program left: no link is followed, no pipe is waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NoResult(f"The program left something that is not a plain file: {path.name}.") from error
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise NoResult(f"The program left something that is not a plain file: {path.name}.")
    return stream


def _cannot_read(error: OSError) -> None:
    raise NoResult("The program left a folder that cannot be read.") from error


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
