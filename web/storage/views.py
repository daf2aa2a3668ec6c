"""How much is stored where, and what can be brought back."""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from common.errors import Forbidden, Invalid, NotFound
from registry import storage_queries
from registry.services import quotas, repos
from web.exports import Cell, csv_response
from web.forms import submit, uuid_of
from web.links import repo_url
from web.render import Request, form_status, render
from web.storage.forms import GIGABYTE, QuotaForm
from web.storage.pages import OverviewPage, StoragePage, line

if TYPE_CHECKING:
    from accounts.models import Namespace

COLUMNS = [
    "repository",
    "kind",
    "files",
    "stored bytes",
    "of that now",
    "of that in history",
    "to be removed",
    "deleted",
]


@never_cache
@require_GET
def report(request: Request) -> HttpResponse:
    return render(request, "storage/report.html", StoragePage.of(request.actor, _owner(request)))


@require_GET
def repositories_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request)
    return csv_response(f"storage-{owner.name}", COLUMNS, _rows(owner))


def _rows(owner: "Namespace") -> Iterator[list[Cell]]:
    for repo in storage_queries.repositories_by_size(owner).iterator(chunk_size=500):
        each = line(owner, repo)
        yield [
            each.name,
            each.kind,
            each.files,
            each.held_bytes,
            each.now_bytes,
            each.past_bytes,
            each.condemned_bytes,
            repo.deleted_at,
        ]


@require_POST
def restoration(request: Request) -> HttpResponse:
    """Bring a deleted repository back."""
    request.actor.require_authenticated()
    repo = repos.restore_repo(request.actor, uuid_of(request.POST.get("uuid", "")))
    messages.success(request, f"{repo.namespace.name}/{repo.name} is back.")
    return HttpResponseRedirect(repo_url(repo))


@never_cache
@require_http_methods(["GET", "POST"])
def overview(request: Request) -> HttpResponse:
    """Staff see who stores most, and set quotas."""
    request.actor.require_authenticated()
    if not request.actor.is_staff:
        raise Forbidden("Only the operators of this site see this.")
    form = QuotaForm(request.POST or None)
    if request.method == "POST" and submit(form, _set_quota, request.actor):
        messages.success(request, "The quota is set.")
        return HttpResponseRedirect("/-/storage")
    return render(request, "storage/overview.html", OverviewPage.of(form), status=form_status(request))


def _set_quota(actor: Actor, *, namespace: str, gigabytes: Decimal | None) -> bool:
    try:
        owner = require_namespace(actor, namespace.strip())
    except NotFound as error:
        raise Invalid(error.message, fields={"namespace": "unknown"}) from error
    quotas.set_quota(actor, owner, None if gigabytes is None else int(gigabytes * GIGABYTE))
    return True


def _owner(request: Request) -> "Namespace":
    """The namespace the page is about: `?owner=`, else one's own."""
    request.actor.require_authenticated()
    return require_namespace(request.actor, request.GET.get("owner") or request.actor.username, Action.NAMESPACE_MANAGE)
