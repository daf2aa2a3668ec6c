"""Exports that people ask for: an archive of a repository or of a namespace, made by a task and kept for some days."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts import actors, throttle
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from backends.contracts.stores import Reader
from backends.errors import Missing
from common.clock import now
from common.errors import Busy, Conflict, DomainError, Gone, Invalid, NotFound, Unavailable
from notices.services import notify_users
from registry.errors import Quarantined
from registry.exports.writing import Outgoing, tar
from registry.models import Export, Import, Quarantine, Repo
from registry.policies import can, require_repo_by_uuid, visible_repos
from registry.services.storage import storage_errors, store
from registry.states import ExportState, ImportState
from work.door import enqueue, require_lease

if TYPE_CHECKING:
    from accounts.models import Namespace

KEPT_FOR = timedelta(days=7)
_PER_HOUR = 20
"""Exports that one person may ask for: each reads everything that it is of."""
_SHOWN = 20


def ask_for_export(actor: Actor, *, repo: Repo | None = None, namespace: "Namespace | None" = None) -> Export:
    """Have an archive made of a repository, for who administers it, or of all repositories of a namespace, for who manages it. Writes
    the export and audit; the rest follows in a task, which tells the asker. While one is under way it is returned again. Raises
    Forbidden, TooMany."""
    repo, namespace = _required(actor, repo, namespace)
    if actor.user_id is None:
        raise Invalid("Only a person asks for an export; operators have manage.py export_repository.")
    throttle.hit("exports", str(actor.user_id), limit=_PER_HOUR, window_s=3600)
    with transaction.atomic():
        # one after the other, so that there is one under way
        type(namespace).objects.select_for_update(of=("self",)).get(pk=namespace.pk)
        waiting = Export.objects.filter(namespace=namespace, repo=repo, state=ExportState.WAITING).first()
        if waiting is not None:
            return waiting
        export = Export.objects.create(namespace=namespace, repo=repo, user_id=actor.user_id, token_id=actor.token_id)
        _record(actor, "registry:export:asked", export)
        enqueue("registry.make_export", export.pk, key=f"make-export:{export.pk}")
    return export


def exports_of(actor: Actor, *, repo: Repo | None = None, namespace: "Namespace | None" = None) -> list[Export]:
    """The latest exports of a repository or of a whole namespace, newest first, for who may ask for one. Raises Forbidden."""
    repo, namespace = _required(actor, repo, namespace)
    rows = Export.objects.filter(namespace=namespace, repo=repo).exclude(state=ExportState.GONE)
    return list(rows.select_related("namespace", "repo__namespace", "user").order_by("-created_at", "-pk")[:_SHOWN])


def require_export(actor: Actor, uuid: UUID | str) -> Export:
    """An export, for who may administer now what it is of. Raises NotFound for everybody else: it tells of what it is of."""
    export = Export.objects.select_related("namespace", "repo__namespace", "user").filter(uuid=uuid).first()
    missing = NotFound("There is no such export.")
    if export is None or export.state == ExportState.GONE:
        raise missing
    try:
        _required(actor, export.repo, None if export.repo else export.namespace)
    except DomainError as error:
        raise missing from error
    return export


def open_export(actor: Actor, uuid: UUID | str) -> tuple[Export, Reader]:
    """The archive, for reading. Writes audit. Raises NotFound, Gone while or when there is nothing to read, Quarantined when a file
    that may be in it was put under quarantine since it was made."""
    export = require_export(actor, uuid)
    if export.state != ExportState.READY:
        raise Gone("This export is not ready: wait for it, or ask for a new one.")
    _require_free(export)
    with storage_errors():
        try:
            reader = store().open(export.key)
        except Missing as error:
            raise Gone("The archive of this export is not there any more: ask for a new one.") from error
    with transaction.atomic():
        _record(actor, "registry:export:downloaded", export)
    return export, reader


def remove_export(actor: Actor, uuid: UUID | str) -> None:
    """Delete the archive before its time. Writes audit. Raises NotFound, also after it was deleted; Conflict while it is being made."""
    export = require_export(actor, uuid)
    if export.state == ExportState.WAITING:
        raise Conflict("This export is being made: delete it when it is ready.")
    with transaction.atomic():
        _record(actor, "registry:export:removed", export)
        _give_up(export)


def make_export(export_id: int) -> Export | None:
    """Make the archive and put it into the store, in place of an earlier one of the same. Safe to repeat: the archive is written
    anew under the same key. What cannot be done is the row's `problem`."""
    export = Export.objects.select_related("namespace", "repo__namespace").filter(pk=export_id).first()
    if export is None or export.state != ExportState.WAITING:
        return export
    try:
        outgoing = _outgoing(export)
        with storage_errors():
            stored = store().put(export.key, tar(outgoing.members(), outgoing.created_at.timestamp()))
    except (Busy, Unavailable):
        raise
    except DomainError as error:
        return _end(export, ExportState.FAILED, problem=error.message)
    moment = now()
    _end(
        export,
        ExportState.READY,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256_hex,
        summary=outgoing.summary,
        ready_at=moment,
        expires_at=moment + KEPT_FOR,
    )
    earlier = Export.objects.filter(namespace=export.namespace, repo=export.repo, pk__lt=export.pk)
    for each in earlier.filter(state=ExportState.READY):
        _give_up(each)
    return export


