"""Builds: a version's model in another format, proven to answer alike. Facts beside the version, which stays as it was released."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.blobs import Blob
from registry.models.versions import Version
from registry.states import BuildFormat, BuildMarkKind


class Build(models.Model):
    """Some files that answer as the version does, and the comparison that has shown it. Append-only."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="builds")
    format = models.CharField(max_length=12, choices=[(each.value, each.value) for each in BuildFormat])
    target = models.CharField(max_length=60, blank=True)
    """What it runs on."""
    program = models.CharField(max_length=60)
    """The recipe that made it."""
    program_sha256 = models.CharField(max_length=64)
    """Of the sources of all programs, as they were then (backends/programs/sources.py)."""
    sha256 = models.CharField(max_length=64)
    """Of the list of its files (services/builds.py `digest_of`)."""
    size_bytes = models.BigIntegerField()
    equivalence = models.JSONField()
    """The report: `{real_rows, boundary_rows, max_difference, max_absolute_difference, max_relative_difference, label_agreement,
    tolerance, is_equivalent, dataset, …}`."""
    signature = models.JSONField(default=dict)
    """Inputs and outputs of its files, as in `Version.signature`: the version may name none."""
    environment = models.JSONField(default=dict)
    """Interpreter and package versions it was made with."""
    job_uuid = models.UUIDField(null=True)
    came_from = models.CharField(max_length=200, blank=True)
    """The site whose word the report is, of a build that was imported; empty when a job here has made and compared it."""
    key = models.CharField(max_length=120, unique=True)
    """Names the act that added it, so that a repeated act finds it."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(size_bytes__gte=0), name="build_size")]
        indexes = [models.Index(fields=["version", "-created_at", "-id"], name="build_newest")]

    def __str__(self) -> str:
        return f"{self.format} build"


class BuildFile(models.Model):
    """A file of a build. The version's repository holds its bytes for as long as it is there. Append-only."""

    build = models.ForeignKey(Build, on_delete=models.PROTECT, related_name="files")
    path = models.CharField(max_length=1000)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["build", "path"], name="build_path")]

    def __str__(self) -> str:
        return self.path


class BuildMark(models.Model):
    """A build was withdrawn, or that was taken back; append-only. The newest mark governs."""

    build = models.ForeignKey(Build, on_delete=models.PROTECT, related_name="marks")
    kind = models.CharField(max_length=12, choices=[(each.value, each.value) for each in BuildMarkKind])
    reason = models.TextField(blank=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.kind
