"""Names that repositories had before."""

from django.db import models
from django.db.models.functions import Lower

from common.clock import now
from common.ids import NAME_LIMIT
from registry.models.repos import Repo
from registry.states import RepoKind


class RepoRedirect(models.Model):
    """An address under which a repository was known: it leads to the repository until somebody takes the name anew."""

    repo = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="redirects")
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12, choices=[(kind.value, kind.value) for kind in RepoKind])
    name = models.CharField(max_length=NAME_LIMIT)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint("namespace", "kind", Lower("name"), name="repo_redirect_ci")]

    def __str__(self) -> str:
        return f"{self.name} -> {self.repo_id}"
