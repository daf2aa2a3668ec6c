"""A store keeps bytes under keys that we make. The one truth: under a key is one complete object, or nothing."""

import enum
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from backends.errors import Rejected

CHUNK_BYTES = 1024**2
"""How much is held in memory at a time: 1 MiB, measured as fast as 8 MiB and small enough for many streams at once."""

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")
_LONGEST_KEY = 512
"""Half of what S3 allows, so that a configured prefix still fits."""


class Capability(enum.StrEnum):
    """What a store may offer beyond the contract."""

    LINKS = "links"
    """`link_for` returns an address that a client may read from directly."""
    LOCAL_PATHS = "local-paths"
    """`local_path` returns a file of this machine."""
    MULTIPART = "multipart"
    """The store is a `MultipartStore`."""


@dataclass(frozen=True)
class StoredObject:
    """What `put` has stored."""

    size_bytes: int
    sha256_hex: str
    """Lower-case hex SHA-256 of the bytes as they were received."""


@dataclass(frozen=True)
class ObjectStat:
    """What is known of an object without reading it."""

    key: str
    size_bytes: int
    modified_at: datetime
    """Aware, UTC."""


def check_key(key: str) -> str:
    """`key` itself when it may be used: `[a-z0-9/._-]`, no empty, dotted or hidden segment, ≤ 512 characters. Raises `Rejected`."""
    if len(key) > _LONGEST_KEY or not _KEY.fullmatch(key):
        raise Rejected(f"not a storage key: {key[:80]!r}")
    return key


class Reader(ABC):
    """Bytes of one object from a start to an end: iterate for chunks of at most 1 MiB, or `read`. Close it, or use `with`."""

    @abstractmethod
    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes (all that is left when negative); empty at the end. May raise `Transient`."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held; a second call does nothing."""

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK_BYTES):
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Store(ABC):
    """Bytes by key. Every method raises `Rejected` for a key that `check_key` refuses, `Transient` for a fault that passes,
    and `ConfigError` when the store itself is not there or not ours. Instances may be used from several threads."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
    def put(self, key: str, chunks: Iterable[bytes], *, size: int | None = None) -> StoredObject:
        """Store all of `chunks` under `key`; visible only when complete and durable. The same key twice: the later whole object
        stands. `size` in bytes, when given, must be exact, else `Rejected` and nothing is stored. An error of any kind, also one
        raised by `chunks`, leaves what was there before. Raises `NoCapacity` when the store is full."""

    @abstractmethod
    def open(self, key: str, start: int = 0, end: int | None = None) -> Reader:
        """Bytes `start` up to, not including, `end` (both cut to the size). Raises `Missing` at once, not on the first read."""

    @abstractmethod
    def stat(self, key: str) -> ObjectStat:
        """Size and time of one object. Raises `Missing`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove one object; gone already is success."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectStat]:
        """Every object whose key begins with `prefix`, in the order of the keys. Lazy: a million keys never sit in memory at once."""

    @abstractmethod
    def move(self, source: str, target: str) -> None:
        """Give the object another key, replacing what was there. A repeated call, when only `target` exists, is success.
        Raises `Missing` when neither exists. Interrupted, both keys may hold it; never neither."""

    def link_for(self, key: str, *, expires_s: int, filename: str) -> str | None:
        """An address that reads the object without our help for `expires_s` seconds and saves it as `filename`; None when the
        store has no such thing. Does not ask whether the object exists."""
        check_key(key)
        return None

    def local_path(self, key: str) -> Path | None:
        """The file of this machine that holds the object, to be read and never written; None when there is none."""
        check_key(key)
        return None


class MultipartStore(Store):
    """A store that receives one object in numbered parts, in any order and from several processes."""

    @abstractmethod
    def begin_multipart(self, key: str) -> str:
        """Open an upload for `key` and return its id. Each call opens another one."""

    @abstractmethod
    def put_part(
        self, key: str, upload_id: str, number: int, chunks: Iterable[bytes], *, size: int | None = None
    ) -> str:
        """Store part `number` (1 to 10,000) and return its tag. The same number twice: the later stands. Parts but the last
        are at least 5 MiB (S3's rule). Raises `Missing` for an upload that is closed, `Rejected` for a wrong number or size."""

    @abstractmethod
    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[tuple[int, str]]) -> ObjectStat:
        """Join the parts (number, tag), ascending, into the object. Repeated after success, it returns the object again.
        Raises `Rejected` for a part or tag that is not there, `Missing` when neither upload nor object exists."""

    @abstractmethod
    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; gone already is success."""

    @abstractmethod
    def abort_older(self, before: datetime) -> int:
        """Drop every upload that was begun before `before` (aware) and is still open, with its parts, and what broken writes
        have left; returns how many."""
