"""What this installation depends on, and whether it answers. Read by `/-/health` and by `manage.py doctor`; changes nothing
but one small file in the storage."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection
from kombu.exceptions import KombuError

from backends.contracts.stores import Store
from backends.errors import BackendError
from backends.runners.sandbox import sandbox_level
from backends.stores.urls import store_from_url
from common.errors import DomainError
from work.queries import backlogs, parked_count

PROBE_KEY = "health/probe"
_LITTLE_DISK_BYTES = 1024**3
"""Below this a single upload may not fit."""
_LATE_S = 60
"""A task that has been due this long has no worker that takes it: idle workers look twice a second."""
_PATIENCE_S = 2


@dataclass(frozen=True)
class Check:
    """`ok` False: the sentence says what is wrong and what to do. `is_vital`: without it no page can be served."""

    name: str
    ok: bool
    sentence: str
    is_vital: bool = False
    value: float | None = None
    """The measurement behind the sentence, when there is one; its unit is in the name of its metric."""

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "detail": self.sentence}


def database() -> Check:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        return Check(
            "database", ok=False, sentence=f"The database does not answer: {str(error).strip()}", is_vital=True
        )
    return Check("database", ok=True, sentence=f"{connection.display_name} answers.", is_vital=True)


def migrations() -> Check:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return Check("migrations", ok=False, sentence=f"The database cannot be read: {str(error).strip()}")
    if missing:
        return Check(
            "migrations", ok=False, sentence=f"{len(missing)} migrations are not applied: run `manage.py migrate`."
        )
    return Check("migrations", ok=True, sentence="All migrations are applied.")


def storage() -> Check:
    """Write, read and delete a few bytes: a full disk or a lost permission shows here first."""
    try:
        store: Store = store_from_url(settings.STORAGE_URL)
        key = f"{PROBE_KEY}-{time.time_ns()}"
        store.put(key, [b"probe"])
        store.delete(key)
    except (BackendError, OSError) as error:
        return Check("storage", ok=False, sentence=f"The storage does not take files: {error}")
    return Check("storage", ok=True, sentence="The storage takes files.")


def broker() -> Check:
    if not settings.BROKER_URL:
        return Check("broker", ok=True, sentence="No broker is configured; workers take tasks from the database.")
    try:
        with Connection(settings.BROKER_URL, connect_timeout=_PATIENCE_S) as wire:
            wire.ensure_connection(max_retries=1, interval_start=0, timeout=_PATIENCE_S)
    except (KombuError, OSError) as error:
        return Check(
            "broker",
            ok=False,
            sentence=f"The broker does not answer ({error}); tasks are taken from the database, a little later.",
        )
    return Check("broker", ok=True, sentence="The broker answers.")


def queue() -> Check:
    """The oldest task that is due and that no worker has taken; jobs that wait for a free slot are not due."""
    try:
        backlog, parked = backlogs(), parked_count()
    except DatabaseError as error:
        return Check("queue", ok=False, sentence=f"The queue cannot be read: {str(error).strip()}")
    waiting, oldest_s = sum(each.waiting for each in backlog), max((each.oldest_s for each in backlog), default=0.0)
    if oldest_s > _LATE_S:
        late = max(backlog, key=lambda each: each.oldest_s).queue
        sentence = f"{waiting} tasks are due, the oldest (queue {late}) for {oldest_s:.0f} s: is a worker running?"
        return Check("queue", ok=False, sentence=sentence, value=oldest_s)
    sentence = f"{waiting} tasks are due, the oldest for {oldest_s:.0f} s."
    if parked:
        sentence += f" {parked} tasks failed again and again and wait for a person (administration pages, tasks)."
    return Check("queue", ok=not parked, sentence=sentence, value=oldest_s)


def shared_cache() -> Check:
    try:
        cache.set("health", "1", 5)
        ok = cache.get("health") == "1"
    except Exception as error:  # noqa: BLE001 - each cache library has errors of its own
        return Check("cache", ok=False, sentence=f"The cache does not answer: {error}")
    return Check("cache", ok=ok, sentence="The cache answers." if ok else "The cache forgets at once what it is told.")


def disk() -> Check:
    try:
        usage = shutil.disk_usage(settings.DATA)
    except OSError as error:
        return Check("disk", ok=False, sentence=f"The data folder {settings.DATA} cannot be read: {error.strerror}.")
    free_gib = usage.free / 1024**3
    ok = usage.free > max(_LITTLE_DISK_BYTES, usage.total // 50)
    advice = "" if ok else " Make room, or move the data folder."
    return Check(
        "disk", ok=ok, sentence=f"{free_gib:.1f} GiB are free in the data folder.{advice}", value=float(usage.free)
    )


def sandbox() -> Check:
    """Whether this machine can run programs of others; without it the site refuses such jobs, it does not run them unprotected."""
    if settings.JOB_RUNNER != "process":
        return Check("sandbox", ok=True, sentence=f"Jobs run elsewhere ({settings.JOB_RUNNER}).")
    level = sandbox_level()
    return Check("sandbox", ok=level.is_isolated, sentence=level.sentence)


CHECKS: tuple[Callable[[], Check], ...] = (database, storage, broker, queue, shared_cache, disk, sandbox)


def all_checks() -> list[Check]:
    """Every check in order; one that fails in a way nobody foresaw is a failed check, not a failed page."""
    found = []
    for check in CHECKS:
        try:
            found.append(check())
        except DomainError as error:
            found.append(Check(check.__name__, ok=False, sentence=error.message))
    return found
