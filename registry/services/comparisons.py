"""What differs between two states of a dataset: rows, columns, distributions. Made in the sandbox, once for each pair and key."""

import hashlib

from django.db import transaction

from backends.datasets.sandboxed import compare_files
from common.errors import Invalid, NotFound
from registry.models import Commit, DatasetComparison
from registry.services.datafiles import BYTES_LIMIT, copy, select
from registry.services.sandboxes import sandbox
from work.door import enqueue

RULES = "compare-1"
_KEY_LIMIT = 400


def comparison_of(before: Commit, after: Commit, key: str = "") -> DatasetComparison | None:
    """What differs between two commits of one repository; None while that is being found out, which the first call asks for. `key`: the
    columns that name a row, with commas between; empty: found for each table. The caller has checked the right to read. Raises
    Invalid."""
    key = ",".join(_columns(key))
    found = _known(before, after, key)
    if found is None:
        enqueue(
            "registry.compare_datasets", before.pk, after.pk, key, key=f"compare:{before.pk}:{after.pk}:{_digest(key)}"
        )
    return found


def compare_datasets(before_id: int, after_id: int, key: str) -> DatasetComparison:
    """Compare the tables of two commits and keep what differs. Safe to repeat, and beside itself: one row for each pair, key and rules."""
    commits = Commit.objects.select_related("tree").in_bulk([before_id, after_id])
    if before_id not in commits or after_id not in commits:
        raise NotFound("One of the commits is gone.")
    before, after = commits[before_id], commits[after_id]
    known = _known(before, after, key)
    if known is not None:
        return known
    chosen = [select(commit, only_tables=True) for commit in (before, after)]
    if all(each.is_whole for each in chosen):
        with sandbox("compare") as place:
            old, new = (
                copy(each.entries, place.copies / name) for each, name in zip(chosen, ("before", "after"), strict=True)
            )
            content = compare_files(place.runner, place.work, place.copies, old, new, _columns(key), key=place.key)
    else:
        # half a table would show rows as removed that are there
        content = {
            "problem": f"Rows are compared where the tables of each side have up to {BYTES_LIMIT // 1024**3} GiB."
        }
    with transaction.atomic():
        return DatasetComparison.objects.get_or_create(
            repo_id=before.repo_id,
            before_oid=before.tree.oid,
            after_oid=after.tree.oid,
            key=key,
            rules=RULES,
            defaults={"content": content},
        )[0]


def _known(before: Commit, after: Commit, key: str) -> DatasetComparison | None:
    return DatasetComparison.objects.filter(
        repo_id=before.repo_id, before_oid=before.tree.oid, after_oid=after.tree.oid, key=key, rules=RULES
    ).first()


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()[:16]


def _columns(key: str) -> list[str]:
    if len(key) > _KEY_LIMIT or "\x00" in key:
        raise Invalid(f"Name the key columns in at most {_KEY_LIMIT} characters.", fields={"key": "too long"})
    return [name for part in key.split(",") if (name := part.strip())]
