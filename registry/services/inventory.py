"""The store's listing beside the rows: both in the order of the digests, a page of each in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from backends.contracts.stores import ObjectStat
from registry.models import Blob
from registry.services.storage import storage_errors, store

PREFIX = "blobs/"
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Row:
    """What the comparison needs of a Blob."""

    pk: int
    sha256: str
    size_bytes: int
    state: str
    used_at: datetime


def compare() -> Iterator[tuple[Row | None, ObjectStat | None]]:
    """Every blob with its object; one side is None where the other stands alone. Raises Busy, Unavailable when the store
    cannot list: a listing that broke off is no listing."""
    with storage_errors():
        objects = store().list(PREFIX)
        rows = _rows()
        row, item = next(rows, None), next(objects, None)
        while row is not None or item is not None:
            ours = _key(row.sha256) if row else None
            theirs = item.key if item else None
            if theirs is None or (ours is not None and ours < theirs):
                yield row, None
                row = next(rows, None)
            elif ours is None or theirs < ours:
                yield None, item
                item = next(objects, None)
            else:
                yield row, item
                row, item = next(rows, None), next(objects, None)


def _key(sha256: str) -> str:
    return f"{PREFIX}{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _rows() -> Iterator[Row]:
    """All blobs by digest, a page at a time: no cursor is kept open while the store is asked."""
    last = ""
    while True:
        page = list(
            Blob.objects.filter(sha256__gt=last)
            .order_by("sha256")
            .values_list("pk", "sha256", "size_bytes", "state", "used_at")[:_AT_ONCE]
        )
        if not page:
            return
        for found in page:
            yield Row(*found)
        last = page[-1][1]
