"""How a job takes a step: the next one is asked for in the transaction that writes this one, and a step is written only by whoever
read the number of the one before."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from common.clock import now
from compute.models import Job, JobEvent
from compute.services.workplace import plain
from compute.states import ACTIVE, ENDED, JobState
from work.door import enqueue

OVERDUE = timedelta(seconds=60)
"""A step that is this late has lost its task: the lease of a dead worker lapses after as long."""
_PLACES_LOCK = 0x6D_65_72_63_6A_6F_62
"""Names the lock on the places among all advisory locks of the database ("mercjob")."""
MOST_STALLS = 2
"""Each is a task that was parked after all its attempts: a job whose step kills its worker every time ends here."""


class Overtaken(Exception):
    """Somebody else has taken this step already: whoever reads this writes nothing."""


@contextmanager
def applying(job: Job) -> Iterator[Job]:
    """One short transaction that writes the outcome of a step, on the locked row. Raises Overtaken when `job` is not the newest
    reading of it."""
    with transaction.atomic():
        locked = (
            Job.objects.select_for_update(of=("self",)).select_related("namespace", "target__namespace").get(pk=job.pk)
        )
        if locked.tick != job.tick:
            raise Overtaken
        yield locked


def ask_for_step(job: Job, *, delay_s: float = 0) -> None:
    """Save the locked `job` with the next number and ask for its next step; in the caller's transaction. One task a job moves it
    from its first step to its last: asked for from within, it runs again."""
    job.tick += 1
    job.look_at = now() + timedelta(seconds=delay_s)
    job.stalls = 0
    job.save()
    if job.state not in ENDED:
        enqueue("compute.advance_job", job.pk, key=_key(job), delay_s=delay_s)


def hurry(job: Job) -> None:
    """Ask for the step that is due anyway to be taken now."""
    enqueue("compute.advance_job", job.pk, key=_key(job))


def say(job: Job, text: str) -> None:
    """Add a sentence to the history."""
    JobEvent.objects.create(job=job, text=plain(text, 1000))


def has_free_place() -> bool:
    """Whether one more job may run; in the transaction that takes the place. Others who ask wait until it ends."""
    if connection.vendor == "postgresql":
        # counting and then taking is not one act there: two could count the same free place
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_PLACES_LOCK])
    return Job.objects.filter(state__in=ACTIVE).count() < settings.JOB_SLOTS


def next_in_turn() -> Job | None:
    """The queued job whose turn it is: namespaces with fewer running jobs go first, then whoever waits longest. One query."""
    running = (
        Job.objects.filter(namespace_id=OuterRef("namespace_id"), state__in=ACTIVE)
        .order_by()
        .values("namespace_id")
        .annotate(count=Count("pk"))
        .values("count")
    )
    waiting = Job.objects.filter(state=JobState.QUEUED).annotate(running=Coalesce(Subquery(running), Value(0)))
    return waiting.order_by("running", "created_at", "pk").first()


def wake_next() -> None:
    """Hurry the job whose turn it is. Called whenever a place may be free; safe to call at any time."""
    job = next_in_turn()
    if job is not None:
        hurry(job)


def sweep() -> int:
    """Ask again for steps that are overdue, and fail jobs that were asked for too often; returns how many were overdue. A step
    that is only slow still has its task, and asking for it again changes nothing. Safe to run beside itself."""
    overdue = list(Job.objects.filter(state__in=ACTIVE, look_at__lt=now() - OVERDUE)[:500])
    for job in overdue:
        with transaction.atomic():
            before = now()
            task = enqueue("compute.advance_job", job.pk, key=_key(job))
            if task.created_at >= before:
                Job.objects.filter(pk=job.pk, tick=job.tick).update(stalls=F("stalls") + 1)
    with transaction.atomic():
        wake_next()
    return len(overdue)


def _key(job: Job) -> str:
    return f"job:{job.pk}"
