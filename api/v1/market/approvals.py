"""Purchases that need an approval, and the limits above which they do."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from accounts.policies import require_namespace
from api.v1.base import PAGE_PARAMETERS, View, page_of
from api.v1.market import switch_wire, wire
from api.v1.market.switch_wire import OUTCOMES
from common.errors import DomainError, Invalid
from common.pagination import keyset_page
from market import approval_policies as policies
from market.services import approval_requests, approvals
from market.services.plan_switches import change_of
from market.states import ApprovalOutcome

if TYPE_CHECKING:
    from market import models


class ApprovalWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    order = wire.OrderWire(allow_null=True)
    change = switch_wire.PlanSwitchWire(
        allow_null=True, help_text="Another plan of a subscription, where it is about that."
    )
    limit_minor = serializers.IntegerField(help_text="The limit that the total is above.")
    asked_by = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    outcome = serializers.ChoiceField(OUTCOMES)
    decided_by = serializers.CharField(allow_blank=True)
    decided_at = serializers.DateTimeField(allow_null=True)
    comment = serializers.CharField(allow_blank=True)


class ApprovalNowWire(ApprovalWire):
    due_now_minor = serializers.IntegerField(
        allow_null=True, help_text="Of a change of plan that waits: what is due at once if it is approved now."
    )
    problem = serializers.CharField(allow_blank=True, help_text="Why such a change can't be approved now.")


class DecisionNew(serializers.Serializer):
    approve = serializers.BooleanField()
    comment = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class LimitWire(serializers.Serializer):
    currency = serializers.CharField()
    limit_minor = serializers.IntegerField()


class LimitsWire(serializers.Serializer):
    limits = LimitWire(many=True)


class LimitNew(serializers.Serializer):
    currency = serializers.CharField(max_length=3)
    limit_minor = serializers.IntegerField(allow_null=True, help_text="Null: no limit.")


def approval(row: "models.Approval") -> dict[str, Any]:
    """Wants what `visible_approvals` joins."""
    return {
        "uuid": row.uuid,
        "order": wire.order(row.order) if row.order else None,
        "change": switch_wire.switch(row.switch, row.switch.subscription.uuid) if row.switch else None,
        "limit_minor": row.limit_minor,
        "asked_by": row.placed_by.username if row.placed_by else "",
        "reason": row.reason,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "outcome": row.outcome,
        "decided_by": row.decided_by.username if row.decided_by else "",
        "decided_at": row.decided_at,
        "comment": row.comment,
    }


def approval_now(row: "models.Approval") -> dict[str, Any]:
    due, problem = None, ""
    if row.switch is not None and row.outcome == ApprovalOutcome.WAITING:
        try:
            due = change_of(row.switch.subscription, row.switch.plan).due_now_minor
        except DomainError as error:
            problem = error.message
    return {**approval(row), "due_now_minor": due, "problem": problem}


class Approvals(View):
    @extend_schema(
        responses=page_of(ApprovalWire),
        parameters=[*PAGE_PARAMETERS, OpenApiParameter("outcome", str, enum=OUTCOMES)],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Purchases and changes of plans that the caller may decide, and those it has asked for, newest first."""
        self.actor.require_authenticated()
        found = policies.visible_approvals(self.actor)
        if outcome := request.query_params.get("outcome"):
            if outcome not in OUTCOMES:
                raise Invalid(f"outcome is one of {', '.join(OUTCOMES)}.", fields={"outcome": "unknown"})
            found = found.filter(outcome=outcome)
        page = keyset_page(found, order=("-created_at", "-pk"), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, approval)


class Approval(View):
    @extend_schema(responses=ApprovalNowWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One request, by its own uuid or its order's."""
        return Response(approval_now(policies.require_approval(self.actor, uuid)))

    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Take back one's own wish: the order is cancelled, a subscription stays as it is. Safe to repeat."""
        approvals.withdraw(self.actor, policies.require_approval(self.actor, uuid))
        return Response(status=204)


class Decision(View):
    @extend_schema(request=DecisionNew, responses={201: ApprovalWire}, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Approve a purchase or a change of plan, which is then made, or decline it. Safe to repeat; the other decision is a 409 then."""
        found, given = policies.require_approval(self.actor, uuid), self.given(DecisionNew)
        decide = approvals.approve if given["approve"] else approvals.decline
        decide(self.actor, found, comment=given["comment"])
        return Response(approval(policies.require_approval(self.actor, uuid)), status=201)


class Limits(View):
    @extend_schema(responses=LimitsWire, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """Above which totals purchases of an organisation need an approval, by currency."""
        return self._limits(require_namespace(self.actor, name, Action.NAMESPACE_BUY).pk)

    @extend_schema(request=LimitNew, responses=LimitsWire, tags=["market"])
    def put(self, request: Request, name: str) -> Response:
        """Set or lift the limit of one currency."""
        self.actor.require_authenticated()
        approval_requests.set_limit(self.actor, name, **self.given(LimitNew))
        return self._limits(require_namespace(self.actor, name).pk)

    def _limits(self, namespace_id: int) -> Response:
        rows = [{"currency": row.currency, "limit_minor": row.limit_minor} for row in policies.limits_of(namespace_id)]
        return Response({"limits": rows})
