"""Conversations about a repository. Pull requests are among them; what only they do is in `pulls`."""

from uuid import UUID

from django.db import transaction
from django.db.models import Max

from accounts import throttle
from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import hub_time, now
from common.errors import Forbidden, Invalid, NotFound
from notices.services import notify, notify_users
from registry.models import Discussion, DiscussionEvent, Repo
from registry.policies import can, require_participant
from registry.services import events
from registry.services.threads import write_event
from registry.states import DISCUSSIONS, DiscussionState, EventKind

TITLE_LIMITS = (3, 200)
TEXT_LIMIT = 65_536
HISTORY_LIMIT = 100
_PER_HOUR = 300
"""Discussions and comments of one person: far above a conversation, low enough that a runaway script shows."""


def open_discussion(actor: Actor, repo: Repo, title: str, text: str) -> Discussion:
    """Begin a conversation with a comment. Needs the right to read the content. Raises Invalid, TooMany."""
    repo = require_participant(actor, repo)
    slow_down(actor)
    title, text = checked_title(title), checked_text(text)
    with transaction.atomic():
        discussion = Discussion.objects.create(
            repo=repo,
            number=next_number(repo),
            title=title,
            state=DiscussionState.OPEN,
            author_id=actor.user_id,
        )
        note_opening(actor, repo, discussion, text)
    return discussion


def comment(actor: Actor, repo: Repo, discussion: Discussion, text: str) -> DiscussionEvent:
    """Say something. Raises Invalid, TooMany."""
    repo = require_participant(actor, repo)
    slow_down(actor)
    text = checked_text(text)
    with transaction.atomic():
        event = write_event(actor, discussion, EventKind.COMMENT, text=text)
        events.announce_discussion(repo, discussion, "create", event)
        _tell_participants(actor, repo, discussion, f"{actor.username} wrote in {_about(repo, discussion)}.")
    return event


def edit_comment(actor: Actor, repo: Repo, discussion: Discussion, uuid: UUID, text: str) -> DiscussionEvent:
    """Put `text` in place of a comment of one's own; the earlier text stays readable in its history. Raises NotFound, Forbidden,
    Invalid."""
    repo = require_participant(actor, repo)
    slow_down(actor)
    text = checked_text(text)
    with transaction.atomic():
        event = _comment(discussion, uuid)
        if event.author_id != actor.user_id:
            raise Forbidden("You can edit your own comments only.")
        if event.hidden_at is not None:
            raise Forbidden("This comment is hidden; it can't be edited any more.")
        if len(event.history) >= HISTORY_LIMIT:
            raise Invalid(f"A comment can be edited {HISTORY_LIMIT} times: write a new one.")
        earlier = {"text": event.text, "at": hub_time(event.edited_at or event.created_at)}
        event.history, event.text, event.edited_at = [*event.history, earlier], text, now()
        event.save(update_fields=["history", "text", "edited_at"])
        events.announce_discussion(repo, discussion, "update", event)
    return event


def hide_comment(actor: Actor, repo: Repo, discussion: Discussion, uuid: UUID) -> DiscussionEvent:
    """Take a comment's text away for good, its history too. For its author and for who may write to the repository. A second call
    changes nothing. Raises NotFound, Forbidden."""
    repo = require_participant(actor, repo)
    with transaction.atomic():
        event = _comment(discussion, uuid)
        if event.author_id != actor.user_id:
            _require_writer(actor, repo, "hide the comments of others")
        if event.hidden_at is None:
            event.text, event.history, event.hidden_at = "", [], now()
            event.save(update_fields=["text", "history", "hidden_at"])
            _record(actor, repo, "registry:discussion:comment-hidden", discussion, comment=event.uuid.hex)
            events.announce_discussion(repo, discussion, "update", event)
    return event


def rename_discussion(actor: Actor, repo: Repo, discussion: Discussion, title: str) -> DiscussionEvent:
    """Give it another title. For who opened it and for who may write. Raises Invalid, Forbidden."""
    repo = require_participant(actor, repo)
    _require_author_or_writer(actor, repo, discussion)
    title = checked_title(title)
    with transaction.atomic():
        discussion = locked(discussion)
        before, discussion.title = discussion.title, title
        discussion.save(update_fields=["title"])
        event = write_event(actor, discussion, EventKind.TITLE, data={"from": before, "to": title})
        _record(actor, repo, "registry:discussion:changed", discussion, title=title)
        events.announce_discussion(repo, discussion, "update")
    return event


