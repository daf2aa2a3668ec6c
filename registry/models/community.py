"""What people do with repositories besides committing: they like them, talk about them, propose changes, put them together."""

from django.db import models
from django.db.models.functions import Lower

from common.clock import now
from common.ids import new_uuid
from registry.models.history import Branch, Commit
from registry.models.repos import Repo
from registry.states import DiscussionState, EventKind


class RepoLike(models.Model):
    """A person likes a repository. `Repo.likes` counts them."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="like_rows")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "user"], name="repo_like_once")]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="repo_like_of_user"),
            models.Index(fields=["repo", "-created_at", "-id"], name="repo_like_of_repo"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} likes {self.repo_id}"


class Discussion(models.Model):
    """A conversation about a repository; a pull request is one with a branch of its own, `refs/pr/<number>`. Both share one range
    of numbers per repository."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="discussions")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=8, choices=[(each.value, each.value) for each in DiscussionState])
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    branch = models.OneToOneField(Branch, null=True, on_delete=models.PROTECT, related_name="pull_request")
    """Set for a pull request, and only then."""
    target = models.CharField(max_length=200, blank=True)
    """Name of the branch that a pull request is to be merged into."""
    base = models.ForeignKey(Commit, null=True, on_delete=models.PROTECT, related_name="+")
    """Where its branch began: what is proposed is the difference from there."""
    merge_commit = models.ForeignKey(Commit, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "number"], name="discussion_number"),
            models.CheckConstraint(
                condition=models.Q(branch__isnull=True, base__isnull=True, target="", state__in=["open", "closed"])
                | (models.Q(branch__isnull=False, base__isnull=False) & ~models.Q(target="")),
                name="discussion_or_pull_request",
            ),
            models.CheckConstraint(
                condition=models.Q(state="merged", merge_commit__isnull=False)
                | (~models.Q(state="merged") & models.Q(merge_commit__isnull=True)),
                name="discussion_merged",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.title[:40]}"

    @property
    def is_pull_request(self) -> bool:
        return self.branch_id is not None


class DiscussionEvent(models.Model):
    """What happened in a discussion, in order. Only comments change afterwards: their author edits them, and hiding one takes its
    text away for good."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    discussion = models.ForeignKey(Discussion, on_delete=models.CASCADE, related_name="events")
    kind = models.CharField(max_length=16, choices=[(each.value, each.value) for each in EventKind])
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    data = models.JSONField(default=dict)
    """Status: `{status}`; title: `{from, to}`; commit: `{subject, oid}`."""
    text = models.TextField(blank=True)
    """A comment as it reads now, markdown."""
    history = models.JSONField(default=list)
    """Earlier texts of a comment, oldest first: `[{text, at}]`."""
    edited_at = models.DateTimeField(null=True)
    hidden_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["discussion", "id"], name="discussion_event_order")]

    def __str__(self) -> str:
        return f"{self.kind} in {self.discussion_id}"


class Collection(models.Model):
    """Repositories that somebody has put together under a title."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="collections")
    title = models.CharField(max_length=60)
    description = models.CharField(max_length=150, blank=True)
    theme = models.CharField(max_length=10, default="blue")
    is_private = models.BooleanField(default=False)
    position = models.IntegerField(default=0)
    """Among the collections of the namespace; the lowest first."""
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint("namespace", Lower("title"), name="collection_title_ci")]
        indexes = [models.Index(fields=["-updated_at", "-id"], name="collection_newest")]

    def __str__(self) -> str:
        return self.title


class CollectionItem(models.Model):
    """A repository in a collection."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="items")
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="+")
    note = models.CharField(max_length=500, blank=True)
    position = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "repo"], name="collection_item_once")]

    def __str__(self) -> str:
        return f"{self.repo_id} in {self.collection_id}"
