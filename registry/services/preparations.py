"""Content for a repository from elsewhere, asked for: an address of the web, a bucket, a run of MLflow, another hub, an archive that is here.
What happens then is in services/fetching.py."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from backends import catalogue
from backends.contracts.sources import FIELD_LENGTH, Field, Source
from backends.errors import ConfigError, Rejected
from common import outgoing
from common.clock import now
from common.errors import Conflict, Invalid, NotFound
from common.sealed import seal
from registry.models import Blob, Branch, Preparation, PreparedFile, Repo
from registry.paths import PATH_LIMIT, check_path
from registry.policies import require_repo_by_uuid
from registry.queries import blob_of, entry_at, resolve_revision
from registry.services import quarantine, storage, uploads
from registry.services.commits import SUMMARY_LIMIT
from registry.states import PREPARATIONS, PreparationState
from work.door import enqueue

ARCHIVE = "archive"
UNPACKED = ("url",)
"""Sources of one file, which may be an archive."""
AT_ONCE = 5
"""Preparations of one repository that wait or run."""
KEEP_BROKEN = timedelta(days=7)
_LIVE = (PreparationState.WAITING, PreparationState.RUNNING)


def sources() -> dict[str, type[Source]]:
    """The sources that can be asked for, by name; one whose library is not installed is left out."""
    found = {}
    for name in catalogue.listing("sources"):
        try:
            found[name] = catalogue.find("sources", name)
        except ConfigError:
            continue
    return found


def fields_of(source: str) -> tuple[Field, ...]:
    """What a source must be told. Raises Invalid for an unknown one."""
    if source == ARCHIVE:
        return (
            Field("path", "Archive", "Its path in this repository.", is_required=True),
            Field("revision", "Revision", "Where it is read; left empty, on the branch."),
        )
    return _class_of(source).fields


def ask_for_preparation(
    actor: Actor,
    repo: Repo,
    source: str,
    given: Mapping[str, str],
    *,
    branch: str = "",
    folder: str = "",
    summary: str = "",
    unpack: bool = False,
    archive: Blob | None = None,
) -> Preparation:
    """Ask for files from elsewhere, to be put below `folder` of `branch` in one commit. `given`: what the source must be told
    (`fields_of`); `unpack`: the one file is an archive. `archive`, instead of `given` of the source `archive`: bytes that the caller has
    just stored for it. Needs the right to write. Writes the row, with the secrets sealed, and audit; the rest follows in a task. Raises
    Invalid (also for an address that may not be asked), Conflict when too many are under way."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    branch, folder = branch.strip() or repo.default_branch, folder.strip().strip("/")
    if branch.startswith("refs/") or not Branch.objects.filter(repo=repo, name=branch).exists():
        raise Invalid(f"There is no branch {branch[:100]}.", fields={"branch": "unknown"})
    if folder:
        check_path(folder)
    shown, secret = _settled(source, given, archive)
    if unpack and source not in UNPACKED:
        raise Invalid("Only a file at an address is unpacked on the way.", fields={"unpack": "not of this source"})
    address, archive = _place_of(repo, source, shown, secret, branch, archive)
    if archive is not None:
        quarantine.require_free(repo, [archive])
    with transaction.atomic():
        Repo.objects.select_for_update(no_key=True).get(pk=repo.pk)
        if Preparation.objects.filter(repo=repo, state__in=_LIVE).count() >= AT_ONCE:
            raise Conflict(f"{AT_ONCE} preparations of this repository are under way: wait for one, or cancel it.")
        row = Preparation.objects.create(
            repo=repo,
            source=source,
            options=shown,
            secrets=sorted(secret),
            sealed=_sealed(secret),
            address=address,
            branch=branch,
            folder=folder,
            summary=summary.strip()[:SUMMARY_LIMIT] or f"Import from {address}"[:SUMMARY_LIMIT],
            is_unpacked=unpack or source == ARCHIVE,
            archive=archive,
            user_id=actor.user_id,
            token_id=actor.token_id,
        )
        _recorded(actor, row, "registry:preparation:asked")
        enqueue("registry.prepare_content", row.pk, key=_key(row))
    return row


def retry_preparation(actor: Actor, row: Preparation, secrets: Mapping[str, str]) -> Preparation:
    """Try again what failed or was cancelled; files that are here already and are known to be the same are not fetched again. `secrets`:
    those that were given at first, as they were thrown away. From now on it is done in the name of `actor`. Needs the right to write.
    Raises Conflict for any other state, Invalid for a missing secret."""
    require_repo_by_uuid(actor, row.repo.uuid, Action.REPO_WRITE)
    PREPARATIONS.ensure(PreparationState(row.state), PreparationState.WAITING)
    wanted = {name: str(secrets.get(name, "")).strip() for name in row.secrets}
    if missing := [name for name, value in wanted.items() if not value]:
        raise Invalid(
            "Secrets are thrown away when a preparation ends: give them again.",
            fields=dict.fromkeys(missing, "missing"),
        )
    if odd := [name for name, value in wanted.items() if len(value) > FIELD_LENGTH or not value.isprintable()]:
        raise Invalid(
            f"A secret may have {FIELD_LENGTH} characters, without line breaks.", fields=dict.fromkeys(odd, "not valid")
        )
    if row.source == ARCHIVE and row.archive_id is None:
        raise Conflict("The archive is kept no longer: begin a new preparation.")
    with transaction.atomic():
        changed = Preparation.objects.filter(pk=row.pk, state=row.state).update(
            state=PreparationState.WAITING,
            problem="",
            sealed=_sealed(wanted),
            # what was listed may have changed; what an archive holds has not
            file_count=row.file_count if row.archive_id else None,
            user_id=actor.user_id,
            token_id=actor.token_id,
            ended_at=None,
        )
        if not changed:
            raise Conflict("This preparation has changed at this moment: look again.")
        row.refresh_from_db()
        _recorded(actor, row, "registry:preparation:retried")
        enqueue("registry.prepare_content", row.pk, key=_key(row))
    return row


