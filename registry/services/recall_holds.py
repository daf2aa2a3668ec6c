"""Holding back the files of a version that was recalled. What else the repository offers stays: a file that another version has too is no
part of what was called back, and the card says why."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.actors import Actor
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.clock import now
from registry.models import BuildFile, Quarantine, Version
from registry.queries import all_files
from registry.states import Origin

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

    from registry.models import Commit

_AT_ONCE = 500
_KEPT = frozenset({"README.md"})


def hold_version(actor: Actor, version: Version, reason: str, *, recalled: "Iterable[UUID]") -> int:
    """Put what only this version (and others of `recalled`, uuids) has, and its builds, under quarantine in its repository, for a caller
    that has checked the right to. Returns how many files that are new. Five hundred in a transaction; safe to repeat and to go on with
    after a crash: what is held back already stays as it is."""
    wanted = sorted(_files_of(version, recalled))
    made = 0
    for start in range(0, len(wanted), _AT_ONCE):
        batch = wanted[start : start + _AT_ONCE]
        with transaction.atomic():
            live = Quarantine.objects.filter(repo_id=version.repo_id, blob_id__in=batch, released_at__isnull=True)
            known = set(live.values_list("blob_id", flat=True))
            rows = [
                Quarantine(
                    blob_id=blob,
                    repo_id=version.repo_id,
                    origin=Origin.RECALL,
                    reason=reason[:400],
                    created_by_id=actor.user_id,
                )
                for blob in batch
                if blob not in known
            ]
            Quarantine.objects.bulk_create(rows, ignore_conflicts=True)
            if rows:
                bump_access_version()
                _record(actor, version, "registry:quarantine:opened", len(rows), reason)
            made += len(rows)
    return made


def release_version(actor: Actor, version: Version, reason: str, *, recalled: "Iterable[UUID]") -> int:
    """Let go what `hold_version` held back of this version, but for files of others that are still recalled. Returns how many. Safe to
    repeat and to go on with after a crash."""
    wanted = _files_of(version, [version.uuid, *recalled])
    for other in _versions(version).filter(uuid__in=list(recalled)):
        wanted -= _files_of(other, recalled)
    let_go, listed = 0, sorted(wanted)
    for start in range(0, len(listed), _AT_ONCE):
        with transaction.atomic():
            held = Quarantine.objects.filter(
                repo_id=version.repo_id,
                blob_id__in=listed[start : start + _AT_ONCE],
                origin=Origin.RECALL,
                released_at__isnull=True,
            )
            count = held.update(released_at=now(), released_by_id=actor.user_id, release_reason=reason[:400])
            if count:
                bump_access_version()
                _record(actor, version, "registry:quarantine:released", count, reason)
            let_go += count
    return let_go


def _files_of(version: Version, recalled: "Iterable[UUID]") -> set[int]:
    """Blobs that the version has and no version that may be handed out."""
    found = _blobs(version.commit)
    others = _versions(version).exclude(uuid__in=[version.uuid, *recalled])
    for other in others.order_by("-pk"):
        if not found:
            break
        if other.commit_id != version.commit_id:
            found -= _blobs(other.commit)
    builds = BuildFile.objects.filter(build__version=version).values_list("blob_id", flat=True)
    return found | set(builds)


def _blobs(commit: "Commit") -> set[int]:
    return {entry.ref for entry in all_files(commit) if entry.path not in _KEPT}


def _versions(version: Version) -> "QuerySet[Version]":
    return Version.objects.filter(repo_id=version.repo_id).exclude(pk=version.pk).select_related("commit__tree")


def _record(actor: Actor, version: Version, tag: str, files: int, reason: str) -> None:
    audit.record(
        actor,
        tag,
        "version",
        version.uuid,
        namespace_id=version.repo.namespace_id,
        origin=str(Origin.RECALL),
        files=files,
        reason=reason[:300],
    )
