"""What is in a repository: trees, single paths, history."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire
from api.hf.bodies import json_object, list_of
from api.hf.routing import flag, linked, place_of, whole_number
from common.errors import Invalid
from registry import queries
from registry.policies import require_repo

if TYPE_CHECKING:
    from registry.models import Commit
    from registry.queries import Entry

PAGE_ENTRIES = 1000
EXPANDED_PAGE_ENTRIES = 100
"""With the last commit of each entry the page is smaller, as on the public Hub."""
MAX_PATHS = 1000
"""Clients ask for up to 500 at once."""
_COMMITS_PER_PAGE = 50


def tree(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """One page of a folder, or of everything below it. A path that is missing or a file is EntryNotFound: callers rely on it."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    place = place_of(request, repo, rest)
    expand = flag(request.GET.get("expand"))
    entries, cursor = queries.list_tree(
        place.commit,
        place.path,
        recursive=flag(request.GET.get("recursive")),
        cursor=request.GET.get("cursor"),
        limit=whole_number(
            request.GET.get("limit"), default=EXPANDED_PAGE_ENTRIES if expand else PAGE_ENTRIES, maximum=PAGE_ENTRIES
        ),
    )
    response = linked(wire.json_response(_entries(repo, entries, expand=expand)), request, cursor)
    response["X-Repo-Commit"] = place.commit.oid
    return response


def paths_info(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """The entries of the given paths; unknown ones are left out. The body is a form (current clients) or JSON (older ones)."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    place = place_of(request, repo, rest)
    if request.content_type == "application/json":
        data = json_object(request)
        given = data.get("paths")
        paths = [given] if isinstance(given, str) else list_of(data, "paths", max_length=MAX_PATHS)
        expand = data.get("expand") is True
    else:
        paths, expand = request.POST.getlist("paths"), flag(request.POST.get("expand"))
    if len(paths) > MAX_PATHS or not all(isinstance(path, str) for path in paths):
        raise Invalid(f"Ask for at most {MAX_PATHS} paths at once.")
    found = queries.entries_for(place.commit, [path.strip("/") for path in paths])
    response = wire.json_response(_entries(repo, found, expand=expand))
    response["X-Repo-Commit"] = place.commit.oid
    return response


def commits(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponse:
    """One page of history, newest first."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    place = place_of(request, repo, rest)
    limit = whole_number(request.GET.get("limit"), default=_COMMITS_PER_PAGE, maximum=PAGE_ENTRIES)
    start = queries.resolve_revision(repo, request.GET["cursor"]) if request.GET.get("cursor") else place.commit
    found, following = queries.history(start, limit=limit)
    formatted = "formatted" in request.GET.getlist("expand[]")
    response = wire.json_response([wire.commit(item, formatted=formatted) for item in found])
    return linked(response, request, following)


def _entries(repo: Any, entries: "list[Entry]", *, expand: bool) -> list[dict[str, object]]:
    if not expand:
        return [wire.entry(entry) for entry in entries]
    last: dict[int, Commit] = queries.commits_by_id(entry.commit_id for entry in entries)
    verdicts = queries.verdicts_of_blobs(repo, (entry.ref for entry in entries if not entry.is_dir))
    return [
        wire.entry(entry, last.get(entry.commit_id), None if entry.is_dir else verdicts.get(entry.ref))
        for entry in entries
    ]
