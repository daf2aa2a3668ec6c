"""The queue of record: what is to be done, who is doing it until when, and what is to be done regularly."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from work.states import LIVE, Queue, TaskState


class Task(models.Model):
    """One deed to do. Only `work.door` writes new rows and only `work.claims` moves them."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    name = models.CharField(max_length=100)
    """`registry.scan_version`: what `@task` registered."""
    args = models.JSONField(default=list)
    """Identifiers and other scalars, never objects."""
    queue = models.CharField(max_length=8, choices=[(queue.value, queue.value) for queue in Queue])
    state = models.CharField(
        max_length=8, choices=[(state.value, state.value) for state in TaskState], default=TaskState.QUEUED.value
    )
    key = models.CharField(max_length=200, null=True)
    """Of the live rows of one name, one has this key: a second `enqueue` finds it instead of adding to it."""
    run_at = models.DateTimeField(default=now)
    again_at = models.DateTimeField(null=True)
    """Somebody rang for this key while it ran: when the run ends the row is queued for this instant."""
    rung_at = models.DateTimeField(null=True)
    """When the sweep last rang the broker for it; the ring at `enqueue` leaves no trace."""
    attempts = models.PositiveIntegerField(default=0)
    max_attempts = models.PositiveIntegerField()
    lease_owner = models.CharField(max_length=100, default="")
    """`host/pid/random` of the process that holds or last held the row."""
    fence = models.BigIntegerField(default=0)
    """Raised by every claim: an effect is accepted only from the holder of the newest."""
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    error = models.TextField(default="")
    """What the last attempt ended in; empty after a success."""
    context = models.JSONField(default=dict)
    """Log context of the request or task that asked for it: request id, actor."""
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["name", "key"], condition=Q(state__in=[str(s) for s in LIVE]), name="work_task_one_live_per_key"
            ),
            models.CheckConstraint(
                condition=~Q(state=TaskState.LEASED.value) | Q(lease_until__isnull=False),
                name="work_task_lease_has_end",
            ),
        ]
        indexes = [
            models.Index(
                fields=["queue", "run_at", "id"], condition=Q(state=TaskState.QUEUED.value), name="work_task_due"
            ),
            models.Index(fields=["lease_until"], condition=Q(state=TaskState.LEASED.value), name="work_task_leased"),
            models.Index(fields=["state", "finished_at"], name="work_task_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.name}{self.args} ({self.state})"


class Schedule(models.Model):
    """A task that is due again and again. `next_at` lies on a grid of `every_s` seconds counted from 1970."""

    name = models.CharField(max_length=100, unique=True)
    task = models.CharField(max_length=100)
    args = models.JSONField(default=list)
    every_s = models.PositiveIntegerField()
    next_at = models.DateTimeField()
    last_at = models.DateTimeField(null=True)
    """When a scheduler last started it."""

    class Meta:
        indexes = [models.Index(fields=["next_at"], name="work_schedule_next")]

    def __str__(self) -> str:
        return f"{self.name} every {self.every_s} s"
