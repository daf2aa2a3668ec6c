"""Pages about the content of datasets."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.http import HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET

from accounts.permissions import Action
from common.errors import NotFound
from registry import queries
from registry.policies import require_repo
from registry.services import comparisons, profiles, samples
from web.exports import csv_response
from web.hub.addresses import place_of
from web.hub.data import DataPage
from web.hub.data_compare import DataComparePage, change_rows
from web.hub.sql import SqlPage
from web.render import Request, render

if TYPE_CHECKING:
    from registry.models import Repo, Version


@require_GET
def data(request: Request, kind: str, namespace: str, name: str, rest: str = "") -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    return render(request, "hub/data.html", DataPage.of(repo, request.actor, place_of(repo, rest), request.GET))


@require_GET
def sql(request: Request, kind: str, namespace: str, name: str, rest: str = "") -> HttpResponse:
    """Questions to the sample; `?sql=` asks."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    return render(request, "hub/sql.html", SqlPage.of(repo, request.actor, place_of(repo, rest), request.GET.dict()))


@require_GET
def sql_csv(request: Request, kind: str, namespace: str, name: str) -> HttpResponseBase:
    """The answer; only headings while it is being found out or when there is none."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    commit = queries.resolve_revision(repo, request.GET.get("revision", "") or repo.default_branch)
    found = samples.ask_sample(request.actor, repo, commit, request.GET.get("sql", "")).content or {}
    header = [name for name, _ in found.get("columns", [])]
    return csv_response(f"sql-{repo.name}", header, found.get("rows", []))


@require_GET
def picture(request: Request, kind: str, namespace: str, name: str, oid: str, number: int) -> HttpResponse:
    """A thumbnail, made in the sandbox and held to be a PNG or JPEG."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    raw = profiles.picture_of(queries.resolve_revision(repo, oid), number)
    media_type = "image/png" if raw.startswith(b"\x89PNG") else "image/jpeg"
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(raw, content_type=media_type, headers={**headers, "Cache-Control": "private, max-age=86400"})


@require_GET
def compare(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    left, right = _sides(request, repo)
    page = DataComparePage.of(repo, request.actor, left, right, request.GET.get("key", "").strip())
    return render(request, "hub/data_compare.html", page)


@require_GET
def compare_csv(request: Request, kind: str, namespace: str, name: str) -> HttpResponseBase:
    """What differs, row by row; no rows while that is being found out."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_READ)
    left, right = _sides(request, repo)
    found = comparisons.comparison_of(left.commit, right.commit, request.GET.get("key", "").strip())
    rows: Iterator[list[Any]] = change_rows(found.content.get("tables", []) if found else [])
    header = ["table", "split", "what", "key", "column", left.name, right.name, "figure"]
    return csv_response(f"data-{repo.name}-{left.name}-{right.name}", header, rows)


def _sides(request: Request, repo: "Repo") -> "tuple[Version, Version]":
    """The versions named, the newest two when none are. Raises NotFound."""
    newest = list(queries.versions_of(repo)[:2])
    if not newest:
        raise NotFound("There are no versions to compare: publish one on the page of versions.")
    left, right = request.GET.get("left", ""), request.GET.get("right", "")
    return (
        queries.version_named(repo, left) if left else newest[-1],
        queries.version_named(repo, right) if right else newest[0],
    )