def cancel_preparation(actor: Actor, row: Preparation) -> Preparation:
    """Stop a preparation; what runs notices within some seconds, and commits nothing. Needs the right to write. A second call changes
    nothing. Raises Conflict when it has ended otherwise."""
    require_repo_by_uuid(actor, row.repo.uuid, Action.REPO_WRITE)
    with transaction.atomic():
        row = Preparation.objects.select_for_update(of=("self",)).select_related("repo__namespace").get(pk=row.pk)
        if row.state == PreparationState.CANCELLED:
            return row
        PREPARATIONS.ensure(PreparationState(row.state), PreparationState.CANCELLED)
        row.state, row.sealed, row.ended_at = PreparationState.CANCELLED, "", now()
        row.save(update_fields=["state", "sealed", "ended_at"])
        _recorded(actor, row, "registry:preparation:cancelled")
    return row


def preparations_of(repo: Repo) -> QuerySet[Preparation]:
    """For a caller that may write to the repository; unordered, with who asked."""
    return Preparation.objects.filter(repo=repo).select_related("repo__namespace", "user")


def require_preparation(repo: Repo, uuid: UUID) -> Preparation:
    """A preparation of this repository, for a caller that may write there. Raises NotFound."""
    found = preparations_of(repo).filter(uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such preparation.")
    return found


def store_archive(actor: Actor, repo: Repo, chunks: Any, size_bytes: int) -> Blob:
    """Bytes of an archive that comes with a request, held by the repository; they go some time after it was unpacked. Needs the right to
    write. Raises KnownMalware, QuotaExceeded."""
    require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    blob = storage.store_blob(chunks, size_bytes=size_bytes)
    quarantine.refuse_known([("The archive", blob.sha256)])
    uploads.attach(repo, blob)
    return blob


def forget_preparations(limit: int = 500) -> int:
    """Let go of the files of preparations that ended long ago without a commit; returns how many those are. Safe to run beside itself."""
    stale = list(
        Preparation.objects.filter(
            state__in=(PreparationState.FAILED, PreparationState.CANCELLED), ended_at__lt=now() - KEEP_BROKEN
        )
        .exclude(archive=None, files=None)
        .values_list("pk", flat=True)
        .distinct()[:limit]
    )
    PreparedFile.objects.filter(preparation__in=stale).delete()
    Preparation.objects.filter(pk__in=stale).update(archive=None)
    return len(stale)


def _class_of(source: str) -> type[Source]:
    found = sources().get(source)
    if found is None:
        known = ", ".join(sorted([*sources(), ARCHIVE]))
        raise Invalid(f"There is no source {source[:40]}; there are {known}.", fields={"source": "unknown"})
    return found


def _settled(source: str, given: Mapping[str, str], archive: Blob | None) -> tuple[dict[str, str], dict[str, str]]:
    if source == ARCHIVE:
        if archive is not None:
            return {"path": str(given.get("path", ""))[:PATH_LIMIT] or "archive"}, {}
        if not str(given.get("path", "")).strip():
            raise Invalid("Name an archive of this repository, or choose one to upload.", fields={"path": "missing"})
        return {name: str(given[name]).strip() for name in ("path", "revision") if given.get(name)}, {}
    try:
        return _class_of(source).settle(given)
    except Rejected as error:
        raise invalid(error) from error


def _place_of(
    repo: Repo, source: str, shown: dict[str, str], secret: dict[str, str], branch: str, archive: Blob | None
) -> tuple[str, Blob | None]:
    """Where the files come from, in words, and the archive if that is it."""
    if source == ARCHIVE:
        if archive is not None:
            return f"the uploaded archive {shown['path']}"[:1000], archive
        commit = resolve_revision(repo, shown.get("revision") or branch)
        entry = entry_at(commit, shown["path"])
        if entry.is_dir:
            raise Invalid("This is a folder: name an archive.", fields={"path": "a folder"})
        shown["revision"] = commit.oid
        return f"{entry.path} at {commit.oid[:12]}"[:1000], blob_of(entry)
    try:
        made = _class_of(source)({**shown, **secret}, outgoing.stream)
    except Rejected as error:
        raise invalid(error) from error
    for name in ("url", "endpoint", "server"):
        # refused at once where that can be said without asking anybody; each request is checked again when it is sent
        if name in shown:
            outgoing.check_url(shown[name])
    return made.address, None


def invalid(error: Rejected) -> Invalid:
    """What a source refuses, as an error at the field that it names."""
    message, *names = (*error.args, "")
    return Invalid(str(message), fields={name: "not valid" for name in names[:1] if name})


def _sealed(secrets: Mapping[str, str]) -> str:
    return seal("\n".join(f"{name}={value}" for name, value in secrets.items())) if secrets else ""


def _recorded(actor: Actor, row: Preparation, tag: str) -> None:
    audit.record(
        actor,
        tag,
        "repo",
        row.repo.uuid,
        namespace_id=row.repo.namespace_id,
        preparation=str(row.uuid),
        source=row.source,
        address=row.address,
        branch=row.branch,
    )


def _key(row: Preparation) -> str:
    return f"prepare-content:{row.pk}"
