"""What buying would cost, coupons, private offers."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market import wire
from common.errors import Invalid
from common.pagination import keyset_page
from market import policies, queries
from market.services import coupons, quotes


class Quote(View):
    @extend_schema(
        responses=wire.QuoteWire,
        parameters=[
            OpenApiParameter("buyer", str, required=True, description="The namespace to buy for."),
            OpenApiParameter("quantity", int, description="1 by default."),
            OpenApiParameter("coupon", str, description="A code of the seller's."),
        ],
        tags=["market"],
    )
    def get(self, request: Request, uuid: UUID) -> Response:
        """What an order of this plan would cost now: price, discount, tax, total. A coupon that does not fit is a 400 that says why."""
        self.actor.require_authenticated()
        params = request.query_params
        quantity = params.get("quantity", "1")
        if not quantity.isascii() or not quantity.isdigit() or len(quantity) > 9:
            raise Invalid("quantity is a whole number.", fields={"quantity": "not a number"})
        found = quotes.quote(
            self.actor,
            buyer_namespace=params.get("buyer", ""),
            plan_uuid=uuid,
            quantity=int(quantity),
            coupon=params.get("coupon", ""),
        )
        return Response(wire.quote(found))


class Coupons(View):
    @extend_schema(responses=page_of(wire.CouponWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """The coupons of a seller, newest first, archived ones too."""
        seller = require_namespace(self.actor, name, Action.LISTING_MANAGE)
        found = queries.coupons_of(policies.visible_coupons(self.actor).filter(namespace=seller))
        page = keyset_page(found, order=("-created_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.coupon)

    @extend_schema(
        request=wire.CouponNew, responses={201: wire.CouponWire}, parameters=[KEY_PARAMETER], tags=["market"]
    )
    def post(self, request: Request, name: str) -> Response:
        """Make a coupon. It is never edited: archive it and make another."""
        self.actor.require_authenticated()
        given = self.given(wire.CouponNew)

        def make() -> dict[str, Any]:
            return _wire(self, coupons.create_coupon(self.actor, name, **given).uuid)

        return self.creating(make)


class Coupon(View):
    @extend_schema(responses=wire.CouponWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One coupon of a seller."""
        return Response(_wire(self, uuid))

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Archive it: no order takes it any more. Safe to repeat."""
        coupons.archive_coupon(self.actor, policies.require_coupon(self.actor, uuid))
        return Response(status=204)


class Offers(View):
    @extend_schema(responses=page_of(wire.OfferWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """Open private offers to a namespace, newest first."""
        buyer = require_namespace(self.actor, name, Action.NAMESPACE_READ)
        offers = policies.private_offers(self.actor).filter(offered_to=buyer)
        page = keyset_page(offers, order=("-created_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.offer)


def _wire(view: View, uuid: UUID) -> dict[str, Any]:
    found = policies.require_coupon(view.actor, uuid)
    return wire.coupon(queries.coupons_of(policies.visible_coupons(view.actor)).get(pk=found.pk))
