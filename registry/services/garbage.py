"""The collection of garbage. What nothing leads to is marked, waits, and goes; bytes last.

One run: compare the store's listing with the rows (a store that shows too little stops the run before anything is touched); mark, one
repository after the other; let go of holdings that have been condemned for the whole undo window; erase the bytes that nothing
keeps; remove left-overs of broken uploads.

Why nothing in use is lost, whatever happens at the same time: whoever uses bytes notes it under the row's lock, or has noted it
within hours (services/storage.py, services/holdings.py), and every statement here that takes something away asks again, in itself,
for a note older than the grace. Bytes are deleted only after their row has said so (`erasing`), in a transaction before;
interrupted, the row promises nothing, and the next run goes on. Runs beside each other do no harm."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q, QuerySet, Sum

from accounts import actors
from accounts.actors import Actor
from accounts.services import audit
from backends.contracts.stores import MultipartStore, ObjectStat
from common.clock import now
from common.errors import Conflict, DomainError, Unavailable
from registry.models import Blob, GarbageRun, LostCommit, Repo, RepoBlob, Tree, TreePage, Upload
from registry.services import holdings, inventory, reach
from registry.services.storage import storage_errors, store
from registry.states import BlobState, UploadState

GRACE = timedelta(hours=24)
"""What was sent or used within it is never touched."""
SHARE_LIMIT, SHARE_FROM = 0.05, 1000
"""A run that would erase more than this share of all files, and more than so many, needs an operator's word."""
MISSING_LIMIT = 0.05
"""A listing without this share of the files is not believed."""
RUNS_KEPT = 100
ERASING_S = 900
"""How long a claim on bytes that are being erased is used."""
ABANDONED_AFTER = timedelta(hours=1)
"""When it may be taken over: longer than the claim and the longest request to a store together."""
_AT_ONCE = 500
_KEY = re.compile(r"blobs/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{64})")
_STAGING = re.compile(r"staging/([0-9a-f-]{36})(?:/|$)")


Item = TypeVar("Item")
Holding = tuple[int, int, datetime, datetime | None]


def window() -> timedelta:
    """How long what was condemned can be brought back."""
    return timedelta(days=settings.GARBAGE_WINDOW_DAYS)


@dataclass
class Run:
    """What a run did, or, dry, would do. The fields after `moment` are what it reports."""

    moment: datetime
    is_dry: bool = False
    may_erase_many: bool = False
    repositories: int = 0
    lost_commits: int = 0
    purged_repositories: int = 0
    condemned_files: int = 0
    rescued_files: int = 0
    released_files: int = 0
    erased_files: int = 0
    erased_bytes: int = 0
    stray_objects: int = 0
    stray_bytes: int = 0
    left_uploads: int = 0
    removed_trees: int = 0
    left_pages: int = 0
    missing_files: int = 0
    strays: list[str] = field(default_factory=list)
    """Digests of objects without a row, at most `STRAYS_AT_ONCE`."""

    @property
    def old(self) -> datetime:
        return self.moment - GRACE

    @property
    def expired(self) -> datetime:
        return self.moment - window()

    def report(self) -> dict[str, int | bool]:
        """The figures."""
        skipped = {"moment", "is_dry", "may_erase_many", "strays"}
        return {"dry_run": self.is_dry} | {name: value for name, value in vars(self).items() if name not in skipped}


STRAYS_AT_ONCE = 100_000


def collect(*, dry_run: bool = False, may_erase_many: bool = False) -> dict[str, int | bool]:
    """One run; returns its figures. A dry one changes nothing. Raises Unavailable when the store's listing is empty, far too short or
    fails, Conflict when very much would go (and `may_erase_many` is not set): nothing has been deleted then. Safe to repeat, to
    interrupt, and beside itself."""
    run = Run(now(), is_dry=dry_run, may_erase_many=may_erase_many)
    row = None if dry_run else _begin(run)
    try:
        _look_at_store(run)
        _mark_all(run)
        _require_moderate(run)
        _release(run)
        _erase_unused(run)
        _erase_strays(run)
        _drop_left_uploads(run)
    except DomainError as error:
        if row is not None:
            GarbageRun.objects.filter(pk=row.pk).update(problem=error.message, finished_at=now(), counts=run.report())
        raise
    if row is not None:
        with transaction.atomic():
            GarbageRun.objects.filter(pk=row.pk).update(finished_at=now(), counts=run.report())
            if run.erased_files or run.stray_objects or run.purged_repositories:
                audit.record(
                    actors.system("garbage"), "registry:garbage:collected", "garbage", str(row.pk), **run.report()
                )
            kept = GarbageRun.objects.order_by("-pk").values_list("pk", flat=True)[:RUNS_KEPT]
            GarbageRun.objects.filter(pk__lt=min(kept)).delete()
    return run.report()


