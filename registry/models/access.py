"""Asking for the content of a gated repository."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from registry.models.repos import Repo
from registry.states import AccessState


class AccessRequest(models.Model):
    """One holder's wish to read a gated repository, and what became of it; one row per holder. The holder is a person, or an
    organisation or team that `asked_by` speaks for. While it is accepted, a grant of the source `access:<uuid>` is open."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="access_requests")
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.CASCADE, related_name="+")
    organization = models.ForeignKey("accounts.Organization", null=True, on_delete=models.CASCADE, related_name="+")
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    """Null when access was granted without having been asked for."""
    state = models.CharField(max_length=8, choices=[(each.value, each.value) for each in AccessState])
    answers = models.JSONField(default=dict)
    """What was filled in: label of the field -> answer."""
    reason = models.CharField(max_length=200, blank=True)
    """Why it was rejected; the asker reads it."""
    decided_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["repo", "user"], name="access_of_user_once"),
            models.UniqueConstraint(fields=["repo", "organization"], name="access_of_organization_once"),
            models.UniqueConstraint(fields=["repo", "team"], name="access_of_team_once"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, organization__isnull=True, team__isnull=True)
                | models.Q(user__isnull=True, organization__isnull=False, team__isnull=True)
                | models.Q(user__isnull=True, organization__isnull=True, team__isnull=False),
                name="access_one_holder",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[each.value for each in AccessState]), name="access_state"
            ),
        ]
        indexes = [models.Index(fields=["repo", "state", "-created_at", "-id"], name="access_by_state")]

    def __str__(self) -> str:
        return f"{self.uuid} ({self.state})"

    @property
    def source(self) -> str:
        """Names this row as the origin of its grant."""
        return f"access:{self.uuid}"
