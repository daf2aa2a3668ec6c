"""Caps on the calls of a namespace."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import KEY_PARAMETER, View
from market.cap_policies import caps_in
from market.services.caps import lift_cap, set_cap

if TYPE_CHECKING:
    from market.cap_policies import CapView


class CapWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    words = serializers.CharField()
    team = serializers.CharField(allow_blank=True)
    token = serializers.UUIDField(allow_null=True)
    token_name = serializers.CharField(allow_blank=True)
    listing = serializers.CharField(allow_blank=True)
    currency = serializers.CharField(
        allow_blank=True, help_text="Empty: `limit` and `used` are calls, else minor units."
    )
    limit = serializers.IntegerField()
    used = serializers.IntegerField(help_text="In this month (UTC).")
    ends_at = serializers.DateTimeField(allow_null=True, help_text="When the month ends.")
    created_at = serializers.DateTimeField()


class CapsWire(serializers.Serializer):
    caps = CapWire(many=True)


class CapNew(serializers.Serializer):
    calls = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="Calls in a month.")
    amount_minor = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="Or an amount.")
    currency = serializers.CharField(max_length=3, required=False, default="", allow_blank=True)
    team = serializers.CharField(max_length=96, required=False, default="", allow_blank=True)
    token = serializers.UUIDField(required=False, allow_null=True, default=None)
    listing = serializers.CharField(
        max_length=200,
        required=False,
        default="",
        allow_blank=True,
        help_text="`seller/name` of an endpoint's listing.",
    )


def cap(row: "CapView") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "words": row.words,
        "team": row.team,
        "token": row.token_uuid,
        "token_name": row.token,
        "listing": row.listing,
        "currency": row.currency,
        "limit": row.limit,
        "used": row.used,
        "ends_at": row.ends_at,
        "created_at": row.created_at,
    }


class Caps(View):
    @extend_schema(responses=CapsWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """How much the calls of a namespace may use in a month, and how much they have used."""
        owner = require_namespace(self.actor, name, Action.NAMESPACE_READ)
        return Response({"caps": [cap(row) for row in caps_in(owner)]})

    @extend_schema(request=CapNew, responses={201: CapWire}, parameters=[KEY_PARAMETER], tags=["market"])
    def post(self, request: Request, name: str) -> Response:
        """Set a cap; it takes the place of one with the same team, token, listing and currency."""
        self.actor.require_authenticated()
        given = self.given(CapNew)

        def make() -> dict[str, Any]:
            made = set_cap(self.actor, name, **given)
            owner = require_namespace(self.actor, name)
            return next(cap(row) for row in caps_in(owner) if row.uuid == made.uuid)

        return self.creating(make)


class Cap(View):
    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Lift a cap: within a second in every process."""
        lift_cap(self.actor, uuid)
        return Response(status=204)