def undo(actor: Actor) -> dict[str, int]:
    """Take back everything that is condemned and not yet gone: it waits anew from the next run that finds it. For operators."""
    with transaction.atomic():
        files = RepoBlob.objects.filter(condemned_at__isnull=False).update(condemned_at=None)
        commits, _ = LostCommit.objects.filter(is_final=False).delete()
        audit.record(actor, "registry:garbage:undone", "garbage", "all", files=files, commits=commits)
    return {"rescued_files": files, "rescued_commits": commits}


def finish_erasing() -> int:
    """Go on where a run was interrupted between saying that bytes go and deleting them; returns how many. Safe to repeat, and
    beside a run."""
    with transaction.atomic():
        left = Blob.objects.filter(state=BlobState.ERASING, used_at__lt=now() - ABANDONED_AFTER).order_by("pk")
        claimed = list(left.select_for_update(no_key=True)[:_AT_ONCE])
        Blob.objects.filter(pk__in=[blob.pk for blob in claimed]).update(used_at=now())
    return _delete_bytes(claimed)


def collected_since(blob: Blob) -> bool:
    """In a restored database, of bytes that are not in the backup: whether they were only waiting to be removed, which happened
    while the backup was written. They are noted as absent then."""
    living = RepoBlob.objects.filter(condemned_at=None, repo__deleted_at=None)
    if not reach.unnamed_blobs(living).filter(pk=blob.pk).exists():
        return False
    with transaction.atomic():
        RepoBlob.objects.filter(blob=blob).delete()
        Blob.objects.filter(pk=blob.pk).update(state=BlobState.ABSENT)
    return True


def _begin(run: Run) -> GarbageRun:
    return GarbageRun.objects.create(
        started_at=run.moment,
        tree_high=Tree.objects.aggregate(high=Max("pk"))["high"] or 0,
        page_high=TreePage.objects.aggregate(high=Max("pk"))["high"] or 0,
    )


# The store


def _look_at_store(run: Run) -> None:
    stored = listed = 0
    try:
        for row, item in inventory.compare():
            if row is not None and row.state == BlobState.STORED:
                stored += 1
                listed += item is not None
            elif item is not None and _is_stray(run, row, item) and len(run.strays) < STRAYS_AT_ONCE:
                run.strays.append(item.key.rpartition("/")[2])
    except DomainError as error:
        raise Unavailable(f"The storage could not be listed, so nothing was removed: {error.message}") from error
    run.missing_files = stored - listed
    if stored and (not listed or run.missing_files > max(10, stored * MISSING_LIMIT)):
        raise Unavailable(
            f"The storage lists {listed} of the {stored} files that it should hold, so nothing was removed. Is STORAGE_URL the "
            "right one, and is all of it mounted? `manage.py fsck` names the missing files.",
            code="storage_listing",
        )


def _is_stray(run: Run, row: inventory.Row | None, item: ObjectStat) -> bool:
    """Whether these bytes, which count for nothing, are to go. Without a row they may have come after the backup from which the
    rows were restored: they wait as long as everything else."""
    if not _KEY.fullmatch(item.key):
        return False
    if row is None:
        return item.modified_at < run.expired
    return row.state == BlobState.ABSENT and max(row.used_at, item.modified_at) < run.old


# Marking


def _mark_all(run: Run) -> None:
    with reach.Marks() as marks:
        for repo in Repo.objects.order_by("pk").iterator(chunk_size=500):
            run.repositories += 1
            is_purged = _purge(run, repo)
            marks.mark(repo, young_from=reach.commit_key_at(run.old), is_purged=is_purged)
            _mark_commits(run, repo, marks)
            _mark_holdings(run, repo, marks, is_purged=is_purged)
        if not run.is_dry:
            _sweep_trees(run, marks)


def _purge(run: Run, repo: Repo) -> bool:
    """Whether the repository was deleted so long ago that it has given up its files, or does so now."""
    if repo.purged_at is not None:
        return True
    due = Repo.objects.filter(pk=repo.pk, deleted_at__lt=run.expired, purged_at=None)
    # the statement decides: somebody may bring it back at this moment
    if not (due.exists() if run.is_dry else due.update(purged_at=run.moment)):
        return False
    run.purged_repositories += 1
    return True


