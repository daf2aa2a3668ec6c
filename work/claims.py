"""Who may work on a row, and until when. Every change here is one statement or one short transaction, guarded by the fence."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, PositiveIntegerField, QuerySet, Value, When
from django.db.models.functions import Coalesce

from common.clock import now
from common.errors import Conflict
from work.models import Task
from work.states import TaskState

LEASE_S = 30.0
"""A worker that is gone is noticed after this long; the holder renews it several times meanwhile."""
_LONGEST_PAUSE_S = 600.0
_SWEEP_BATCH = 500
_STOPPED = "Its worker stopped answering on every attempt."


def claim(
    queues: Sequence[str], owner: str, lease_s: float = LEASE_S, *, limit: int = 1, overdue_s: float = 0
) -> list[Task]:
    """Take up to `limit` rows of `queues` that are due (for `overdue_s` seconds at least), the longest due first. Each gets
    a new fence, one more attempt, and a lease. Two workers never get the same row; neither waits for the other."""
    placeholders = ", ".join(["%s"] * len(queues))
    skip_locked = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    return _claim(
        f"state = %s AND queue IN ({placeholders}) AND run_at <= %s ORDER BY run_at, id LIMIT %s {skip_locked}",
        [TaskState.QUEUED, *queues, _instant(now() - timedelta(seconds=overdue_s)), limit],
        owner,
        lease_s,
    )


def claim_one(task_id: int, owner: str, lease_s: float = LEASE_S) -> Task | None:
    """Take this very row if it is due and free, else None."""
    skip_locked = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    rows = _claim(
        f"id = %s AND state = %s AND run_at <= %s {skip_locked}",
        [task_id, TaskState.QUEUED, _instant(now())],
        owner,
        lease_s,
    )
    return rows[0] if rows else None


def _claim(condition: str, parameters: list[object], owner: str, lease_s: float) -> list[Task]:
    # MATERIALIZED: PostgreSQL must choose the rows once, or a re-run of the subquery takes more than the limit.
    statement = (
        f"WITH due AS MATERIALIZED (SELECT id FROM work_task WHERE {condition}) "  # noqa: S608 - constants of this module
        "UPDATE work_task SET state = %s, fence = fence + 1, attempts = attempts + 1, again_at = NULL, "
        "lease_owner = %s, lease_until = %s, heartbeat_at = %s WHERE id IN (SELECT id FROM due) RETURNING *"
    )
    present = now()
    until = present + timedelta(seconds=lease_s)
    rows = Task.objects.raw(statement, [*parameters, TaskState.LEASED, owner, _instant(until), _instant(present)])
    return sorted(rows, key=lambda row: (row.run_at, row.pk))


def has_due(queues: Sequence[str], *, overdue_s: float = 0) -> bool:
    """Whether a claim could succeed now. One indexed read: unlike a claim it takes no write lock."""
    due = Task.objects.filter(
        state=TaskState.QUEUED, queue__in=queues, run_at__lte=now() - timedelta(seconds=overdue_s)
    )
    return due.exists()


def heartbeat(held: Mapping[int, int], lease_s: float = LEASE_S) -> set[int]:
    """Renew the leases `held` (row id -> fence) in one transaction. Returns the ids that another worker has taken over. A row
    that a transaction has locked (`require_lease`) is passed over: nobody can take it meanwhile, and the next beat comes."""
    present = now()
    with transaction.atomic():
        leased = Task.objects.filter(pk__in=held, state=TaskState.LEASED).values_list("pk", "fence")
        mine = {task_id for task_id, fence in leased if held[task_id] == fence}
        free = leased.select_for_update(skip_locked=True)
        renewed = [task_id for task_id, fence in free if held[task_id] == fence]
        Task.objects.filter(pk__in=renewed).update(
            heartbeat_at=present, lease_until=present + timedelta(seconds=lease_s)
        )
    return held.keys() - mine


def finish(task: Task) -> bool:
    """The run succeeded: the row is done, or queued again if its key was rung meanwhile. False, and nothing changed, when
    the lease was lost."""
    rung_again = When(again_at__isnull=False, then=Value(TaskState.QUEUED.value))
    changed = _held(task.pk, task.fence).update(
        state=Case(rung_again, default=Value(TaskState.DONE.value)),
        run_at=Coalesce(F("again_at"), F("run_at")),
        attempts=Case(
            When(again_at__isnull=False, then=Value(0)), default=F("attempts"), output_field=PositiveIntegerField()
        ),
        finished_at=Case(When(again_at__isnull=True, then=Value(now()))),
        again_at=None,
        lease_until=None,
        error="",
    )
    return bool(changed)


def fail(task: Task, error: str, *, will_repeat: bool, after_s: float = 0) -> TaskState | None:
    """The run failed with `error`. `will_repeat`: while attempts remain it is queued again after a pause that doubles (2 s,
    4 s, … at most 10 min; `after_s` at least), then parked. Otherwise it is failed, unless its key was rung meanwhile and
    attempts remain: then that ring is served. Returns the new state; None, and nothing changed, when the lease was lost."""
    with transaction.atomic():
        row = _held(task.pk, task.fence).select_for_update().first()
        if row is None:
            return None
        row.error = error[:4000]
        row.lease_until = None
        next_at = now() + timedelta(seconds=max(after_s, _pause_s(row.attempts))) if will_repeat else None
        if row.again_at is not None:
            next_at = min(next_at, row.again_at) if next_at else row.again_at
        if next_at is not None and row.attempts < row.max_attempts:
            row.state, row.run_at = TaskState.QUEUED, next_at
        else:
            row.state, row.finished_at = (TaskState.PARKED if will_repeat else TaskState.FAILED), now()
        row.again_at = None
        row.save(update_fields=["state", "run_at", "again_at", "error", "lease_until", "finished_at"])
        return TaskState(row.state)


def sweep() -> int:
    """Free the rows whose lease has lapsed: queued again at once, or parked when their attempts are used up (a task that
    kills its worker must not do so for ever). Returns how many. Harmless twice and beside itself."""
    present = now()
    lapsed = Task.objects.filter(state=TaskState.LEASED, lease_until__lt=present)
    if not lapsed.exists():
        return 0
    with transaction.atomic():
        # Locked: its worker is writing at this moment, so it lives.
        ids = list(lapsed.select_for_update(skip_locked=True).values_list("pk", flat=True)[:_SWEEP_BATCH])
        rows = Task.objects.filter(pk__in=ids)
        parked = rows.filter(attempts__gte=F("max_attempts")).update(
            state=TaskState.PARKED, error=_STOPPED, finished_at=present, lease_until=None, again_at=None
        )
        freed = rows.filter(state=TaskState.LEASED).update(
            state=TaskState.QUEUED, run_at=present, lease_until=None, again_at=None
        )
    return parked + freed


def queue_again(task_id: int) -> Task:
    """For staff: give a parked or failed row a fresh set of attempts. Raises Conflict for any other state, and when the same
    key is waiting or running already."""
    try:
        with transaction.atomic():
            changed = Task.objects.filter(pk=task_id, state__in=(TaskState.PARKED, TaskState.FAILED)).update(
                state=TaskState.QUEUED, run_at=now(), attempts=0, finished_at=None, error=""
            )
    except IntegrityError as error:
        raise Conflict("The same task is waiting or running already.") from error
    if not changed:
        raise Conflict("Only a parked or failed task can be queued again.")
    return Task.objects.get(pk=task_id)


def forget_finished(before: datetime, *, batch: int = 5000) -> int:
    """Delete rows that were done before `before`, and failed or parked ones ten times as old, `batch` at most. Returns how
    many: the caller repeats while it is `batch`."""
    very_old = now() - 10 * (now() - before)
    done = Task.objects.filter(state=TaskState.DONE, finished_at__lt=before)
    others = Task.objects.filter(state__in=(TaskState.FAILED, TaskState.PARKED), finished_at__lt=very_old)
    ids = [*done.values_list("pk", flat=True)[:batch], *others.values_list("pk", flat=True)[:batch]][:batch]
    return Task.objects.filter(pk__in=ids).delete()[0]


def _held(task_id: int, fence: int) -> QuerySet[Task]:
    return Task.objects.filter(pk=task_id, fence=fence, state=TaskState.LEASED)


def _pause_s(attempts: int) -> float:
    """Spread by ±20 %, so that tasks which failed together do not come back together."""
    return min(_LONGEST_PAUSE_S, 2.0 ** min(attempts, 20)) * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


def _instant(value: datetime) -> object:
    """As this database stores it; raw parameters are not converted by Django."""
    return connection.ops.adapt_datetimefield_value(value)
