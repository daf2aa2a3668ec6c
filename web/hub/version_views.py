"""Pages of versions: the list, one version, and what can be done to it after its release."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from registry import build_queries, queries
from registry.policies import require_repo
from registry.services import builds, standing
from registry.services.versions import publish_version
from registry.standing import standing_of
from web.exports import csv_response
from web.forms import submit
from web.hub.forms import AliasForm, DeprecationForm, VersionForm, YankForm
from web.hub.versions import VersionPage, VersionsPage, metrics_of
from web.links import repo_url, version_url
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from registry.models import Repo, Version


@require_http_methods(["GET", "POST"])
def versions(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    needed = Action.REPO_WRITE if request.method == "POST" else Action.REPO_DISCOVER
    repo = require_repo(request.actor, kind, namespace, name, needed)
    form = VersionForm(request.POST or None, initial={"revision": repo.default_branch})
    if request.method == "POST" and (version := submit(form, publish_version, request.actor, repo)):
        messages.success(request, f"Version {version.name} is published.")
        return HttpResponseRedirect(repo_url(repo, "versions", version.name))
    return render(
        request,
        "hub/versions.html",
        VersionsPage.of(repo, request.actor, form, request.GET.get("metric", "")),
        status=form_status(request),
    )


@require_GET
def version(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    return _page(request, repo, queries.version_named(repo, version_name))


@require_GET
def version_csv(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponseBase:
    """What was measured of a version."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    version = queries.version_named(repo, version_name)
    metrics = metrics_of(version, queries.measurements_of(version))
    rows = ([each.name, each.value, each.low, each.high, each.n, each.source] for each in metrics)
    return csv_response(
        f"metrics-{repo.name}-{version_name}", ["metric", "value", "low", "high", "samples", "on"], rows
    )


@require_POST
def alias(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = AliasForm(request.POST)
    if made := submit(form, standing.set_alias, request.actor, repo, version_name=version.name):
        messages.success(request, f"{made.name} points to {version.name}.")
        return HttpResponseRedirect(version_url(repo, version.name))
    return _page(request, repo, version, status=400, alias_form=form)


@require_POST
def alias_removal(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    word = request.POST.get("name", "")
    standing.remove_alias(request.actor, repo, word)
    messages.success(request, f"The alias {word} is removed.")
    return HttpResponseRedirect(version_url(repo, version.name))


@require_POST
def deprecation(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = DeprecationForm(queries.names_to_succeed(version), request.POST)
    if submit(form, standing.deprecate, request.actor, version):
        messages.success(request, f"{version.name} is deprecated: pages and downloads say so.")
        return HttpResponseRedirect(version_url(repo, version.name))
    return _page(request, repo, version, status=400, deprecation_form=form)


@require_POST
def withdrawal(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = YankForm(request.POST)
    if submit(form, standing.yank, request.actor, version):
        messages.success(request, f"{version.name} is withdrawn. Who asks for it by name still gets it.")
        return HttpResponseRedirect(version_url(repo, version.name))
    return _page(request, repo, version, status=400, yank_form=form)


def _taken_back(deed: Callable[..., "Version"], sentence: str) -> Callable[..., HttpResponse]:
    @require_POST
    def view(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
        repo, version = _mine(request, kind, namespace, name, version_name)
        deed(request.actor, version)
        messages.success(request, sentence.format(version.name))
        return HttpResponseRedirect(version_url(repo, version.name))

    return view


@require_POST
def build_withdrawal(
    request: Request, kind: str, namespace: str, name: str, version_name: str, build: UUID
) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    found = build_queries.build_named(version, build)
    form = YankForm(request.POST)
    if submit(form, builds.withdraw_build, request.actor, found):
        messages.success(request, "The build is withdrawn. Who asks for it by its address still gets it.")
    else:
        messages.error(request, "Say why the build is withdrawn: people who use it will read it.")
    return HttpResponseRedirect(f"{version_url(repo, version.name)}#builds")


@require_POST
def build_restoration(
    request: Request, kind: str, namespace: str, name: str, version_name: str, build: UUID
) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    builds.restore_build(request.actor, build_queries.build_named(version, build))
    messages.success(request, "The build is back.")
    return HttpResponseRedirect(f"{version_url(repo, version.name)}#builds")


DEEDS: dict[str, Callable[..., HttpResponse]] = {
    "aliases": alias,
    "aliases/removal": alias_removal,
    "deprecation": deprecation,
    "deprecation/removal": _taken_back(standing.support, "{} is not deprecated any more."),
    "withdrawal": withdrawal,
    "withdrawal/removal": _taken_back(standing.restore, "{} is back."),
    "builds/<uuid:build>/withdrawal": build_withdrawal,
    "builds/<uuid:build>/withdrawal/removal": build_restoration,
}
"""What can be done to a version, by the end of its address."""


def _mine(request: Request, kind: str, namespace: str, name: str, version_name: str) -> "tuple[Repo, Version]":
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_WRITE)
    return repo, queries.version_named(repo, version_name)


def _page(
    request: Request, repo: "Repo", version: "Version", *, status: int = 200, **forms_given: forms.Form
) -> HttpResponse:
    given: dict[str, Any] = {
        "alias_form": AliasForm(),
        "deprecation_form": DeprecationForm(queries.names_to_succeed(version), initial=_deprecation_now(version)),
        "yank_form": YankForm(),
    }
    page = VersionPage.of(repo, request.actor, version, **{**given, **forms_given})
    return render(request, "hub/version.html", page, status=status)


def _deprecation_now(version: "Version") -> dict[str, Any]:
    """What the form begins with: said again, a deprecation is changed."""
    present = standing_of(version)
    return {"message": present.message, "successor": present.successor, "due_on": present.due_on}
