"""Liking repositories."""

from django.db import transaction
from django.db.models import F

from accounts.actors import Actor
from accounts.permissions import Action, Scope
from common.errors import Forbidden
from registry.models import Repo, RepoLike
from registry.policies import require_repo_by_uuid

TREND_OF_LIKE = 1000
"""A like shows as much interest as ten downloads."""


def like(actor: Actor, repo: Repo) -> bool:
    """Note that the actor likes the repository; returns whether that is new. The counter moves with the row, so it is exact."""
    repo = _required(actor, repo)
    with transaction.atomic():
        _, is_new = RepoLike.objects.get_or_create(repo=repo, user_id=actor.person_id)
        if is_new:
            Repo.objects.filter(pk=repo.pk).update(likes=F("likes") + 1, trend=F("trend") + TREND_OF_LIKE)
    return is_new


def unlike(actor: Actor, repo: Repo) -> bool:
    """Take a like back; returns whether there was one."""
    repo = _required(actor, repo)
    with transaction.atomic():
        gone, _ = RepoLike.objects.filter(repo=repo, user_id=actor.person_id).delete()
        if gone:
            Repo.objects.filter(pk=repo.pk).update(likes=F("likes") - 1)
    return bool(gone)


def _required(actor: Actor, repo: Repo) -> Repo:
    actor.require_authenticated()
    actor.require_scope(Scope.REPO_WRITE)
    if actor.user_id is None:
        raise Forbidden("Only a person can like something.")
    return require_repo_by_uuid(actor, repo.uuid, Action.REPO_DISCOVER)
