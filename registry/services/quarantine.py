"""Holding bytes back, letting them go again, and refusing what is known to be malware. One row stops downloads, endpoints and jobs:
each of them asks here before it hands out a byte, and the processes that have asked before are told by the access version."""

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from accounts.services.access import bump_access_version
from common.clock import now
from common.errors import Forbidden, Invalid, NotFound
from notices.services import notify
from registry.errors import KnownMalware, Quarantined
from registry.models import Blob, BlockedDigest, Quarantine, Repo, RepoBlob
from registry.policies import can, require_repo_by_uuid
from registry.queries import Entry, blob_of, held_back
from registry.states import Origin

REASON_LIMIT = 400
_AT_ONCE = 500
_DIGEST = re.compile(r"[0-9a-f]{64}")


def require_free(repo: Repo, blobs: Iterable[Blob | int], *, actor: Actor | None = None) -> None:
    """Raises Quarantined when some of these bytes (blobs or their keys) are held back everywhere or in this repository. A query per
    500. To be asked by everything that hands out bytes, after the right to read them. `actor`: who gets them; what is held back because
    it was recalled goes to those who may write to the repository."""
    keys = (each.pk if isinstance(each, Blob) else each for each in blobs)
    found = held_for(actor, repo, keys) if actor is not None else held_back(repo.pk, keys)
    for row in found.values():
        if row.origin == Origin.RECALL:
            raise Quarantined(
                f"This was recalled, so it can't be downloaded or run: {row.reason}",
                quarantine=str(row.uuid),
                reason=row.reason,
            )
        raise Quarantined(
            f"This file is under quarantine, so it can't be downloaded or run: {row.reason}",
            quarantine=str(row.uuid),
            reason=row.reason,
        )


def held_for(actor: Actor, repo: Repo, blobs: Iterable[int]) -> dict[int, Quarantine]:
    """`held_back` without what a recall keeps from others than this actor."""
    found = held_back(repo.pk, blobs)
    if any(row.origin == Origin.RECALL for row in found.values()) and can(actor, repo, Action.REPO_WRITE):
        return {pk: row for pk, row in found.items() if row.origin != Origin.RECALL}
    return found


def quarantine_file(actor: Actor, repo: Repo, entry: Entry, reason: str) -> Quarantine:
    """Hold back the bytes of a file. For who administers the repository: in it alone. For staff: everywhere. Tells the owner. A second
    call returns the row of the first. Raises Invalid for a folder and without a reason."""
    if not actor.is_staff:
        repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    if entry.is_dir:
        raise Invalid("Only files can be put under quarantine.")
    origin = Origin.STAFF if actor.is_staff else Origin.OWNER
    return hold_back(actor, blob_of(entry), _checked(reason), origin, repo=None if actor.is_staff else repo)


def hold_back(actor: Actor, blob: Blob, reason: str, origin: Origin, *, repo: Repo | None = None) -> Quarantine:
    """Write the quarantine of some bytes, everywhere or in `repo`, for a caller that has checked the right to. Audit, notices to the owners
    of every repository that has them, and a higher access version. Safe to repeat: there is one at a time."""
    with transaction.atomic():
        known = Quarantine.objects.filter(blob=blob, repo=repo, released_at__isnull=True).first()
        if known is not None:
            return known
        try:
            with transaction.atomic():
                row = Quarantine.objects.create(
                    blob=blob, repo=repo, origin=origin, reason=reason[:REASON_LIMIT], created_by_id=actor.user_id
                )
        except IntegrityError:
            return Quarantine.objects.get(blob=blob, repo=repo, released_at__isnull=True)
        bump_access_version()
        audit.record(
            actor,
            "registry:quarantine:opened",
            "blob",
            row.uuid,
            namespace_id=repo.namespace_id if repo else None,
            sha256=blob.sha256,
            origin=str(origin),
            reason=row.reason,
        )
        _tell(row, f"A file of {{repo}} is under quarantine and can't be downloaded or run: {row.reason}", "held")
    return row


def hold_malicious(blob: Blob, reason: str) -> Quarantine | None:
    """What scanning does with malware. Bytes that staff have released before stay free: the release was a judgement on this very
    content. Safe to repeat."""
    if Quarantine.objects.filter(blob=blob, repo=None, origin=Origin.SCAN).exists():
        return None
    return hold_back(actors.system("scanner"), blob, reason, Origin.SCAN)


