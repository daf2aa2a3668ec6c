"""Royalties: what one asks for one's repositories, what a listing has to pay."""

from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from common.errors import Conflict
from common.money import CREDIT, EXPONENTS, parse_amount
from market.policies import require_listing_by_uuid
from market.royalties import WHOLE
from market.services import royalties
from registry.policies import require_repo_by_uuid
from web.forms import submit, uuid_of
from web.links import with_query
from web.market.royalty_pages import RoyaltiesPage, TermsPage
from web.render import Request, form_status, render


class TermsForm(forms.Form):
    """Gives the names and units of `declare_terms`."""

    percent = forms.DecimalField(
        min_value=0,
        max_value=100,
        decimal_places=2,
        label="Share in per cent",
        help_text="Of what the seller receives for each order, after the fee of the site. 0 asks nothing.",
    )
    minimum = forms.CharField(max_length=30, required=False, label="At least, per order")
    cap = forms.CharField(max_length=30, required=False, label="At most, per order")
    currency = forms.ChoiceField(
        choices=[(code, code) for code in sorted(EXPONENTS)],
        initial=CREDIT,
        label="Currency of these amounts",
        help_text="Orders in other currencies pay the share alone.",
    )
    until = forms.DateField(
        required=False,
        label="Until",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Orders from that day on (UTC) pay nothing.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        currency = cleaned.get("currency", CREDIT)
        for name, empty in (("minimum", 0), ("cap", None)):
            text = cleaned.pop(name, "")
            cleaned[f"{name}_minor"] = parse_amount(text, currency).amount_minor if text else empty
        cleaned["basis_points"] = int(cleaned.pop("percent", 0) * WHOLE / 100)
        until = cleaned.get("until")
        cleaned["until"] = datetime.combine(until, time(), UTC) if until else None
        return cleaned


@require_GET
def overview(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    name = request.GET.get("owner") or request.actor.username
    owner = require_namespace(request.actor, name, Action.NAMESPACE_SELL)
    return render(request, "market/royalties.html", RoyaltiesPage.of(request.actor, owner))


@require_http_methods(["GET", "POST"])
def terms(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    repo = require_repo_by_uuid(request.actor, uuid, Action.REPO_ADMIN)
    form = TermsForm(request.POST or None)
    if request.method == "POST" and submit(form, royalties.declare_terms, request.actor, repo):
        messages.success(request, "That holds for the versions that you publish from now on.")
        return HttpResponseRedirect(with_query("/sell/royalties", owner=repo.namespace.name))
    return render(request, "market/royalty_terms.html", TermsPage.of(repo, form), status=form_status(request))


@require_POST
def acceptance(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    _accept(request, request.actor, listing)
    return HttpResponseRedirect(f"/sell/{uuid}")


def _accept(request: Request, actor: Actor, listing: Any) -> None:
    try:
        royalties.accept(actor, listing, [uuid_of(text) for text in request.POST.getlist("terms")[:200]])
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "Accepted: each sale pays them from now on.")
