"""Rings: with a broker configured, a message that carries a row's id tells some worker to claim that very row.

A ring is a hint and nothing more. A lost one is repeated by the sweep, a doubled one finds the row taken. Sending happens on
a thread of its own: a broker that is slow, full or gone never holds up a request.
"""

import os
import queue
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from celery import Celery
from django.conf import settings
from django.db import connection, transaction
from kombu import Queue as BrokerQueue

from common.clock import now
from work.states import Queue, TaskState

RING = "work.ring"
_EXPIRES_S = 60
"""Rings that nobody answers vanish, so that they do not pile up while no worker runs; the sweep rings again."""
_RING_AGAIN_S = 30
_WAITING_LIMIT = 10_000
"""Unsent rings kept while the broker does not answer; more are dropped."""
_VISIBILITY_S = 3600
"""Redis gives an unacknowledged ring out again after this long. A longer task is not started twice: its row is leased."""

log = structlog.get_logger(__name__)


def _options() -> dict[str, Any]:
    return {
        "broker_url": settings.BROKER_URL,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": 4,
        "broker_transport_options": (
            {"visibility_timeout": _VISIBILITY_S, "socket_connect_timeout": 4}
            if settings.BROKER_URL.startswith(("redis", "rediss"))
            else {}
        ),
        "imports": ["work.answers"],
        "task_queues": [BrokerQueue(name, durable=True) for name in Queue],  # type: ignore[no-untyped-call]
        "task_default_queue": str(Queue.CPU),
        "task_ignore_result": True,
        "task_acks_late": True,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "accept_content": ["json"],
    }


# No fix-ups: Celery's own for Django runs all system checks again at every start of a worker.
app = Celery("mercato", set_as_current=False, fixups=[])
# A callable: settings are read when the first ring is sent, not when this module is imported.
app.add_defaults(_options)


def ring_on_commit(task_id: int, queue_name: str) -> None:
    """Ring for a row when the present transaction commits (at once outside of one); nothing without a broker."""
    if settings.BROKER_URL:
        transaction.on_commit(lambda: _sender.put(task_id, queue_name))


def ring_due(limit: int = 1000) -> int:
    """Ring for rows that are due and were not rung since, or that nobody answered for 30 s. Returns how many. Two that do
    this at once ring for different rows or twice for one; both are harmless."""
    if not settings.BROKER_URL:
        return 0
    instant = connection.ops.adapt_datetimefield_value
    present = now()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE work_task SET rung_at = %s WHERE id IN (SELECT id FROM work_task WHERE state = %s AND run_at <= %s"
            " AND (rung_at IS NULL OR rung_at < run_at OR rung_at < %s) ORDER BY run_at, id LIMIT %s)"
            " AND state = %s RETURNING id, queue",
            [
                instant(present),
                TaskState.QUEUED,
                instant(present),
                instant(present - timedelta(seconds=_RING_AGAIN_S)),
                limit,
                TaskState.QUEUED,
            ],
        )
        rows = cursor.fetchall()
    for task_id, queue_name in rows:
        _sender.put(task_id, queue_name)
    return len(rows)


class _Sender:
    """One thread per process that hands rings to the broker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._waiting: queue.Queue[tuple[int, str]] = queue.Queue(_WAITING_LIMIT)

    def put(self, task_id: int, queue_name: str) -> None:
        with self._lock:
            if self._pid != os.getpid():
                # The first ring of this process; a thread does not survive a fork.
                self._pid = os.getpid()
                self._waiting = queue.Queue(_WAITING_LIMIT)
                threading.Thread(target=self._send_all, args=(self._waiting,), name="rings", daemon=True).start()
        try:
            self._waiting.put_nowait((task_id, queue_name))
        except queue.Full:
            log.warning("ring dropped", task_id=task_id)

    def _send_all(self, waiting: "queue.Queue[tuple[int, str]]") -> None:
        while True:
            task_id, queue_name = waiting.get()
            try:
                app.send_task(RING, [task_id], queue=queue_name, expires=_EXPIRES_S, retry=False)
            except Exception as error:  # noqa: BLE001 - each transport has errors of its own, and none may end this thread
                log.warning("broker does not take rings", error=str(error))
                # Those behind it would fail as slowly. The sweep rings again when the broker is back.
                _discard(waiting)
            finally:
                waiting.task_done()

    def flush(self) -> None:
        """Wait until every ring put so far is sent or given up."""
        self._waiting.join()


def _discard(waiting: "queue.Queue[tuple[int, str]]") -> None:
    with suppress(queue.Empty):
        while True:
            waiting.get_nowait()
            waiting.task_done()


_sender = _Sender()
