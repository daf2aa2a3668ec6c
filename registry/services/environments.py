"""Environment locks: which packages a version was made with, as a file of its commit says. Read in the sandbox after the release; the
file is a stranger's, so what it says is a claim, never given to an installer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from django.db import transaction

from backends.environments.locks import BYTES_LIMIT, CONDA, FORMATS, PYPI
from backends.environments.sandboxed import read_lock
from common.clock import now
from registry.models import EnvironmentLock
from registry.queries import blob_of, entries_for, held_back, version_by_pk
from registry.services.sandboxes import copied, sandbox

if TYPE_CHECKING:
    from registry.models import Version

RULES = "1"
"""Raised when locks are read differently; what was read by older rules is read again when the task runs again."""
NAMES = tuple(FORMATS)
"""The names that are recognised at the root of a commit, the first before all others."""


@dataclass(frozen=True)
class Package:
    """`version`: the one exact version, or empty; `wanted`: what the file says instead. `ecosystem`: pypi, conda or other."""

    name: str
    version: str
    wanted: str
    ecosystem: str
    has_hash: bool

    @property
    def said(self) -> str:
        return self.version or self.wanted

    @property
    def purl(self) -> str:
        """The package URL without its version, for ecosystems that have one."""
        return f"pkg:{self.ecosystem}/{quote(self.name)}" if self.ecosystem in {PYPI, CONDA} else ""


@dataclass(frozen=True)
class Environment:
    """What is known of a version's environment lock. `path` is empty when there is none; `others`: further files that could have been
    it. `notes`: what was passed over; `problem`: why it could not be read."""

    path: str = ""
    format: str = ""
    problem: str = ""
    packages: tuple[Package, ...] = ()
    others: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_cut: bool = False
    is_pending: bool = False
    loose: tuple[Package, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loose", tuple(each for each in self.packages if not each.version))

    @property
    def is_locked(self) -> bool:
        """Whether every package has just one version."""
        return bool(self.packages) and not self.loose and not self.problem

    @property
    def hashed_count(self) -> int:
        return sum(each.has_hash for each in self.packages)


def environment_of(version: "Version") -> Environment:
    """What was read; `is_pending` until the task after the release has come by. One query."""
    return environments_of([version])[0]


def environments_of(versions: "Sequence[Version]") -> list[Environment]:
    """`environment_of` of several versions, in one query."""
    rows = {row.version_id: row for row in EnvironmentLock.objects.filter(version__in=versions)}
    return [_environment(rows.get(version.pk)) for version in versions]


def read_environment(version_id: int) -> EnvironmentLock:
    """Find the environment lock of a version at the root of its commit, read it in the sandbox, and keep what it says. Safe to repeat:
    read once for each state of the rules. A file under quarantine is not opened."""
    version = version_by_pk(version_id)
    known = EnvironmentLock.objects.filter(version=version, rules=RULES).first()
    if known is not None:
        return known
    path, content = _found(version)
    with transaction.atomic():
        return EnvironmentLock.objects.update_or_create(
            version=version, defaults={"rules": RULES, "path": path, "content": content, "created_at": now()}
        )[0]


def _found(version: "Version") -> tuple[str, dict[str, Any]]:
    by_name = {entry.path: entry for entry in entries_for(version.commit, NAMES) if not entry.is_dir}
    found = [by_name[name] for name in NAMES if name in by_name]
    if not found:
        return "", {}
    entry, others = found[0], [each.path for each in found[1:]]
    content: dict[str, Any] = {"format": FORMATS[entry.path][0], "others": others}
    if held_back(version.repo_id, [entry.ref]):
        return entry.path, content | {"problem": "It is under quarantine, so it was not opened."}
    if entry.size_bytes > BYTES_LIMIT:
        return entry.path, content | {
            "problem": f"It is larger than {BYTES_LIMIT // 1024**2} MiB, so it was not opened."
        }
    with sandbox("environment") as place:
        local = copied(blob_of(entry), place.copies)
        return entry.path, content | read_lock(place.runner, place.work, local, entry.path, key=place.key)


def _environment(row: EnvironmentLock | None) -> Environment:
    if row is None:
        return Environment(is_pending=True)
    content: Mapping[str, Any] = row.content
    return Environment(
        path=row.path,
        format=content.get("format", ""),
        problem=content.get("problem", ""),
        packages=tuple(Package(**each) for each in content.get("packages", ())),
        others=tuple(content.get("others", ())),
        notes=tuple(content.get("notes", ())),
        is_cut=content.get("is_cut", False),
    )
