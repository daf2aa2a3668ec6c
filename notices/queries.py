"""Reading one's notices."""

from django.db.models import Count

from accounts.actors import Actor
from common.pagination import Page, keyset_page
from notices.models import Notice


def notices_of(
    actor: Actor, *, topic: str = "", is_unread: bool = False, cursor: str | None = None, limit: int = 30
) -> Page[Notice]:
    """The actor's notices, newest first; of one topic, or only those not read yet. One query."""
    rows = Notice.objects.filter(user_id=actor.person_id)
    if topic:
        rows = rows.filter(topic=topic)
    if is_unread:
        rows = rows.filter(read_at__isnull=True)
    return keyset_page(rows, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def unread_count(actor: Actor) -> int:
    """How many the actor has not read: one count on a partial index."""
    return Notice.objects.filter(user_id=actor.person_id, read_at__isnull=True).count() if actor.user_id else 0


def unread_by_topic(actor: Actor) -> dict[str, int]:
    """How many the actor has not read, by topic. One query."""
    unread = Notice.objects.filter(user_id=actor.person_id, read_at__isnull=True)
    return dict(unread.values_list("topic").annotate(count=Count("pk")).order_by())
