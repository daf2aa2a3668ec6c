"""What is said of versions after their release, and the keys they are signed with. Facts are added, never changed."""

from django.db import models
from django.db.models.functions import Lower

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.models.versions import Version
from registry.states import MarkKind, MeasurementKind


class VersionMark(models.Model):
    """A version was deprecated or withdrawn, or that was taken back; append-only. The newest mark of each pair governs."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="marks")
    kind = models.CharField(max_length=12, choices=[(each.value, each.value) for each in MarkKind])
    reason = models.TextField(blank=True)
    successor = models.ForeignKey(Version, null=True, on_delete=models.PROTECT, related_name="+")
    due_on = models.DateField(null=True)
    """The day after which nobody should use it any more."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.kind


class Measurement(models.Model):
    """Something measured of a version, beside what was said at its release; append-only.

    `values` of a metric: `{value, low, high, n, dataset, split, dataset_version}` as in `Version.metrics`; of hardware:
    `{batch_size, p50_ms, p99_ms, throughput_per_s, memory_bytes, runtime}`."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="measurements")
    kind = models.CharField(max_length=12, choices=[(each.value, each.value) for each in MeasurementKind])
    name = models.CharField(max_length=120)
    """Of the metric, or of the hardware."""
    values = models.JSONField()
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class MeasurementWithdrawal(models.Model):
    """A measurement was wrong: the entry that corrects it, with the reason; append-only. Who is right then measures anew."""

    measurement = models.OneToOneField(Measurement, on_delete=models.PROTECT, related_name="withdrawal")
    reason = models.TextField()
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"withdrawal of {self.measurement_id}"


class EnvironmentLock(models.Model):
    """What the environment lock of a version's commit says: read in the sandbox, once for each state of the rules."""

    version = models.OneToOneField(Version, on_delete=models.CASCADE, related_name="environment_lock")
    rules = models.CharField(max_length=40)
    path = models.CharField(max_length=300, blank=True)
    """Empty when the commit has none."""
    content = models.JSONField(default=dict)
    """`{format, problem, others, notes, is_cut, packages: [{name, version, wanted, ecosystem, has_hash}]}`."""
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.path or "no environment lock"


class LatestVersion(models.Model):
    """The newest version of a repository by the order of names, kept with each release and withdrawal, because databases cannot sort
    by it."""

    repo = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="latest_row")
    version = models.OneToOneField(Version, on_delete=models.PROTECT, related_name="latest_of")

    def __str__(self) -> str:
        return f"latest of {self.repo_id}"


class VersionAlias(models.Model):
    """A word that names a version and can be moved to another: `champion`."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=40)
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="aliases")
    moved_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint("repo", Lower("name"), name="version_alias_ci")]

    def __str__(self) -> str:
        return self.name


class AliasMove(models.Model):
    """An alias was set, moved or removed (`version` is null); append-only."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="alias_moves")
    name = models.CharField(max_length=40)
    version = models.ForeignKey(Version, null=True, on_delete=models.PROTECT, related_name="+")
    before = models.ForeignKey(Version, null=True, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return self.name


class SigningKey(models.Model):
    """A key pair of a namespace. The private half of a key that this site made is sealed, and forgotten as soon as the key is retired;
    that of one its owners brought (`is_external`) was never here. The public half stays for good, because signatures made with it do."""

    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="signing_keys")
    algorithm = models.CharField(max_length=16)
    key_id = models.CharField(max_length=64)
    """SHA-256 (hex) of `public_pem`: what a signature names its key by."""
    name = models.CharField(max_length=80, blank=True)
    is_external = models.BooleanField(default=False)
    public_pem = models.TextField()
    sealed_private = models.TextField(blank=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    retired_at = models.DateTimeField(null=True)
    """It signs nothing any more; what it signed stays good."""
    revoked_at = models.DateTimeField(null=True)
    """Nothing that comes with a signature of it later is taken; what came before stays good, and says that it was revoked since."""
    revocation_reason = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["namespace", "algorithm"],
                condition=models.Q(retired_at__isnull=True, is_external=False),
                name="one_active_key",
            ),
            models.UniqueConstraint(fields=["namespace", "key_id"], name="signing_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.algorithm} {self.key_id[:12]}"


class VersionSignature(models.Model):
    """One key's signature of the list of a version's files; append-only."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="signatures")
    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="signatures")
    statement = models.BinaryField()
    """The in-toto statement that was signed, compressed with zlib."""
    signature = models.BinaryField()
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "key"], name="signed_once_by_key")]

    def __str__(self) -> str:
        return f"signature by {self.key_id}"
