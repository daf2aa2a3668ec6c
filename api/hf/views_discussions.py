"""Discussions and pull requests."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire_community as wire
from api.hf.bodies import json_object, text_of
from api.hf.routing import flag, uuid_of, whole_number
from api.hf.wire import json_response
from common.errors import Invalid, NotFound
from registry import community_queries as queries
from registry.differences import unified_diff
from registry.errors import RevisionNotFound
from registry.policies import require_repo
from registry.queries import authors_of
from registry.services import discussions, pulls
from registry.states import DiscussionState

if TYPE_CHECKING:
    from registry.models import Discussion, Repo

_KINDS = ("all", "discussion", "pull_request")
_STATES = ("all", "open", "closed")
_NUMBER_DIGITS = 9
_LAST_PAGE = 100_000


def listing(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """A page of discussions, the newest first; pages are numbered from 0."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    number = request.GET.get("p") or "0"
    page = 0 if number == "0" else whole_number(number, default=0, maximum=_LAST_PAGE)
    rows, count = queries.page_of_discussions(
        repo,
        kind=_choice(request, "type", _KINDS),
        state=_choice(request, "status", _STATES),
        author=request.GET.get("author", "")[:200],
        page=page,
    )
    authors = authors_of(repo, "discussion", rows)
    return json_response(
        {
            "discussions": [wire.discussion(row, repo, authors[row.pk]) for row in rows],
            "count": count,
            "start": page * queries.DISCUSSIONS_PER_PAGE,
        }
    )


def create(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """A discussion, or a draft of a pull request: commits to `refs/pr/<number>` follow."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    data = json_object(request)
    title, text = text_of(data, "title", max_length=1000), text_of(data, "description", max_length=100_000)
    begin = pulls.open_pull_request if data.get("pullRequest") is True else discussions.open_discussion
    opened = begin(actor, repo, title, text)
    return json_response({"num": opened.number, **wire.discussion(queries.discussion_of(repo, opened.number), repo)})


def details(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str) -> HttpResponse:
    """A discussion with its events; of a pull request also the target, what conflicts, and the difference if it is asked for."""
    repo, row = _found(actor, kind, namespace, name, number)
    events = list(queries.events_of(row))
    names, author = authors_of(repo, "event", events), authors_of(repo, "discussion", [row])[row.pk]
    told = [wire.discussion_event(event, names[event.pk]) for event in events]
    data = wire.discussion(row, repo, author) | {"events": told}
    if row.is_pull_request:
        data |= _pull_request(row, with_diff=flag(request.GET.get("diff")))
    return json_response(data)


def comment(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str) -> HttpResponse:
    repo, row = _found(actor, kind, namespace, name, number)
    text = text_of(json_object(request), "comment", max_length=100_000)
    return json_response({"newMessage": wire.discussion_event(discussions.comment(actor, repo, row, text))})


def edit(
    request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str, event: str
) -> HttpResponse:
    repo, row = _found(actor, kind, namespace, name, number)
    text = text_of(json_object(request), "content", max_length=100_000)
    edited = discussions.edit_comment(actor, repo, row, uuid_of(event), text)
    return json_response({"updatedComment": wire.discussion_event(edited)})


def hide(
    request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str, event: str
) -> HttpResponse:
    repo, row = _found(actor, kind, namespace, name, number)
    hidden = discussions.hide_comment(actor, repo, row, uuid_of(event))
    return json_response({"updatedComment": wire.discussion_event(hidden)})


def rename(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str) -> HttpResponse:
    repo, row = _found(actor, kind, namespace, name, number)
    title = text_of(json_object(request), "title", max_length=1000)
    renamed = discussions.rename_discussion(actor, repo, row, title)
    return json_response({"newTitle": wire.discussion_event(renamed)})


def status(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str) -> HttpResponse:
    repo, row = _found(actor, kind, namespace, name, number)
    data = json_object(request)
    text = text_of(data, "comment", default="", max_length=100_000)
    changed = discussions.change_status(actor, repo, row, text_of(data, "status", max_length=20), text=text)
    return json_response({"newStatus": wire.discussion_event(changed)})


def merge(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, number: str) -> HttpResponse:
    repo, row = _found(actor, kind, namespace, name, number)
    text = text_of(json_object(request), "comment", default="", max_length=100_000)
    merged = pulls.merge_pull_request(actor, repo, row, text=text)
    return json_response({"mergeCommitId": merged.oid})


def _found(actor: Actor, kind: str, namespace: str, name: str, number: str) -> "tuple[Repo, Discussion]":
    repo = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    if not number.isascii() or not number.isdigit() or len(number) > _NUMBER_DIGITS:
        raise NotFound("A discussion is named by its number.")
    return repo, queries.discussion_of(repo, int(number))


def _pull_request(row: "Discussion", *, with_diff: bool) -> dict[str, Any]:
    assert row.branch is not None
    assert row.base is not None
    changes = {"base": f"refs/heads/{row.target}"}
    if row.merge_commit is not None:
        changes["mergeCommitId"] = row.merge_commit.oid
    data: dict[str, Any] = {"changes": changes, "filesWithConflicts": _conflicts(row)}
    if with_diff:
        data["diff"] = unified_diff(row.base.tree, row.branch.head.tree)
    return data


def _conflicts(row: "Discussion") -> list[str] | bool:
    """The paths that stand in the way of merging; True when it is impossible for another reason."""
    if row.state not in {DiscussionState.DRAFT, DiscussionState.OPEN}:
        return []
    try:
        return pulls.merge_of(row).conflicts
    except (Invalid, RevisionNotFound):
        return True


def _choice(request: HttpRequest, name: str, choices: tuple[str, ...]) -> str:
    value = request.GET.get(name) or "all"
    if value not in choices:
        raise Invalid(f"{name} must be one of: {', '.join(choices)}.", fields={name: "unknown"})
    return value
