"""Approvals of purchases, and the limits of an organisation."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_POST

from accounts.permissions import Action
from accounts.policies import require_organization
from market.approval_policies import require_approval
from market.services import approval_requests
from market.services import approvals as service
from web.forms import submit
from web.market.approval_pages import ApprovalPage, ApprovalsPage, DecideForm, LimitForm, SpendingPage
from web.render import Request, render


@require_GET
def approvals(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    is_waiting = not request.GET.get("decided")
    page = ApprovalsPage.of(request.actor, request.GET.get("cursor", ""), is_waiting=is_waiting)
    return render(request, "market/approvals.html", page)


@require_GET
def approval(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    page = ApprovalPage.of(request.actor, require_approval(request.actor, uuid))
    return render(request, "market/approval.html", page)


@require_POST
def decision(request: Request, uuid: UUID) -> HttpResponse:
    """Approves with `approve`, else declines."""
    found, form = require_approval(request.actor, uuid), DecideForm(request.POST)
    deed = service.approve if "approve" in request.POST else service.decline
    if decided := submit(form, deed, request.actor, found):
        messages.success(request, f"{found.listing.title} is {decided.outcome}.")
        return HttpResponseRedirect("/approvals")
    page = ApprovalPage.of(request.actor, require_approval(request.actor, uuid), form)
    return render(request, "market/approval.html", page, status=400)


@require_POST
def withdrawal(request: Request, uuid: UUID) -> HttpResponse:
    found = require_approval(request.actor, uuid)
    service.withdraw(request.actor, found)
    messages.success(request, "You took it back; nothing was bought or changed.")
    return HttpResponseRedirect("/approvals")


@require_GET
def spending(request: Request, name: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_WALLET)
    return render(request, "market/spending.html", SpendingPage.of(request.actor, organization))


@require_POST
def limit(request: Request, name: str) -> HttpResponse:
    organization = require_organization(request.actor, name, Action.NAMESPACE_APPROVE)
    form = LimitForm(request.POST)
    namespace = organization.namespace.name
    if form.is_valid():
        submit(form, approval_requests.set_limit, request.actor, namespace)
    if not form.errors:
        messages.success(request, "The limit holds for every order from now on.")
        return HttpResponseRedirect(f"/organizations/{namespace}/spending")
    page = SpendingPage.of(request.actor, organization, form)
    return render(request, "market/spending.html", page, status=400)
