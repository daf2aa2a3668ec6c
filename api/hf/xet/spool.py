"""Xorbs of running uploads, on disk: kept from their arrival until the shard that announces them is finished, or until the
session has been still for longer than its token lived.

One folder per session; its name is ours (hex of a digest) and so are the names in it (hex hashes), so no text of a client
becomes a path. Each upload session has an address of its own, therefore a client never refers to xorbs of an earlier one.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from api.hf.xet.hashes import checked_hash
from api.hf.xet.xorb import scan_chunks
from common.errors import Invalid, TooLarge
from common.ids import new_uuid

STILL_S = 2 * 60 * 60
"""Twice the life of a token: nobody can come back to a session after that."""
_RESERVE_BYTES = 512 * 1024**2
"""Free space that uploads leave to the database and the logs on the same disk."""
SWEEP_EVERY_S = 30 * 60
_DONE = ".done"
_LOCK = "lock"


def spool_folder() -> Path:
    """Where the sessions of this installation are."""
    return Path(settings.DATA) / "spool" / "xet"


class Session:
    """The spool of one upload session: `owner` (who and where, from the signed token) and `name` (from the address)."""

    def __init__(self, root: Path, owner: str, name: str) -> None:
        self._folder = root / hashlib.sha256(f"{owner}\n{name}".encode()).hexdigest()[:40]

    def receive_xorb(self, xorb: str, chunks: Iterable[bytes], size_bytes: int) -> bool:
        """Keep a xorb of exactly `size_bytes`. Whole or not at all; the same one twice is harmless. Returns whether it is new.
        Raises Invalid when the body has another length or is no xorb, TooLarge when the disk has no room.
        """
        target = self._folder / checked_hash(xorb)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if shutil.disk_usage(self._folder).free - size_bytes < _RESERVE_BYTES:
            raise TooLarge("The server has no room left for this upload.")
        is_new = not target.exists()
        draft = self._folder / f"{new_uuid().hex}.part"
        try:
            with draft.open("x+b") as file:
                for chunk in chunks:
                    file.write(chunk)
                if file.tell() != size_bytes:
                    raise Invalid("The upload was cut off: the body is shorter than its Content-Length.")
                scan_chunks(file, size_bytes)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        return is_new

    def open_xorb(self, xorb: str) -> tuple[BinaryIO, int]:
        """The body of a xorb of this session and its size. Raises Invalid when it was not uploaded here."""
        for name in (checked_hash(xorb), xorb + _DONE):
            with suppress(FileNotFoundError):
                file = (self._folder / name).open("rb")
                return file, os.fstat(file.fileno()).st_size
        raise Invalid(f"The shard refers to the xorb {xorb}, which this upload session has not sent.")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Held while a shard is worked on: nothing is removed meanwhile, except by age."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def touch(self) -> None:
        """Say that the session is alive."""
        with suppress(FileNotFoundError):
            os.utime(self._folder)

    def finish(self, xorbs: Iterable[str]) -> None:
        """Note that the shard announcing `xorbs` is stored. When no other xorb and no other shard of the session is open, its
        folder goes; a later shard of a session so large that it has several may still refer to noted ones.
        """
        for xorb in xorbs:
            with suppress(FileNotFoundError):
                (self._folder / checked_hash(xorb)).rename(self._folder / (xorb + _DONE))
        with suppress(FileNotFoundError, BlockingIOError), (self._folder / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if all(path.suffix == _DONE or path.name == _LOCK for path in self._folder.iterdir()):
                shutil.rmtree(self._folder, ignore_errors=True)


def sweep_if_due(root: Path) -> int:
    """`sweep`, when nobody on this machine has done it for a while: a web process whose folder no worker shares does it itself."""
    marker = root.with_name(f"{root.name}.swept")
    with suppress(FileNotFoundError):
        if time.time() - marker.stat().st_mtime < SWEEP_EVERY_S:
            return 0
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker.touch()
    return sweep(root)


def sweep(root: Path) -> int:
    """Remove the sessions in which nothing has happened for `STILL_S`; returns how many. One `stat` per session. Safe beside itself
    and beside uploads: what is still has no client any more."""
    if not root.is_dir():
        return 0
    limit = time.time() - STILL_S
    count = 0
    for folder in root.iterdir():
        # a session may end while we look
        with suppress(FileNotFoundError):
            if folder.is_dir() and folder.stat().st_mtime < limit:
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
    return count
