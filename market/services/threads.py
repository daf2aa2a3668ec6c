"""Questions and discussions on listings. Whoever sees a listing reads them and, signed in, takes part."""

import re
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Max

from accounts import actors, directory, throttle
from accounts.actors import Actor
from accounts.permissions import Scope
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from market.addresses import thread_address
from market.community_policies import require_post, require_thread, speaks_for_seller
from market.models import Listing, ListingPost, ListingThread
from market.policies import require_listing_by_uuid
from market.services import market_events
from market.services.buyer_reviews import clean_text
from market.states import ThreadKind, ThreadState
from notices.services import notify, notify_users

TITLE_LIMIT = 200
TEXT_LIMIT = 10_000
POSTS_AN_HOUR = 60
MENTIONS = 10
"""People that one post tells of their mention; who names more of them wants something else."""
_MENTION = re.compile(r"(?<![\w/.@-])@([A-Za-z0-9][A-Za-z0-9._-]{0,95})")


def open_thread(actor: Actor, listing: Listing, *, kind: str, title: str, text: str) -> ListingThread:
    """Ask a question about a listing, or begin a discussion. Writes thread, first post, audit, notices to the seller and to those
    mentioned who may see the listing. Raises Invalid, NotFound, TooMany."""
    _require_person(actor)
    listing = require_listing_by_uuid(actor, listing.uuid)
    if kind not in list(ThreadKind):
        raise Invalid("It is a question or a discussion.", fields={"kind": "unknown"})
    words, said = " ".join(title.replace("\x00", "").split()), _text(text)
    if not 1 <= len(words) <= TITLE_LIMIT:
        raise Invalid(f"A title has 1 to {TITLE_LIMIT} characters.", fields={"title": f"1 to {TITLE_LIMIT} characters"})
    _slow_down(actor)
    with transaction.atomic():
        # numbers are given out under the listing's lock, so that none is given twice
        row = (
            Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)
        )
        last = ListingThread.objects.filter(listing=row).aggregate(last=Max("number"))["last"]
        thread = ListingThread.objects.create(
            listing=row, number=(last or 0) + 1, kind=kind, title=words, author_id=actor.user_id
        )
        post = _post(actor, thread, said)
        audit.record(
            actor, "market:thread:opened", "listing", row.uuid, namespace_id=row.namespace_id, number=thread.number
        )
        asked = "asks about" if kind == ThreadKind.QUESTION else "began a discussion on"
        _tell_mentioned(actor, thread, post)
        if not post.is_sellers:
            notify(
                row.namespace_id,
                "market:community:asked",
                f"{actor.label} {asked} {row.title}: {words}",
                url=thread_address(thread),
                key=f"asked:{post.uuid}",
            )
        market_events.tell_of_thread(thread, actor.label)
    return thread


def write_post(actor: Actor, thread: ListingThread, *, text: str) -> ListingPost:
    """Answer in a thread. Writes the post and notices to those who took part and those mentioned. Raises Invalid, Conflict when it is
    closed, NotFound, TooMany."""
    _require_person(actor)
    listing, said = require_listing_by_uuid(actor, thread.listing.uuid), _text(text)
    _slow_down(actor)
    with transaction.atomic():
        row = _locked(actor, listing, thread)
        if row.state == ThreadState.CLOSED:
            raise Conflict("This thread is closed: reopen it, or open another.", code="closed")
        post = _post(actor, row, said)
        mentioned = _tell_mentioned(actor, row, post)
        took_part = set(ListingPost.objects.filter(thread=row).values_list("author_id", flat=True))
        others = took_part | set(directory.people_of(listing.namespace_id))
        _tell(actor, row, others - mentioned, f"wrote in “{row.title}” on {listing.title}", post)
    return post


def edit_post(actor: Actor, post: ListingPost, *, text: str) -> ListingPost:
    """Change what one has written; what it said before stays readable. The same words again change nothing. Raises Invalid, Conflict
    for a deleted one, Forbidden for another's."""
    said = _text(text)
    with transaction.atomic():
        row = _own(actor, post)
        if row.text == said:
            return row
        written = row.edited_at or row.created_at
        row.history = [*row.history, {"text": row.text, "at": written.isoformat()}]
        row.text, row.edited_at = said, now()
        row.save(update_fields=["text", "history", "edited_at"])
        _tell_mentioned(actor, row.thread, row)
    return row


def delete_post(actor: Actor, post: ListingPost) -> ListingPost:
    """Take away what one has written, with its earlier wordings, for good; its place stays. A second call changes nothing. Raises
    Forbidden for another's."""
    with transaction.atomic():
        row = _own(actor, post, is_deleted_fine=True)
        if row.deleted_at is None:
            row.text, row.history, row.deleted_at = "", [], now()
            row.save(update_fields=["text", "history", "deleted_at"])
            ListingThread.objects.filter(pk=row.thread_id, accepted=row).update(accepted=None)
            _record(actor, "market:post:deleted", row.thread, post=str(row.uuid))
    return row