def _mark_commits(run: Run, repo: Repo, marks: reach.Marks) -> None:
    for keys in marks.lost():
        known = set(LostCommit.objects.filter(commit__in=keys).values_list("commit_id", flat=True))
        new = [key for key in keys if key not in known]
        run.lost_commits += len(new)
        if run.is_dry:
            continue
        LostCommit.objects.bulk_create(
            [LostCommit(commit_id=key, since=run.moment) for key in new], ignore_conflicts=True
        )
        # who names one of them anew has removed its row, or waits for this statement and is refused
        LostCommit.objects.filter(commit__in=keys, since__lt=run.expired, is_final=False).update(is_final=True)
    if run.is_dry:
        return
    listed = LostCommit.objects.filter(commit__repo=repo, is_final=False).values_list("commit_id", flat=True)
    for keys in _batches(listed.order_by("commit_id").iterator(chunk_size=2000)):
        found = [key for key in keys if key not in marks.is_lost(keys)]
        LostCommit.objects.filter(commit__in=found, is_final=False).delete()


def _mark_holdings(run: Run, repo: Repo, marks: reach.Marks, *, is_purged: bool) -> None:
    rows = RepoBlob.objects.filter(repo=repo).order_by("pk").values_list("pk", "blob_id", "used_at", "condemned_at")
    for batch in _pages(rows):
        alive = marks.is_alive(blob for _, blob, _, _ in batch)
        dead = [
            pk for pk, blob, used_at, condemned in batch
            if blob not in alive and condemned is None and (used_at < run.old or is_purged)
        ]  # fmt: skip
        risen = [pk for pk, blob, _, condemned in batch if blob in alive and condemned is not None]
        run.condemned_files += len(dead)
        run.rescued_files += len(risen)
        if run.is_dry:
            continue
        found = RepoBlob.objects.filter(pk__in=dead, condemned_at=None)
        # being deleted was the warning of a purged repository
        if is_purged:
            holdings.change(found, condemned_at=repo.deleted_at)
        else:
            holdings.change(found.filter(used_at__lt=run.old), condemned_at=run.moment)
        holdings.change(RepoBlob.objects.filter(pk__in=risen), condemned_at=None)


def _sweep_trees(run: Run, marks: reach.Marks) -> None:
    """Remove trees and pages that no commit holds, and that were there a day ago already."""
    before = GarbageRun.objects.filter(started_at__lt=run.old).order_by("-started_at").first()
    if before is None:
        return
    for keys in _batches(Tree.objects.filter(pk__lte=before.tree_high).order_by("pk").values_list("pk", flat=True)):
        run.removed_trees += Tree.objects.filter(pk__in=marks.unused_trees(keys)).delete()[0]
    pages = TreePage.objects.filter(pk__lte=before.page_high).order_by("pk").values_list("pk", flat=True)
    for keys in _batches(pages):
        run.left_pages += TreePage.objects.filter(pk__in=marks.unused_pages(keys)).delete()[0]


# Letting go


def _doomed(run: Run) -> QuerySet[RepoBlob]:
    """Holdings whose time is over."""
    found = RepoBlob.objects.filter(condemned_at__lt=run.expired)
    return found | RepoBlob.objects.filter(repo__deleted_at__lt=run.expired) if run.is_dry else found


def _unused(run: Run) -> QuerySet[Blob]:
    """Files that nothing keeps, or will keep when the holdings have gone."""
    staying = RepoBlob.objects.filter(Q(condemned_at=None) | Q(condemned_at__gte=run.expired))
    if run.is_dry:
        staying = staying.exclude(repo__deleted_at__lt=run.expired)
    return reach.unnamed_blobs(staying).filter(state=BlobState.STORED, used_at__lt=run.expired)


def _require_moderate(run: Run) -> None:
    count = _unused(run).count()
    total = Blob.objects.filter(state=BlobState.STORED).count()
    if count > max(SHARE_FROM, total * SHARE_LIMIT) and not run.may_erase_many and not run.is_dry:
        raise Conflict(
            f"{count} of {total} files would be removed for good, which is more than usual: nothing was. Look at "
            "`manage.py gc --dry-run`, then run `manage.py gc --many`, or keep them with `manage.py gc --undo`.",
            code="too_much_garbage",
        )


