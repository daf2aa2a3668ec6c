"""Where a repository was brought from, and keeps coming from."""

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.states import SourceProtocol, SourceState


class RepoSource(models.Model):
    """The place elsewhere that a repository is imported from, once, or again and again: then it is a mirror. `url` is the address
    of a git repository, or that of a hub which knows the repository as `remote_name`."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.OneToOneField(Repo, on_delete=models.CASCADE, related_name="source")
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    """For whom: without the right to write, nothing is brought any more."""
    protocol = models.CharField(max_length=8, choices=[(each.value, each.value) for each in SourceProtocol])
    url = models.CharField(max_length=500)
    remote_name = models.CharField(max_length=200, blank=True)
    is_without_git = models.BooleanField(default=False)
    """The hub offers no git: its history was walked by the Hugging Face protocol, and must be ever after, because ids differ."""
    username = models.CharField(max_length=200, blank=True)
    sealed_token = models.TextField(blank=True)
    """Encrypted (common.sealed)."""
    every_h = models.PositiveIntegerField(default=0)
    """Hours between two looks at the source; 0: imported once."""
    state = models.CharField(max_length=10, default=SourceState.WAITING)
    progress = models.CharField(max_length=300, blank=True)
    problem = models.CharField(max_length=1000, blank=True)
    """Why the last run failed."""
    skipped = models.JSONField(default=list)
    """`[ref, reason]` of branches and tags that could not be taken, while the others were."""
    rewritten = models.JSONField(default=list)
    """The last branches that the source rewrote: `{branch, before, after, at}`, newest first."""
    failures_in_a_row = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    """When the next run is due; while one goes on, when it will be thought dead."""
    created_at = models.DateTimeField(default=now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(protocol__in=[each.value for each in SourceProtocol]), name="repo_source_protocol"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[each.value for each in SourceState]), name="repo_source_state"
            ),
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="repo_source_due")]

    def __str__(self) -> str:
        return f"{self.repo_id} from {self.url} {self.remote_name}".strip()

    @property
    def is_mirror(self) -> bool:
        """Whether it still follows its source."""
        return self.every_h > 0 and self.state != SourceState.STOPPED

    @property
    def is_in_charge(self) -> bool:
        """Whether it decides on the repository's branches and tags at present."""
        if self.state in {SourceState.CANCELLED, SourceState.STOPPED}:
            return False
        return self.every_h > 0 or self.state != SourceState.DONE

    @property
    def address(self) -> str:
        """Where the source is, for people."""
        return f"{self.url.rstrip('/')}/{self.remote_name}" if self.remote_name else self.url
