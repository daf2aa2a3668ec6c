"""Repositories and the rights on them."""

from django.db import models
from django.db.models.functions import Lower

from accounts.guarded import GroupGrantBase, UserGrantBase
from common.clock import now
from common.ids import NAME_LIMIT, new_uuid
from registry.states import Gate, RepoKind, Visibility


class Repo(models.Model):
    """A model, dataset or algorithm with its history, in a namespace. `card` is the front matter of README.md on the default
    branch; `licence`, `task`, `library` and the rows of RepoTag are taken from it for filtering."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="repos")
    kind = models.CharField(max_length=12, choices=[(kind.value, kind.value) for kind in RepoKind])
    name = models.CharField(max_length=NAME_LIMIT)
    visibility = models.CharField(max_length=12, choices=[(each.value, each.value) for each in Visibility])
    gate = models.CharField(max_length=8, blank=True, choices=[(each.value, each.value) for each in Gate])
    description = models.CharField(max_length=400, blank=True)
    default_branch = models.CharField(max_length=200, default="main")
    card = models.JSONField(default=dict)
    licence = models.CharField(max_length=80, blank=True)
    task = models.CharField(max_length=80, blank=True)
    library = models.CharField(max_length=80, blank=True)
    downloads = models.BigIntegerField(default=0)
    likes = models.BigIntegerField(default=0)
    trend = models.BigIntegerField(default=0)
    """Downloads and likes of late: each adds to it, and every day a tenth of it fades."""
    facts = models.JSONField(default=dict)
    """What the files of the default branch say: `{config, safetensors}` of a model, `{documents}` (services/facts.py)."""
    parameter_count = models.BigIntegerField(null=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    deleted_at = models.DateTimeField(null=True)
    purged_at = models.DateTimeField(null=True)
    """When its files were given up after it had been deleted: from then on it cannot be brought back."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "namespace", "kind", Lower("name"), condition=models.Q(deleted_at__isnull=True), name="repo_name_ci"
            ),
            models.CheckConstraint(condition=models.Q(kind__in=[each.value for each in RepoKind]), name="repo_kind"),
            models.CheckConstraint(
                condition=models.Q(visibility__in=[each.value for each in Visibility]), name="repo_visibility"
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "-updated_at", "-id"], name="repo_newest"),
            models.Index(fields=["kind", "-downloads", "-id"], name="repo_downloads"),
            models.Index(fields=["kind", "-likes", "-id"], name="repo_likes"),
            models.Index(fields=["kind", "-trend", "-id"], name="repo_trend"),
            models.Index(fields=["namespace", "-updated_at", "-id"], name="repo_in_namespace"),
        ]
        permissions = [
            (f"{level}_repo", f"Can {level} the repository") for level in ("discover", "use", "read", "write", "admin")
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return self.name


class RepoTag(models.Model):
    """One tag of a repository's card, for filters: `license:mit`, `tabular-classification`, `dataset:digits`…"""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="tag_rows")
    tag = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tag", "repo"], name="repo_tag_once")]

    def __str__(self) -> str:
        return self.tag


class RepoUserGrant(UserGrantBase):
    """A right of one person on one repository."""

    content_object = models.ForeignKey(Repo, on_delete=models.CASCADE)

    class Meta(UserGrantBase.Meta):
        abstract = False
        indexes = [models.Index(fields=["source"], name="repo_user_grant_source")]


class RepoGroupGrant(GroupGrantBase):
    """A right of an organisation or a team on one repository."""

    content_object = models.ForeignKey(Repo, on_delete=models.CASCADE)

    class Meta(GroupGrantBase.Meta):
        abstract = False
        indexes = [models.Index(fields=["source"], name="repo_group_grant_source")]
