"""One run of one claimed row: log context, time limit, timer, and what each way of ending means."""

import os
import secrets
import socket
import time
from contextlib import nullcontext
from enum import StrEnum

import structlog
from django.db import connections
from prometheus_client import Counter, Histogram

from common.errors import DomainError
from work import claims
from work.door import KINDS, RUNNING, RunningTask, TaskKind
from work.errors import LeaseLost, TimeLimitReached
from work.heartbeats import Heart
from work.models import Task
from work.states import TaskState

log = structlog.get_logger(__name__)

RUNS = Counter("mercato_task_runs", "Runs of background tasks by how they ended", ["task", "outcome"])
SECONDS = Histogram(
    "mercato_task_seconds",
    "Duration of background tasks",
    ["task"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600),
)


class Outcome(StrEnum):
    DONE = "done"
    REPEATED = "repeated"
    """Not possible now: an error of `retry_on`."""
    REFUSED = "refused"
    """An expected error that no repetition mends."""
    CRASHED = "crashed"
    """An error nobody expected."""
    TIMED_OUT = "timed_out"
    LOST = "lost"
    """Another worker took over; nothing was written about this run."""


def owner_name() -> str:
    """Who holds a lease, for people who look at the row. The fence, not this name, decides."""
    return f"{socket.gethostname()[:60]}/{os.getpid()}/{secrets.token_hex(4)}"


def perform(row: Task, heart: Heart | None, *, raise_surprises: bool = False) -> Outcome:
    """Run the claimed `row` and write down how it ended, unless the lease was lost meanwhile. `heart` None: neither renewal
    nor time limit, for runs that are over before anyone could miss them. `raise_surprises`: an unexpected error is written
    down and then raised, for tests and commands."""
    kind = KINDS.get(row.name)
    with structlog.contextvars.bound_contextvars(**row.context, task=row.name, task_uuid=str(row.uuid)):
        if kind is None:
            # A row of a newer version of the program: another worker may know it.
            state = claims.fail(row, f"This worker does not know the task {row.name}.", will_repeat=True)
            log.error("unknown task", state=state)
            return Outcome.CRASHED
        started = time.monotonic()
        outcome, surprise = _run(row, kind, heart)
        seconds = time.monotonic() - started
        RUNS.labels(row.name, outcome).inc()
        SECONDS.labels(row.name).observe(seconds)
        log.info("task ended", outcome=str(outcome), duration_s=round(seconds, 4), attempt=row.attempts)
    if surprise is not None and raise_surprises:
        raise surprise
    return outcome


def _run(row: Task, kind: TaskKind, heart: Heart | None) -> tuple[Outcome, Exception | None]:
    token = RUNNING.set(RunningTask(row.pk, row.uuid, row.name, row.fence, row.attempts))
    state: TaskState | None
    surprise: Exception | None = None
    try:
        with heart.watch(row.pk, row.fence, kind.limit_s) if heart else nullcontext():
            kind.function(*row.args)
    except LeaseLost:
        return Outcome.LOST, None
    except TimeLimitReached:
        outcome = Outcome.TIMED_OUT
        _drop_connections()
        state = claims.fail(row, f"It ran longer than {kind.limit_s:g} s.", will_repeat=True)
        log.warning("task took too long", limit_s=kind.limit_s, state=state)
    except kind.retry_on as error:
        outcome = Outcome.REPEATED
        after_s = float(getattr(error, "retry_after_s", 0))
        state = claims.fail(row, _sentence(error), will_repeat=True, after_s=after_s)
        log.warning("task will be repeated", error=_sentence(error), state=state)
    except DomainError as error:
        outcome = Outcome.REFUSED
        state = claims.fail(row, _sentence(error), will_repeat=False)
        log.warning("task refused", error=_sentence(error), state=state)
    except Exception as error:
        outcome, surprise = Outcome.CRASHED, error
        state = claims.fail(row, _sentence(error), will_repeat=True)
        log.exception("task crashed", state=state)
    else:
        return (Outcome.DONE, None) if claims.finish(row) else (Outcome.LOST, None)
    finally:
        RUNNING.reset(token)
    return (outcome, surprise) if state is not None else (Outcome.LOST, None)


def _drop_connections() -> None:
    """The run was broken off anywhere, perhaps while a transaction began or ended: what its thread's connections think of
    their state cannot be trusted, so new ones take their place."""
    for broken in connections.all(initialized_only=True):
        broken.close()
        del connections[broken.alias]


def _sentence(error: Exception) -> str:
    if isinstance(error, DomainError):
        return f"{error.code}: {error.message}"
    return f"{type(error).__name__}: {error}"
