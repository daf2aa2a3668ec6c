"""Giving others a right on a repository, and taking it back."""

from django.db import transaction

from accounts.actors import Actor
from accounts.directory import people_behind
from accounts.permissions import Action, Level
from accounts.services import grants
from accounts.services.grants import Holder
from notices.services import notify_users
from registry.models import Repo
from registry.policies import require_repo_by_uuid


def share(actor: Actor, repo: Repo, holder: Holder, level: Level = Level.READ) -> None:
    """Give a person, an organisation or a team a right on the repository. It takes the place of an earlier share, and they are
    told. Needs the right to administer. A second call changes nothing. Raises Invalid for the owner."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    with transaction.atomic():
        if grants.share(actor, repo, holder, level):
            name = f"{repo.namespace.name}/{repo.name}"
            notify_users(
                people_behind(holder),
                "share",
                f"{actor.username or 'The operator'} shared the {repo.kind} {name} with you: {level.codename}.",
                url=f"/subjects/{repo.kind}/{repo.uuid}",
            )


def unshare(actor: Actor, repo: Repo, holder: Holder) -> int:
    """Take back what `share` gave; returns how many grants ended. Roles and bought rights stay."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    return grants.revoke_for(actor, repo, holder, source=grants.SHARE)
