"""Noting that somebody has fetched files: what a buyer's review of a listing is checked against."""

from collections.abc import Iterable

from django.core.cache import cache
from django.db.models import F

from accounts.actors import Actor
from common.clock import now
from registry.models import Commit, Repo, RepoReading

_REMEMBERED_S = 60


def note_reading(actor: Actor, repo: Repo, commit: Commit) -> None:
    """Note that the actor has got files of `commit` today; nobody in particular is not noted. Once a minute it is a write or two, else a
    look into the cache: a repository of ten thousand files costs hardly more than one of one. Harmless twice: the day stands in the row."""
    if actor.user_id is None:
        return
    at = now()
    key = f"reading:{repo.pk}:{actor.user_id}:{commit.pk}"
    if not cache.add(key, 1, _REMEMBERED_S):
        return
    _, is_new = RepoReading.objects.get_or_create(
        repo=repo, user_id=actor.user_id, commit=commit, defaults={"last_on": at.date(), "first_at": at, "last_at": at}
    )
    if is_new:
        return
    rows = RepoReading.objects.filter(repo=repo, user_id=actor.user_id, commit=commit)
    if not rows.filter(last_on__lt=at.date()).update(days=F("days") + 1, last_on=at.date(), last_at=at):
        rows.update(last_at=at)


def note_fetched(actor: Actor, repo: Repo, oids: Iterable[str]) -> None:
    """`note_reading` of the commits that a git client has fetched, by their ids; the first ten count."""
    if actor.user_id is None:
        return
    for commit in Commit.objects.filter(repo=repo, oid__in=list(oids)[:10]):
        note_reading(actor, repo, commit)
