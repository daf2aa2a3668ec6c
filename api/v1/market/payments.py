"""Payments of orders at the provider, disputes, sellers' accounts there."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import View
from api.v1.market import wire
from common.errors import Forbidden
from market import policies, queries
from market.services import provider_accounts
from market.services.payments import look_at_payment
from market.states import DisputeStanding


class DisputeWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    state = serializers.ChoiceField([each.value for each in DisputeStanding])
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class DisputesWire(serializers.Serializer):
    items = DisputeWire(many=True)


class SellerAccountWire(serializers.Serializer):
    """`url`: the provider's page with its questions, only in the answer to POST; it works once, for minutes."""

    is_offered = serializers.BooleanField()
    is_ready = serializers.BooleanField()
    needs = serializers.ListField(child=serializers.CharField())
    url = serializers.CharField(allow_blank=True)


class Payment(View):
    @extend_schema(request=None, responses=wire.OrderWire, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Ask the payment provider how the payment of an order stands, now, and take it in. While it waits, `payment_url` is where
        the buyer pays. Harmless to repeat."""
        order = policies.require_order(self.actor, uuid)
        if not self.actor.may(Action.NAMESPACE_BUY, order.buyer_id):
            raise Forbidden(f"You may not buy for {order.buyer.name}.")
        look_at_payment(order.pk)
        return Response(wire.order(policies.require_order(self.actor, uuid)))


class Disputes(View):
    @extend_schema(responses=DisputesWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """Disputes of an order's payment, oldest first."""
        order = policies.require_order(self.actor, uuid)
        return Response(
            {
                "items": [
                    {
                        "uuid": each.uuid,
                        "state": each.state,
                        "amount_minor": each.amount_minor,
                        "currency": order.currency,
                        "reason": each.reason,
                        "opened_at": each.opened_at,
                        "due_at": each.due_at,
                        "closed_at": each.closed_at,
                    }
                    for each in queries.disputes_of(order)
                ]
            }
        )


class SellerAccount(View):
    @extend_schema(responses=SellerAccountWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """The account that a seller is paid on by the payment provider."""
        return Response(_account(require_namespace(self.actor, name, Action.NAMESPACE_SELL), ""))

    @extend_schema(request=None, responses=SellerAccountWire, tags=["market"])
    def post(self, request: Request, name: str) -> Response:
        """Open the account, or take it up again: answers with the address of the provider's questions. One account a seller."""
        namespace = require_namespace(self.actor, name, Action.NAMESPACE_SELL)
        return Response(_account(namespace, provider_accounts.begin_seller_account(self.actor, namespace)))


def _account(namespace: Any, url: str) -> dict[str, Any]:
    row = provider_accounts.seller_account(namespace)
    return {
        "is_offered": provider_accounts.offers_accounts(),
        "is_ready": row is not None and row.is_ready,
        "needs": row.needs if row else [],
        "url": url,
    }
