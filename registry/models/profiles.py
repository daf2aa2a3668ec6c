"""What is known of the content of datasets: made in the sandbox, once for each state of files, kept beside the repository."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.models.versions import Version
from registry.states import DerivationState


class DatasetProfile(models.Model):
    """What the files of one tree hold. Never changed; other `rules` of making it make another row."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="profiles")
    tree_oid = models.CharField(max_length=40)
    rules = models.CharField(max_length=40)
    content = models.JSONField()
    """As `backends.datasets.shapes.PROFILE` declares it, with `coverage` and `rules_problem`; or `problem` alone."""
    is_valid = models.BooleanField(null=True)
    """Whether the rules of the dataset are kept; None when it brings none."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "tree_oid", "rules"], name="dataset_profile_once")]

    def __str__(self) -> str:
        return f"profile of {self.tree_oid[:12]}"


class DatasetPicture(models.Model):
    """A thumbnail of a sample: a PNG or JPEG of some kilobytes."""

    profile = models.ForeignKey(DatasetProfile, on_delete=models.CASCADE, related_name="pictures")
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["profile", "number"], name="dataset_picture_once")]

    def __str__(self) -> str:
        return f"picture {self.number} of {self.profile_id}"


class DatasetComparison(models.Model):
    """What differs between the tables of two trees. Never changed."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="comparisons")
    before_oid = models.CharField(max_length=40)
    after_oid = models.CharField(max_length=40)
    key = models.CharField(max_length=400, blank=True)
    """Columns that name a row, with commas between; empty: found for each table."""
    rules = models.CharField(max_length=40)
    content = models.JSONField()
    """As `backends.datasets.shapes.COMPARISON` declares it; or `problem` alone."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["repo", "before_oid", "after_oid", "key", "rules"], name="dataset_comparison_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.before_oid[:12]} to {self.after_oid[:12]}"


class DatasetDerivation(models.Model):
    """A new version asked for: the rows of another one, filtered and split as the recipe says."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="derivations")
    source = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+")
    recipe = models.JSONField()
    """As `backends.datasets.recipes.plain` writes it."""
    version_name = models.CharField(max_length=80)
    state = models.CharField(max_length=12, default=DerivationState.WAITING)
    problem = models.TextField(blank=True)
    version = models.ForeignKey(Version, null=True, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    token_id = models.BigIntegerField(null=True)
    """Of the token it was asked for with: when that is revoked, nothing is made any more."""
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"{self.version_name} from {self.source_id}"
