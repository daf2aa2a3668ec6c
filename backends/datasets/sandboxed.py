"""Profiles and comparisons through a runner: the caller never parses a byte of the files."""

import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.contracts.runners import GIB, Limits, Runner, RunSpec
from backends.datasets import media_recipes, recipes
from backends.datasets.media_recipes import MediaRecipe
from backends.datasets.recipes import Recipe
from backends.datasets.rules import Rule, plain
from backends.datasets.shapes import COMPARISON, DERIVED, DERIVED_MEDIA, PROFILE, Misshapen, held
from backends.runners.asking import ask

WALL_S = 1200
LIMITS = Limits(memory_bytes=3 * GIB, cpu_s=2 * WALL_S, wall_s=WALL_S, disk_bytes=16 * GIB)
FAILED = f"It could not be read within {LIMITS.memory_bytes // GIB} GiB of memory and {WALL_S // 60} minutes."
PICTURE_BYTES = 256 * 1024
_PICTURES = 100
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclass(frozen=True)
class LocalFile:
    """A file of the dataset and where a copy of it lies."""

    name: str
    path: Path
    size_bytes: int


@dataclass(frozen=True)
class Profiled:
    """`content` as shapes.PROFILE declares it, with `problem` when there is nothing else; `pictures`: PNG or JPEG by number."""

    content: dict[str, Any]
    pictures: dict[int, bytes] = field(default_factory=dict)


def profile_files(
    runner: Runner, work: Path, copies: Path, files: Sequence[LocalFile], rules: Sequence[Rule], *, key: str
) -> Profiled:
    """Look into `files`, which lie in `copies`. Whatever goes wrong in the sandbox is a `problem`. Raises what `Runner.start` raises.
    Takes up to WALL_S."""
    spec = {"deed": "profile", "files": _entries(files), "rules": plain(rules)}
    answer = _asked(runner, work, copies, spec, key)
    try:
        content = held(answer, PROFILE)
    except Misshapen:
        return Profiled({"problem": FAILED})
    wanted = {each["picture"] for each in (content["images"] or {"samples": []})["samples"]}
    return Profiled(
        content,
        {number: raw for number in sorted(wanted)[:_PICTURES] if (raw := _picture(work / "pictures" / str(number)))},
    )


def compare_files(
    runner: Runner,
    work: Path,
    copies: Path,
    before: Sequence[LocalFile],
    after: Sequence[LocalFile],
    columns: Sequence[str],
    *,
    key: str,
) -> dict[str, Any]:
    """What differs between the tables of two states, as shapes.COMPARISON declares it; `problem` alone when that failed."""
    spec = {"deed": "compare", "before": _entries(before), "after": _entries(after), "key": list(columns)}
    try:
        found: dict[str, Any] = held(_asked(runner, work, copies, spec, key), COMPARISON)
    except Misshapen:
        return {"problem": FAILED}
    return found


def derive_files(
    runner: Runner, work: Path, copies: Path, files: Sequence[LocalFile], recipe: Recipe, *, key: str
) -> dict[str, Any]:
    """Follow a recipe, as shapes.DERIVED declares it; what file `number` is, lies at `work/out/<number>`. A recipe that does not fit, and
    whatever goes wrong in the sandbox, is a `problem`."""
    spec = {"deed": "derive", "files": _entries(files), "recipe": recipes.plain(recipe)}
    try:
        found: dict[str, Any] = held(_asked(runner, work, copies, spec, key), DERIVED)
    except Misshapen:
        return {"problem": FAILED}
    return found


def derive_media_files(
    runner: Runner, work: Path, copies: Path, files: Sequence[LocalFile], recipe: MediaRecipe, *, key: str
) -> dict[str, Any]:
    """`derive_files` for pictures and sounds, as shapes.DERIVED_MEDIA declares it."""
    spec = {"deed": "derive-media", "files": _entries(files), "recipe": media_recipes.plain(recipe)}
    try:
        found: dict[str, Any] = held(_asked(runner, work, copies, spec, key), DERIVED_MEDIA)
    except Misshapen:
        return {"problem": FAILED}
    return found


def read_output(work: Path, number: int) -> Iterator[bytes]:
    """The bytes of `work/out/<number>`, of which nothing is a link. Raises OSError."""
    folder = os.open(work / "out", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        descriptor = os.open(str(number), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a plain file")
        while chunk := stream.read(1024**2):
            yield chunk


def _entries(files: Sequence[LocalFile]) -> list[dict[str, Any]]:
    return [{"name": file.name, "path": str(file.path), "size_bytes": file.size_bytes} for file in files]


def _asked(runner: Runner, work: Path, copies: Path, spec: dict[str, Any], key: str) -> Any:
    (work / "spec.json").write_text(json.dumps(spec))
    run = RunSpec(
        argv=(sys.executable, "-m", "backends.datasets.run"),
        workdir=work,
        limits=LIMITS,
        read_only_paths=(copies, work / "spec.json"),
    )
    return ask(runner, run, key=key)


def _picture(path: Path) -> bytes | None:
    """What the program left as a picture, if it is a plain file of a form that browsers show, and small."""
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file() or path.stat().st_size > PICTURE_BYTES:
        return None
    raw = path.read_bytes()
    return raw if raw.startswith(_MAGIC) else None
