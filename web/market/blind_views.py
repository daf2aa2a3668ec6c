"""Blind evaluations: the buyer's form and results, the seller's list, and certificates for everybody."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from market.blind_policies import require_certificate, require_evaluation
from market.policies import require_listing, require_listing_by_uuid
from market.services import blind, certificates
from web.forms import submit, uuid_of
from web.market.blind_forms import EvaluateForm, RunsForm, VerifyForm
from web.market.blind_pages import (
    CertificatePage,
    EvaluatePage,
    EvaluationPage,
    EvaluationsPage,
    SellerEvaluationsPage,
    VerifyPage,
    evaluation_url,
)
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from market.models import BlindEvaluation, Listing


@require_http_methods(["GET", "POST"])
def evaluate(request: Request, namespace: str, slug: str) -> HttpResponse:
    request.actor.require_authenticated()
    listing = require_listing(request.actor, namespace, slug)
    form = EvaluateForm(request.actor, listing, request.POST or None)
    if request.method == "POST" and (made := submit(form, _ask, request.actor, listing)):
        return HttpResponseRedirect(evaluation_url(made.uuid))
    page = EvaluatePage.of(listing, form)
    return render(request, "market/evaluate.html", page, status=form_status(request))


@require_GET
def evaluations(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    page = EvaluationsPage.of(request.actor, request.GET.get("cursor", ""))
    return render(request, "market/evaluations.html", page)


@require_GET
def evaluation(request: Request, uuid: UUID) -> HttpResponse:
    found = require_evaluation(request.actor, uuid)
    return render(request, "market/evaluation.html", EvaluationPage.of(request.actor, found))


@require_POST
def cancellation(request: Request, uuid: UUID) -> HttpResponse:
    blind.cancel_evaluation(request.actor, require_evaluation(request.actor, uuid, to_change=True))
    messages.success(request, "The evaluation is cancelled; the run is yours again.")
    return HttpResponseRedirect(evaluation_url(uuid))


@require_POST
def publication(request: Request, uuid: UUID) -> HttpResponse:
    blind.publish_certificate(request.actor, require_evaluation(request.actor, uuid, to_change=True))
    messages.success(request, "The certificate is public; the seller can show it on the listing.")
    return HttpResponseRedirect(evaluation_url(uuid))


@require_POST
def withdrawal(request: Request, uuid: UUID) -> HttpResponse:
    blind.withdraw_certificate(request.actor, require_evaluation(request.actor, uuid, to_change=True))
    messages.success(request, "The certificate is no longer public here. Copies of it stay valid.")
    return HttpResponseRedirect(evaluation_url(uuid))


@require_http_methods(["GET", "POST"])
def seller_evaluations(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    form = RunsForm(request.POST if request.method == "POST" else None, initial={"runs": listing.blind_runs})
    if request.method == "POST" and submit(form, blind.set_runs, request.actor, listing):
        messages.success(request, "Saved.")
        return HttpResponseRedirect(f"/sell/{uuid}/evaluations")
    page = SellerEvaluationsPage.of(request.actor, listing, form, request.GET.get("cursor", ""))
    return render(request, "market/seller_evaluations.html", page, status=form_status(request))


@require_POST
def showing(request: Request, uuid: UUID, evaluation_uuid: UUID) -> HttpResponse:
    """Show a published certificate on the listing (`shown=1`), or take it off."""
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    is_shown = request.POST.get("shown") == "1"
    blind.show_certificate(request.actor, listing, evaluation_uuid, is_shown=is_shown)
    messages.success(request, "It stands on the listing." if is_shown else "It is off the listing.")
    return HttpResponseRedirect(f"/sell/{uuid}/evaluations")


@require_GET
def certificate(request: Request, uuid: UUID) -> HttpResponse:
    return render(request, "market/certificate.html", CertificatePage.of(require_certificate(request.actor, uuid)))


@require_GET
def certificate_file(request: Request, uuid: UUID) -> HttpResponse:
    document = certificates.document_of(require_certificate(request.actor, uuid))
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    headers = {"Content-Disposition": f'attachment; filename="certificate-{uuid}.json"', "Cache-Control": "private"}
    return HttpResponse(text, content_type="application/json", headers=headers)


@require_http_methods(["GET", "POST"])
def verify(request: Request) -> HttpResponse:
    is_asked = request.method == "POST"
    form = VerifyForm(request.POST if is_asked else None, request.FILES if is_asked else None)
    found = submit(form, certificates.verify) if is_asked else None
    status = 400 if is_asked and found is None else 200
    return render(request, "market/verify_certificate.html", VerifyPage.of(form, found), status=status)


def _ask(actor: Actor, listing: "Listing", *, test_set: str, **given: Any) -> "BlindEvaluation":
    uuid, _, buyer = test_set.partition(":")
    return blind.ask_for_evaluation(actor, listing, buyer=buyer, data_uuid=uuid_of(uuid), **given)
