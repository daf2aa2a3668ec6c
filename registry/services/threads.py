"""The events of discussions and pull requests, written in the transaction of the deed they tell of."""

from typing import Any

from accounts.actors import Actor
from common.clock import now
from registry.models import Commit, Discussion, DiscussionEvent, Repo
from registry.states import EventKind


def write_event(
    actor: Actor, discussion: Discussion, kind: EventKind, *, text: str = "", data: dict[str, Any] | None = None
) -> DiscussionEvent:
    """Append an event, and note that the discussion has changed."""
    discussion.updated_at = now()
    Discussion.objects.filter(pk=discussion.pk).update(updated_at=discussion.updated_at)
    return DiscussionEvent.objects.create(
        discussion=discussion, kind=kind, author_id=actor.user_id, text=text, data=data or {}
    )


def note_commit(actor: Actor, repo: Repo, branch: str, commit: Commit) -> None:
    """A commit was made on the branch of a pull request."""
    pull = Discussion.objects.filter(repo=repo, branch__name=branch).first()
    if pull is not None:
        write_event(actor, pull, EventKind.COMMIT, data={"subject": commit.summary, "oid": commit.oid})
