"""Checking what is stored against what is written: `manage.py fsck`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef, Q

from backends.errors import Missing
from registry.models import Blob, RepoBlob
from registry.services import inventory, reach
from registry.services.storage import storage_errors, store
from registry.states import BlobState

SHOWN = 100
"""Problems of each kind that are named; all are counted."""


@dataclass
class Findings:
    """What is wrong. `extra` bytes are waste and no loss: the next collection removes them when they are old enough."""

    objects: int = 0
    bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    named: dict[str, list[str]] = field(default_factory=dict)

    def note(self, kind: str, what: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        named = self.named.setdefault(kind, [])
        if len(named) < SHOWN:
            named.append(what)

    @property
    def is_sound(self) -> bool:
        return not set(self.counts) - {"extra"}

    def report(self) -> dict[str, Any]:
        return {
            "sound": self.is_sound,
            "objects": self.objects,
            "bytes": self.bytes,
            "problems": self.counts,
            "named": self.named,
        }


def check(*, with_bytes: bool = False, say: Callable[[int], None] | None = None) -> Findings:
    """Compare rows and objects: `missing` (the row promises bytes that are not there), `wrong_size`, `extra` (bytes without a row, or
    whose row does not count on them), `foreign` (a key that is not ours), `unnamed` (bytes that something names though the row says
    they are gone) and, with `with_bytes`, `corrupt`. Streams: a page of rows in memory, and a chunk of bytes. Reads only. `say` hears
    how many objects are done. Raises what the store raises when it cannot list."""
    found = Findings()
    for row, item in inventory.compare():
        if row is None and item is not None:
            known = item.key.rpartition("/")[2]
            _note_alone(found, item.key, known)
        elif row is not None and row.state == BlobState.STORED:
            found.objects += 1
            found.bytes += row.size_bytes
            if item is None:
                if not _is_there(row):
                    found.note("missing", row.sha256)
            elif item.size_bytes != row.size_bytes:
                found.note("wrong_size", row.sha256)
            elif with_bytes and _digest_of(item.key) not in (row.sha256, None):
                found.note("corrupt", row.sha256)
        elif row is not None and item is not None:
            found.note("extra", row.sha256)
        if say is not None and found.objects % 10_000 == 0:
            say(found.objects)
    for sha256 in _named_though_gone():
        found.note("unnamed", sha256)
    return found


def _note_alone(found: Findings, key: str, digest: str) -> None:
    if key != Blob(sha256=digest).key or len(digest) != 64:
        found.note("foreign", key)
    elif not Blob.objects.filter(sha256=digest).exists():
        # it may have come since the page of rows was read
        found.note("extra", digest)


def _is_there(row: inventory.Row) -> bool:
    """Asked again for the one object: it may have come since its place in the listing was passed, or be collected by now."""
    blob = Blob(sha256=row.sha256)
    try:
        return store().stat(blob.key).size_bytes == row.size_bytes
    except Missing:
        return not Blob.objects.filter(pk=row.pk, state=BlobState.STORED).exists()


def _digest_of(key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        with store().open(key) as reader:
            for chunk in reader:
                digest.update(chunk)
    except Missing:
        return None
    return digest.hexdigest()


def _named_though_gone() -> list[str]:
    """Digests of blobs that some row keeps although their bytes do not count as stored. One query; nothing, on a sound site."""
    keepers = Q()
    for rel in reach.keepers_of_blobs():
        model: Any = rel.related_model
        rows = model.objects.filter(**{rel.field.name: OuterRef("pk")})
        if model is RepoBlob:
            rows = rows.filter(repo__purged_at=None)
        keepers |= Q(Exists(rows))
    with storage_errors():
        return list(Blob.objects.exclude(state=BlobState.STORED).filter(keepers).values_list("sha256", flat=True))
