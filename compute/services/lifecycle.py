"""The one function that moves a job. Load (a short read), act (no transaction: folders, runner, storage), apply (one transaction,
refused when somebody else took the step). A worker may die anywhere; the next one begins the same step again, and every act is
keyed by the attempt, so that doing it again changes nothing."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from accounts import actors
from accounts.actors import Actor
from accounts.services import audit
from backends.contracts.runners import RunSpec, RunState, RunStatus
from backends.errors import ConfigError, NoCapacity, Rejected, Transient
from backends.programs.catalogue import RECIPES
from common.clock import now
from common.errors import Busy, DomainError, Unavailable
from compute.models import Attempt, Job
from compute.services import artifacts, workplace
from compute.services.runners import LIMITS, REASONS, job_runner
from compute.services.steps import (
    MOST_STALLS,
    Overtaken,
    applying,
    ask_for_step,
    has_free_place,
    next_in_turn,
    say,
    wake_next,
)
from compute.states import ENDED, JOBS, JobState, Outcome
from lineage.services.record import Ref, record_run
from metering.meters import Meter
from metering.services.usage import Usage, record
from registry.build_queries import held_back_in_builds
from registry.queries import held_back_in
from work.door import enqueue

log = structlog.get_logger(__name__)

_MOST_LOST = 3
"""Attempts that the machine may lose before the job fails."""
_NO_PLACE_S = 3.0
_NO_ROOM_S = 10.0
_LOOK_FOR_CANCEL_S = 1.0
_LOG_BLOCK = 1024**2


class _Cancelled(Exception):
    """The job was cancelled while it was being worked on."""


def advance(job_id: int) -> None:
    """Take the next step of a job. Called by the task `compute.advance_job`, any number of times, late, or beside itself: of two
    that take the same step, one writes it. Writes the job, its attempt and events, and, at the end, everything that follows from
    it. Raises Busy and Unavailable when the same step is worth another try."""
    job = Job.objects.select_related("target__namespace", "namespace", "created_by").filter(pk=job_id).first()
    if job is None or job.state in ENDED:
        return
    attempt = job.attempts.filter(outcome="").first()
    try:
        if job.stalls >= MOST_STALLS:
            _end(job, attempt, JobState.FAILED, "The job was given up: every worker that took it on stopped answering.")
        elif job.cancel_requested_at is not None:
            _end(job, attempt, JobState.CANCELLED)
        else:
            _STEPS[JobState(job.state)](job, attempt)
    except _Cancelled:
        _end(job, attempt, JobState.CANCELLED)
    except Overtaken:
        log.info("step_overtaken", job=str(job.uuid), tick=job.tick)
    except Transient as error:
        raise Busy(f"The machine that runs jobs does not answer: {error}") from error


def clean(attempt_id: int) -> None:
    """Remove what an ended attempt left on the machine. Safe to repeat."""
    attempt = Attempt.objects.get(pk=attempt_id)
    if attempt.outcome:
        job_runner().clean(str(attempt.uuid))
        workplace.remove(attempt)


def _take_place(job: Job, _attempt: Attempt | None) -> None:
    """Queued → starting, when there is a free place. Otherwise the one whose turn it is looks again soon; all others wait to be
    woken, so that ten thousand waiting jobs cost nothing."""
    with applying(job) as locked:
        if not has_free_place():
            if next_in_turn() == locked:
                ask_for_step(locked, delay_s=_NO_PLACE_S)
            return
        number = locked.attempts.count() + 1
        Attempt.objects.create(job=locked, number=number)
        _move(locked, JobState.STARTING)
        say(locked, "Preparing the inputs." if number == 1 else f"Preparing the inputs, attempt {number}.")
        ask_for_step(locked)
        wake_next()


def _start(job: Job, attempt: Attempt | None) -> None:
    """Starting → running: the folder and the program, both keyed by the attempt."""
    assert attempt is not None
    runner = job_runner()
    try:
        folder = workplace.prepare(job, attempt, runner, LIMITS, _keep_going(job))
        spec = RunSpec(
            argv=(sys.executable, "-m", f"backends.programs.{RECIPES[job.recipe].module}"),
            workdir=folder,
            limits=LIMITS,
            is_foreign=RECIPES[job.recipe].opens_foreign_code,
            read_only_paths=workplace.read_only_parts(folder),
        )
        handle = runner.start(spec, key=str(attempt.uuid))
    except (NoCapacity, Unavailable) as error:
        with applying(job) as locked:
            if locked.message != str(error)[:200]:
                say(locked, f"Waiting: {error}")
            locked.message = workplace.plain(str(error), 200)
            ask_for_step(locked, delay_s=_NO_ROOM_S)
        return
    except (Rejected, ConfigError) as error:
        _end(job, attempt, JobState.FAILED, str(error))
        return
    except KeyError:
        _end(job, attempt, JobState.FAILED, f"This release has no recipe {job.recipe}.")
        return
    except (Busy, _Cancelled):
        raise
    except DomainError as error:
        _end(job, attempt, JobState.FAILED, error.message)
        return
    with applying(job) as locked:
        Attempt.objects.filter(pk=attempt.pk).update(handle=handle)
        _move(locked, JobState.RUNNING)
        locked.started_at = now()
        locked.message = ""
        say(locked, "The program has started.")
        ask_for_step(locked, delay_s=_pause_s(locked))


def _watch(job: Job, attempt: Attempt | None) -> None:
    """Running → running, collecting, failed, or queued again when the machine has lost it."""
    assert attempt is not None
    folder = workplace.folder_of(attempt)
    status = job_runner().poll(attempt.handle)
    held = held_back_in([given["version_uuid"] for given in job.inputs.values()]) or held_back_in_builds(
        given["build_uuid"] for given in job.inputs.values() if "build_uuid" in given
    )
    if held is not None:
        _end(job, attempt, JobState.FAILED, f"Stopped: a file of its inputs was put under quarantine ({held.reason}).")
    elif status.state is RunState.RUNNING:
        progress = workplace.progress_of(folder)
        with applying(job) as locked:
            if progress is not None:
                # never backwards: the bar is a promise
                locked.fraction, locked.message = max(locked.fraction, progress.fraction), progress.message
            ask_for_step(locked, delay_s=_pause_s(locked))
    elif status.state is RunState.LOST:
        _lost(job, attempt)
    elif status.exit_code == 0:
        with applying(job) as locked:
            _move(locked, JobState.COLLECTING)
            locked.fraction, locked.message = 1.0, "Storing the results."
            say(locked, "The program has ended; storing the results.")
            ask_for_step(locked)
    else:
        told = workplace.problem_of(folder)
        because = REASONS.get(status.reason, "") if status.reason else ""
        problem = because or told.message or f"The program failed with exit code {status.exit_code}."
        _end(job, attempt, JobState.FAILED, problem, equivalence=told.equivalence)


def _collect(job: Job, attempt: Attempt | None) -> None:
    """Collecting → succeeded: bytes first, then commit and version, or the build, lineage, usage and the end of the job in one
    transaction."""
    assert attempt is not None
    equivalence: dict[str, Any] = {}
    folder = workplace.folder_of(attempt)
    if not folder.exists():
        _end(job, attempt, JobState.FAILED, "The folder of the job has vanished from the machine.")
        return
    try:
        result = workplace.result_of(folder)
        equivalence = workplace.figures_of(result.equivalence)
        found = artifacts.collect(job, attempt, folder, _keep_going(job))
        kept = _record_of(attempt, folder)
        actor = _actor_of(job)
        with applying(job) as locked:
            if locked.cancel_requested_at is not None:
                raise _Cancelled
            version = artifacts.publish(actor, locked, attempt, found, result) if locked.target else None
            is_build = artifacts.makes_build(locked)
            build = artifacts.add_to_version(actor, locked, attempt, found, result) if is_build else None
            _close(locked, attempt, Outcome.SUCCEEDED, kept)
            _move(locked, JobState.SUCCEEDED)
            locked.version, locked.build = version, build
            locked.result = {"metrics": result.metrics, "summary": result.summary, "equivalence": result.equivalence}
            locked.finished_at = now()
            locked.message = ""
            record_run(
                [_source(given) for given in locked.inputs.values()],
                Ref("job", locked.uuid),
                [Ref("version", version.uuid)] if version else [Ref("build", build.uuid)] if build else [],
            )
            audit.record(actor, "compute:job:succeeded", "job", locked.uuid, namespace_id=locked.namespace_id)
            made = f": published {version.name}" if version else f": added the {build.format} build" if build else ""
            say(locked, f"Succeeded{made}.")
            ask_for_step(locked)
            wake_next()
    except (Busy, Unavailable):
        raise
    except workplace.NoResult as error:
        _end(job, attempt, JobState.FAILED, str(error))
    except DomainError as error:
        problem = f"The result could not be published: {error.message}"
        _end(job, attempt, JobState.FAILED, problem, equivalence=equivalence)


_STEPS: dict[JobState, Callable[[Job, Attempt | None], None]] = {
    JobState.QUEUED: _take_place,
    JobState.STARTING: _start,
    JobState.RUNNING: _watch,
    JobState.COLLECTING: _collect,
}


class _Kept:
    """What stays of an attempt when its machine has forgotten it."""

    def __init__(self, status: RunStatus, log_pk: int | None, series: dict[str, list[list[float]]]) -> None:
        self.status = status
        self.log_pk = log_pk
        self.series = series


def _source(given: Mapping[str, str]) -> Ref:
    """The node of an input: the build that stood in, else the version."""
    return (
        Ref("build", UUID(given["build_uuid"]))
        if "build_uuid" in given
        else Ref("version", UUID(given["version_uuid"]))
    )


def _end(
    job: Job,
    attempt: Attempt | None,
    state: JobState,
    problem: str = "",
    *,
    equivalence: Mapping[str, Any] | None = None,
) -> None:
    """Stop the program if it runs, keep its log, and end the job as `state`; `equivalence` is the comparison it failed for."""
    kept = _stopped(attempt)
    with applying(job) as locked:
        if attempt is not None and kept is not None:
            _close(locked, attempt, Outcome.CANCELLED if state is JobState.CANCELLED else Outcome.FAILED, kept)
        _move(locked, state)
        locked.problem = workplace.plain(problem, 1000)
        locked.result = {"equivalence": dict(equivalence)} if equivalence else {}
        locked.message = ""
        locked.finished_at = now()
        say(
            locked,
            f"Failed: {problem}" if state is JobState.FAILED else "The program was stopped and nothing was published.",
        )
        tag = "compute:job:failed" if state is JobState.FAILED else "compute:job:stopped"
        audit.record(actors.system("compute"), tag, "job", locked.uuid, namespace_id=locked.namespace_id)
        ask_for_step(locked)
        wake_next()


def _lost(job: Job, attempt: Attempt) -> None:
    kept = _stopped(attempt)
    if job.attempts.filter(outcome=Outcome.LOST).count() + 1 >= _MOST_LOST:
        _end(job, attempt, JobState.FAILED, f"The machine lost the program {_MOST_LOST} times.")
        return
    assert kept is not None
    with applying(job) as locked:
        _close(locked, attempt, Outcome.LOST, kept)
        _move(locked, JobState.QUEUED)
        locked.started_at, locked.fraction, locked.message = None, 0.0, ""
        say(locked, "The machine lost the program; it is tried again.")
        ask_for_step(locked)


def _stopped(attempt: Attempt | None) -> _Kept | None:
    """Stop the program, so that it neither runs on nor starts late, and keep what it said. A runner that is broken for good must
    not keep a job from ending: then there is no log, and nothing to charge."""
    if attempt is None:
        return None
    try:
        job_runner().stop(str(attempt.uuid))
        return _record_of(attempt, workplace.folder_of(attempt))
    except (ConfigError, Rejected):
        log.exception("runner_broken", attempt=str(attempt.uuid))
        return _Kept(RunStatus(RunState.LOST), None, {})


def _record_of(attempt: Attempt, folder: Path) -> _Kept:
    key = str(attempt.uuid)
    blob = artifacts.keep_log(_whole_log(key))
    return _Kept(job_runner().poll(key), blob.pk, workplace.series_of(folder))


def _whole_log(handle: str) -> Iterator[bytes]:
    offset = 0
    while block := job_runner().read_log(handle, offset, _LOG_BLOCK):
        offset += len(block)
        yield block


def _close(job: Job, attempt: Attempt, outcome: Outcome, kept: _Kept) -> None:
    """End an attempt and meter it, in the transaction of the step: seconds are counted once an attempt, whatever is repeated."""
    status = kept.status
    Attempt.objects.filter(pk=attempt.pk, outcome="").update(
        outcome=outcome,
        exit_code=status.exit_code,
        cpu_ms=round(status.cpu_s * 1000),
        wall_ms=round(status.wall_s * 1000),
        peak_memory_bytes=status.peak_memory_bytes,
        log_id=kept.log_pk,
        series=kept.series,
        finished_at=now(),
    )
    record(
        Usage(
            meter=Meter.JOB_CPU_SECONDS,
            source="job",
            source_id=str(attempt.uuid),
            quantity=math.ceil(status.cpu_s),
            subject=job.uuid,
            occurred_at=now(),
            payer=job.namespace.uuid,
            detail={"outcome": str(outcome), "attempt": attempt.number},
        )
    )
    enqueue("compute.clean_attempt", attempt.pk, key=f"clean-attempt:{attempt.pk}")


def _move(job: Job, state: JobState) -> None:
    JOBS.ensure(JobState(job.state), state)
    job.state = state


def _keep_going(job: Job) -> Callable[[], None]:
    """A check to be called often: looks once a second whether the job was cancelled or taken over, and raises if so."""
    looked = time.monotonic()

    def check() -> None:
        nonlocal looked
        if time.monotonic() - looked < _LOOK_FOR_CANCEL_S:
            return
        looked = time.monotonic()
        found = Job.objects.filter(pk=job.pk).values_list("tick", "cancel_requested_at").first()
        if found is None or found[0] != job.tick:
            raise Overtaken
        if found[1] is not None:
            raise _Cancelled

    return check


def _pause_s(job: Job) -> float:
    """How long until the next look: a second at first, then a fiftieth of the time it has run, at most three seconds,
    as a job has to end when its inputs are put under quarantine."""
    run_s = (now() - job.started_at).total_seconds() if job.started_at else 0.0
    return min(max(1.0, run_s / 50), 3.0)


def _actor_of(job: Job) -> Actor:
    """Whoever submitted the job, with the rights of this moment."""
    return actors.for_user(job.created_by) if job.created_by else actors.anonymous()
