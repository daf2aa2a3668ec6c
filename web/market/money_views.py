"""Orders, access, wallet, earnings."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from common.errors import Forbidden, Invalid, NotFound
from common.money import Money, format_money, parse_amount
from market import queries
from market.policies import require_order
from market.services import wallet as wallet_service
from market.services.payments import look_at_payment
from market.services.provider_accounts import begin_seller_account
from market.services.refunds import refund_order
from market.states import OrderState
from web.exports import csv_response
from web.forms import submit
from web.links import order_url, with_query
from web.market import money_exports as exports
from web.market.forms import CreditsForm
from web.market.money_pages import CreditsPage, EarningsPage, LibraryPage, OrderPage, OrdersPage, WalletPage
from web.market.pages import subject_of
from web.market.payment_pages import SellerAccountPage
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from accounts.models import Namespace


@require_GET
def orders(request: Request) -> HttpResponse:
    owner = _owner(request, Action.ORDER_READ)
    return render(request, "market/orders.html", OrdersPage.of(request.actor, owner, request.GET.get("cursor", "")))


@require_GET
def order(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_order(request.actor, uuid)
    return render(request, "market/order.html", OrderPage.of(request.actor, found))


@never_cache
@require_GET
def payment(request: Request, uuid: UUID) -> HttpResponse:
    """To the provider's page, or back from it: asks the provider how the payment stands, and goes where there is something to do.
    A second call does no harm, and a link gets past the rule that forms lead nowhere else."""
    request.actor.require_authenticated()
    found = require_order(request.actor, uuid)
    if not request.actor.may(Action.NAMESPACE_BUY, found.buyer_id):
        raise Forbidden(f"You may not buy for {found.buyer.name}.")
    done = look_at_payment(found.pk)
    if done.state == OrderState.PLACED and done.payment_url:
        return HttpResponseRedirect(done.payment_url)
    return HttpResponseRedirect(order_url(found.uuid))


@require_http_methods(["GET", "POST"])
def seller_account(request: Request) -> HttpResponse:
    """A seller's account at the payment provider: how it stands; by POST, the link to the page where its questions are answered."""
    owner = _owner(request, Action.NAMESPACE_SELL)
    link = ""
    if request.method == "POST":
        link = begin_seller_account(request.actor, owner)
    return render(request, "market/seller_account.html", SellerAccountPage.of(owner, link))


@require_POST
def refund(request: Request, uuid: UUID) -> HttpResponse:
    found = require_order(request.actor, uuid)
    done = refund_order(request.actor, found, reason=request.POST.get("reason", ""), key=request.POST.get("key", ""))
    is_done = done.state == "refunded"
    messages.success(
        request, "The order is undone." if is_done else "Access is closed; the money follows when calls are counted."
    )
    return HttpResponseRedirect(order_url(found.uuid))


@require_GET
def library(request: Request) -> HttpResponse:
    owner = _owner(request, Action.NAMESPACE_READ)
    return render(request, "market/library.html", LibraryPage.of(request.actor, owner, request.GET.get("cursor", "")))


@require_GET
def subject(request: Request, kind: str, uuid: UUID) -> HttpResponse:
    """To the page of what was bought, wherever that is now."""
    found = subject_of(request.actor, kind, uuid)
    if found is None:
        raise NotFound("It is no longer there, or no longer open to you.")
    return HttpResponseRedirect(found.href)


@require_GET
def wallet(request: Request) -> HttpResponse:
    owner = _owner(request, Action.NAMESPACE_WALLET)
    return render(request, "market/wallet.html", WalletPage.of(request.actor, owner, request.GET.get("cursor", "")))


@require_GET
def earnings(request: Request) -> HttpResponse:
    owner = _owner(request, Action.NAMESPACE_SELL)
    return render(request, "market/earnings.html", EarningsPage.of(request.actor, owner, request.GET.get("cursor", "")))


@require_GET
def orders_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.ORDER_READ)
    return csv_response(f"orders-{owner.name}", exports.ORDERS, exports.orders(owner))


@require_GET
def library_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_READ)
    return csv_response(f"access-{owner.name}", exports.ACCESS, exports.access(owner))


@require_GET
def wallet_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_WALLET)
    return csv_response(f"statement-{owner.name}", exports.MOVEMENTS, exports.movements(owner, "wallet"))


@require_GET
def earnings_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_SELL)
    return csv_response(f"earnings-{owner.name}", exports.MOVEMENTS, exports.movements(owner, "earnings"))


@require_GET
def earned_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_SELL)
    return csv_response(f"earned-{owner.name}", exports.EARNED, exports.earned(owner))


@require_GET
def sales_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_SELL)
    return csv_response(f"sales-{owner.name}", exports.ORDERS, exports.sales(owner))


@never_cache
@require_http_methods(["GET", "POST"])
def credit(request: Request) -> HttpResponse:
    """Staff put money into a wallet. The wallet that was filled last is shown with what it holds now."""
    request.actor.require_authenticated()
    if not request.actor.is_staff:
        raise Forbidden("Only staff may hand out credits.")
    name = request.GET.get("owner", "")
    form = CreditsForm(request.POST or None, initial={"namespace": name} if name else {})
    if request.method == "POST" and (added := submit(form, _add_credits, request.actor)):
        owner, amount = added
        messages.success(
            request,
            f"{format_money(amount)} added. The wallet of {owner.name} holds "
            f"{format_money(queries.balance(owner, amount.currency))} now.",
        )
        return HttpResponseRedirect(with_query("/-/credits", owner=owner.name))
    page = CreditsPage.of(form, require_namespace(request.actor, name) if name else None)
    return render(request, "market/credits.html", page, status=form_status(request))


def _add_credits(actor: Actor, *, namespace: str, amount: str, currency: str, key: str) -> "tuple[Namespace, Money]":
    try:
        owner = require_namespace(actor, namespace.strip())
    except NotFound as error:
        raise Invalid(error.message, fields={"namespace": "unknown"}) from error
    money = parse_amount(amount, currency)
    wallet_service.add_credits(actor, owner, money.amount_minor, currency, key=key)
    return owner, money


def _owner(request: Request, action: Action) -> "Namespace":
    """The namespace the page is about: `?owner=`, else one's own."""
    request.actor.require_authenticated()
    return require_namespace(request.actor, request.GET.get("owner") or request.actor.username, action)