def accept_answer(actor: Actor, thread: ListingThread, post: ListingPost | None) -> ListingThread:
    """Say which answer has settled a question, or (None) that none has. Its asker and the seller may. Writes thread, notice to who wrote
    it; the same again changes nothing. Raises Conflict, Forbidden, NotFound."""
    listing = require_listing_by_uuid(actor, thread.listing.uuid)
    with transaction.atomic():
        row = _locked(actor, listing, thread)
        _require_owner(actor, row, listing)
        if row.kind != ThreadKind.QUESTION:
            raise Conflict("Only questions have an accepted answer.", code="no_question")
        if post is not None:
            first = ListingPost.objects.filter(thread=row).order_by("pk").values_list("pk", flat=True).first()
            if post.thread_id != row.pk or post.pk == first:
                raise NotFound("There is no such answer.")
            if post.deleted_at is not None or post.hidden_at is not None:
                raise Conflict("This answer is not shown any more.", code="not_shown")
        if row.accepted_id == (post.pk if post else None):
            return row
        row.accepted = post
        row.save(update_fields=["accepted"])
        if post is not None and post.author_id not in {None, actor.user_id}:
            _tell(actor, row, {post.author_id}, f"accepted your answer to “{row.title}”", post, key="accepted")
    return row


def set_state(actor: Actor, thread: ListingThread, *, is_open: bool) -> ListingThread:
    """Close a thread, or open it again: its author, the seller and staff may. Writes state and audit; the same again changes nothing.
    Raises Forbidden, NotFound."""
    listing = require_listing_by_uuid(actor, thread.listing.uuid)
    wanted = ThreadState.OPEN if is_open else ThreadState.CLOSED
    with transaction.atomic():
        row = _locked(actor, listing, thread)
        if not actor.is_staff:
            _require_owner(actor, row, listing)
        if row.state != wanted:
            row.state, row.updated_at = wanted, now()
            row.save(update_fields=["state", "updated_at"])
            _record(actor, "market:thread:reopened" if is_open else "market:thread:closed", row)
    return row


def _post(actor: Actor, thread: ListingThread, text: str) -> ListingPost:
    post = ListingPost.objects.create(
        thread=thread, author_id=actor.user_id, text=text, is_sellers=speaks_for_seller(actor, thread.listing)
    )
    thread.updated_at, thread.posts_count = now(), thread.posts_count + 1
    ListingThread.objects.filter(pk=thread.pk).update(updated_at=thread.updated_at, posts_count=F("posts_count") + 1)
    return post


def _tell_mentioned(actor: Actor, thread: ListingThread, post: ListingPost) -> set[int]:
    """Tell the people named with an @ who may see the listing; returns who they are. An edited post tells nobody twice."""
    names = list(dict.fromkeys(name.rstrip(".").lower() for name in _MENTION.findall(post.text)))[:MENTIONS]
    told = set()
    for person in directory.people_named(names) if names else ():
        if person.pk != actor.user_id and _may_see(person, thread.listing):
            told.add(person.pk)
    text = f"{actor.label} mentioned you in “{thread.title}” on {thread.listing.title}."
    notify_users(told, "market:mention", text, url=_address(thread, post), key=f"mention:{post.uuid}")
    return told


def _may_see(person: object, listing: Listing) -> bool:
    try:
        require_listing_by_uuid(actors.for_user(person), listing.uuid)  # type: ignore[arg-type]
    except DomainError:
        return False
    return True


def _tell(
    actor: Actor, thread: ListingThread, people: "Iterable[int | None]", did: str, post: ListingPost, key: str = "post"
) -> None:
    others = [pk for pk in people if pk and pk != actor.user_id]
    text = f"{actor.label} {did}."
    notify_users(others, "market:community:answered", text, url=_address(thread, post), key=f"{key}:{post.uuid}")


def _address(thread: ListingThread, post: ListingPost) -> str:
    return f"{thread_address(thread)}#post-{post.uuid}"


def _locked(actor: Actor, listing: Listing, thread: ListingThread) -> ListingThread:
    require_thread(actor, listing, thread.number)
    row = ListingThread.objects.select_for_update(of=("self",), no_key=True).get(pk=thread.pk)
    row.listing = listing
    return row


def _own(actor: Actor, post: ListingPost, *, is_deleted_fine: bool = False) -> ListingPost:
    found = require_post(actor, post.uuid)
    _require_person(actor)
    if found.author_id != actor.user_id:
        raise Forbidden("Only its author changes a post.", code="not_yours")
    rows = ListingPost.objects.select_for_update(of=("self",), no_key=True)
    row = rows.select_related("thread__listing__namespace").get(pk=found.pk)
    if row.deleted_at is not None and not is_deleted_fine:
        raise Conflict("It is deleted.", code="deleted")
    return row


def _require_owner(actor: Actor, thread: ListingThread, listing: Listing) -> None:
    _require_person(actor)
    if thread.author_id != actor.user_id and not speaks_for_seller(actor, listing):
        raise Forbidden("Only who opened it and the seller may do this.")


def _require_person(actor: Actor) -> None:
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person takes part in discussions.")


def _slow_down(actor: Actor) -> None:
    throttle.hit("posts", str(actor.person_id), limit=POSTS_AN_HOUR, window_s=3600)


def _text(text: str) -> str:
    words = clean_text(text, TEXT_LIMIT)
    if not words:
        raise Invalid("Write something first.", fields={"text": "needed"})
    return words


def _record(actor: Actor, tag: str, thread: ListingThread, **detail: object) -> None:
    listing = thread.listing
    audit.record(actor, tag, "listing", listing.uuid, namespace_id=listing.namespace_id, number=thread.number, **detail)
