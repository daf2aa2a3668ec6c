"""The page about versions of a dataset that are made from others."""

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods

from accounts.permissions import Action
from registry import queries
from registry.policies import require_repo
from registry.services import derivations as asking
from web.forms import SHOWN_IN_FORM, put_into
from web.hub.derivations import DerivationsPage, Known, MediaForm, TableForm
from web.links import repo_url
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from registry.models import Repo, Version


@require_http_methods(["GET", "POST"])
def derivations(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    """The form for the version that `?version=` names, the newest one without, and the list."""
    needed = Action.REPO_WRITE if request.method == "POST" else Action.REPO_READ
    repo = require_repo(request.actor, kind, namespace, name, needed)
    version = _version(request, repo)
    known = Known.of(version)
    form = (MediaForm if known.is_media else TableForm)(known, request.POST or None, initial={"seed": 0})
    if request.method == "POST" and version is not None and form.is_valid() and _asked(request, repo, version, form):
        messages.success(request, "The version is being made.")
        return HttpResponseRedirect(repo_url(repo, "derivations"))
    page = DerivationsPage.of(repo, request.actor, version, known, form, request.GET.get("cursor", ""))
    return render(request, "hub/derivations.html", page, status=form_status(request))


def _version(request: Request, repo: "Repo") -> "Version | None":
    if chosen := request.GET.get("version", ""):
        return queries.version_named(repo, chosen)
    return queries.versions_of(repo).first()


def _asked(request: Request, repo: "Repo", version: "Version", form: TableForm | MediaForm) -> bool:
    try:
        asking.ask_for_derivation(
            request.actor, repo, version.name, name=form.cleaned_data["name"].strip(), recipe=form.recipe
        )
    except SHOWN_IN_FORM as error:
        put_into(form, error)
        return False
    return True
