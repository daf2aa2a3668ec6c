"""Reading one's notices."""

from accounts.actors import Actor
from common.pagination import Page, keyset_page
from notices.models import Notice


def notices_of(actor: Actor, *, cursor: str | None = None, limit: int = 30) -> Page[Notice]:
    """The actor's notices, newest first."""
    return keyset_page(
        Notice.objects.filter(user_id=actor.person_id), order=("-created_at", "-pk"), cursor=cursor, limit=limit
    )


def unread_count(actor: Actor) -> int:
    """How many the actor has not read: one count on a partial index."""
    return Notice.objects.filter(user_id=actor.person_id, read_at__isnull=True).count() if actor.user_id else 0
