"""Exports of namespaces, archives to download, and exports that are brought in. Those of a repository are on its settings page."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from registry.services import exports, imports
from web.forms import submit
from web.links import repo_url, with_query
from web.moving.forms import ImportForm
from web.moving.pages import ExportsPage, ImportPage, NewImportPage
from web.render import Request, form_status, render, render_part

if TYPE_CHECKING:
    from registry.models import Export, Import


@never_cache
@require_http_methods(["GET", "POST"])
def of_namespace(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    owner = require_namespace(
        request.actor, request.GET.get("owner") or request.actor.username, Action.NAMESPACE_MANAGE
    )
    if request.method == "POST":
        exports.ask_for_export(request.actor, namespace=owner)
        messages.success(request, "The archive is being made; you will be told.")
        return HttpResponseRedirect(with_query("/exports", owner=owner.name))
    return render(request, "moving/exports.html", ExportsPage.of(request.actor, owner))


@require_GET
def export(request: Request, uuid: UUID) -> HttpResponse:
    """Where an export is listed: what notices lead to."""
    return HttpResponseRedirect(_place_of(exports.require_export(request.actor, uuid)))


@require_GET
def archive(request: Request, uuid: UUID) -> StreamingHttpResponse:
    row, reader = exports.open_export(request.actor, uuid)
    return StreamingHttpResponse(
        reader,
        content_type="application/x-tar",
        headers={
            "Content-Length": str(row.size_bytes),
            "Content-Disposition": f'attachment; filename="{row.filename}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        },
    )


@require_POST
def removal(request: Request, uuid: UUID) -> HttpResponse:
    row = exports.require_export(request.actor, uuid)
    exports.remove_export(request.actor, uuid)
    messages.success(request, "The archive is deleted.")
    return HttpResponseRedirect(_place_of(row))


@require_http_methods(["GET", "POST"])
def new_import(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    form = ImportForm(
        request.actor, request.POST or None, request.FILES or None, initial={"namespace_name": request.actor.username}
    )
    if request.method == "POST" and (row := submit(form, _received, request.actor)):
        return HttpResponseRedirect(f"/imports/{row.uuid}")
    return render(request, "moving/new_import.html", NewImportPage.of(form), status=form_status(request))


@never_cache
@require_GET
def import_state(request: Request, uuid: UUID) -> HttpResponse:
    page = ImportPage.of(imports.require_import(request.actor, uuid))
    if "part" in request.GET:
        return render_part("moving/_import.html", page)
    return render(request, "moving/import.html", page)


def _received(actor: Actor, *, namespace_name: str, archive: UploadedFile, name: str = "") -> "Import":
    """From a form: Django has received it into a file."""
    row = imports.begin_import(actor, namespace_name, archive.size or 0, name=name)
    return imports.receive_import(actor, row.uuid, archive.chunks())


def _place_of(row: "Export") -> str:
    if row.repo is not None:
        return repo_url(row.repo, "settings") + "#exports"
    return with_query("/exports", owner=row.namespace.name)
