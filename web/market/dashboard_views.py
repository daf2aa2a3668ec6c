"""Dashboards of sellers and buyers, and their tables as files."""

from typing import TYPE_CHECKING

from django.http import HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET

from accounts.permissions import Action
from accounts.policies import require_namespace
from market.dashboard_queries import seller_figures
from market.spending_queries import spending_of
from web.exports import csv_response
from web.market import dashboard_pages as pages
from web.market.fields import zone_of
from web.render import Request, render

if TYPE_CHECKING:
    from accounts.models import Namespace


@require_GET
def selling(request: Request) -> HttpResponse:
    owner = _owner(request, Action.NAMESPACE_SELL)
    page = pages.SellerDashboardPage.of(request.actor, owner, _asked(request), zone_of(request.user))
    return render(request, "market/seller_dashboard.html", page)


@require_GET
def days_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_SELL)
    found = seller_figures(owner, _asked(request).period(zone_of(request.user)))
    return csv_response(f"dashboard-{owner.name}", pages.DAYS, pages.day_rows(found))


@require_GET
def listings_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.NAMESPACE_SELL)
    found = seller_figures(owner, _asked(request).period(zone_of(request.user)))
    return csv_response(f"listings-{owner.name}", pages.LISTINGS, pages.listing_rows(found))


@require_GET
def spending(request: Request) -> HttpResponse:
    owner = _owner(request, Action.ORDER_READ)
    page = pages.SpendingPage.of(request.actor, owner, _asked(request), zone_of(request.user))
    return render(request, "market/spending_dashboard.html", page)


@require_GET
def spending_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.ORDER_READ)
    found = spending_of(owner, _asked(request).period(zone_of(request.user)))
    return csv_response(f"spending-{owner.name}", pages.SPENT, pages.spent_rows(found))


@require_GET
def spending_calls_csv(request: Request) -> HttpResponseBase:
    owner = _owner(request, Action.ORDER_READ)
    found = spending_of(owner, _asked(request).period(zone_of(request.user)))
    return csv_response(f"calls-{owner.name}", pages.USED, pages.used_rows(found))


def _asked(request: Request) -> pages.Asked:
    given = request.GET
    return pages.Asked(given.get("days", ""), given.get("since", ""), given.get("until", ""))


def _owner(request: Request, action: Action) -> "Namespace":
    request.actor.require_authenticated()
    return require_namespace(request.actor, request.GET.get("owner") or request.actor.username, action)
