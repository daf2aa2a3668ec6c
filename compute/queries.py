"""What is seen of a job once inside: log, curves, progress, cost."""

from dataclasses import dataclass

from django.db.models import QuerySet

from common.clock import now
from common.pagination import Page, keyset_page
from compute.models import Artifact, Attempt, Job, JobEvent
from compute.services import workplace
from compute.services.runners import job_runner
from compute.states import ENDED
from registry.services import storage

_LOG_LIMIT = 256 * 1024


@dataclass(frozen=True)
class LogPage:
    """A piece of the log of the newest attempt. `data` is bytes of UTF-8 text, mostly; ask again from `next_offset`."""

    data: bytes
    next_offset: int
    is_final: bool
    """True when no more will come."""

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")


@dataclass(frozen=True)
class JobProgress:
    """`fraction` 0–1; times in seconds. `left_s` is an estimate by proportion, None while there is nothing to go by."""

    state: str
    fraction: float
    message: str
    elapsed_s: float
    left_s: float | None


@dataclass(frozen=True)
class JobCost:
    """What all attempts of a job have used, and what is metered for it."""

    cpu_s: float
    wall_s: float
    peak_memory_bytes: int


def job_list(jobs: QuerySet[Job], *, cursor: str | None = None, limit: int = 50) -> Page[Job]:
    """Authorised jobs, newest first, as a keyset page. One query."""
    return keyset_page(jobs, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def job_events(job: Job) -> QuerySet[JobEvent]:
    """The history, oldest first."""
    return job.events.order_by("pk")


def job_attempts(job: Job) -> QuerySet[Attempt]:
    """Attempts, newest first."""
    return job.attempts.order_by("-number")


def job_artifacts(job: Job) -> QuerySet[Artifact]:
    """The files that the newest attempt made, by path, with their blobs."""
    newest = job.attempts.order_by("-number").values("pk")[:1]
    return Artifact.objects.filter(attempt__in=newest).select_related("blob").order_by("path")


def job_log(job: Job, offset: int = 0, limit: int = _LOG_LIMIT) -> LogPage:
    """Up to `limit` bytes of the newest attempt's log, from byte `offset`: from the runner while it runs, from the store after."""
    attempt = job_attempts(job).select_related("log").first()
    offset = max(offset, 0)
    if attempt is None:
        return LogPage(b"", offset, is_final=job.state in ENDED)
    if attempt.log is None:
        data = job_runner().read_log(str(attempt.uuid), offset, limit)
        return LogPage(data, offset + len(data), is_final=False)
    with storage.open_blob(attempt.log, offset, offset + limit) as reader:
        data = b"".join(reader)
    is_final = job.state in ENDED and offset + len(data) >= attempt.log.size_bytes
    return LogPage(data, offset + len(data), is_final=is_final)


def job_metrics(job: Job) -> dict[str, list[list[float]]]:
    """Curves of the newest attempt: `{name: [[step, value], …]}`; from its folder while it runs, from its row after."""
    attempt = job_attempts(job).first()
    if attempt is None:
        return {}
    return attempt.series if attempt.outcome else workplace.series_of(workplace.folder_of(attempt))


def job_progress(job: Job) -> JobProgress:
    """How far it is. No query."""
    if job.started_at is None:
        return JobProgress(job.state, job.fraction, job.message, 0.0, None)
    elapsed = ((job.finished_at or now()) - job.started_at).total_seconds()
    left = None
    if job.state not in ENDED and job.fraction >= 0.02:
        left = elapsed * (1 - job.fraction) / job.fraction
    return JobProgress(job.state, job.fraction, job.message, elapsed, left)


def job_cost(job: Job) -> JobCost:
    """Processor and wall seconds of all attempts together, and the largest memory of one. One query."""
    attempts = list(job.attempts.values_list("cpu_ms", "wall_ms", "peak_memory_bytes"))
    cpu = sum(cpu_ms for cpu_ms, _, _ in attempts) / 1000
    wall = sum(wall_ms for _, wall_ms, _ in attempts) / 1000
    return JobCost(cpu, wall, max((peak for _, _, peak in attempts), default=0))
