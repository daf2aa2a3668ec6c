"""Tasks that only tests ask for, and the table in which they leave their effects. Worker processes of the tests import it."""

import os
import threading
import time

from django.db import connection, transaction

from common.errors import Busy, Forbidden
from work.door import current_task, enqueue, require_lease, task

EFFECTS = "tests_work_effect"
began = threading.Event()
go_on = threading.Event()
seen: list[dict[str, object]] = []


def create_effects() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {EFFECTS} (label varchar(100), deed varchar(20), fence bigint, pid bigint)")


def drop_effects() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {EFFECTS}")


def effects(deed: str) -> list[tuple[str, int, int]]:
    """(label, fence, pid) of every row with this `deed`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT label, fence, pid FROM {EFFECTS} WHERE deed = %s ORDER BY label, fence", [deed])
        return cursor.fetchall()


def _leave(label: str, deed: str) -> None:
    running = current_task()
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {EFFECTS} VALUES (%s, %s, %s, %s)",
            [label, deed, running.fence if running else 0, os.getpid()],
        )


@task("tests.note")
def note(label: str) -> None:
    _leave(label, "noted")


@task("tests.slow_effect", limit_s=60, max_attempts=8)
def slow_effect(label: str, seconds: float) -> None:
    """Load, act for `seconds`, apply under the lease: the shape of every real task."""
    _leave(label, "began")
    time.sleep(seconds)
    with transaction.atomic():
        require_lease()
        if label not in [found for found, _, _ in effects("applied")]:
            _leave(label, "applied")
            _leave(label, "counted")


@task("tests.see")
def see(value: object = None) -> None:
    seen.append({"value": value})


@task("tests.busy", max_attempts=3)
def busy(retry_after_s: int) -> None:
    raise Busy("No room.", retry_after_s=retry_after_s)


@task("tests.forbidden")
def forbidden() -> None:
    raise Forbidden("Not yours.")


@task("tests.crash", max_attempts=3)
def crash() -> None:
    raise RuntimeError("nobody expected this")


@task("tests.endless", limit_s=0.3, max_attempts=2)
def endless() -> None:
    while True:
        try:
            time.sleep(0.01)
        except Exception:  # noqa: BLE001 - what a careless task does
            seen.append({"swallowed": True})


@task("tests.poll")
def poll(label: str, times: int) -> None:
    """Enqueues its own key until it has run `times` times."""
    seen.append({"label": label})
    if len(seen) < times:
        enqueue("tests.poll", label, times, key=label, delay_s=5)


@task("tests.meet", limit_s=20)
def meet() -> None:
    began.set()
    go_on.wait(10)


@task("tests.kill_worker", max_attempts=2)
def kill_worker(label: str) -> None:
    _leave(label, "began")
    os._exit(9)
