"""The one way by which a repository comes to hold bytes, and by which something comes to name an old commit. Both are safe beside
the collection of garbage: what is used here is locked or freshly noted as used, and what is gone already is refused."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from common.clock import now
from common.errors import Gone, Invalid
from registry.models import Blob, Commit, LostCommit, Repo, RepoBlob
from registry.services import quotas
from registry.services.storage import USE_COUNTS_FOR
from registry.states import BlobState

_AT_ONCE = 500


def hold(repo: Repo, blob_ids: Iterable[int]) -> None:
    """Note that the repository holds these bytes, now. Only for callers that received them, or that know the actor may read
    them. Safe to repeat; what was condemned is rescued. Raises QuotaExceeded; Invalid when bytes were collected meanwhile."""
    ordered = sorted(set(blob_ids))
    for start in range(0, len(ordered), _AT_ONCE):
        _hold(repo, ordered[start : start + _AT_ONCE])


def _hold(repo: Repo, keys: Sequence[int]) -> None:
    moment = now()
    fresh = set(
        RepoBlob.objects.filter(
            repo=repo, blob__in=keys, condemned_at=None, used_at__gte=moment - USE_COUNTS_FOR
        ).values_list("blob_id", flat=True)
    )
    wanted = [key for key in keys if key not in fresh]
    if not wanted:
        return
    with transaction.atomic():
        touch(wanted)
        known = set(RepoBlob.objects.filter(repo=repo, blob__in=wanted).values_list("blob_id", flat=True))
        quotas.require_room_for(repo.namespace_id, [key for key in wanted if key not in known])
        RepoBlob.objects.bulk_create(
            [RepoBlob(repo=repo, blob_id=key, used_at=moment) for key in wanted],
            update_conflicts=True,
            unique_fields=["repo", "blob"],
            update_fields=["used_at", "condemned_at"],
        )


def touch(keys: Sequence[int]) -> None:
    """Note that these bytes are used, in the caller's transaction, which goes on to name them. Raises Invalid when some were
    collected meanwhile."""
    moment = now()
    rows = Blob.objects.in_bulk(keys)
    stale = [row.pk for row in rows.values() if row.state != BlobState.STORED or moment - row.used_at > USE_COUNTS_FOR]
    if stale:
        # in one order: two that use the same bytes never wait for each other in a circle
        locked = list(Blob.objects.select_for_update(no_key=True).filter(pk__in=stale).order_by("pk"))
        if any(row.state != BlobState.STORED for row in locked):
            raise Invalid("Some of these files were removed meanwhile: send their bytes again.", code="lfs_missing")
        Blob.objects.filter(pk__in=stale).update(used_at=moment)


def keep_commits(repo: Repo, commits: Iterable[Commit]) -> None:
    """Before something comes to name commits that are here already, in the caller's transaction: those that nothing led to
    live again, with all before them and their files. Raises Gone when one has given up its files."""
    keys = [commit.pk for commit in commits]
    if not LostCommit.objects.filter(commit__in=keys).exists():
        return
    # who finds a commit finds what came before it: all wait for the next run, which knows better
    list(LostCommit.objects.select_for_update(no_key=True).filter(commit__repo=repo, is_final=False).order_by("pk"))
    if LostCommit.objects.filter(commit__in=keys, is_final=True).exists():
        raise Gone("No branch or tag led to this commit for so long that its files were removed for good.")
    rescue(repo)


def rescue(repo: Repo) -> int:
    """Take back all that the collection intends in this repository, in the caller's transaction; returns how many files that are.
    What nothing leads to is found again by the next run, and waits anew."""
    LostCommit.objects.filter(commit__repo=repo, is_final=False).delete()
    return change(RepoBlob.objects.filter(repo=repo, condemned_at__isnull=False), condemned_at=None)


def change(holdings: QuerySet[RepoBlob], **values: datetime | None) -> int:
    """Set `condemned_at` of some hundreds of holdings, locked in the order in which everybody takes them; returns how many. What has
    ceased to fit while it waited is left alone."""
    with transaction.atomic():
        return RepoBlob.objects.filter(pk__in=lock(holdings)).update(**values)


def lock(holdings: QuerySet[RepoBlob]) -> list[int]:
    """Keys of the holdings, locked in the caller's transaction."""
    ordered = holdings.select_for_update(no_key=True, of=("self",)).order_by("blob_id", "repo_id")
    return [row.pk for row in ordered.only("pk")]
