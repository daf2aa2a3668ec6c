"""Who has fetched files of a repository, and from which state of it."""

from django.db import models

from common.clock import now
from registry.models.history import Commit
from registry.models.repos import Repo


class RepoReading(models.Model):
    """A person has opened or downloaded files of a commit, on `days` days. Not which files, and not how many."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    commit = models.ForeignKey(Commit, on_delete=models.CASCADE, related_name="+")
    days = models.PositiveIntegerField(default=1)
    """UTC days."""
    last_on = models.DateField()
    first_at = models.DateTimeField(default=now)
    last_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repo", "user", "commit"], name="repo_reading_once")]

    def __str__(self) -> str:
        return f"{self.user_id} read {self.commit_id}"
