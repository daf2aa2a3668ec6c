"""The durable spool of served calls. The one truth: a reply leaves after, and only after, its record is in the file.

**Order.** A call is reserved in its budget, computed, its record handed to the kernel by one `write`, and then the reply is
sent. So whatever ends the process (kill -9, out of memory, a crash), every reply that left has its record, and each record is
ingested once, because it is keyed by the request's own id. The other way round, a call whose record was written in the
instant before death may have lost its reply: at most the calls in flight, computed and recorded, as the rule "a computed call
counts" says. Against a power cut the file is flushed to the disk every SYNC_S; within that time a cut may lose records (the
buyer is then charged less, never more). Waiting for the disk before each reply would add its latency to every call.

**Files.** `<root>/<owner>/` belongs to one process (`lock` is held by flock while it lives); in it `<n>.calls`, fixed-size
records that end in a CRC-32. The highest number is being written; lower ones are complete and will not change. The recorder
(see recorder.py) ingests complete files, and every file of an owner whose lock is free.
"""

import fcntl
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from common.ids import new_uuid

SYNC_S = 0.02
_BODY = struct.Struct("<16s16s16s16s16sqqq")
_CRC = struct.Struct("<I")
RECORD_BYTES = _BODY.size + _CRC.size
SUFFIX = ".calls"


@dataclass(slots=True)
class Call:
    """One served call. (Not frozen: that costs microseconds a call.)"""

    request: UUID
    payer: UUID
    """Namespace."""
    endpoint: UUID
    token: UUID
    budget_id: int
    """0: drawn from no budget. Negative: not a call, but what the call of the same request before it counts for in a cap; the budget of
    the cap's month, with a minus."""
    at_us: int
    """Microseconds since the epoch."""
    version: UUID
    """What answered it."""
    units: int = 1
    """What it draws from its budget."""

    def pack(self) -> bytes:
        body = _BODY.pack(
            self.request.int.to_bytes(16),
            self.payer.int.to_bytes(16),
            self.endpoint.int.to_bytes(16),
            self.token.int.to_bytes(16),
            self.version.int.to_bytes(16),
            self.budget_id,
            self.at_us,
            self.units,
        )
        return body + _CRC.pack(zlib.crc32(body))


def unpack(raw: bytes) -> Iterator[Call]:
    """The calls of a file. What does not fit its CRC (a torn tail after a power cut) is passed over."""
    for start in range(0, len(raw) - RECORD_BYTES + 1, RECORD_BYTES):
        body = raw[start : start + _BODY.size]
        if _CRC.unpack_from(raw, start + _BODY.size)[0] == zlib.crc32(body):
            request, payer, endpoint, token, version, budget_id, at_us, units = _BODY.unpack(body)
            yield Call(
                UUID(bytes=request),
                UUID(bytes=payer),
                UUID(bytes=endpoint),
                UUID(bytes=token),
                budget_id,
                at_us,
                UUID(bytes=version),
                units,
            )


class Spool:
    """The writing end, used from one thread. `owner` names this process's life and its holds on budgets."""

    def __init__(self, root: Path) -> None:
        """Make the folder and take its lock. Raises OSError when the disk refuses."""
        self.owner = new_uuid().hex
        self.folder = root / self.owner
        # under another name until it is locked, so that no recorder takes it for a dead process's
        draft = root / f".{self.owner}"
        draft.mkdir(parents=True)
        self._lock = os.open(draft / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        draft.rename(self.folder)
        self._number = 0
        self._size = 0
        self._descriptor = self._open_next()
        self._unsynced: list[int] = []
        self._dirty = False
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync_for_ever, name="spool-sync", daemon=True)
        self._syncer.start()

    def append(self, call: Call, caps: Sequence[int] = ()) -> None:
        """Hand the record of a call, and one for each cap (its budget) that it counts for, to the kernel, in one write: they stay in one file. Raises
        OSError, with nothing kept, when the disk is full."""
        raw = call.pack()
        if caps:
            raw += b"".join(replace(call, budget_id=-pk).pack() for pk in caps)
        try:
            written = os.write(self._descriptor, raw)
        except OSError:
            written = -1
        if written != len(raw):
            os.ftruncate(self._descriptor, self._size)
            raise OSError("the spool cannot be written")
        self._size += written
        self._dirty = True

    def rotate(self) -> bool:
        """Close the present file, if anything is in it, and begin the next: what is closed will be ingested."""
        if not self._size:
            return False
        try:
            fresh = self._open_next()
        except OSError:
            # a full disk: the present file goes on
            self._number -= 1
            return False
        with self._guard:
            self._unsynced.append(self._descriptor)
            self._descriptor = fresh
        self._size = 0
        return True

    def close(self) -> None:
        """Everything on the disk, the lock free: the recorder takes the rest. A second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._syncer.join()
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)
        os.close(self._lock)

    def _open_next(self) -> int:
        self._number += 1
        path = self.folder / f"{self._number:010d}{SUFFIX}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_EXCL, 0o600)

    def _sync_for_ever(self) -> None:
        while not self._closing.wait(SYNC_S):
            self._sync()
        self._sync()

    def _sync(self) -> None:
        if not self._dirty and not self._unsynced:
            return
        self._dirty = False
        with self._guard:
            done, self._unsynced = self._unsynced, []
            present = os.dup(self._descriptor)
        for descriptor in (*done, present):
            with suppress(OSError):
                os.fdatasync(descriptor)
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file that will not change any more."""

    owner: str
    path: Path

    def calls(self) -> list[Call]:
        return list(unpack(self.path.read_bytes()))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for ingestion: complete files, oldest first, and the owners that are dead."""

    segments: tuple[Segment, ...]
    dead: tuple[str, ...]


def backlog(root: Path) -> Backlog:
    """Look through all owners. A dead one's files are all complete."""
    segments: list[Segment] = []
    dead: list[str] = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        # asked before listing: what a process wrote before its death is then seen
        is_dead = _is_free(folder / "lock")
        files = sorted(folder.glob(f"*{SUFFIX}"))
        if is_dead:
            dead.append(folder.name)
        else:
            files = files[:-1]
        segments.extend(Segment(folder.name, path) for path in files)
    return Backlog(tuple(segments), tuple(dead))


def remove(root: Path, owner: str) -> None:
    """Remove a dead owner's empty folder. A file left in it stays, and so does the folder."""
    folder = root / owner
    if any(folder.glob(f"*{SUFFIX}")):
        return
    (folder / "lock").unlink(missing_ok=True)
    folder.rmdir()


def sweep_drafts(root: Path, *, older_than_s: float) -> None:
    """Remove folders whose process died before it had locked them."""
    for draft in root.glob(".*"):
        if draft.is_dir() and time.time() - draft.stat().st_mtime > older_than_s:
            (draft / "lock").unlink(missing_ok=True)
            draft.rmdir()


def _is_free(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
