"""How the queue stands, for the health page and the metrics."""

from dataclasses import dataclass

from django.db.models import Count, Min, Q

from common.clock import now
from work.models import Task
from work.states import LIVE, TaskState


@dataclass(frozen=True)
class Backlog:
    """`waiting` rows are due and free; `oldest_s`: how long the first of them has been due, 0 when there is none."""

    queue: str
    waiting: int
    running: int
    oldest_s: float


def backlogs() -> list[Backlog]:
    """One per queue that has live rows, by name. One query on the live rows."""
    present = now()
    due = Q(state=TaskState.QUEUED, run_at__lte=present)
    rows = (
        Task.objects.filter(state__in=LIVE)
        .values("queue")
        .annotate(
            waiting=Count("pk", filter=due),
            running=Count("pk", filter=Q(state=TaskState.LEASED)),
            first_at=Min("run_at", filter=due),
        )
        .order_by("queue")
    )
    return [
        Backlog(
            row["queue"],
            row["waiting"],
            row["running"],
            (present - row["first_at"]).total_seconds() if row["first_at"] else 0.0,
        )
        for row in rows
    ]


def parked_count() -> int:
    """How many tasks wait for a person to look at them."""
    return Task.objects.filter(state=TaskState.PARKED).count()
