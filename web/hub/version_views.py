"""Pages of versions: the list, one version, and what can be done to it after its release."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Invalid
from registry import build_queries, queries
from registry.policies import require_repo
from registry.services import builds, environments, measurements, own_keys, standing
from registry.services.versions import publish_version
from registry.standing import standing_of
from web.exports import csv_response
from web.forms import submit
from web.hub.environments import EnvironmentPage
from web.hub.forms import (
    AliasForm,
    CorrectionForm,
    DeprecationForm,
    HardwareForm,
    MetricForm,
    SignatureForm,
    VersionForm,
    YankForm,
)
from web.hub.versions import VersionForms, VersionPage, VersionsPage, metrics_of
from web.links import repo_url, version_url
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from registry.models import Measurement, Repo, Version, VersionSignature


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
    rows = (
        [each.name, each.value, each.low, each.high, each.n, each.source, each.origin, each.author, each.added_at]
        for each in metrics
    )
    header = ["metric", "value", "low", "high", "samples", "on", "source", "added by", "added at"]
    return csv_response(f"metrics-{repo.name}-{version_name}", header, rows)


@require_GET
def environment(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    """The packages of the environment lock."""
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    version = queries.version_named(repo, version_name)
    asked = (request.GET.get("q", ""), request.GET.get("from", ""))
    return render(request, "hub/environment.html", EnvironmentPage.of(repo, request.actor, version, *asked))


@require_GET
def environment_csv(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponseBase:
    repo = require_repo(request.actor, kind, namespace, name, Action.REPO_DISCOVER)
    found = environments.environment_of(queries.version_named(repo, version_name))
    rows = ([each.name, each.version, each.wanted, each.ecosystem, str(each.has_hash)] for each in found.packages)
    header = ["package", "version", "wanted", "ecosystem", "has a hash"]
    return csv_response(f"environment-{repo.name}-{version_name}", header, rows)


@require_POST
def alias(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = AliasForm(request.POST)
    if made := submit(form, standing.set_alias, request.actor, repo, version_name=version.name):
        messages.success(request, f"{made.name} points to {version.name}.")
        return HttpResponseRedirect(version_url(repo, version.name))
    return _page(request, repo, version, status=400, alias=form)


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
    return _page(request, repo, version, status=400, deprecation=form)


@require_POST
def withdrawal(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = YankForm(request.POST)
    if submit(form, standing.yank, request.actor, version):
        messages.success(request, f"{version.name} is withdrawn. Who asks for it by name still gets it.")
        return HttpResponseRedirect(version_url(repo, version.name))
    return _page(request, repo, version, status=400, withdrawal=form)


@require_POST
def metric(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = MetricForm(request.POST, auto_id="metric-%s")
    if made := submit(form, _add_metric, request.actor, version):
        messages.success(request, f"{made.name} is added.")
        return HttpResponseRedirect(f"{version_url(repo, version.name)}#measured")
    return _page(request, repo, version, status=400, metric=form, opened="metric")


@require_POST
def hardware(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = HardwareForm(request.POST, auto_id="hardware-%s")
    if made := submit(form, _add_hardware, request.actor, version):
        messages.success(request, f"What was measured on {made.name} is added.")
        return HttpResponseRedirect(f"{version_url(repo, version.name)}#measured")
    return _page(request, repo, version, status=400, hardware=form, opened="hardware")


@require_POST
def correction(request: Request, kind: str, namespace: str, name: str, version_name: str, uuid: UUID) -> HttpResponse:
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = CorrectionForm(request.POST)
    if row := submit(form, measurements.withdraw_measurement, request.actor, version, uuid):
        messages.success(request, f"{row.name} is withdrawn: it stays on record with the reason, and counts no more.")
        return HttpResponseRedirect(f"{version_url(repo, version.name)}#measured")
    return _page(request, repo, version, status=400, problem="Nothing was withdrawn: say what is wrong with the entry.")


@require_POST
def signature(request: Request, kind: str, namespace: str, name: str, version_name: str) -> HttpResponse:
    """A signature that was made elsewhere."""
    repo, version = _mine(request, kind, namespace, name, version_name)
    form = SignatureForm(request.POST, request.FILES, auto_id="signature-%s")
    if row := submit(form, _hand_in, request.actor, version):
        messages.success(request, f"The signature fits: {version.name} is signed with {row.key.name}.")
        return HttpResponseRedirect(f"{version_url(repo, version.name)}#signatures")
    return _page(request, repo, version, status=400, signature=form, opened="signature")


def _add_metric(actor: Actor, version: "Version", *, metric: str, **values: Any) -> "Measurement":
    given = {name: value for name, value in values.items() if value not in (None, "")}
    return measurements.add_measurement(actor, version, kind="metric", name=metric, values=given)


def _add_hardware(
    actor: Actor, version: "Version", *, hardware: str, memory_mb: float | None, **values: Any
) -> "Measurement":
    given = {name: value for name, value in values.items() if value not in (None, "")}
    if memory_mb is not None:
        given["memory_bytes"] = round(memory_mb * 1_000_000)
    return measurements.add_measurement(actor, version, kind="hardware", name=hardware, values=given)


def _hand_in(actor: Actor, version: "Version", *, bundle: UploadedFile) -> "VersionSignature":
    if (bundle.size or 0) > own_keys.BUNDLE_BYTES:
        raise Invalid(
            f"The signature is larger than {own_keys.BUNDLE_BYTES // 1024**2} MiB.", fields={"bundle": "size"}
        )
    return own_keys.add_signature(actor, version, bundle.read())


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
    "metrics": metric,
    "hardware": hardware,
    "signatures": signature,
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
    request: Request,
    repo: "Repo",
    version: "Version",
    *,
    status: int = 200,
    opened: str = "",
    problem: str = "",
    **given: forms.Form,
) -> HttpResponse:
    shown: dict[str, Any] = {
        "alias": AliasForm(),
        "deprecation": DeprecationForm(queries.names_to_succeed(version), initial=_deprecation_now(version)),
        "withdrawal": YankForm(),
        "metric": MetricForm(auto_id="metric-%s"),
        "hardware": HardwareForm(auto_id="hardware-%s"),
        "signature": SignatureForm(auto_id="signature-%s"),
    }
    page = VersionPage.of(
        repo, request.actor, version, VersionForms(**{**shown, **given}, opened=opened, problem=problem)
    )
    return render(request, "hub/version.html", page, status=status)


def _deprecation_now(version: "Version") -> dict[str, Any]:
    """What the form begins with: said again, a deprecation is changed."""
    present = standing_of(version)
    return {"message": present.message, "successor": present.successor, "due_on": present.due_on}
