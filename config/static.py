"""Collecting the files that pages load, when they have changed since the last time."""

import fcntl
import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect() -> bool:
    """Bring STATIC_ROOT up to date; False when it was already. Several processes may ask at once: one collects, the others
    wait for it."""
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    stamp = root / ".fingerprint"
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        present = fingerprint()
        if stamp.exists() and stamp.read_text() == present:
            return False
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(present)
    return True


def fingerprint() -> str:
    """Changes when a static file is added, removed or edited (name, size and time of each), or is stored in another way."""
    digest = hashlib.sha256(repr(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for name, storage in finder.list(["CVS", ".*", "*~"]):
            stat = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
