"""A place for a program that looks at strangers' bytes: a folder, a runner, and nothing left of either afterwards."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from backends import catalogue
from backends.contracts.runners import Runner
from common.ids import new_uuid
from registry.models import Blob
from registry.services import storage


@dataclass(frozen=True)
class Sandbox:
    """`work` is the empty folder that the program gets; `copies` is where the caller puts what it links into it."""

    key: str
    runner: Runner
    work: Path
    copies: Path


@contextmanager
def sandbox(purpose: str) -> Iterator[Sandbox]:
    """A place for one run. The folder has the name of the run, and goes after it: a run that a killed worker left behind is found
    by its folder (`registry.sweep_scans`)."""
    key = f"{purpose}-{new_uuid()}"
    folder = folders() / key
    work, copies = folder / "work", folder / "copies"
    work.mkdir(parents=True, mode=0o700)
    copies.mkdir(mode=0o700)
    runner = process_runner()
    try:
        yield Sandbox(key, runner, work, copies)
    finally:
        runner.clean(key)
        shutil.rmtree(folder, ignore_errors=True)


def copied(blob: Blob, copies: Path) -> Path:
    """The bytes in a file of `copies` that is called by their digest; written once. See `copy_to`."""
    target = copies / blob.sha256
    if not target.exists():
        copy_to(blob, target)
    return target


def copy_to(blob: Blob, target: Path) -> None:
    """Write a file the sandbox can read. A copy, never the stored file itself: what runs in the sandbox must not reach it."""
    with storage.open_blob(blob) as reader, target.open("wb") as file:
        for chunk in reader:
            file.write(chunk)
    target.chmod(0o644)


def folders() -> Path:
    root = Path(settings.DATA) / "scans"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return root


def process_runner() -> Runner:
    runner: Runner = catalogue.load("runners", "process", root=str(Path(settings.DATA) / "runs"))
    return runner
