"""Licence checks along the lineage, and waivers."""

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market import licences_wire as wire
from common.pagination import keyset_page
from market.policies import visible_waivers
from market.services import licences
from market.subjects import visible_subject


class LicenceCheck(View):
    @extend_schema(
        responses=wire.LicenceCheckWire,
        parameters=[OpenApiParameter("paid", str, enum=["true", "false"], description="Sold, which is assumed, or given away.")],
        tags=["licences"],
    )  # fmt: skip
    def get(self, request: Request, kind: str, uuid: UUID) -> Response:
        """What the licences along the lineage of a model, a dataset or an endpoint say of selling it."""
        word, subject = visible_subject(self.actor, kind, uuid)
        is_paid = request.query_params.get("paid", "true") != "false"
        return Response(wire.check(licences.check(self.actor, word, subject, is_paid=is_paid)))


class Waivers(View):
    @extend_schema(responses=page_of(wire.WaiverWire), parameters=PAGE_PARAMETERS, tags=["licences"])
    def get(self, request: Request) -> Response:
        """Waivers of the repositories that the caller administers, given and got, newest first."""
        self.actor.require_authenticated()
        rows = visible_waivers(self.actor)
        page = keyset_page(rows, order=("-created_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, wire.waiver)

    @extend_schema(
        request=wire.WaiverNew, responses={201: wire.WaiverWire}, parameters=[KEY_PARAMETER], tags=["licences"]
    )
    def post(self, request: Request) -> Response:
        """Permit in writing what the licence of one's own repository forbids, for one edge of the lineage."""
        self.actor.require_authenticated()
        given = self.given(wire.WaiverNew)
        return self.creating(lambda: wire.waiver(licences.grant_waiver(self.actor, **given)))


class Waiver(View):
    @extend_schema(responses=wire.WaiverWire, tags=["licences"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One waiver."""
        return Response(wire.waiver(licences.require_waiver(self.actor, uuid)))


class WaiverRevocation(View):
    @extend_schema(request=wire.WaiverRevocationNew, responses={201: wire.WaiverWire}, tags=["licences"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """End a waiver for the future; what was bought under it stays. Safe to repeat."""
        waiver = licences.require_waiver(self.actor, uuid)
        licences.revoke_waiver(self.actor, waiver, reason=self.given(wire.WaiverRevocationNew)["reason"])
        return Response(wire.waiver(licences.require_waiver(self.actor, uuid)), status=201)
