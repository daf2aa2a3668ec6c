"""Bytes, once each, and which repositories hold them. The storage key follows from the digest; a digest alone opens nothing."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.states import BlobState, UploadState


class Blob(models.Model):
    """Some bytes, named by their SHA-256 (hex). In the state `stored` the store has them, durably; otherwise it may or may not, and
    nothing may name them. Rows are never deleted, so that a key in a tree always means the same bytes: what is collected
    becomes `absent`, and `stored` again when somebody sends it anew. `git_oid` is the SHA-1 that git gives to these bytes as a
    file, filled in when they are first used as a plain one."""

    sha256 = models.CharField(max_length=64, unique=True)
    size_bytes = models.BigIntegerField()
    git_oid = models.CharField(max_length=40, blank=True, db_index=True)
    state = models.CharField(max_length=8, default=BlobState.STORED)
    used_at = models.DateTimeField(default=now)
    """When somebody last sent or named these bytes, give or take services/holdings.py's `USE_COUNTS_FOR`: what is young is
    not collected."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(size_bytes__gte=0), name="blob_size"),
            models.CheckConstraint(condition=models.Q(state__in=[each.value for each in BlobState]), name="blob_state"),
        ]

    def __str__(self) -> str:
        return self.sha256[:12]

    @property
    def key(self) -> str:
        """Where the bytes are in the store."""
        return f"blobs/{self.sha256[:2]}/{self.sha256[2:4]}/{self.sha256}"


class RepoBlob(models.Model):
    """A holding: a repository has been given some bytes; its commits may name them, and its readers fetch them. Without a living
    commit that names them it is `condemned`, and goes some time later (services/garbage.py)."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="blob_rows")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="repo_rows")
    created_at = models.DateTimeField(default=now)
    used_at = models.DateTimeField(default=now)
    condemned_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "blob"], name="repo_blob_once")]

    def __str__(self) -> str:
        return f"{self.blob_id} in {self.repo_id}"


class Upload(models.Model):
    """An announced large file on its way into a repository."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="uploads")
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    state = models.CharField(max_length=12, default=UploadState.OPEN)
    part_bytes = models.BigIntegerField(null=True)
    """Size of each part but the last, when the file comes in parts."""
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["repo", "sha256"], name="upload_by_digest")]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} ({self.state})"


class UploadPart(models.Model):
    """A part that has arrived: its bytes are in the store under `key`."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="upload_part_once")]

    def __str__(self) -> str:
        return f"part {self.number} of {self.upload_id}"

    @property
    def key(self) -> str:
        return f"staging/{self.upload.uuid}/{self.number:05d}"
