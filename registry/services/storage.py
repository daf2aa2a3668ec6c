"""The configured store, and blobs in it. Bytes are hashed on the way in; the name a blob gets is what was hashed."""

import functools
import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction

from backends.contracts.stores import Reader, Store
from backends.errors import BackendError, ConfigError, Missing, NoCapacity, Rejected, Transient
from backends.stores.urls import store_from_url
from common.clock import now
from common.errors import Busy, Gone, Invalid, Unavailable
from common.ids import new_uuid
from registry import trees
from registry.models import Blob
from registry.states import BlobState

logger = logging.getLogger(__name__)

USE_COUNTS_FOR = timedelta(hours=6)
"""A use is noted again when the last note is older: much shorter than the collection's grace (services/garbage.py), long enough
that popular bytes are not a row for which everybody waits."""
_PARALLEL_WRITES = 16
"""Writes under way at once in `store_many`: each spends its time waiting for the disk."""


@functools.cache
def _store(url: str) -> Store:
    return store_from_url(url)


def store() -> Store:
    """The store that STORAGE_URL names; one instance a process."""
    return _store(settings.STORAGE_URL)


@contextmanager
def storage_errors() -> Iterator[None]:
    """A backend's errors, in the words of the product."""
    try:
        yield
    except NoCapacity as error:
        raise Unavailable(
            "The storage of this site is full: nothing was saved. Ask its operator.", code="storage_full"
        ) from error
    except Transient as error:
        raise Busy("The storage does not answer: try again in a moment.", retry_after_s=5) from error
    except ConfigError as error:
        # a key or a bucket that was taken away while the site runs: its operator mends it, and the same request succeeds
        logger.exception("The storage refuses this site")
        raise Busy(
            "The storage refuses this site: its operator has to look. Try again later.", retry_after_s=60
        ) from error
    except Rejected as error:
        raise Invalid(f"The storage refused the bytes: {error}.") from error


def store_blob(chunks: Iterable[bytes], *, size_bytes: int | None = None, sha256: str | None = None) -> Blob:
    """Store some bytes and return their Blob. Streams: a chunk at a time in memory. `sha256` (hex) and `size_bytes`, when given,
    must be true, else Invalid and nothing is kept. Safe to repeat: the same bytes give the same Blob. Never call it with a
    transaction open that others wait for: it takes as long as the bytes do. Opens no right: see `attach`."""
    staging = f"staging/{new_uuid()}"
    with storage_errors():
        try:
            stored = store().put(staging, chunks)
            if size_bytes is not None and stored.size_bytes != size_bytes:
                raise Invalid(
                    f"The upload has {stored.size_bytes} bytes; {size_bytes} were announced.", code="wrong_size"
                )
            if sha256 is not None and stored.sha256_hex != sha256:
                raise Invalid("The SHA-256 of the upload is not the one announced.", code="wrong_digest")
            return adopt_staged(staging, stored.sha256_hex, stored.size_bytes)
        finally:
            discard(staging)


def discard(key: str) -> None:
    """Remove something on its way in that is not needed any more. A store that fails at this moment spoils nothing: what stays
    behind goes with the next collection."""
    try:
        store().delete(key)
    except BackendError as error:
        logger.warning("%s stays behind in the storage for now: %s", key, error)


def store_bytes(content: bytes) -> Blob:
    """`store_blob` for something small that is in memory: hashed here, for git too, and put in its place at once."""
    (blob,) = store_many([content])
    if not exists(blob):
        with storage_errors():
            _put((blob.sha256, content))
    return blob


def store_many(contents: Sequence[bytes]) -> list[Blob]:
    """`store_bytes` for a batch of small files that are in memory, in the order given: one look-up and one insert for all, and the
    store waits for many disks' flushes at once. Safe to repeat."""
    wanted = {hashlib.sha256(content).hexdigest(): content for content in contents}
    blobs = admit(
        [
            Blob(sha256=sha256, size_bytes=len(content), git_oid=trees.blob_oid(content))
            for sha256, content in wanted.items()
        ]
    )
    absent = [blob for blob in blobs.values() if blob.state != BlobState.STORED]
    with storage_errors(), ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        for _ in pool.map(_put, [(blob.sha256, wanted[blob.sha256]) for blob in absent]):
            pass
    settle(absent)
    unnamed = [blob for blob in blobs.values() if not blob.git_oid]
    for blob in unnamed:
        blob.git_oid = trees.blob_oid(wanted[blob.sha256])
    Blob.objects.bulk_update(unnamed, ["git_oid"])
    return [blobs[hashlib.sha256(content).hexdigest()] for content in contents]


def _put(item: tuple[str, bytes]) -> None:
    sha256, content = item
    store().put(Blob(sha256=sha256).key, [content], size=len(content))


def adopt_staged(staging: str, sha256: str, size_bytes: int) -> Blob:
    """Give staged bytes, whose digest the caller has computed while storing them, their place and their row. The bytes are
    durable before the row says so. Safe to repeat. Raises Busy while the same bytes are being collected, and when the staged ones
    have gone."""
    blob = admit([Blob(sha256=sha256, size_bytes=size_bytes)])[sha256]
    if blob.state != BlobState.STORED or not exists(blob):
        try:
            store().move(staging, blob.key)
        except Missing as error:
            raise Busy("What was just sent is not in the storage any more: send it again.") from error
        settle([blob])
    return blob


