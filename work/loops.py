"""The loops of the processes that work: one that takes rows from the database, one that keeps the calendar."""

import queue
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from django.db import DatabaseError, close_old_connections, connection

from common.clock import now
from work import claims
from work.heartbeats import process_heart
from work.models import Task
from work.rings import app, ring_due
from work.running import owner_name, perform
from work.schedules import start_due, write_declared
from work.states import LIVE, Queue, TaskState

log = structlog.get_logger(__name__)

QUEUES = tuple(str(name) for name in Queue)
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.05, 0.5
"""An idle worker looks twice a second, a busy one at once: a look costs one indexed read."""
_SWEEP_EVERY_S = 5.0
_TICK_S = 0.5
DRAIN_S = 8.0
"""How long running tasks may go on after the signal to stop: below the supervisor's and Docker's 10 s. What is not done by
then is taken over by another worker when its lease lapses."""
_UNANSWERED_S = 10.0
"""With a broker: a row that was due this long was rung in vain, and is taken from the database."""


def run_worker(
    queues: Sequence[str] = QUEUES,
    stop_event: threading.Event | None = None,
    *,
    concurrency: int = 2,
    lease_s: float = claims.LEASE_S,
    overdue_s: float = 0,
) -> None:
    """Take rows of `queues` from the database and run them on `concurrency` threads until `stop_event`; then let what runs
    go on for `DRAIN_S` seconds. The programs of jobs are processes of their own, so threads suffice."""
    stop = stop_event or threading.Event()
    pool = _Pool(concurrency, lease_s)
    owner = owner_name()
    swept_at = 0.0
    wait_s = _SHORTEST_WAIT_S
    has_changed = False
    while not stop.is_set():
        try:
            if time.monotonic() - swept_at >= min(_SWEEP_EVERY_S, lease_s):
                claims.sweep()
                swept_at = time.monotonic()
            free = pool.free
            rows = []
            if free and claims.has_due(queues, overdue_s=overdue_s):
                rows = claims.claim(queues, owner, lease_s, limit=free, overdue_s=overdue_s)
        except DatabaseError as error:
            _mourn(error)
            stop.wait(1.0)
            continue
        for row in rows:
            pool.give(row)
        # Something happened or may happen at once: look again soon. Nothing did: look less and less often.
        wait_s = _SHORTEST_WAIT_S if rows or has_changed else min(wait_s * 2, _LONGEST_WAIT_S)
        has_changed = pool.wait_for_change(wait_s)
    connection.close()
    pool.drain(DRAIN_S)


def run_broker_worker(
    queues: Sequence[str] = QUEUES,
    stop_event: threading.Event | None = None,
    *,
    concurrency: int = 2,
    lease_s: float = claims.LEASE_S,
) -> None:
    """Answer rings of the broker on `concurrency` threads (SIGTERM ends it after what is running), and take from the
    database what was rung in vain: while the broker is gone, work goes on a little later. Runs on the main thread."""
    process_heart(lease_s)
    stop = stop_event or threading.Event()
    spare = threading.Thread(
        target=run_worker,
        args=(queues, stop),
        kwargs={"concurrency": concurrency, "lease_s": lease_s, "overdue_s": _UNANSWERED_S},
        daemon=True,
    )
    spare.start()
    worker = app.Worker(
        pool="threads",
        concurrency=concurrency,
        queues=list(queues),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        hostname=f"{owner_name().replace('/', '-')}@mercato",
    )
    try:
        worker.start()
    finally:
        stop.set()
        spare.join(DRAIN_S)


def run_scheduler(stop_event: threading.Event | None = None) -> None:
    """Start what is due, free what lapsed, ring what was not heard, twice a second until `stop_event`. Any number may run."""
    stop = stop_event or threading.Event()
    _until_it_works(write_declared, stop)
    swept_at = 0.0
    while not stop.is_set():
        try:
            close_old_connections()
            start_due()
            if time.monotonic() - swept_at >= _SWEEP_EVERY_S:
                claims.sweep()
                swept_at = time.monotonic()
            ring_due()
        except DatabaseError as error:
            _mourn(error)
        stop.wait(_TICK_S)
    connection.close()


def run_due(limit: int = 1000, *, raise_surprises: bool = True) -> int:
    """Run what is due now, and what that makes due, in this thread; returns how many runs. For tests and commands that
    must not need a worker. An unexpected error of a task is raised here unless `raise_surprises` is False."""
    owner = owner_name()
    count = 0
    while count < limit:
        rows = claims.claim(QUEUES, owner)
        if not rows:
            break
        perform(rows[0], None, raise_surprises=raise_surprises)
        count += 1
    return count


def see_through(name: str, key: str) -> None:
    """Until the live row of this name and key has ended, or waits for a later time: run it here, or wait for the worker that
    runs it. For commands whose caller waits for the end, beside workers or without any. A second call finds it ended."""
    owner = owner_name()
    while row := Task.objects.filter(name=name, key=key, state__in=LIVE).first():
        if row.state == TaskState.LEASED:
            claims.sweep()
            time.sleep(_SHORTEST_WAIT_S)
        elif row.run_at > now():
            return
        elif claimed := claims.claim_one(row.pk, owner):
            perform(claimed, process_heart())


class _Pool:
    """Threads that each run one row at a time. They are daemons: one that does not end does not hold up the process."""

    def __init__(self, size: int, lease_s: float) -> None:
        self._heart = process_heart(lease_s)
        self._rows: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._size = size
        self._busy = 0
        self._lock = threading.Lock()
        self._changed = threading.Event()
        for number in range(size):
            threading.Thread(target=self._work, name=f"task-{number}", daemon=True).start()

    @property
    def free(self) -> int:
        return self._size - self._busy

    def give(self, row: Task) -> None:
        with self._lock:
            self._busy += 1
        self._rows.put(row)

    def wait_for_change(self, wait_s: float) -> bool:
        """Until a thread becomes free (True), or `wait_s` has passed."""
        has_changed = self._changed.wait(wait_s)
        self._changed.clear()
        return has_changed

    def drain(self, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        for _ in range(self._size):
            self._rows.put(None)
        while self._busy and time.monotonic() < end:
            self._changed.wait(0.1)
            self._changed.clear()
        if self._busy:
            log.warning("stopped with tasks running; their leases will lapse", count=self._busy)

    def _work(self) -> None:
        while (row := self._rows.get()) is not None:
            try:
                close_old_connections()
                perform(row, self._heart)
            except Exception as error:  # noqa: BLE001 - the database went away under the last write: the lease will lapse
                _mourn(error)
            finally:
                close_old_connections()
                with self._lock:
                    self._busy -= 1
                self._changed.set()
        connection.close()


def _mourn(error: Exception) -> None:
    log.error("the database did not answer", error=str(error))
    connection.close()


def _until_it_works(act: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            act()
            return
        except DatabaseError as error:
            _mourn(error)
            stop.wait(1.0)
