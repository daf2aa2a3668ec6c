"""Archives of repositories on their way out and in, and what is remembered of repositories that came from elsewhere."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.models.versions import Version
from registry.states import ExportState, ImportState


class Export(models.Model):
    """An archive of one repository, or of all repositories of a namespace, that was asked for. While it is ready, its bytes are in
    the store under `key`, which is no blob's: no repository holds them."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.CASCADE, related_name="+")
    repo = models.ForeignKey(Repo, null=True, on_delete=models.CASCADE, related_name="exports")
    """Null: everything of the namespace that its makers see."""
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    token_id = models.BigIntegerField(null=True)
    """Of the token it was asked for with: when that is revoked, nothing is made any more."""
    state = models.CharField(max_length=10, default=ExportState.WAITING)
    problem = models.TextField(blank=True)
    size_bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    summary = models.JSONField(default=dict)
    """Of its manifest: `{counts, left_out, refused}`."""
    created_at = models.DateTimeField(default=now)
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        indexes = [models.Index(fields=["namespace", "-created_at", "-id"], name="export_newest")]

    def __str__(self) -> str:
        return f"{self.uuid} ({self.state})"

    @property
    def key(self) -> str:
        """Where the archive is in the store."""
        return f"exports/{self.uuid}"

    @property
    def filename(self) -> str:
        """What a browser saves it as; names are plain letters, digits, dots and dashes."""
        name = f"{self.repo.namespace.name}-{self.repo.name}" if self.repo else self.namespace.name
        return f"{name}-{(self.ready_at or self.created_at):%Y-%m-%d}.tar"


class Import(models.Model):
    """An archive that somebody brings, and what became of it. Its bytes are in the store under `key` until it has ended."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.CASCADE, related_name="+")
    """Where its repositories go."""
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    token_id = models.BigIntegerField(null=True)
    name = models.CharField(max_length=96, blank=True)
    """What the repository is to be called, when the archive has one; empty: as it was."""
    size_bytes = models.BigIntegerField()
    state = models.CharField(max_length=10, default=ImportState.OPEN)
    problem = models.TextField(blank=True)
    result = models.JSONField(default=dict)
    """`{repositories: [{name, outcome, …}]}` once it is done."""
    created_at = models.DateTimeField(default=now)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at", "-id"], name="import_newest")]

    def __str__(self) -> str:
        return f"{self.uuid} ({self.state})"

    @property
    def key(self) -> str:
        return f"imports/{self.uuid}"


class ImportedRepo(models.Model):
    """Where a repository came from that was imported. Until `finished_at` is set its repository is hidden and cannot be brought back
    like a deleted one: it is half-made."""

    repo = models.OneToOneField(Repo, on_delete=models.CASCADE, related_name="imported")
    source_uuid = models.UUIDField()
    source_name = models.CharField(max_length=200)
    """`owner/name` there."""
    source_site = models.CharField(max_length=200, blank=True)
    exported_at = models.DateTimeField()
    imported_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    carried = models.JSONField(default=dict)
    """What is kept for the next export and counts for nothing here: `{likes, downloads, created_by, grants, origin}`."""
    created_at = models.DateTimeField(default=now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["source_uuid"], name="imported_from")]

    def __str__(self) -> str:
        return f"{self.repo_id} from {self.source_name}"


class ImportedAuthor(models.Model):
    """Who did something at the site that a repository came from: a name, nobody's account here."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="imported_authors")
    kind = models.CharField(max_length=12)
    """The table, in a word: version, mark, move, measurement, withdrawal, discussion, event, derivation."""
    row = models.BigIntegerField()
    """Primary key there."""
    name = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "kind", "row"], name="imported_author_once")]

    def __str__(self) -> str:
        return self.name


class ImportedSignature(models.Model):
    """A signature that a version brought along, with the key that made it: append-only. It says what the other site's owner has released;
    the keys of a namespace here are others, so that nobody who imports can add one to them."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="imported_signatures")
    algorithm = models.CharField(max_length=16)
    key_id = models.CharField(max_length=64)
    public_pem = models.TextField()
    signer = models.CharField(max_length=96)
    """The namespace there whose key it is."""
    statement = models.BinaryField()
    """The in-toto statement that was signed, compressed with zlib."""
    signature = models.BinaryField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "key_id"], name="imported_signature_once")]

    def __str__(self) -> str:
        return f"signature by {self.key_id}"
