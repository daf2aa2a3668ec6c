"""Subscriptions: one's own, and those to what one sells."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_POST

from accounts.permissions import Action
from accounts.policies import require_namespace
from common.errors import Conflict, Invalid, OverBudget
from market.services import subscriptions as service
from market.states import OrderState
from market.subscription_queries import require_subscription
from web.forms import uuid_of
from web.links import order_url, subscription_url
from web.market.subscription_pages import SubscriptionPage, SubscriptionsPage
from web.render import Request, render


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


@require_POST
def change(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_subscription(request.actor, uuid, Action.NAMESPACE_BUY)
    plan, key = uuid_of(request.POST.get("plan", "")), request.POST.get("key", "")
    try:
        row, order = service.change_plan(request.actor, found, plan, key=key)
    except (Conflict, Invalid, OverBudget) as error:
        return _refused(request, uuid, error)
    if order is not None and order.state == OrderState.PLACED:
        return HttpResponseRedirect(order_url(order.uuid))
    said = "The new plan is yours." if order else f"From {row.period_end:%-d %b %Y} on it is the plan that you chose."
    messages.success(request, said)
    return HttpResponseRedirect(subscription_url(uuid))


def _refused(request: Request, uuid: UUID, error: Conflict | Invalid | OverBudget) -> HttpResponse:
    messages.error(request, error.message)
    page = SubscriptionPage.of(request.actor, require_subscription(request.actor, uuid))
    return render(request, "market/subscription.html", page, status=error.status)