def _release(run: Run) -> None:
    doomed = _doomed(run)
    if run.is_dry:
        run.released_files = doomed.count()
        return
    for keys in _batches(doomed.order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            # rescued meanwhile: it is asked again
            locked = holdings.lock(RepoBlob.objects.filter(pk__in=keys, condemned_at__lt=run.expired))
            run.released_files += RepoBlob.objects.filter(pk__in=locked).delete()[0]


def _erase_unused(run: Run) -> None:
    if run.is_dry:
        found = _unused(run).aggregate(bytes=Sum("size_bytes"))
        run.erased_files, run.erased_bytes = _unused(run).count(), found["bytes"] or 0
        return
    last = 0
    while True:
        batch = list(_unused(run).filter(pk__gt=last).order_by("pk")[:_AT_ONCE])
        if not batch:
            return
        last = batch[-1].pk
        going = _say_erasing(run.expired, BlobState.STORED, [blob.pk for blob in batch])
        run.erased_files += _delete_bytes(going)
        run.erased_bytes += sum(blob.size_bytes for blob in going)


def _say_erasing(before: datetime, state: BlobState, keys: list[int]) -> list[Blob]:
    """Of these blobs, those that nothing keeps and nobody has used since `before`; from now on they are being erased."""
    with transaction.atomic():
        # first the locks, then the question: what somebody came to name while we waited for the lock is seen
        locked = (
            Blob.objects.select_for_update(no_key=True)
            .filter(pk__in=keys, state=state, used_at__lt=before)
            .order_by("pk")
        )
        free = reach.unnamed_blobs(RepoBlob.objects.all()).filter(pk__in=[blob.pk for blob in locked])
        going = list(free.order_by("pk"))
        Blob.objects.filter(pk__in=[blob.pk for blob in going]).update(state=BlobState.ERASING, used_at=now())
    return going


def _delete_bytes(blobs: Iterable[Blob]) -> int:
    """Delete the bytes of blobs that the caller, and nobody else, has just claimed; afterwards they are absent. What takes too
    long is left to `finish_erasing`, which could be at it, too."""
    count, until = 0, monotonic() + ERASING_S
    for blob in blobs:
        if monotonic() > until:
            break
        with storage_errors():
            store().delete(blob.key)
        count += Blob.objects.filter(pk=blob.pk, state=BlobState.ERASING).update(state=BlobState.ABSENT)
    return count


def _erase_strays(run: Run) -> None:
    """Bytes that count for nothing: of uploads that broke off, and such as no row knows."""
    for digests in _batches(run.strays):
        sizes = {digest: _stat(digest) for digest in digests}
        found = {digest: stat for digest, stat in sizes.items() if stat is not None and stat.modified_at < run.old}
        run.stray_objects += len(found)
        run.stray_bytes += sum(stat.size_bytes for stat in found.values())
        if run.is_dry:
            continue
        # with a row they go the way of all others, which no upload can run into
        Blob.objects.bulk_create(
            [
                Blob(sha256=digest, size_bytes=stat.size_bytes, state=BlobState.ABSENT, used_at=stat.modified_at)
                for digest, stat in sorted(found.items())
            ],
            ignore_conflicts=True,
        )
        keys = list(Blob.objects.filter(sha256__in=found).values_list("pk", flat=True))
        _delete_bytes(_say_erasing(run.old, BlobState.ABSENT, keys))


def _stat(digest: str) -> ObjectStat | None:
    with storage_errors():
        return next(iter(store().list(Blob(sha256=digest).key)), None)


def _drop_left_uploads(run: Run) -> None:
    """What uploads that broke off have left where nothing is named by its digest: whole files and parts on their way in, and
    uploads in parts that the store itself keeps open."""
    with storage_errors():
        for item in store().list("staging/"):
            named = _STAGING.match(item.key)
            if named is None or item.modified_at >= run.old or _is_open(named[1]):
                continue
            run.left_uploads += 1
            if not run.is_dry:
                store().delete(item.key)
        kept = store()
        if isinstance(kept, MultipartStore) and not run.is_dry:
            run.left_uploads += kept.abort_older(run.old)


def _is_open(name: str) -> bool:
    try:
        uuid = UUID(name)
    except ValueError:
        return False
    return Upload.objects.filter(uuid=uuid, state=UploadState.OPEN, expires_at__gt=now()).exists()


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items.iterator(chunk_size=2000) if isinstance(items, QuerySet) else items:
        batch.append(item)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _pages(rows: "QuerySet[RepoBlob, Holding]") -> Iterator[list[Holding]]:
    """Rows by primary key, a page at a time, each read afresh."""
    last = 0
    while batch := list(rows.filter(pk__gt=last)[: 2 * _AT_ONCE]):
        yield batch
        last = batch[-1][0]