def release(actor: Actor, uuid: UUID | str, reason: str) -> Quarantine:
    """Let bytes go again. Staff may release everything; who administers a repository, what was held back in it by its own people. Needs
    a reason, which is kept. Safe to repeat. Raises NotFound, Forbidden, Invalid."""
    reason = _checked(reason)
    with transaction.atomic():
        row = Quarantine.objects.select_for_update(of=("self",)).select_related("blob").filter(uuid=uuid).first()
        if row is None or not (actor.is_staff or actor.is_system or _is_own(actor, row)):
            raise NotFound("There is no such quarantine.")
        if row.origin != Origin.OWNER and not (actor.is_staff or actor.is_system):
            raise Forbidden("Only the staff of this site can release this file: tell them why it is harmless.")
        if row.released_at is not None:
            return row
        row.released_at, row.released_by_id, row.release_reason = now(), actor.user_id, reason
        row.save(update_fields=["released_at", "released_by", "release_reason"])
        bump_access_version()
        audit.record(
            actor,
            "registry:quarantine:released",
            "blob",
            row.uuid,
            namespace_id=row.repo.namespace_id if row.repo else None,
            sha256=row.blob.sha256,
            reason=reason,
        )
        _tell(row, f"A file of {{repo}} is free again: {reason}", "free")
    return row


def block_digest(actor: Actor, sha256: str, reason: str, *, source: str = "") -> tuple[BlockedDigest, int]:
    """Refuse a file in every commit from now on, and hold back what is here of it. For operators. Returns the row and how many blobs
    were held back (none or one). Safe to repeat: the row then says what this call says."""
    if not _DIGEST.fullmatch(sha256):
        raise Invalid("A SHA-256 has 64 lower-case hex digits.", fields={"sha256": "not a digest"})
    reason = _checked(reason)
    with transaction.atomic():
        row, _ = BlockedDigest.objects.update_or_create(
            sha256=sha256, defaults={"reason": reason, "source": source[:200]}
        )
        audit.record(actor, "registry:digest:blocked", "digest", None, sha256=sha256, reason=reason)
        blob = Blob.objects.filter(sha256=sha256).first()
        if blob is not None:
            hold_back(actor, blob, f"Known malware: {reason}", Origin.LIST)
    return row, int(blob is not None)


def unblock_digest(actor: Actor, sha256: str, reason: str) -> bool:
    """Take a digest off the list, and release what was held back for it alone. False when it was not on it."""
    reason = _checked(reason)
    with transaction.atomic():
        gone, _ = BlockedDigest.objects.filter(sha256=sha256).delete()
        if gone:
            audit.record(actor, "registry:digest:unblocked", "digest", None, sha256=sha256, reason=reason)
        held = Quarantine.objects.filter(blob__sha256=sha256, origin=Origin.LIST, released_at__isnull=True)
        for uuid in list(held.values_list("uuid", flat=True)):
            release(actor, uuid, reason)
    return bool(gone)


def refuse_known(files: Iterable[tuple[str, str]]) -> None:
    """Raises KnownMalware when one of these files (path, SHA-256) is on the list. A query per 500; asked by every way to commit."""
    listed = list(files)
    for start in range(0, len(listed), _AT_ONCE):
        batch = listed[start : start + _AT_ONCE]
        rows = BlockedDigest.objects.filter(sha256__in={sha256 for _, sha256 in batch})
        known = dict(rows.values_list("sha256", "reason"))
        if known:
            paths = [path for path, sha256 in batch if sha256 in known]
            why = next(known[sha256] for _, sha256 in batch if sha256 in known)
            raise KnownMalware(f"{paths[0]} is known to be malware and can't be committed: {why}", paths=paths)


def refuse_known_blobs(files: Sequence[tuple[str, int]]) -> None:
    """`refuse_known` for files whose blobs (path, primary key) are here already."""
    if not files or not BlockedDigest.objects.exists():
        return
    digests: dict[int, str] = {}
    keys = sorted({key for _, key in files})
    for start in range(0, len(keys), _AT_ONCE):
        rows = Blob.objects.filter(pk__in=keys[start : start + _AT_ONCE])
        digests |= dict(rows.values_list("pk", "sha256"))
    refuse_known((path, digests[key]) for path, key in files if key in digests)


def _is_own(actor: Actor, row: Quarantine) -> bool:
    if row.repo is not None:
        return can(actor, row.repo, Action.REPO_ADMIN)
    repos = Repo.objects.filter(blob_rows__blob=row.blob, deleted_at__isnull=True).select_related("namespace")
    return any(can(actor, repo, Action.REPO_ADMIN) for repo in repos.filter(namespace__in=actor.member_namespaces()))


def _tell(row: Quarantine, text: str, stage: str) -> None:
    """Tell the people behind each repository that holds the bytes."""
    held = RepoBlob.objects.filter(blob_id=row.blob_id, repo__deleted_at__isnull=True)
    if row.repo_id is not None:
        held = held.filter(repo_id=row.repo_id)
    for each in held.select_related("repo__namespace").iterator(500):
        repo = each.repo
        name = f"{repo.namespace.name}/{repo.name}"
        url = f"/{'' if repo.kind == 'model' else repo.kind + 's/'}{name}/safety"
        notify(
            repo.namespace_id,
            "quarantine",
            text.replace("{repo}", name),
            url=url,
            key=f"quarantine:{row.uuid}:{repo.pk}:{stage}",
        )


def _checked(reason: str) -> str:
    reason = " ".join(reason.replace("\x00", "").split())
    if not reason:
        raise Invalid("Say why, in a sentence.", fields={"reason": "empty"})
    return reason[:REASON_LIMIT]
