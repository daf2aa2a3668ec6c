"""Versions: named, immutable releases of a repository, with what is known about them; and what scanning found."""

from django.db import models
from django.db.models.functions import Lower

from common.clock import now
from common.ids import new_uuid
from registry.models.history import Commit
from registry.models.repos import Repo


class Version(models.Model):
    """A commit that was released under a name. Append-only: what it says never changes."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, on_delete=models.PROTECT, related_name="versions")
    name = models.CharField(max_length=80)
    commit = models.ForeignKey(Commit, on_delete=models.PROTECT, related_name="versions")
    notes = models.TextField(blank=True)
    metrics = models.JSONField(default=dict)
    """`{name: {value, low, high, n, dataset, split}}`; low and high are the ends of the 95 % interval."""
    signature = models.JSONField(default=dict)
    """Inputs and outputs: names, Open Inference datatypes, shapes, columns, classes, an example."""
    environment = models.JSONField(default=dict)
    """Interpreter and package versions it was made with."""
    licence = models.CharField(max_length=80, blank=True)
    """At the release: a later licence of the repository does not reach back."""
    intended_use = models.TextField(blank=True)
    key = models.CharField(max_length=120, null=True, unique=True)
    """Names the act that published it, when a program did, so that a repeated act finds it."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint("repo", Lower("name"), name="version_name_ci")]
        indexes = [models.Index(fields=["repo", "-created_at", "-id"], name="version_newest")]

    def __str__(self) -> str:
        return self.name


class ScanReport(models.Model):
    """What the scanners, with one state of their rules, say of one version."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="scans")
    scanner = models.CharField(max_length=40)
    rules = models.CharField(max_length=40)
    verdict = models.CharField(max_length=12)
    findings = models.JSONField(default=list)
    """`[{path, verdict, format, reason}]`, worst first."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "scanner", "rules"], name="scan_once")]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.scanner}"


class BlobScan(models.Model):
    """What the scanners, with one state of their rules, say of some bytes: scanned once, however many versions hold them."""

    blob = models.ForeignKey("registry.Blob", on_delete=models.CASCADE, related_name="scans")
    scanner = models.CharField(max_length=40)
    rules = models.CharField(max_length=40)
    verdict = models.CharField(max_length=12)
    format = models.CharField(max_length=80, blank=True)
    findings = models.JSONField(default=list)
    """`[{rule, verdict, message, place}]`, worst first."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "scanner", "rules"], name="blob_scan_once")]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.scanner}"


class BlobPreview(models.Model):
    """How some bytes begin, for people to look at: made in the sandbox, once for each state of the rules."""

    blob = models.ForeignKey("registry.Blob", on_delete=models.CASCADE, related_name="previews")
    rules = models.CharField(max_length=40)
    content = models.JSONField()
    """Of a table: `{column_count, row_count, columns: [[name, type]], rows: [[text or null]], problem}`."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "rules"], name="blob_preview_once")]

    def __str__(self) -> str:
        return f"preview by {self.rules}"
