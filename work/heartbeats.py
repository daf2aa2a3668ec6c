"""One thread per process that renews the leases of everything that runs here, and breaks off what runs too long."""

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, connection

from work import claims
from work.errors import TimeLimitReached

_BEATS = 6

log = structlog.get_logger(__name__)


@dataclass
class _Watched:
    fence: int
    thread_id: int
    deadline: float
    """On the monotonic clock."""
    is_over: bool = False
    """The run has ended, or was told to: nothing more is raised in its thread."""


class Heart:
    """Beats six times in `lease_s`. Leases of a process that is killed or stopped are not renewed and lapse."""

    def __init__(self, lease_s: float = claims.LEASE_S) -> None:
        self.lease_s = lease_s
        self._lock = threading.Lock()
        self._watched: dict[int, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()

    @contextmanager
    def watch(self, task_id: int, fence: int, limit_s: float) -> Iterator[None]:
        """While inside, the row's lease is renewed. Raises TimeLimitReached here after `limit_s`, at the next Python
        instruction; a call that never returns holds its thread, but not the row: renewal has ended."""
        watched = _Watched(fence, threading.get_ident(), time.monotonic() + limit_s)
        with self._lock:
            self._watched[task_id] = watched
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True)
                self._thread.start()
        self._changed.set()
        try:
            yield
        finally:
            with self._lock:
                watched.is_over = True
                self._watched.pop(task_id, None)

    def _beat_for_ever(self) -> None:
        next_beat = time.monotonic() + self.lease_s / _BEATS
        while True:
            with self._lock:
                wake_at = min([next_beat, *(w.deadline for w in self._watched.values() if not w.is_over)])
            self._changed.wait(max(0.0, wake_at - time.monotonic()))
            self._changed.clear()
            self._break_off_late_ones()
            if time.monotonic() >= next_beat:
                self._beat()
                next_beat = time.monotonic() + self.lease_s / _BEATS

    def _break_off_late_ones(self) -> None:
        with self._lock:
            for watched in self._watched.values():
                if not watched.is_over and time.monotonic() >= watched.deadline:
                    # Under the lock, which the run takes before it ends: the error arrives inside `watch`, never behind it.
                    watched.is_over = True
                    thread_id = ctypes.c_ulong(watched.thread_id)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread_id, ctypes.py_object(TimeLimitReached))

    def _beat(self) -> None:
        with self._lock:
            held = {task_id: watched.fence for task_id, watched in self._watched.items() if not watched.is_over}
        if not held:
            return
        try:
            lost = claims.heartbeat(held, self.lease_s)
        except DatabaseError as error:
            # The next beat is in time: that is why there are several to a lease.
            log.warning("heartbeat failed", error=str(error))
            return
        finally:
            connection.close()
        for task_id in lost:
            # Its effects and its end will be refused; breaking it off here could hurt more than it saves.
            log.warning("lease lost", task_id=task_id)


_hearts: dict[int, Heart] = {}
_hearts_lock = threading.Lock()


def process_heart(lease_s: float = claims.LEASE_S) -> Heart:
    """The heart of this process (a thread does not survive a fork); the first call sets its `lease_s`."""
    with _hearts_lock:
        return _hearts.setdefault(os.getpid(), Heart(lease_s))