def change_status(
    actor: Actor, repo: Repo, discussion: Discussion, state: DiscussionState | str, *, text: str = ""
) -> DiscussionEvent:
    """Close it or open it again, with a comment if `text` is given. For who opened it and for who may write. Raises Invalid,
    Forbidden, Conflict when it is merged or in that state."""
    repo = require_participant(actor, repo)
    _require_author_or_writer(actor, repo, discussion)
    if state not in {DiscussionState.OPEN, DiscussionState.CLOSED}:
        raise Invalid("A discussion can be open or closed.", fields={"status": "open or closed"})
    with transaction.atomic():
        discussion = locked(discussion)
        DISCUSSIONS.ensure(DiscussionState(discussion.state), DiscussionState(state))
        if text.strip():
            write_event(actor, discussion, EventKind.COMMENT, text=checked_text(text))
        event = settle(actor, repo, discussion, DiscussionState(state))
    return event


def settle(actor: Actor, repo: Repo, discussion: Discussion, state: DiscussionState) -> DiscussionEvent:
    """Write the new state of a locked discussion, in the caller's transaction, and tell those who take part."""
    discussion.state = state
    discussion.save(update_fields=["state", "merge_commit"])
    event = write_event(actor, discussion, EventKind.STATUS, data={"status": str(state)})
    _record(actor, repo, "registry:discussion:changed", discussion, state=str(state))
    events.announce_discussion(repo, discussion, "update")
    _tell_participants(actor, repo, discussion, f"{actor.username} has set {_about(repo, discussion)} to {state}.")
    return event


def next_number(repo: Repo) -> int:
    """The number of the repository's next discussion; holds its row until the transaction ends, so that nobody gets the same."""
    Repo.objects.select_for_update(no_key=True).get(pk=repo.pk)
    return (Discussion.objects.filter(repo=repo).aggregate(last=Max("number"))["last"] or 0) + 1


def note_opening(actor: Actor, repo: Repo, discussion: Discussion, text: str) -> None:
    """What follows from a discussion having been opened: its first comment, audit, and telling the repository's people."""
    if text:
        write_event(actor, discussion, EventKind.COMMENT, text=text)
    _record(actor, repo, "registry:discussion:opened", discussion, title=discussion.title)
    events.announce_discussion(repo, discussion, "create")
    if repo.namespace_id != actor.namespace_id:
        what = "proposes a change" if discussion.is_pull_request else "has opened a discussion"
        notify(
            repo.namespace_id,
            "discussion",
            f"{actor.username} {what}: {_about(repo, discussion)}.",
            url=f"/subjects/{repo.kind}/{repo.uuid}",
            key=f"discussion:{discussion.uuid}",
        )


def locked(discussion: Discussion) -> Discussion:
    """Its present state, held until the transaction ends."""
    return Discussion.objects.select_for_update(of=("self",)).select_related("merge_commit").get(pk=discussion.pk)


def slow_down(actor: Actor) -> None:
    """Raises TooMany for somebody who writes without pause."""
    throttle.hit("discussions", str(actor.person_id), limit=_PER_HOUR, window_s=3600)


def checked_title(title: str) -> str:
    title = " ".join(title.replace("\x00", "").split())
    if not TITLE_LIMITS[0] <= len(title) <= TITLE_LIMITS[1]:
        raise Invalid(
            f"A title has {TITLE_LIMITS[0]} to {TITLE_LIMITS[1]} characters.", fields={"title": "too short or too long"}
        )
    return title


def checked_text(text: str) -> str:
    text = text.strip().replace("\x00", "")
    if not text or len(text) > TEXT_LIMIT:
        raise Invalid(f"A comment has 1 to {TEXT_LIMIT} characters.", fields={"comment": "empty or too long"})
    return text


def _comment(discussion: Discussion, uuid: UUID) -> DiscussionEvent:
    event = (
        DiscussionEvent.objects.select_for_update()
        .filter(discussion=discussion, uuid=uuid, kind=EventKind.COMMENT)
        .first()
    )
    if event is None:
        raise NotFound("There is no such comment.")
    return event


def _require_author_or_writer(actor: Actor, repo: Repo, discussion: Discussion) -> None:
    if discussion.author_id != actor.user_id:
        _require_writer(actor, repo, "change the discussions of others")


def _require_writer(actor: Actor, repo: Repo, deed: str) -> None:
    if not can(actor, repo, Action.REPO_WRITE):
        raise Forbidden(f"Only who may write to {repo.namespace.name}/{repo.name} may {deed}.")


def _tell_participants(actor: Actor, repo: Repo, discussion: Discussion, said: str) -> None:
    people = DiscussionEvent.objects.filter(discussion=discussion, author__isnull=False).values_list(
        "author_id", flat=True
    )
    others = {pk for pk in people.distinct() if pk is not None and pk != actor.user_id}
    notify_users(others, "discussion", said, url=f"/subjects/{repo.kind}/{repo.uuid}", with_mail=False)


def _about(repo: Repo, discussion: Discussion) -> str:
    return f"{repo.namespace.name}/{repo.name} #{discussion.number} {discussion.title[:80]}"


def _record(actor: Actor, repo: Repo, tag: str, discussion: Discussion, **detail: str) -> None:
    audit.record(actor, tag, "repo", repo.uuid, namespace_id=repo.namespace_id, discussion=discussion.number, **detail)
