"""Which versions of a repository people have fetched. The caller has obtained the repository."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from registry.models import RepoReading, Version


@dataclass(frozen=True)
class Readings:
    """`days`: days on which one of the people fetched something, the busiest person's and version's count. `versions`: names, the one
    released last first; empty where only states without a version were fetched."""

    days: int = 0
    versions: tuple[str, ...] = ()


def readings_of(repo: UUID, user_ids: Iterable[int], since: datetime) -> Readings:
    """What these people have fetched of the repository with this uuid after `since`. Two queries."""
    rows = list(
        RepoReading.objects.filter(repo__uuid=repo, user_id__in=list(user_ids), last_at__gte=since).values_list(
            "commit_id", "days"
        )
    )
    if not rows:
        return Readings()
    named = Version.objects.filter(repo__uuid=repo, commit_id__in={commit for commit, _ in rows})
    return Readings(
        max(days for _, days in rows), tuple(named.order_by("-created_at", "-pk").values_list("name", flat=True))
    )
