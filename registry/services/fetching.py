"""Bringing what a preparation asks for: list, fetch each file, unpack, commit once. A worker may die anywhere: what was fetched is in rows,
bytes are stored under their digest, and commit, lineage and end are one transaction."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.db import transaction
from django.db.models import Count, Sum

from accounts import actors
from accounts.actors import Actor
from accounts.services import audit
from backends import catalogue
from backends.archives.names import Refused, check_tree
from backends.archives.sandboxed import UnpackedFile, unpack_archive
from backends.contracts.sources import Source, SourceFile
from backends.datasets.sandboxed import read_output
from backends.errors import BackendError, Transient
from common import outgoing
from common.clock import now
from common.errors import Busy, DomainError, Invalid, NotFound, TooLarge, Unavailable
from common.sealed import unseal
from lineage.services.record import Ref, record_edge
from registry.models import Blob, Commit, Preparation, PreparedFile, Repo, Version
from registry.paths import check_path
from registry.policies import require_branch_write
from registry.services import quarantine, quotas, storage, uploads
from registry.services.commits import AddFile, AddLfs, Operation, create_commit
from registry.services.gitobjects import History
from registry.services.sandboxes import copied, sandbox
from registry.states import PREPARATIONS, PreparationState
from work.door import current_task, enqueue, require_lease

FILES_LIMIT = 100_000
BYTES_LIMIT = 256 * 1024**3
"""Of one preparation; what is more is brought in several, or by a client that can go on after days."""
SLICE_S = 600.0
"""After so long the task lets others run, and goes on later."""
ATTEMPTS = 6
_WATCH_S = 1.0
_BATCH = 200
_BATCH_BYTES = 32 * 1024**2


class _Stopped(Exception):
    """Somebody has cancelled it."""


def prepare_content(preparation_id: int) -> Preparation:
    """Go on with a preparation, to its end or for a slice of time. Safe to repeat, and beside itself: files are rows that are filled once,
    and the commit is made in the transaction that says so. What cannot be done is the row's `problem`; what fails in passing is
    raised, to be tried again, and is the problem after the last attempt."""
    row = Preparation.objects.select_related("repo__namespace").filter(pk=preparation_id).first()
    if row is None:
        raise NotFound("This preparation is gone.")
    if row.state not in (PreparationState.WAITING, PreparationState.RUNNING):
        return row
    Preparation.objects.filter(pk=row.pk, state=PreparationState.WAITING).update(state=PreparationState.RUNNING)
    try:
        if row.user_id is None:
            raise Invalid("Whoever asked for these files has left.")
        actor = actors.resumed(row.user_id, row.token_id)
        require_branch_write(actor, row.repo, row.branch)
        return _brought(actor, row)
    except _Stopped:
        row.refresh_from_db()
        return row
    except (Busy, Unavailable) as error:
        running = current_task()
        if running is None or running.attempt < ATTEMPTS:
            raise
        return _ended(row, PreparationState.FAILED, f"{error.message} It was tried {running.attempt} times.")
    except DomainError as error:
        return _ended(row, PreparationState.FAILED, error.message)


def record_sources(repo: Repo, version: Version, commit: Commit) -> None:
    """Edges from where the files of a version came from, in the transaction that publishes it: preparations whose commits led to it and to
    no version before it."""
    made = list(
        Preparation.objects.filter(repo=repo, state=PreparationState.DONE).exclude(commit_oid="").order_by("pk")
    )
    if not made:
        return
    history = History(repo)
    before = Version.objects.filter(repo=repo).exclude(pk=version.pk).values_list("commit__oid", flat=True)
    known = history.reachable(history.at[oid] for oid in before if oid in history.at)
    mine = history.reachable([history.at[commit.oid]])
    for row in made:
        at = history.at.get(row.commit_oid)
        if at in mine and at not in known:
            record_edge(Ref("source", row.uuid), Ref("version", version.uuid), "imported")


def _brought(actor: Actor, row: Preparation) -> Preparation:
    until = time.monotonic() + SLICE_S
    if row.archive_id is None:
        with _told():
            source = _source_of(row)
            if row.file_count is None:
                _list(row, source)
            for file in PreparedFile.objects.filter(preparation=row, blob=None).order_by("pk").iterator(100):
                if time.monotonic() > until:
                    # the same key, from inside: this row is run again
                    enqueue("registry.prepare_content", row.pk, key=f"prepare-content:{row.pk}")
                    return row
                _fetch(actor, row, source, file)
        if row.is_unpacked:
            _take_as_archive(row)
    if row.is_unpacked:
        _unpack(row)
    return _commit(actor, row)


def _source_of(row: Preparation) -> Source:
    secrets = dict(line.split("=", 1) for line in unseal(row.sealed).split("\n")) if row.sealed else {}
    made: Source = catalogue.find("sources", row.source)({**row.options, **secrets}, outgoing.stream)
    return made


@contextmanager
def _told() -> Iterator[None]:
    """A source's errors, in the words of the product."""
    try:
        yield
    except Transient as error:
        raise Unavailable(str(error.args[0])) from error
    except BackendError as error:
        raise Invalid(str(error.args[0]) if error.args else "The source does not give these files.") from error


