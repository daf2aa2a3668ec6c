"""Repositories: making, listing, describing, changing, removing."""

import re
from decimal import Decimal
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from api.hf import wire
from api.hf.bodies import json_object, text_of
from api.hf.errors import NotHere
from api.hf.information import EXPANDABLE, information_of, prepare
from api.hf.routing import base_url, flag, linked, place_of, whole_number
from common.errors import Conflict, Invalid
from market.recall_queries import notice_at
from registry import queries
from registry.errors import RepoExists, RepoNotFound
from registry.policies import require_repo
from registry.services import repos

PAGE_REPOS = 100
MAX_PAGE_REPOS = 1000
_KINDS = {"model": "model", "dataset": "dataset"}
_VISIBILITIES = {"public", "private"}
_GATES = {"auto": "auto", "manual": "manual", False: ""}
_BELOW_REPOSITORY = {
    "auth-check", "branch", "commit", "commits", "discussions", "duplicate", "lfs-files", "like", "likers", "paths-info", "preupload",
    "refs", "revision", "settings", "super-squash", "tag", "tree", "user-access-request", "xet-write-token",
}  # fmt: skip
SORTS = {
    "": "updated",
    "lastModified": "updated",
    "createdAt": "created",
    "downloads": "downloads",
    "likes": "likes",
    "trendingScore": "trend",
}
_PARAMETERS = re.compile(r"(min|max):(\d{1,6}(?:\.\d{1,6})?)([KMBT]?)", re.IGNORECASE | re.ASCII)
_FACTORS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def create(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A new repository with its first commit. As the protocol says: public unless asked for otherwise, in the caller's own
    namespace unless another is named; a name that is taken answers 409 with the address, which clients read as success."""
    actor.require_authenticated()
    data = json_object(request)
    kind, namespace, name = _named(data, actor)
    try:
        repo = repos.create_repo(actor, kind, namespace, name, visibility=named_visibility(data) or "public")
    except RepoExists as error:
        return taken_answer(request, error, kind, namespace, name)
    url = base_url(request) + wire.repo_path(repo)
    return wire.json_response({"url": url, "name": wire.repo_id(repo), "id": repo.uuid.hex})


def taken_answer(request: HttpRequest, error: RepoExists, kind: str, namespace: str, name: str) -> HttpResponse:
    """409 with the address of what is there: clients read it as success when they were told that it may exist."""
    taken: Any = error.fields.get("repo")
    path = wire.repo_path(taken) if taken else f"/{'datasets/' if kind == 'dataset' else ''}{namespace}/{name}"
    url = base_url(request) + path
    return wire.json_response({"error": error.message, "url": url, "name": path.lstrip("/")}, status=409)


def delete(request: HttpRequest, actor: Actor) -> HttpResponse:
    kind, namespace, name = _named(json_object(request), actor)
    repos.delete_repo(actor, require_repo(actor, kind, namespace, name, Action.REPO_ADMIN))
    return wire.json_response({})


def move(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Give a repository another name or namespace."""
    data = json_object(request)
    kind = _kind(data)
    namespace, name = pair_of(text_of(data, "fromRepo", max_length=200))
    target_namespace, target_name = pair_of(text_of(data, "toRepo", max_length=200))
    repo = require_repo(actor, kind, namespace, name, Action.REPO_ADMIN)
    try:
        repos.rename_repo(actor, repo, namespace_name=target_namespace, name=target_name)
    except Conflict as error:
        raise Invalid(f"A {kind} repository called {target_namespace}/{target_name} already exists") from error
    return wire.json_response({})


def settings(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Who sees it, and whether reading takes a grant."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_ADMIN)
    data = json_object(request)
    changes: dict[str, Any] = {}
    if visibility := named_visibility(data):
        changes["visibility"] = visibility
    if "gated" in data:
        if not isinstance(data["gated"], str | bool) or data["gated"] not in _GATES:
            raise Invalid('"gated" must be "auto", "manual" or false.', fields={"gated": "unknown"})
        changes["gate"] = _GATES[data["gated"]]
    repo = repos.update_settings(actor, repo, **changes)
    return wire.json_response(
        {"visibility": repo.visibility, "private": repo.visibility != "public", "gated": repo.gate or False}
    )


def auth_check(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    require_repo(actor, kind, namespace, name, Action.REPO_READ)
    return wire.json_response({})


def auth_check_write(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    require_repo(actor, kind, namespace, name, Action.REPO_WRITE)
    return wire.json_response({})


def listing(request: HttpRequest, actor: Actor, kind: str) -> HttpResponse:
    """A page of what the caller may discover, newest first unless sorted otherwise."""
    query = request.GET
    sort = query.get("sort", "")
    if sort not in SORTS:
        raise Invalid(f"sort must be one of {', '.join(name for name in SORTS if name)}.", fields={"sort": "unknown"})
    if query.get("apps"):
        raise Invalid("This site does not know which applications run a model: filter by tags instead.")
    tags = [*query.getlist("filter"), *query.getlist("pipeline_tag")]
    # no model here is served by the providers that these name
    is_elsewhere = kind == "model" and (query.get("inference") or query.get("inference_provider"))
    if query.get("gated") not in {None, "", "true", "false", "True", "False"}:
        raise Invalid("gated must be true or false.", fields={"gated": "unknown"})
    full = flag(query.get("full"))
    wanted = _expand(request, kind) or _listed_properties(
        full=full, card=full or flag(query.get("cardData")), config=flag(query.get("config"))
    )
    # the files of each repository are a read of their own
    maximum = PAGE_REPOS if "siblings" in wanted else MAX_PAGE_REPOS
    page = queries.search_repos(
        actor,
        kind=kind,
        words=[word for text in query.getlist("search") for word in text.split()],
        tags=[tag for text in tags for tag in text.split(",") if tag],
        namespace=query.get("author") or None,
        gated=flag(query["gated"]) if query.get("gated") else None,
        parameters=_parameters(query.get("num_parameters") or ""),
        sort=SORTS[sort],
        cursor=query.get("cursor") or None,
        limit=whole_number(query.get("limit"), default=PAGE_REPOS, maximum=maximum),
    )
    found = [] if is_elsewhere else page.items
    known = prepare(found, wanted)
    response = wire.json_response([information_of(repo, known, wanted) for repo in found])
    return response if is_elsewhere else linked(response, request, page.next_cursor)


def _parameters(text: str) -> tuple[int | None, int | None]:
    """`min:6B,max:128B` as numbers. Raises Invalid for anything else."""
    limits: dict[str, int | None] = {"min": None, "max": None}
    for part in text.split(",") if text else ():
        match = _PARAMETERS.fullmatch(part.strip())
        if match is None:
            raise Invalid("num_parameters must read like min:6B,max:128B.", fields={"num_parameters": "unknown"})
        limits[match[1].lower()] = int(Decimal(match[2]) * _FACTORS[match[3].upper()])
    return limits["min"], limits["max"]


def _listed_properties(*, full: bool, card: bool, config: bool) -> set[str]:
    wanted = {"author", "private", "gated", "disabled", "downloads", "likes", "tags", "createdAt", "lastModified"}
    wanted |= {"pipeline_tag", "library_name", "trendingScore"}
    if full:
        wanted |= {"siblings", "sha"}
    return wanted | ({"cardData"} if card else set()) | ({"config"} if config else set())


def information(
    request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str = ""
) -> HttpResponse:
    """Everything about one repository at a revision (of the default branch when none is given)."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    commit = place_of(request, repo, rest).commit if rest else queries.head_of(repo)
    wanted = _expand(request, kind)
    data = information_of(
        repo,
        prepare([repo], wanted, {repo.pk: commit}),
        wanted or None,
        blobs=flag(request.GET.get("blobs")),
        with_security=flag(request.GET.get("securityStatus")),
    )
    if (recall := notice_at(commit.pk)) is not None:
        data["recall"] = wire.recall(recall)
    if request.headers.get("X-HF-Download-Counter") == "1":
        repos.count_download(repo)
    response = wire.json_response(data)
    response["X-Repo-Commit"] = commit.oid
    return response


def one_segment(request: HttpRequest, actor: Actor, name: str, kind: str = "model", rest: str = "") -> NoReturn:
    """An id without namespace: nothing here has one."""
    raise RepoNotFound(f"There is no {kind} {name[:100]}: give its namespace too.")


def not_offered(request: HttpRequest, actor: Actor, kind: str, rest: str) -> HttpResponse:
    """A route below a repository that this site does not have, or a known one below an id without namespace."""
    name, _, below = rest.partition("/")
    if below.partition("/")[0] in _BELOW_REPOSITORY:
        one_segment(request, actor, name, kind)
    raise NotHere("This site has no such route below a repository.")


def own_repositories(request: HttpRequest, actor: Actor, namespace: str = "") -> HttpResponse:
    """A page of what a namespace has, with sizes, for who may read it all."""
    actor.require_authenticated()
    owner = require_namespace(actor, namespace or actor.username, Action.NAMESPACE_READ)
    limit = whole_number(request.GET.get("limit"), default=PAGE_REPOS, maximum=MAX_PAGE_REPOS)
    page = queries.search_repos(
        actor, namespace=owner.name, sort="updated", cursor=request.GET.get("cursor") or None, limit=limit
    )
    listed = [repo for repo in page.items if repo.kind in _KINDS]
    sizes = {pk: head.tree.total_bytes for pk, head in queries.heads_of(listed).items()}
    total = sum(sizes.values()) or 1
    response = wire.json_response([wire.storage_line(repo, sizes.get(repo.pk, 0), total) for repo in listed])
    return linked(response, request, page.next_cursor)


def _expand(request: HttpRequest, kind: str) -> set[str]:
    """The properties asked for by name; empty when none are."""
    wanted = {
        name for key in ("expand", "expand[]") for text in request.GET.getlist(key) for name in text.split(",") if name
    }
    if unknown := wanted - EXPANDABLE[kind]:
        known = "|".join(f'"{name}"' for name in sorted(EXPANDABLE[kind]))
        raise Invalid(f'Invalid option "{min(unknown)[:40]}": expected one of {known}.')
    return wanted


def _named(data: dict[str, Any], actor: Actor) -> tuple[str, str, str]:
    kind, name = _kind(data), text_of(data, "name", max_length=200)
    organization = text_of(data, "organization", default="", max_length=200)
    if "/" in name and not organization:
        return kind, *pair_of(name)
    return kind, organization or actor.username, name


def _kind(data: dict[str, Any]) -> str:
    name = text_of(data, "type", default="model", max_length=40)
    if name not in _KINDS:
        raise Invalid(f"This site has no {name}s.", fields={"type": "not offered"})
    return _KINDS[name]


def pair_of(text: str) -> tuple[str, str]:
    namespace, slash, name = text.partition("/")
    if not slash or "/" in name:
        raise Invalid("Name the repository as namespace/name.")
    return namespace, name


def named_visibility(data: dict[str, Any]) -> str | None:
    """`visibility`, or the boolean `private` of older clients; None when neither is given."""
    if data.get("visibility") is not None:
        if data["visibility"] not in _VISIBILITIES:
            raise Invalid('"visibility" must be public or private.', fields={"visibility": "unknown"})
        return str(data["visibility"])
    if data.get("private") is not None:
        return "private" if data["private"] is True else "public"
    return None
