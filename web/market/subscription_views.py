"""Subscriptions: one's own, and those to what one sells."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from accounts.policies import require_namespace
from common.errors import Conflict, Invalid, NotFound, OverBudget
from market.policies import require_plan
from market.services import plan_switches
from market.services import subscriptions as service
from market.states import OrderState
from market.subscription_queries import require_subscription
from web.forms import submit, uuid_of
from web.links import order_url, subscription_url
from web.market.forms import PlanSwitchForm
from web.market.subscription_pages import ChangePage, SubscriptionPage, SubscriptionsPage
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from market.models import Subscription


@require_GET
def subscriptions(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    owner = require_namespace(request.actor, request.GET.get("owner") or request.actor.username, Action.ORDER_READ)
    page = SubscriptionsPage.of(request.actor, owner, request.GET.get("cursor", ""))
    return render(request, "market/subscriptions.html", page)


@require_GET
def subscribers(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    owner = require_namespace(request.actor, request.GET.get("owner") or request.actor.username, Action.NAMESPACE_SELL)
    page = SubscriptionsPage.sold(request.actor, owner, request.GET.get("cursor", ""))
    return render(request, "market/subscriptions.html", page)


@require_GET
def subscription(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_subscription(request.actor, uuid)
    return render(request, "market/subscription.html", SubscriptionPage.of(request.actor, found))


@require_POST
def payment(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_subscription(request.actor, uuid, Action.NAMESPACE_BUY)
    try:
        order = service.pay_now(request.actor, found)
    except (Conflict, OverBudget) as error:
        return _refused(request, uuid, error)
    if order is not None and order.state == OrderState.PLACED:
        return HttpResponseRedirect(order_url(order.uuid))
    messages.success(request, "It is paid; access is open." if order else "Nothing is due.")
    return HttpResponseRedirect(subscription_url(uuid))


@require_POST
def cancellation(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    service.cancel(request.actor, require_subscription(request.actor, uuid, Action.NAMESPACE_BUY))
    messages.success(request, "The subscription is cancelled.")
    return HttpResponseRedirect(subscription_url(uuid))


@require_POST
def continuation(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    try:
        service.undo_cancellation(request.actor, require_subscription(request.actor, uuid, Action.NAMESPACE_BUY))
    except Conflict as error:
        return _refused(request, uuid, error)
    messages.success(request, "The subscription goes on.")
    return HttpResponseRedirect(subscription_url(uuid))


@require_http_methods(["GET", "POST"])
def change(request: Request, uuid: UUID) -> HttpResponse:
    """The page of another plan (`?plan=`), with its terms. A POST takes it; one that names the present plan keeps that."""
    request.actor.require_authenticated()
    found = require_subscription(request.actor, uuid, Action.NAMESPACE_BUY)
    plan = require_plan(request.actor, uuid_of(request.POST.get("plan") or request.GET.get("plan", "")))
    if plan.listing_id != found.listing_id:
        raise NotFound("There is no such plan.")
    if request.method == "POST" and plan.pk == found.plan_id:
        return _kept(request, found, plan.uuid)
    form = PlanSwitchForm(request.POST or None)
    made = submit(form, plan_switches.change_plan, request.actor, found, plan_uuid=plan.uuid) if form.is_bound else None
    if made is None:
        page = ChangePage.of(request.actor, found, plan, form)
        return render(request, "market/subscription_change.html", page, status=form_status(request))
    row, switch = made
    if switch.order is not None and switch.order.state == OrderState.PLACED:
        return HttpResponseRedirect(order_url(switch.order.uuid))
    if getattr(switch, "approval", None) is not None:
        said = "Those who approve it have been told; until then all stays as it is."
    elif switch.is_now:
        said = "The new plan is yours."
    else:
        said = f"From {row.period_end:%-d %b %Y} on it is the plan that you chose."
    messages.success(request, said)
    return HttpResponseRedirect(subscription_url(uuid))


def _kept(request: Request, found: "Subscription", plan_uuid: UUID) -> HttpResponse:
    try:
        plan_switches.change_plan(request.actor, found, plan_uuid, key=request.POST.get("key", ""))
    except (Conflict, Invalid) as error:
        return _refused(request, found.uuid, error)
    messages.success(request, "The present plan goes on.")
    return HttpResponseRedirect(subscription_url(found.uuid))


def _refused(request: Request, uuid: UUID, error: Conflict | Invalid | OverBudget) -> HttpResponse:
    messages.error(request, error.message)
    page = SubscriptionPage.of(request.actor, require_subscription(request.actor, uuid))
    return render(request, "market/subscription.html", page, status=error.status)
