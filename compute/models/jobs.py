"""Jobs: what was asked for, each attempt to do it, its history in sentences, and the files it made."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from compute.states import ACTIVE, JobState, Outcome


class Job(models.Model):
    """One run of a recipe for a namespace. `tick` counts the steps taken: a step is written only by whoever read the number
    before it, so a worker that was overtaken writes nothing."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="jobs")
    recipe = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    parameters = models.JSONField(default=dict)
    inputs = models.JSONField(default=dict)
    """`{name: {"version_uuid", "kind", "title"}}`, as they were when the job was submitted; with `build_uuid`, that build's files lie
    beside those of the version."""
    target = models.ForeignKey("registry.Repo", null=True, on_delete=models.PROTECT, related_name="+")
    """Where the outcome is published; none for a job that only reports."""
    version_name = models.CharField(max_length=80, blank=True)
    """What the outcome is to be called; empty: the next number."""
    version = models.ForeignKey("registry.Version", null=True, on_delete=models.PROTECT, related_name="+")
    """The outcome."""
    build = models.ForeignKey("registry.Build", null=True, on_delete=models.PROTECT, related_name="+")
    """The outcome of a recipe that makes a build of its input."""
    key = models.CharField(max_length=120, null=True)
    """The caller's idempotency key, within the namespace."""

    state = models.CharField(max_length=12, default=JobState.QUEUED)
    tick = models.PositiveIntegerField(default=0)
    look_at = models.DateTimeField(default=now)
    """When the next step is due; a step that is long overdue is asked for again by the sweep."""
    stalls = models.PositiveSmallIntegerField(default=0)
    """How often in a row a step had to be asked for again."""
    cancel_requested_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=1000, blank=True)
    """Why it failed, for people."""
    fraction = models.FloatField(default=0.0)
    """0–1, as the program says."""
    message = models.CharField(max_length=200, blank=True)
    result = models.JSONField(default=dict)
    """`{"metrics", "summary", "equivalence"}` of the attempt that succeeded; of one that was refused for its comparison, that alone."""

    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True)
    """When the program of the present attempt started."""
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["namespace", "key"], name="job_key_once"),
            models.CheckConstraint(condition=models.Q(state__in=[each.value for each in JobState]), name="job_state"),
            models.CheckConstraint(condition=models.Q(fraction__gte=0, fraction__lte=1), name="job_fraction"),
        ]
        indexes = [
            models.Index(fields=["namespace", "-created_at", "-id"], name="job_newest"),
            models.Index(
                fields=["state", "created_at", "id"],
                condition=models.Q(state__in=[JobState.QUEUED, *sorted(ACTIVE)]),
                name="job_live",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Attempt(models.Model):
    """One try. Its uuid is the runner's key: nothing runs twice under it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    handle = models.CharField(max_length=80, blank=True)
    """What the runner knows it by; empty until it was started."""
    outcome = models.CharField(max_length=10, blank=True)
    exit_code = models.SmallIntegerField(null=True)
    cpu_ms = models.PositiveBigIntegerField(default=0)
    wall_ms = models.PositiveBigIntegerField(default=0)
    peak_memory_bytes = models.PositiveBigIntegerField(default=0)
    log = models.ForeignKey("registry.Blob", null=True, on_delete=models.PROTECT, related_name="+")
    """The whole log, once the attempt has ended."""
    series = models.JSONField(default=dict)
    """Curves, once the attempt has ended: `{name: [[step, value], …]}`."""
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number"),
            models.UniqueConstraint(fields=["job"], condition=models.Q(outcome=""), name="attempt_open_once"),
            models.CheckConstraint(
                condition=models.Q(outcome__in=["", *[each.value for each in Outcome]]), name="attempt_outcome"
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class JobEvent(models.Model):
    """Something that happened to a job, in a sentence. Append-only."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=now)
    text = models.CharField(max_length=1000)

    class Meta:
        indexes = [models.Index(fields=["job", "id"], name="job_event_order")]

    def __str__(self) -> str:
        return self.text


class Artifact(models.Model):
    """A file that an attempt made."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="artifacts")
    path = models.CharField(max_length=1000)
    blob = models.ForeignKey("registry.Blob", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attempt", "path"], name="artifact_path")]

    def __str__(self) -> str:
        return self.path