def _list(row: Preparation, source: Source) -> None:
    """Write a row for every file, keeping those of an earlier attempt whose bytes are here and are known to be the same."""
    here = {
        file.path: file
        for file in PreparedFile.objects.filter(preparation=row).exclude(blob=None).select_related("blob")
    }
    prefix = f"{row.folder}/" if row.folder else ""
    wanted: list[PreparedFile] = []
    size: int | None = 0
    watch = _Watch(row)
    for number, each in enumerate(source.files(), 1):
        watch.look()
        if number > FILES_LIMIT:
            raise TooLarge(f"The source has more than {FILES_LIMIT:,} files: name a part of it.")
        told = {"path": each.path, "size": each.size_bytes, "sha256": each.sha256, "git_oid": each.git_oid}
        file = PreparedFile(
            preparation=row, path=check_path(f"{prefix}{each.path}"), told={**told, "key": dict(each.key)}
        )
        before = here.get(file.path)
        is_pinned = bool(each.sha256 or each.git_oid or each.key.get("etag"))
        if before is not None and is_pinned and before.told == file.told:
            file.blob, file.is_large = before.blob, before.is_large
        wanted.append(file)
        size = None if size is None or each.size_bytes is None else size + each.size_bytes
        if size is not None and size > BYTES_LIMIT:
            raise TooLarge(f"The source has more than {BYTES_LIMIT // 1024**3} GiB: name a part of it.")
    if not wanted:
        raise Invalid("There are no files at the source.")
    try:
        check_tree((file.path for file in wanted), holder="The source")
    except Refused as error:
        raise Invalid(str(error)) from error
    quotas.require_room(row.repo.namespace_id, size or 0, is_early=True)
    facts = source.facts()
    with transaction.atomic():
        require_lease()
        PreparedFile.objects.filter(preparation=row).delete()
        PreparedFile.objects.bulk_create(wanted, batch_size=500)
        row.file_count, row.size_bytes, row.facts = len(wanted), size, facts
        row.save(update_fields=["file_count", "size_bytes", "facts"])
        _count(row)


def _fetch(actor: Actor, row: Preparation, source: Source, file: PreparedFile) -> None:
    """The bytes of one file, held by the repository."""
    told = file.told
    listed = SourceFile(told["path"], told["size"], told["sha256"], told["git_oid"], told["key"])
    watch = _Watch(row)
    watch.look(at_once=True)
    if listed.sha256 and listed.size_bytes is not None:
        upload = uploads.begin(actor, row.repo, listed.sha256, listed.size_bytes)
        if upload is None:
            blob = Blob.objects.get(sha256=listed.sha256)
        else:
            with source.open(listed, listed.size_bytes) as chunks:
                blob = uploads.receive(upload.uuid, watch.over(chunks))
    else:
        limit = BYTES_LIMIT if listed.size_bytes is None else listed.size_bytes
        with source.open(listed, limit) as chunks:
            blob = storage.store_blob(watch.over(chunks), size_bytes=listed.size_bytes)
        quarantine.refuse_known([(file.path, blob.sha256)])
        uploads.attach(row.repo, blob)
    with transaction.atomic():
        require_lease()
        file.blob, file.is_large = blob, _is_large(blob)
        file.save(update_fields=["blob", "is_large"])
        _count(row)


def _take_as_archive(row: Preparation) -> None:
    with transaction.atomic():
        require_lease()
        file = PreparedFile.objects.get(preparation=row)
        row.archive = file.blob
        row.save(update_fields=["archive"])
        file.delete()


def _unpack(row: Preparation) -> None:
    """Unpack the archive in the sandbox, once: rows of all its members, or none."""
    if PreparedFile.objects.filter(preparation=row).exists():
        return
    assert row.archive is not None
    quarantine.require_free(row.repo, [row.archive])
    quotas.require_room(row.repo.namespace_id, row.archive.size_bytes, is_early=True)
    watch = _Watch(row)
    watch.look(at_once=True)
    with sandbox("unpack") as place:
        local = copied(row.archive, place.copies)
        try:
            found = unpack_archive(place.runner, place.work, local, key=place.key)
        except Refused as error:
            raise Invalid(str(error)) from error
        prefix = f"{row.folder}/" if row.folder else ""
        paths = {each.number: check_path(f"{prefix}{each.name}") for each in found}
        Preparation.objects.filter(pk=row.pk).update(
            file_count=len(found), size_bytes=sum(each.size_bytes for each in found), files_done=0, bytes_done=0
        )
        files = []
        done = size = 0
        for batch in _batches(found):
            for each, blob in zip(batch, _stored(row.repo, place.work, batch, paths), strict=True):
                files.append(
                    PreparedFile(preparation=row, path=paths[each.number], blob=blob, is_large=_is_large(blob))
                )
                size += each.size_bytes
            done += len(batch)
            Preparation.objects.filter(pk=row.pk).update(files_done=done, bytes_done=size)
            watch.look()
    with transaction.atomic():
        require_lease()
        PreparedFile.objects.filter(preparation=row).delete()
        PreparedFile.objects.bulk_create(files, batch_size=500)


