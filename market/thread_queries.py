"""What is seen of questions and discussions. The caller has obtained the listing."""

from accounts.actors import Actor
from common.pagination import Page, keyset_page
from market.community_policies import threads_of
from market.models import Listing, ListingPost, ListingThread

NEWEST = ("-updated_at", "-pk")


def page_of_threads(
    listing: Listing, *, kind: str = "", state: str = "", cursor: str | None = None, limit: int = 20
) -> Page[ListingThread]:
    """Questions and discussions, the one written in last first. One query."""
    rows = threads_of(listing)
    if kind:
        rows = rows.filter(kind=kind)
    if state:
        rows = rows.filter(state=state)
    return keyset_page(rows, order=NEWEST, cursor=cursor, limit=limit)


def page_of_posts(thread: ListingThread, *, cursor: str | None = None, limit: int = 50) -> Page[ListingPost]:
    """What was written, in order, with who wrote it; deleted and hidden ones have their place. One query."""
    posts = ListingPost.objects.filter(thread=thread).select_related("author")
    return keyset_page(posts, order=("pk",), cursor=cursor, limit=limit)


def text_for(actor: Actor, post: ListingPost) -> str:
    """What the actor may read of a post: nothing of a deleted one; of a hidden one only its author and staff read the text."""
    if post.deleted_at is not None:
        return ""
    if post.hidden_at is not None and not (actor.is_staff or actor.is_system or post.author_id == actor.person_id):
        return ""
    return post.text