def outgoing_of(actor: Actor, repos: Sequence[Repo], kind: str, name: str, namespaces: Sequence[int] = ()) -> Outgoing:
    """An export of these repositories, for a caller that has checked the right to each."""
    return Outgoing(actor, repos, scope={"kind": kind, "name": name}, namespaces=namespaces)


def sweep_exports() -> int:
    """Delete archives that were kept for their time, and those of imports that were never sent or have ended; returns how many.
    Safe to run beside itself."""
    swept = 0
    for export in Export.objects.filter(state=ExportState.READY, expires_at__lte=now())[:500]:
        _give_up(export)
        swept += 1
    for item in list(store().list("exports/"))[:1000]:
        known = Export.objects.filter(uuid=item.key.removeprefix("exports/"))
        if not known.filter(state__in=[ExportState.WAITING, ExportState.READY]).exists():
            store().delete(item.key)
    stale = Import.objects.filter(expires_at__lte=now(), state=ImportState.OPEN)[:500]
    for each in stale:
        store().delete(each.key)
        Import.objects.filter(pk=each.pk, state=ImportState.OPEN).update(
            state=ImportState.FAILED, problem="Its archive was not sent in time.", ended_at=now()
        )
        swept += 1
    return swept


def _required(actor: Actor, repo: Repo | None, namespace: "Namespace | None") -> "tuple[Repo | None, Namespace]":
    """What is to be exported, when the actor administers it."""
    if repo is not None:
        repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
        return repo, repo.namespace
    assert namespace is not None
    return None, require_namespace(actor, namespace.name, Action.NAMESPACE_MANAGE)


def _record(actor: Actor, tag: str, export: Export) -> None:
    subject = ("repo", export.repo.uuid) if export.repo else ("namespace", export.namespace.uuid)
    audit.record(actor, tag, *subject, namespace_id=export.namespace_id, export=str(export.uuid))


def _outgoing(export: Export) -> Outgoing:
    if export.user_id is None:
        raise Invalid("Whoever asked for this export has left.")
    actor = actors.resumed(export.user_id, export.token_id)
    repo, namespace = _required(actor, export.repo, None if export.repo else export.namespace)
    if repo is not None:
        return outgoing_of(actor, [repo], "repository", f"{namespace.name}/{repo.name}")
    rows = visible_repos(actor).filter(namespace=namespace).order_by("pk")
    repos = [each for each in rows if can(actor, each, Action.REPO_ADMIN)]
    return outgoing_of(actor, repos, "namespace", namespace.name, [namespace.pk])


def _require_free(export: Export) -> None:
    repos = (
        Repo.objects.filter(pk=export.repo_id) if export.repo_id else Repo.objects.filter(namespace=export.namespace)
    )
    in_force = Quarantine.objects.filter(
        Q(repo=None) | Q(repo__in=repos),
        released_at=None,
        created_at__gte=export.created_at,
        blob__repo_rows__repo__in=repos,
    )
    row = in_force.first()
    if row is not None:
        raise Quarantined(
            f"A file was put under quarantine since this export was made ({row.reason}): ask for a new one.",
            quarantine=str(row.uuid),
            reason=row.reason,
        )


def _end(export: Export, state: ExportState, **values: Any) -> Export:
    with transaction.atomic():
        require_lease()
        Export.objects.filter(pk=export.pk, state=ExportState.WAITING).update(state=state, **values)
        where = f"{export.repo.namespace.name}/{export.repo.name}" if export.repo else export.namespace.name
        if export.user_id is not None:
            said = (
                f"The export of {where} is ready." if state == ExportState.READY else f"{where} could not be exported."
            )
            notify_users([export.user_id], "export", said, url=f"/exports/{export.uuid}", key=f"export:{export.uuid}")
    export.refresh_from_db()
    return export


def _give_up(export: Export) -> None:
    """The row first: what is in the store without one that is ready, the sweep finds."""
    with transaction.atomic():
        Export.objects.filter(pk=export.pk).update(state=ExportState.GONE)
        transaction.on_commit(lambda: store().delete(export.key))