def _stored(repo: Repo, work: Path, batch: Sequence[UnpackedFile], paths: dict[int, str]) -> list[Blob]:
    try:
        if len(batch) == 1:
            blobs = [storage.store_blob(read_output(work, batch[0].number), size_bytes=batch[0].size_bytes)]
        else:
            contents = [b"".join(_exactly(read_output(work, each.number), each.size_bytes)) for each in batch]
            blobs = storage.store_many(contents)
    except OSError as error:
        raise Invalid("The program did not leave the files it told of.") from error
    quarantine.refuse_known([(paths[each.number], blob.sha256) for each, blob in zip(batch, blobs, strict=True)])
    for blob in blobs:
        uploads.attach(repo, blob)
    return blobs


def _exactly(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if seen > size:
            break
        yield chunk
    if seen != size:
        raise OSError("not as long as it was told to be")


def _batches(found: Sequence[UnpackedFile]) -> Iterator[list[UnpackedFile]]:
    """Small files together, in memory; a large one by itself, as a stream."""
    batch: list[UnpackedFile] = []
    size = 0
    for each in found:
        if batch and (len(batch) == _BATCH or size + each.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += each.size_bytes
    if batch:
        yield batch


def _commit(actor: Actor, row: Preparation) -> Preparation:
    operations: list[Operation] = []
    for file in PreparedFile.objects.filter(preparation=row).select_related("blob").order_by("path").iterator(2000):
        assert file.blob is not None
        is_large = file.is_large
        operations.append(
            AddLfs(file.path, file.blob.sha256, file.blob.size_bytes) if is_large else AddFile(file.path, file.blob)
        )
    with transaction.atomic():
        require_lease()
        locked = Preparation.objects.select_for_update(of=("self",)).select_related("repo__namespace").get(pk=row.pk)
        if locked.state != PreparationState.RUNNING:
            return locked
        commit = create_commit(
            actor, locked.repo, locked.branch, operations, summary=locked.summary, description=f"From {locked.address}"
        )
        record_edge(Ref("source", locked.uuid), Ref(locked.repo.kind, locked.repo.uuid), "imported")
        audit.record(
            actor,
            "registry:preparation:done",
            "repo",
            locked.repo.uuid,
            namespace_id=locked.repo.namespace_id,
            preparation=str(locked.uuid),
            commit=commit.oid,
            files=len(operations),
        )
        PreparedFile.objects.filter(preparation=locked).delete()
        return _ended(locked, PreparationState.DONE, commit_oid=commit.oid, archive=None)


def _ended(row: Preparation, state: PreparationState, problem: str = "", **values: object) -> Preparation:
    live = [each for each, following in PREPARATIONS.table.items() if state in following]
    Preparation.objects.filter(pk=row.pk, state__in=live).update(
        state=state, problem=problem[:2000], sealed="", ended_at=now(), **values
    )
    row.refresh_from_db()
    return row


def _count(row: Preparation) -> None:
    done = PreparedFile.objects.filter(preparation=row).exclude(blob=None)
    found = done.aggregate(count=Count("pk"), size=Sum("blob__size_bytes"))
    Preparation.objects.filter(pk=row.pk).update(files_done=found["count"], bytes_done=found["size"] or 0)


def _is_large(blob: Blob) -> bool:
    sample = b"" if blob.size_bytes > uploads.TEXT_BYTES else storage.read_blob(blob, uploads.SAMPLE_BYTES)
    is_large = uploads.goes_large(blob.size_bytes, sample)
    if not is_large:
        # now, because it reads the bytes: the commit is made in a transaction, where nothing waits for the storage
        storage.git_oid_of(blob)
    return is_large


class _Watch:
    """Notes how far a stream is, and stops it when somebody has cancelled; asks at most once a second."""

    def __init__(self, row: Preparation) -> None:
        self._row = row
        self._next = time.monotonic() + _WATCH_S
        self._before = Preparation.objects.values_list("bytes_done", flat=True).get(pk=row.pk)

    def look(self, seen: int = 0, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() < self._next:
            return
        rows = Preparation.objects.filter(pk=self._row.pk, state=PreparationState.RUNNING)
        is_live = rows.update(bytes_done=self._before + seen) if seen else rows.exists()
        if not is_live:
            raise _Stopped
        self._next = time.monotonic() + _WATCH_S

    def over(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        seen = 0
        for chunk in chunks:
            seen += len(chunk)
            self.look(seen)
            yield chunk