def admit(wanted: Sequence[Blob]) -> dict[str, Blob]:
    """Rows, by digest, for bytes that are about to be put in their places; those that are not `stored` need it, and `settle`
    afterwards. With a fresh `used_at` they are safe from the collection meanwhile, whatever it is doing: it looks again under the
    row's lock before it deletes. Raises Busy while it is deleting one of them."""
    digests = [blob.sha256 for blob in wanted]
    found = Blob.objects.in_bulk(digests, field_name="sha256")
    moment = now()
    if len(found) == len(set(digests)) and all(_is_fresh(blob, moment) for blob in found.values()):
        return found
    with transaction.atomic():
        for blob in wanted:
            blob.state, blob.used_at = BlobState.ABSENT, moment
        missing = sorted((blob for blob in wanted if blob.sha256 not in found), key=lambda blob: blob.sha256)
        Blob.objects.bulk_create(missing, ignore_conflicts=True)
        rows = list(Blob.objects.select_for_update(no_key=True).filter(sha256__in=digests).order_by("pk"))
        require_none_erasing(rows)
        stale = [blob.pk for blob in rows if moment - blob.used_at > USE_COUNTS_FOR]
        Blob.objects.filter(pk__in=stale).update(used_at=moment)
    return {blob.sha256: blob for blob in rows}


def settle(blobs: Sequence[Blob]) -> None:
    """The bytes of these rows, which `admit` returned, are durable now."""
    absent = [blob for blob in blobs if blob.state != BlobState.STORED]
    if not absent:
        return
    with transaction.atomic():
        ordered = Blob.objects.select_for_update(no_key=True).filter(pk__in=[blob.pk for blob in absent]).order_by("pk")
        require_none_erasing(ordered)
        Blob.objects.filter(pk__in=[blob.pk for blob in absent]).update(state=BlobState.STORED, used_at=now())
    for blob in absent:
        blob.state = BlobState.STORED


def require_none_erasing(blobs: Iterable[Blob]) -> None:
    """Raises Busy when the collection is deleting some of these bytes."""
    if any(blob.state == BlobState.ERASING for blob in blobs):
        raise Busy("The same bytes are being removed at this moment: send them again in a minute.", retry_after_s=30)


def _is_fresh(blob: Blob, moment: datetime) -> bool:
    return blob.state == BlobState.STORED and moment - blob.used_at <= USE_COUNTS_FOR


def exists(blob: Blob) -> bool:
    """Whether the store has the bytes, in full."""
    try:
        with storage_errors():
            return store().stat(blob.key).size_bytes == blob.size_bytes
    except Missing:
        return False


def open_blob(blob: Blob, start: int = 0, end: int | None = None) -> Reader:
    """Bytes `start` up to, not including, `end`. The caller has checked the right to read. Raises Gone for what was collected,
    Unavailable when the store has lost them. Reading on may raise Busy, or Unavailable when there are fewer or more bytes than there
    should be: an end is always the true end."""
    _require_stored(blob)
    with storage_errors():
        try:
            reader = store().open(blob.key, start, end)
        except Missing as error:
            raise _lost() from error
    last = blob.size_bytes if end is None else min(end, blob.size_bytes)
    return _Exact(reader, max(0, last - max(start, 0)))


class _Exact(Reader):
    """So many bytes of a blob, or an error in the words of the product."""

    def __init__(self, reader: Reader, size_bytes: int) -> None:
        self._reader, self._left = reader, size_bytes

    def read(self, size: int = -1) -> bytes:
        with storage_errors():
            data = self._reader.read(size)
        self._left -= len(data)
        if self._left < 0 or (self._left and (size < 0 or (size > 0 and not data))):
            raise _lost()
        return data

    def close(self) -> None:
        self._reader.close()


def _lost() -> Unavailable:
    return Unavailable("The storage has lost this file: ask the operator to restore it from a backup.")


def _require_stored(blob: Blob) -> None:
    if blob.state != BlobState.STORED:
        raise Gone("This file belonged to a commit that no branch or tag led to any more: it was removed for good.")


def read_blob(blob: Blob, limit: int) -> bytes:
    """The first `limit` bytes."""
    with open_blob(blob, 0, limit) as reader:
        return b"".join(reader)


def local_path(blob: Blob) -> Path | None:
    """The file that holds the bytes, all of them, when the store has files on this machine: for sendfile. Raises Unavailable when
    the store has lost some."""
    _require_stored(blob)
    path = store().local_path(blob.key)
    if path is not None and not exists(blob):
        raise _lost()
    return path


def link_for(blob: Blob, *, filename: str, expires_s: int = 300) -> str | None:
    """An address where a client reads the bytes from the store itself, when the store offers that. Short-lived: it outlasts a
    revoked right by at most `expires_s` seconds."""
    _require_stored(blob)
    return store().link_for(blob.key, expires_s=expires_s, filename=filename)


def git_oid_of(blob: Blob) -> str:
    """The SHA-1 hex that git gives these bytes as a plain file; computed on first use by reading them once, then kept."""
    if not blob.git_oid:
        digest = hashlib.sha1(b"blob %d\0" % blob.size_bytes, usedforsecurity=False)
        with open_blob(blob) as reader:
            for chunk in reader:
                digest.update(chunk)
        blob.git_oid = digest.hexdigest()
        with transaction.atomic():
            Blob.objects.filter(pk=blob.pk, git_oid="").update(git_oid=blob.git_oid)
    return blob.git_oid


def pointer_of(sha256: str, size_bytes: int) -> bytes:
    """The text that git stores in place of a large file (git-lfs specification v1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n".encode()
