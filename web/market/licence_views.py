"""Licences: the list, one licence, publishing; the check of a repository or a listing; waivers."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import system
from accounts.permissions import Action
from market.policies import plans_on_sale, require_listing
from market.services import licences as checks
from market.states import PlanKind
from market.subjects import subject_of_listing
from registry import licence_queries as queries
from registry.policies import require_repo
from registry.services import licences
from web.forms import submit
from web.links import repo_url
from web.market.licence_forms import LicenceChoiceForm, LicenceForm, RevocationForm, WaiverForm
from web.market.licence_pages import (
    FormPage,
    LicencePage,
    LicencesPage,
    ListingLicencePage,
    RepoLicencePage,
    WaiverPage,
    WaiversPage,
    licence_url,
)
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from registry.models import Repo


@require_GET
def licence_list(request: Request) -> HttpResponse:
    page = LicencesPage.of(request.actor, request.GET.get("q", "")[:200], request.GET.get("cursor", ""))
    return render(request, "market/licences.html", page)


@require_http_methods(["GET", "POST"])
def new_licence(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    initial = {}
    if known := request.GET.get("of", ""):
        custom = queries.licence_entry(known).custom
        if custom is not None:
            initial = {name: getattr(custom, name) for name in ("name", "title", "text")}
            initial |= {"namespace": custom.namespace.name, "terms": _ticked(custom)}
    form = LicenceForm(request.actor, request.POST or None, initial=initial)
    if request.method == "POST" and (made := submit(form, licences.publish_licence, request.actor)):
        messages.success(request, f"{made.key} is published.")
        return HttpResponseRedirect(licence_url(made.key))
    return render(request, "market/new_licence.html", FormPage("New licence", form), status=form_status(request))


@require_GET
def licence(request: Request, key: str) -> HttpResponse:
    return render(request, "market/licence.html", LicencePage.of(request.actor, queries.licence_entry(key)))


@require_http_methods(["GET", "POST"])
def of_repo(request: Request, kind: str, namespace: str, name: str) -> HttpResponse:
    needed = Action.REPO_WRITE if request.method == "POST" else Action.REPO_DISCOVER
    repo: Repo = require_repo(request.actor, kind, namespace, name, needed)
    form = LicenceChoiceForm(request.POST or None, initial={"licence": repo.licence})
    if request.method == "POST" and submit(form, licences.choose_licence, request.actor, repo):
        messages.success(request, "The licence is in the card. Versions keep what they were published under.")
        return HttpResponseRedirect(repo_url(repo, "licence"))
    page = RepoLicencePage.of(request.actor, repo, form)
    return render(request, "hub/licence.html", page, status=form_status(request))


@require_GET
def of_listing(request: Request, namespace: str, slug: str) -> HttpResponse:
    found = require_listing(request.actor, namespace, slug)
    subject = subject_of_listing(system("market"), found)
    is_paid = plans_on_sale(request.actor, found).exclude(kind=PlanKind.FREE).exists()
    page = ListingLicencePage.of(request.actor, found, subject, is_paid=is_paid)
    return render(request, "market/listing_licence.html", page)


@require_GET
def waivers(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/waivers.html", WaiversPage.of(request.actor))


@require_http_methods(["GET", "POST"])
def new_waiver(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    asked = {name: request.GET.get(name, "") for name in ("upstream", "downstream")}
    form = WaiverForm(request.POST or None, initial={**asked, "rules": request.GET.getlist("rule")})
    if request.method == "POST" and (made := submit(form, checks.grant_waiver, request.actor)):
        messages.success(request, "The waiver holds from now on.")
        return HttpResponseRedirect(f"/waivers/{made.uuid}")
    return render(request, "market/new_waiver.html", FormPage("New waiver", form), status=form_status(request))


@require_GET
def waiver(request: Request, uuid: UUID) -> HttpResponse:
    found = checks.require_waiver(request.actor, uuid)
    return render(request, "market/waiver.html", WaiverPage.of(request.actor, found))


@require_POST
def revocation(request: Request, uuid: UUID) -> HttpResponse:
    found = checks.require_waiver(request.actor, uuid)
    if submit(RevocationForm(request.POST), checks.revoke_waiver, request.actor, found):
        messages.success(request, "The waiver is revoked: nothing new is sold under it.")
    else:
        messages.error(request, "The waiver still holds: give a reason of at most 2,000 characters, or none.")
    return HttpResponseRedirect(f"/waivers/{uuid}")


def _ticked(custom: object) -> list[str]:
    return [name for name, is_on in vars(custom).items() if is_on is True]
