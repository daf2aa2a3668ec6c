"""Giving a part of an order's money back, asking for it, deciding about it."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Forbidden, Invalid
from common.money import Money, format_money, parse_amount
from market.policies import require_order
from market.return_policies import require_return
from market.services import return_requests
from market.services.money_back import left_minor
from market.services.partial_refunds import refund_part
from market.states import ReturnSide, ReturnState
from web.forms import submit
from web.links import order_url
from web.market.return_forms import AskForm, DecisionForm, EscalationForm, MessageForm, RefundPartForm
from web.market.return_pages import OrderFormPage, ReturnForms, ReturnPage, ReturnsPage
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from market.models import Order, Refund, ReturnRequest


@require_http_methods(["GET", "POST"])
def refunds(request: Request, uuid: UUID) -> HttpResponse:
    """A part of an order's money goes back."""
    request.actor.require_authenticated()
    order = require_order(request.actor, uuid)
    if not (request.actor.is_staff or request.actor.may(Action.NAMESPACE_SELL, order.seller_id)):
        raise Forbidden("Only the seller and the operator give money back; you can ask for it.")
    form = RefundPartForm(order, left_minor(order), request.POST or None)
    if request.method == "POST" and (made := submit(form, _refund, request.actor, order)):
        amount = format_money(Money(made.amount_minor, order.currency))
        ended = "Access has ended." if made.ended_access else "Access goes on."
        messages.success(request, f"{amount} given back. {ended}")
        return HttpResponseRedirect(order_url(uuid))
    page = OrderFormPage.of(order, "Give money back", f"/orders/{uuid}/refunds", form)
    return render(request, "market/refund_part.html", page, status=form_status(request))


@require_http_methods(["GET", "POST"])
def returns(request: Request, uuid: UUID) -> HttpResponse:
    """The buyer asks for money back."""
    request.actor.require_authenticated()
    order = require_order(request.actor, uuid)
    if not request.actor.may(Action.NAMESPACE_BUY, order.buyer_id):
        raise Forbidden("Only the buyer asks for money back.")
    form = AskForm(order, left_minor(order), request.POST or None)
    if request.method == "POST" and (made := submit(form, _ask, request.actor, order)):
        messages.success(request, f"{order.seller.name} has been asked.")
        return HttpResponseRedirect(f"/orders/returns/{made.uuid}")
    page = OrderFormPage.of(order, "Ask for money back", f"/orders/{uuid}/returns", form)
    return render(request, "market/ask_return.html", page, status=form_status(request))


@require_GET
def thread(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    return _page(request, require_return(request.actor, uuid))


@require_POST
def message(request: Request, uuid: UUID) -> HttpResponse:
    found, form = _found(request, uuid), MessageForm(request.POST)
    if submit(form, return_requests.write_on_return, request.actor, found):
        return HttpResponseRedirect(f"/orders/returns/{uuid}#thread")
    return _page(request, found, ReturnForms(message=form), status=400)


@require_POST
def decision(request: Request, uuid: UUID) -> HttpResponse:
    """Accepts with `accept`, else declines."""
    found = _found(request, uuid)
    form = DecisionForm(found, request.POST)
    deed = _accept if "accept" in request.POST else _decline
    if done := submit(form, deed, request.actor, found):
        messages.success(request, "The money goes back." if done.state == ReturnState.ACCEPTED else "Declined.")
        return HttpResponseRedirect(f"/orders/returns/{uuid}")
    return _page(request, found, ReturnForms(decision=form), status=400)


@require_POST
def escalation(request: Request, uuid: UUID) -> HttpResponse:
    found, form = _found(request, uuid), EscalationForm(request.POST)
    if submit(form, return_requests.escalate_return, request.actor, found):
        messages.success(request, "The operator looks at it.")
        return HttpResponseRedirect(f"/orders/returns/{uuid}")
    return _page(request, found, ReturnForms(escalation=form), status=400)


@require_POST
def withdrawal(request: Request, uuid: UUID) -> HttpResponse:
    return_requests.withdraw_return(request.actor, _found(request, uuid))
    messages.success(request, "Taken back.")
    return HttpResponseRedirect(f"/orders/returns/{uuid}")


@require_GET
def queue(request: Request) -> HttpResponse:
    """What sellers have to decide."""
    return _queue(request, ReturnSide.SELLER, ReturnState.OPEN)


@require_GET
def desk(request: Request) -> HttpResponse:
    """What the operator has to decide."""
    request.actor.require_authenticated()
    if not request.actor.is_staff:
        raise Forbidden("Only staff see what the operator decides.")
    return _queue(request, ReturnSide.OPERATOR, ReturnState.ESCALATED)


def _queue(request: Request, side: ReturnSide, usual: ReturnState) -> HttpResponse:
    request.actor.require_authenticated()
    state = request.GET.get("state") or usual.value
    if state != "all" and state not in set(ReturnState):
        raise Invalid(f"The state is all, {', '.join(ReturnState)}.", fields={"state": "unknown"})
    page = ReturnsPage.of(request.actor, side, state, request.GET.get("cursor", ""))
    return render(request, "market/returns.html", page)


def _found(request: Request, uuid: UUID) -> "ReturnRequest":
    request.actor.require_authenticated()
    return require_return(request.actor, uuid)


def _page(
    request: Request, found: "ReturnRequest", given: ReturnForms | None = None, *, status: int = 200
) -> HttpResponse:
    page = ReturnPage.of(request.actor, found, given or ReturnForms(), request.GET.get("cursor", ""))
    return render(request, "market/return_request.html", page, status=status)


def _refund(actor: Actor, order: "Order", *, amount: str, **given: Any) -> "Refund":
    return refund_part(actor, order, parse_amount(amount, order.currency).amount_minor, **given)


def _ask(actor: Actor, order: "Order", *, amount: str, **given: Any) -> "ReturnRequest":
    return return_requests.ask_for_return(actor, order, parse_amount(amount, order.currency).amount_minor, **given)


def _accept(actor: Actor, found: "ReturnRequest", *, amount: str, **given: Any) -> "ReturnRequest":
    wanted = parse_amount(amount, found.order.currency).amount_minor
    return return_requests.accept_return(actor, found, wanted, **given)


def _decline(actor: Actor, found: "ReturnRequest", *, text: str, **unused: object) -> "ReturnRequest":
    return return_requests.decline_return(actor, found, text=text)
