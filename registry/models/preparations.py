"""Files on their way into a repository from somewhere else, by a task."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.blobs import Blob
from registry.models.repos import Repo
from registry.states import PreparationState


class Preparation(models.Model):
    """Content asked for from elsewhere: what became of it, and afterwards where the files of a commit came from."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="preparations")
    source = models.CharField(max_length=24)
    """A name of the family `sources` (backends/catalogue.py), or `archive`: one that the repository has."""
    options = models.JSONField(default=dict)
    """What the source was told, without its secrets."""
    secrets = models.JSONField(default=list)
    """Names of the secrets it was told."""
    sealed = models.TextField(blank=True)
    """The secrets themselves, encrypted (common.sealed), while there is work to do."""
    address = models.CharField(max_length=1000)
    """Where the files come from, for people."""
    branch = models.CharField(max_length=200)
    folder = models.CharField(max_length=1000, blank=True)
    summary = models.CharField(max_length=300)
    is_unpacked = models.BooleanField(default=False)
    """Whether the one file is an archive, whose members are wanted."""
    archive = models.ForeignKey(Blob, null=True, on_delete=models.PROTECT, related_name="+")
    """The archive, once it is here and until its members are."""
    state = models.CharField(max_length=12, default=PreparationState.WAITING)
    problem = models.TextField(blank=True)
    facts = models.JSONField(default=dict)
    """What the source knows of how the files came about."""
    file_count = models.PositiveIntegerField(null=True)
    """None until the source has listed them."""
    files_done = models.PositiveIntegerField(default=0)
    size_bytes = models.BigIntegerField(null=True)
    """Of all files; None while the source does not tell."""
    bytes_done = models.BigIntegerField(default=0)
    commit_oid = models.CharField(max_length=40, blank=True)
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    token_id = models.BigIntegerField(null=True)
    """Of the token it was asked for with: when that is revoked, nothing is brought any more."""
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["repo", "-id"], name="preparation_of_repo")]

    def __str__(self) -> str:
        return f"{self.source} {self.uuid}"


class PreparedFile(models.Model):
    """One file of a preparation that goes on: fetched or to be fetched. Gone when it is done."""

    preparation = models.ForeignKey(Preparation, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=1000)
    """In the repository."""
    told = models.JSONField(default=dict)
    """What the source said of it (backends.contracts.sources.SourceFile)."""
    blob = models.ForeignKey(Blob, null=True, on_delete=models.PROTECT, related_name="+")
    is_large = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["preparation", "path"], name="prepared_file_once")]

    def __str__(self) -> str:
        return self.path
