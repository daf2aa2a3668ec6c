"""What nothing leads to any more, what was done about it, and how much a namespace may store."""

from django.db import models

from common.clock import now
from registry.models.history import Commit


class LostCommit(models.Model):
    """A commit that no branch, tag, version or pull request leads to, since when. While it is not final, naming it anew finds it
    whole; a final one has given up its files. The commit itself stays: history is kept, not edited."""

    commit = models.OneToOneField(Commit, on_delete=models.CASCADE, related_name="lost")
    since = models.DateTimeField(db_index=True)
    is_final = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.commit_id} since {self.since:%Y-%m-%d}"


class GarbageRun(models.Model):
    """One run of the collection. `tree_high` and `page_high` are the newest rows when it began: what was not in use
    then and is not in use a day later was left by an abandoned commit."""

    started_at = models.DateTimeField(default=now, db_index=True)
    finished_at = models.DateTimeField(null=True)
    tree_high = models.BigIntegerField(default=0)
    page_high = models.BigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    problem = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"run of {self.started_at:%Y-%m-%d %H:%M}"


class NamespaceQuota(models.Model):
    """How many bytes a namespace may store, where staff have set something else than the site's default."""

    namespace = models.OneToOneField("accounts.Namespace", on_delete=models.CASCADE, related_name="+")
    limit_bytes = models.BigIntegerField()
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(limit_bytes__gte=0), name="namespace_quota")]

    def __str__(self) -> str:
        return f"{self.limit_bytes} bytes"
