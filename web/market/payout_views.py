"""Payouts: the seller's page, one payout, and the operator's desk."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from common.errors import Forbidden, Invalid, NotFound
from market.policies import require_payout, require_payout_account
from market.services import payout_accounts
from market.services.payouts import mark_failed, mark_paid
from market.states import PayoutState
from web.forms import submit
from web.links import payout_url, with_query
from web.market.payout_pages import (
    FailedForm,
    HoldForm,
    PaidForm,
    PayoutAccountForm,
    PayoutDeskPage,
    PayoutPage,
    PayoutsPage,
)
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from accounts.models import Namespace


@require_http_methods(["GET", "POST"])
def payouts(request: Request) -> HttpResponse:
    """What is due and what was paid. A POST says where the money goes."""
    request.actor.require_authenticated()
    name = request.GET.get("owner") or request.actor.username
    owner = require_namespace(request.actor, name, Action.NAMESPACE_SELL)
    form = PayoutAccountForm(request.POST or None)
    if request.method == "POST" and submit(form, payout_accounts.set_payout_account, request.actor, owner):
        messages.success(request, "Earnings in this currency go there from now on.")
        return HttpResponseRedirect(with_query("/payouts", owner=owner.name))
    page = PayoutsPage.of(request.actor, owner, request.GET.get("cursor", ""), form)
    return render(request, "market/payouts.html", page, status=form_status(request))


@require_POST
def account_removal(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    account = require_payout_account(request.actor, uuid)
    payout_accounts.remove_payout_account(request.actor, account)
    messages.success(request, f"Nothing is paid out in {account.currency} any more.")
    return HttpResponseRedirect(with_query("/payouts", owner=account.namespace.name))


@require_GET
def payout(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/payout.html", PayoutPage.of(request.actor, require_payout(request.actor, uuid)))


@require_POST
def payment(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found, form = require_payout(request.actor, uuid), PaidForm(request.POST)
    _check_staff(request.actor)
    if submit(form, mark_paid, request.actor, found):
        messages.success(request, "Noted as paid.")
        return HttpResponseRedirect(payout_url(uuid))
    return render(request, "market/payout.html", PayoutPage.of(request.actor, found, paid=form), status=400)


@require_POST
def failure(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found, form = require_payout(request.actor, uuid), FailedForm(request.POST)
    _check_staff(request.actor)
    if submit(form, mark_failed, request.actor, found):
        messages.success(request, "The money is in the seller's earnings again.")
        return HttpResponseRedirect(payout_url(uuid))
    return render(request, "market/payout.html", PayoutPage.of(request.actor, found, failed=form), status=400)


@require_http_methods(["GET", "POST"])
def desk(request: Request) -> HttpResponse:
    """What the operator has to pay. A POST holds the payouts of a seller."""
    request.actor.require_authenticated()
    _check_staff(request.actor)
    state = request.GET.get("state") or PayoutState.WAITING.value
    if state != "all" and state not in set(PayoutState):
        raise Invalid(f"The state is all, {', '.join(PayoutState)}.", fields={"state": "unknown"})
    form = HoldForm(request.POST or None)
    if request.method == "POST" and submit(form, _hold, request.actor):
        messages.success(request, "Nothing goes out to this seller until you release it.")
        return HttpResponseRedirect("/-/payouts")
    page = PayoutDeskPage.of("" if state == "all" else state, request.GET.get("cursor", ""), form)
    return render(request, "market/payout_desk.html", page, status=form_status(request))


@require_POST
def release(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    _check_staff(request.actor)
    owner = require_namespace(request.actor, request.POST.get("namespace", ""))
    payout_accounts.release_payouts(request.actor, owner)
    messages.success(request, f"Payouts to {owner.name} go out again.")
    return HttpResponseRedirect("/-/payouts")


def _hold(actor: Actor, *, namespace: str, reason: str) -> "Namespace":
    try:
        owner = require_namespace(actor, namespace.strip())
    except NotFound as error:
        raise Invalid(error.message, fields={"namespace": "unknown"}) from error
    payout_accounts.hold_payouts(actor, owner, reason)
    return owner


def _check_staff(actor: Actor) -> None:
    if not actor.is_staff:
        raise Forbidden("Only staff may settle payouts.")
