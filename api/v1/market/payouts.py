"""Payouts: where earnings go, what is due, and what became of it. For sellers, and for staff who settle them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import PAGE_PARAMETERS, View, page_of
from api.v1.market.views import NamespaceView
from common.errors import Invalid
from common.pagination import keyset_page
from market import payable, policies
from market.payout_queries import accounts_of
from market.services import payout_accounts, payouts
from market.states import PayoutMethod, PayoutState

METHODS = [each.value for each in PayoutMethod]
STATES = [each.value for each in PayoutState]


class PayoutWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    seller = serializers.CharField()
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    method = serializers.ChoiceField(METHODS)
    account = serializers.UUIDField()
    state = serializers.ChoiceField(STATES)
    reference = serializers.CharField(allow_blank=True)
    failure = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)


class PayoutAccountWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    currency = serializers.CharField()
    method = serializers.ChoiceField(METHODS)
    hint = serializers.CharField(allow_blank=True, help_text="The last characters of the destination.")
    created_at = serializers.DateTimeField()


class PayoutAccountNew(serializers.Serializer):
    currency = serializers.CharField(max_length=3)
    method = serializers.ChoiceField(METHODS)
    destination = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class PayableWire(serializers.Serializer):
    currency = serializers.CharField()
    balance_minor = serializers.IntegerField()
    held_minor = serializers.IntegerField()
    ready_minor = serializers.IntegerField()
    due_minor = serializers.IntegerField()
    minimum_minor = serializers.IntegerField()


class PayablesWire(serializers.Serializer):
    items = PayableWire(many=True)
    next_run_at = serializers.DateTimeField()
    hold_reason = serializers.CharField(allow_null=True)


class PayoutPaid(serializers.Serializer):
    reference = serializers.CharField(max_length=120)


class PayoutReason(serializers.Serializer):
    reason = serializers.CharField(max_length=300)


class PayoutHoldWire(serializers.Serializer):
    seller = serializers.CharField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class Payouts(View):
    @extend_schema(
        responses=page_of(PayoutWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("state", str, enum=STATES), OpenApiParameter("seller", str)],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Payouts of those the caller sells for, newest first; staff see all."""
        self.actor.require_authenticated()
        found, state, seller = policies.visible_payouts(self.actor), *map(request.query_params.get, ("state", "seller"))
        if state:
            if state not in STATES:
                raise Invalid(f"state is one of {', '.join(STATES)}.", fields={"state": "unknown"})
            found = found.filter(state=state)
        if seller:
            found = found.filter(namespace=require_namespace(self.actor, seller))
        page = keyset_page(found, order=("-created_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, _payout)


class Payout(View):
    @extend_schema(responses=PayoutWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One payout."""
        return Response(_payout(policies.require_payout(self.actor, uuid)))


class Payment(View):
    @extend_schema(request=PayoutPaid, responses=PayoutWire, tags=["market"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Say that it was paid elsewhere, under which reference; for staff. Safe to repeat."""
        payout, given = policies.require_payout(self.actor, uuid), self.given(PayoutPaid)
        return Response(_payout(payouts.mark_paid(self.actor, payout, reference=given["reference"])))


class Failure(View):
    @extend_schema(request=PayoutReason, responses=PayoutWire, tags=["market"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Say that it will not arrive or came back: the money returns to the earnings; for staff. Safe to repeat."""
        payout, given = policies.require_payout(self.actor, uuid), self.given(PayoutReason)
        return Response(_payout(payouts.mark_failed(self.actor, payout, reason=given["reason"])))


class Payables(NamespaceView):
    @extend_schema(responses=PayablesWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What is earned, held back and due by currency, and when the next run is."""
        namespace = self.namespace(Action.NAMESPACE_SELL)
        hold = payout_accounts.hold_on(namespace.pk)
        return Response(
            {
                "items": [
                    {
                        "currency": each.currency,
                        "balance_minor": each.balance_minor,
                        "held_minor": each.held_minor,
                        "ready_minor": each.ready_minor,
                        "due_minor": each.due_minor,
                        "minimum_minor": payable.minimum(each.currency).amount_minor,
                    }
                    for each in payable.payables(namespace)
                ],
                "next_run_at": payable.next_run_at(),
                "hold_reason": hold.reason if hold else None,
            }
        )


class Accounts(NamespaceView):
    @extend_schema(responses=page_of(PayoutAccountWire), tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """Where earnings go, by currency."""
        return self.listed([_account(each) for each in accounts_of(self.namespace(Action.NAMESPACE_SELL))], None)

    @extend_schema(request=PayoutAccountNew, responses=PayoutAccountWire, tags=["market"])
    def put(self, request: Request, name: str) -> Response:
        """Say where the earnings in one currency go from now on. Safe to repeat."""
        namespace, given = self.namespace(Action.NAMESPACE_SELL), self.given(PayoutAccountNew)
        return Response(_account(payout_accounts.set_payout_account(self.actor, namespace, **given)))


class Account(View):
    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Pay nothing out in its currency any more. Safe to repeat."""
        payout_accounts.remove_payout_account(self.actor, policies.require_payout_account(self.actor, uuid))
        return Response(status=204)


class Hold(NamespaceView):
    @extend_schema(request=PayoutReason, responses=PayoutHoldWire, tags=["market"])
    def put(self, request: Request, name: str) -> Response:
        """Pay nothing out to a seller until it is released; for staff. Safe to repeat."""
        self.actor.require_authenticated()
        namespace, given = require_namespace(self.actor, name), self.given(PayoutReason)
        hold = payout_accounts.hold_payouts(self.actor, namespace, given["reason"])
        return Response({"seller": namespace.name, "reason": hold.reason, "created_at": hold.created_at})

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, name: str) -> Response:
        """Let payouts of a seller go again; for staff. Safe to repeat."""
        self.actor.require_authenticated()
        payout_accounts.release_payouts(self.actor, require_namespace(self.actor, name))
        return Response(status=204)


def _payout(row: Any) -> dict[str, Any]:
    """Wants namespace and account joined."""
    return {
        "uuid": row.uuid,
        "seller": row.namespace.name,
        "currency": row.currency,
        "amount_minor": row.amount_minor,
        "method": row.account.method,
        "account": row.account.uuid,
        "state": row.state,
        "reference": row.reference,
        "failure": row.failure,
        "created_at": row.created_at,
        "paid_at": row.paid_at,
        "failed_at": row.failed_at,
    }


def _account(row: Any) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "currency": row.currency,
        "method": row.method,
        "hint": row.hint,
        "created_at": row.created_at,
    }
