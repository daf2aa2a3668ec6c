"""Pages about content from elsewhere: asking for it, the list, one with its state."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from registry.policies import require_repo
from registry.services import preparations
from web.forms import SHOWN_IN_FORM, put_into
from web.hub.preparations import ImportForm, ImportPage, PreparationPage, PreparationsPage, SecretsForm, branches_of
from web.links import repo_url
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from registry.models import Preparation, Repo


@require_http_methods(["GET", "POST"])
def ask(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    """The form of the source that `?source=` names."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    source = request.GET.get("source", "url")
    branch = request.GET.get("branch", repo.default_branch)
    initial = {"branch": branch, "folder": request.GET.get("folder", "")}
    form = ImportForm(source, branches_of(repo), request.POST or None, request.FILES or None, initial=initial)
    if request.method == "POST" and form.is_valid() and (row := _asked(request, repo, source, form)):
        messages.success(request, "The import is under way.")
        return HttpResponseRedirect(repo_url(repo, "preparations", str(row.uuid)))
    page = ImportPage.of(repo, request.actor, source, form, branch)
    return render(request, "hub/import.html", page, status=form_status(request))


@require_GET
def preparation_list(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    page = PreparationsPage.of(repo, request.actor, request.GET.get("cursor", ""))
    return render(request, "hub/preparations.html", page)


@require_GET
def preparation(request: Request, uuid: UUID, **names: str) -> HttpResponse:
    return render(request, "hub/preparation.html", PreparationPage.of(_mine(request, uuid, **names), request.actor))


@require_POST
def retry(request: Request, uuid: UUID, **names: str) -> HttpResponse:
    row = _mine(request, uuid, **names)
    form = SecretsForm(row, request.POST)
    if form.is_valid():
        try:
            preparations.retry_preparation(request.actor, row, form.cleaned_data)
        except SHOWN_IN_FORM as error:
            put_into(form, error)
        else:
            messages.success(request, "The import is tried again.")
            return HttpResponseRedirect(repo_url(row.repo, "preparations", str(uuid)))
    return render(request, "hub/preparation.html", PreparationPage.of(row, request.actor, form), status=400)


@require_POST
def cancellation(request: Request, uuid: UUID, **names: str) -> HttpResponse:
    row = _mine(request, uuid, **names)
    preparations.cancel_preparation(request.actor, row)
    messages.success(request, "The import stops; nothing of it is committed.")
    return HttpResponseRedirect(repo_url(row.repo, "preparations", str(uuid)))


def _mine(request: Request, uuid: UUID, *, kind: str, namespace: str, name: str) -> "Preparation":
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    return preparations.require_preparation(repo, uuid)


def _asked(request: Request, repo: "Repo", source: str, form: ImportForm) -> "Preparation | None":
    given, values = form.given, form.cleaned_data
    options: dict[str, Any] = {
        name: values[name] for name in ("branch", "folder", "summary", "unpack") if name in values
    }
    try:
        if file := values.get("archive"):
            options["archive"] = preparations.store_archive(request.actor, repo, file.chunks(), file.size)
            given["path"] = file.name
        return preparations.ask_for_preparation(request.actor, repo, source, given, **options)
    except SHOWN_IN_FORM as error:
        _put(form, error)
        return None


def _put(form: ImportForm, error: Any) -> None:
    """The error at the field that the source names, which has another name here."""
    named = error.fields.get("fields")
    told = [f"told_{name}" for name in named if f"told_{name}" in form.fields] if isinstance(named, dict) else []
    if len(told) == 1:
        form.add_error(told[0], error.message)
    else:
        put_into(form, error)
