"""What scanning led to: what is known of a repository as a whole, what is held back, and what is never let in."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from registry.models.blobs import Blob
from registry.models.history import Commit
from registry.models.repos import Repo


class RepoScan(models.Model):
    """How far the scanning of a repository has come, and what its newest commit holds: for lists, which have no time to count."""

    repo = models.OneToOneField(Repo, on_delete=models.CASCADE, related_name="scan")
    reached = models.BigIntegerField(default=0)
    """Primary key of the last RepoBlob whose bytes were scanned for this repository. What was given to it later is shown as not
    scanned, also when another repository has had the same bytes scanned: nobody learns from it that there is one."""
    commit = models.ForeignKey(Commit, null=True, on_delete=models.SET_NULL, related_name="+")
    verdict = models.CharField(max_length=12, blank=True)
    """The worst of the files of `commit`."""
    counts = models.JSONField(default=dict)
    """Files of `commit` by verdict."""
    updated_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.verdict or 'not scanned'} ({self.repo_id})"


class Quarantine(models.Model):
    """Some bytes are held back: everywhere, or (with `repo`) where that repository hands them out. Released, it stays as a record."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="quarantines")
    repo = models.ForeignKey(Repo, null=True, on_delete=models.CASCADE, related_name="quarantines")
    origin = models.CharField(max_length=12)
    """Who holds it back (registry.states.Origin)."""
    reason = models.CharField(max_length=400)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    release_reason = models.CharField(max_length=400, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["blob", "repo"],
                condition=Q(released_at__isnull=True, repo__isnull=False),
                name="quarantine_once_in_repo",
            ),
            models.UniqueConstraint(
                fields=["blob"], condition=Q(released_at__isnull=True, repo__isnull=True), name="quarantine_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason[:40]} ({'released' if self.released_at else 'held back'})"


class BlockedDigest(models.Model):
    """A file that is known to be malware, by its SHA-256: no commit may bring it."""

    sha256 = models.CharField(max_length=64, unique=True)
    reason = models.CharField(max_length=400)
    source = models.CharField(max_length=200, blank=True)
    """Where it is known from, such as the address of an advisory."""
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.sha256[:12]
