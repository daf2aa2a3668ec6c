"""The only way in or out of the queue: `@task` says what can be done later, `enqueue` asks for it.

A task may run twice, late, or beside itself: its service says in the docstring what makes that harmless, and holds
`require_lease()` in the transaction of an effect that must not come from a worker which has lost its lease.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from common.clock import now
from common.errors import Busy, Unavailable
from work.errors import LeaseLost
from work.models import Task
from work.rings import ring_on_commit
from work.states import LIVE, Queue, TaskState

Argument = str | int | float | bool | UUID | None
Function = TypeVar("Function", bound=Callable[..., object])

_CONTEXT_KEPT = ("request_id", "actor", "job")


@dataclass(frozen=True)
class TaskKind:
    """What `@task` declared. A run longer than `limit_s` is broken off and counts as a failed attempt."""

    name: str
    function: Callable[..., object]
    queue: Queue
    limit_s: float
    retry_on: tuple[type[Exception], ...]
    max_attempts: int


@dataclass(frozen=True)
class RunningTask:
    """The claim under which the present code runs. `fence` rises with every claim of the row."""

    task_id: int
    uuid: UUID
    name: str
    fence: int
    attempt: int


KINDS: dict[str, TaskKind] = {}
RUNNING: ContextVar[RunningTask | None] = ContextVar("running_task", default=None)


def task(
    name: str,
    *,
    queue: str = Queue.CPU,
    limit_s: float = 300,
    retry_on: tuple[type[Exception], ...] = (Busy, Unavailable),
    max_attempts: int = 5,
) -> Callable[[Function], Function]:
    """Register a function of a `tasks` module under `name` (`<app>.<verb>_<noun>`). It takes identifiers, calls one service
    and returns nothing.

    How it may end: returning is success; an error of `retry_on` is repeated with growing pauses; any other `DomainError`
    is final ("failed"); everything else is a surprise, logged with its traceback and repeated. After `max_attempts` the row
    is parked. The function itself stays callable."""

    def register(function: Function) -> Function:
        if name in KINDS and KINDS[name].function.__qualname__ != function.__qualname__:
            raise ValueError(f"two tasks are called {name}")
        KINDS[name] = TaskKind(name, function, Queue(queue), limit_s, retry_on, max_attempts)
        return function

    return register


def enqueue(name: str, *args: Argument, key: str | None = None, delay_s: float = 0, queue: str | None = None) -> Task:
    """Write a row that asks for task `name` with `args` (scalars), to run `delay_s` seconds from now at the earliest. Call it
    in the transaction of the fact that it follows from: both are there or neither.

    With a `key`, of the waiting and running rows of this name there is one for it: when it waits, it is brought forward
    to this call's time; when it runs, it will run once more at that time, so that it sees what was written meanwhile. (A task
    that enqueues its own key from inside thereby polls.) The args of one key must always be the same. Raises LookupError
    for a name that no `@task` has."""
    kind = KINDS[name]
    due = now() + timedelta(seconds=delay_s)
    wanted = Task(
        name=name,
        args=[_scalar(argument) for argument in args],
        queue=Queue(queue or kind.queue),
        key=key,
        run_at=due,
        max_attempts=kind.max_attempts,
        context=_log_context(),
    )
    if key is None:
        wanted.save(force_insert=True)
        row = wanted
    else:
        row = _join_or_add(wanted)
    if row.state == TaskState.QUEUED and row.run_at <= now():
        ring_on_commit(row.pk, row.queue)
    return row


def current_task() -> RunningTask | None:
    """The claim that the present code runs under; None outside of tasks."""
    return RUNNING.get()


def require_lease() -> None:
    """Inside a transaction, before an effect: refuse it with LeaseLost when another worker has taken over the task that is
    running here. Locks the row, so nobody can take over until the transaction ends. Outside of tasks it does nothing: a
    person's own request needs no lease."""
    running = RUNNING.get()
    if running is None:
        return
    held = (
        Task.objects.select_for_update()
        .filter(pk=running.task_id, fence=running.fence, state=TaskState.LEASED)
        .values_list("pk", flat=True)
        .first()
    )
    if held is None:
        raise LeaseLost


def _join_or_add(wanted: Task) -> Task:
    """The live row of this name and key, or `wanted` itself, saved. The row found stays locked until the caller's
    transaction ends: a worker cannot start it before the caller's facts can be seen."""
    while True:
        with transaction.atomic():
            live = Task.objects.select_for_update().filter(name=wanted.name, key=wanted.key, state__in=LIVE).first()
            if live is not None:
                _bring_forward(live, wanted.run_at)
                return live
            try:
                with transaction.atomic():
                    wanted.save(force_insert=True)
                return wanted
            except IntegrityError:
                # Somebody else added it between the two statements: now it can be found.
                continue


def _bring_forward(live: Task, due: datetime) -> None:
    if live.state == TaskState.QUEUED and due < live.run_at:
        live.run_at = due
        live.save(update_fields=["run_at"])
    elif live.state == TaskState.LEASED and (live.again_at is None or due < live.again_at):
        live.again_at = due
        live.save(update_fields=["again_at"])


def _scalar(argument: Argument) -> str | int | float | bool | None:
    if isinstance(argument, UUID):
        return str(argument)
    if argument is not None and not isinstance(argument, str | int | float | bool):
        raise TypeError(f"a task takes identifiers, not {type(argument).__name__}")
    return argument


def _log_context() -> dict[str, object]:
    bound = structlog.contextvars.get_contextvars()
    return {name: str(bound[name]) for name in _CONTEXT_KEPT if name in bound}
