"""Trying a listed endpoint before buying, and the seller's terms of it."""

from datetime import timedelta
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import system
from accounts.permissions import Action, Scope
from accounts.services import tokens
from common.clock import now
from common.errors import DomainError, NotFound
from compute.endpoint_policies import require_endpoint_by_uuid
from market.policies import require_listing, require_listing_by_uuid
from market.services import trials
from market.states import SubjectKind
from market.trial_queries import trial_days
from web.exports import csv_response
from web.forms import submit
from web.market.trial_pages import SellerTrialPage, TrialPage
from web.render import Request, form_status, render

TOKEN_LIFE = timedelta(minutes=15)
CSV_DAYS = 366


class TrialForm(forms.Form):
    calls = forms.IntegerField(
        min_value=0,
        max_value=trials.MOST_CALLS,
        required=False,
        label="Free calls a day for each person",
        help_text="0: none; empty: as the site says. A day is one of UTC.",
    )


@require_GET
def tryit(request: Request, namespace: str, slug: str) -> HttpResponse:
    listing = require_listing(request.actor, namespace, slug)
    if listing.subject_kind != SubjectKind.ENDPOINT:
        raise NotFound("Only endpoints can be tried here.")
    endpoint = require_endpoint_by_uuid(system("market"), listing.subject_uuid, Action.ENDPOINT_DISCOVER)
    return render(request, "market/try.html", TrialPage.of(request.actor, listing, endpoint))


@never_cache
@require_POST
def trial_token(request: Request, namespace: str, slug: str) -> HttpResponse:
    """Opens today's free calls, and gives a token for the form, which may call endpoints and nothing else, for a quarter of an hour.
    Refusals are JSON with a sentence: the form shows it."""
    listing = require_listing(request.actor, namespace, slug)
    request.actor.require_authenticated()
    try:
        trials.open_trial(request.actor, listing)
    except DomainError as error:
        return JsonResponse({"error": error.message}, status=error.status)
    _, text = tokens.issue(
        request.actor,
        name=f"try {listing.title}"[:80],
        scopes=[Scope.ENDPOINT_USE.value],
        expires_at=now() + TOKEN_LIFE,
    )
    return JsonResponse({"token": text})


@require_http_methods(["GET", "POST"])
def seller_trial(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    if listing.subject_kind != SubjectKind.ENDPOINT:
        raise NotFound("Free calls are for listings of endpoints.")
    form = TrialForm(request.POST if request.method == "POST" else None, initial={"calls": listing.trial_calls})
    if request.method == "POST" and submit(form, trials.set_trial_calls, request.actor, listing):
        messages.success(request, "Saved.")
        return HttpResponseRedirect(f"/sell/{uuid}/trial")
    return render(request, "market/seller_trial.html", SellerTrialPage.of(listing, form), status=form_status(request))


@require_GET
def seller_trial_csv(request: Request, uuid: UUID) -> HttpResponseBase:
    """Free calls a day of the last year."""
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    rows = ((each.day, each.people, each.calls) for each in trial_days(listing, days=CSV_DAYS))
    return csv_response(f"trial-{listing.slug}", ["day", "people", "calls"], rows)
