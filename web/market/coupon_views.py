"""Coupons of a seller, private offers to a buyer."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from accounts.policies import require_namespace
from market.policies import require_coupon
from market.services import coupons as service
from web.forms import submit
from web.links import with_query
from web.market.coupon_forms import CouponForm
from web.market.coupon_pages import PATH, CouponsPage, OffersPage, choices_of
from web.market.fields import zone_of
from web.render import Request, form_status, render


@require_http_methods(["GET", "POST"])
def coupons(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    owner = require_namespace(request.actor, request.GET.get("owner") or request.actor.username, Action.LISTING_MANAGE)
    listings, plans = choices_of(owner)
    form = CouponForm(request.POST or None, zone=zone_of(request.user), listings=listings, plans=plans)
    if request.method == "POST" and (made := submit(form, service.create_coupon, request.actor, namespace=owner.name)):
        messages.success(request, f"The coupon {made.code} is made.")
        return HttpResponseRedirect(with_query(PATH, owner=owner.name))
    page = CouponsPage.of(request.actor, owner, form, request.GET.get("cursor", ""))
    return render(request, "market/coupons.html", page, status=form_status(request))


@require_POST
def coupon_archiving(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    coupon = service.archive_coupon(request.actor, require_coupon(request.actor, uuid))
    messages.success(request, f"The coupon {coupon.code} is archived; orders that have it keep their price.")
    return HttpResponseRedirect(with_query(PATH, owner=coupon.namespace.name))


@require_GET
def offers(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/offers.html", OffersPage.of(request.actor, request.GET.get("cursor", "")))
