"""What a runner and its supervisor write about one run in its folder, and who holds its lock. Files appear whole, by rename."""

import contextlib
import fcntl
import json
import os
import secrets
import struct
import time
from pathlib import Path
from typing import Any

RUN = "run.json"
STATUS = "status.json"
LOCK = "lock"
STOP = "stop"
LOG = "log"
TEMPORARY = "tmp"

_FLOCK = "hhqqii"
"""struct flock of 64-bit Linux: type, whence, start, length, pid, padding."""


def write(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` atomically and durably."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(16)}")
    with draft.open("w") as out:
        json.dump(content, out)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """The content, or None when there is no such file."""
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content


def take_lock(path: Path) -> bool:
    """Hold the lock of a run until this process ends; False when another process has it. Never close the descriptor: the lock is
    a record lock, which the kernel drops with the process, whatever kills it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    return True


def lock_holder(path: Path) -> int | None:
    """The process that holds the lock, or None. It only asks: unlike trying the lock, this can never keep a supervisor from it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0, 0)
        kind, _, _, _, pid, _ = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else pid


def kill_tagged(tag: str) -> None:
    """SIGKILL every process whose environment holds `tag` (`NAME=value`), until none is left or 2 seconds have passed."""
    wanted = tag.encode()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        alive = False
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            # gone meanwhile, or not ours: nothing to kill
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), 9)
                    alive = True
        if not alive:
            return
        time.sleep(0.02)
