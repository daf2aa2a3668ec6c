"""Exports that people bring: the archive is received into the store, then a task reads it and makes its repositories."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import transaction

from accounts import actors
from accounts.actors import Actor
from accounts.permissions import Action, Scope
from accounts.policies import require_namespace
from accounts.services import audit
from backends.errors import Missing
from common.clock import now
from common.errors import Busy, Conflict, DomainError, Gone, Invalid, NotFound, TooLarge, Unavailable
from notices.services import notify_users
from registry.exports.reading import TarArchive
from registry.exports.spooling import Spooled
from registry.models import Import
from registry.services import quotas
from registry.services.importing import Wish, import_archive
from registry.services.repos import check_repo_name
from registry.services.storage import storage_errors, store
from registry.services.uploads import SIZE_LIMIT, capped
from registry.states import ImportState
from work.door import enqueue, require_lease

if TYPE_CHECKING:
    from accounts.models import Namespace

LIFETIME = timedelta(hours=24)
"""An archive that has not come by then is not waited for."""
_OPEN_LIMIT = 5


def begin_import(actor: Actor, namespace_name: str, size_bytes: int, *, name: str = "") -> Import:
    """Announce an archive of `size_bytes`, whose repositories go into a namespace where the actor may publish; its only one is
    called `name`, if that is given. Raises Invalid, Forbidden, QuotaExceeded, TooLarge."""
    namespace = require_namespace(actor, namespace_name, Action.NAMESPACE_PUBLISH)
    if actor.user_id is None:
        raise Invalid("Only a person imports this way; operators have manage.py import_export.")
    if name:
        check_repo_name(name)
    if not 0 < size_bytes <= SIZE_LIMIT:
        raise TooLarge(f"An archive has 1 to {SIZE_LIMIT} bytes.", fields={"size_bytes": "out of range"})
    quotas.require_room(namespace.pk, size_bytes, is_early=True)
    open_ones = Import.objects.filter(user_id=actor.user_id, state__in=[ImportState.OPEN, ImportState.WAITING])
    if open_ones.filter(expires_at__gt=now()).count() >= _OPEN_LIMIT:
        raise Conflict(f"You have {_OPEN_LIMIT} imports under way: wait until one has ended.", code="too_many_imports")
    with transaction.atomic():
        row = Import.objects.create(
            namespace=namespace,
            user_id=actor.user_id,
            token_id=actor.token_id,
            name=name,
            size_bytes=size_bytes,
            expires_at=now() + LIFETIME,
        )
        audit.record(
            actor,
            "registry:import:begun",
            "namespace",
            namespace.uuid,
            namespace_id=namespace.pk,
            size_bytes=size_bytes,
            name=name,
        )
    return row


def receive_import(actor: Actor, uuid: UUID | str, chunks: Iterable[bytes]) -> Import:
    """The bytes of an announced archive, in one piece, as they come; then a task reads it. Raises NotFound, Gone, Conflict when they
    came before, Invalid when they are not as many as announced: nothing is kept then."""
    row = require_import(actor, uuid)
    actor.require_scope(Scope.REPO_WRITE)
    if row.state != ImportState.OPEN:
        raise Conflict("The archive of this import has come before.")
    if row.expires_at <= now():
        raise Gone("This import has expired: begin it again.")
    with storage_errors():
        store().put(row.key, capped(chunks, row.size_bytes), size=row.size_bytes)
    with transaction.atomic():
        if Import.objects.filter(pk=row.pk, state=ImportState.OPEN).update(state=ImportState.WAITING):
            enqueue("registry.run_import", row.pk, key=f"run-import:{row.pk}")
    row.refresh_from_db()
    return row


def require_import(actor: Actor, uuid: UUID | str) -> Import:
    """An import of one's own. Raises Unauthenticated, NotFound, Forbidden for a token that reads no repositories."""
    actor.require_authenticated()
    actor.require_scope(Scope.REPO_READ)
    row = Import.objects.select_related("namespace").filter(uuid=uuid, user_id=actor.person_id).first()
    if row is None:
        raise NotFound("There is no such import.")
    return row


def run_import(import_id: int) -> Import | None:
    """Check the archive and make its repositories; then it is deleted. Safe to repeat: what was made is passed over. What cannot be
    done is the row's `problem`."""
    row = Import.objects.select_related("namespace").filter(pk=import_id).first()
    if row is None or row.state != ImportState.WAITING:
        return row
    try:
        result = _import(row)
    except (Busy, Unavailable):
        raise
    except DomainError as error:
        return _end(row, ImportState.FAILED, problem=error.message)
    return _end(row, ImportState.DONE, result=result)


def _import(row: Import) -> dict[str, Any]:
    if row.user_id is None:
        raise Invalid("Whoever brought this archive has left.")
    actor = actors.resumed(row.user_id, row.token_id)
    with Spooled() as spool:
        spool.fill(_stored(row.key))
        with TarArchive(spool.file, "The archive") as archive:
            return import_archive(actor, archive, _wish(row, row.namespace, archive.manifest["repositories"]))


def _wish(row: Import, namespace: "Namespace", listed: list[dict[str, Any]]) -> Wish:
    if not row.name:
        return Wish(into=namespace.name)
    if len(listed) != 1:
        raise Invalid(
            f"The archive has {len(listed)} repositories: they keep their names. Import it without a new one."
        )
    only = listed[0]
    return Wish(into=namespace.name, renames={f"{only['namespace']}/{only['name']}": f"{namespace.name}/{row.name}"})


def _stored(key: str) -> Iterator[bytes]:
    with storage_errors():
        try:
            reader = store().open(key)
        except Missing as error:
            raise Gone("The archive is not there any more: send it again.") from error
    with reader:
        yield from reader


def _end(row: Import, state: ImportState, **values: Any) -> Import:
    with transaction.atomic():
        require_lease()
        Import.objects.filter(pk=row.pk, state=ImportState.WAITING).update(state=state, ended_at=now(), **values)
        said = "Your import is done." if state == ImportState.DONE else "Your import was refused."
        if row.user_id is not None:
            notify_users([row.user_id], "import", said, url=f"/imports/{row.uuid}", key=f"import:{row.uuid}")
    store().delete(row.key)
    row.refresh_from_db()
    return row
