"""Subscriptions: what runs and until when; paying, cancelling, taking another plan."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Action
from api.v1.base import PAGE_PARAMETERS, View, page_of
from api.v1.market import ahead_wire, switch_wire, wire
from api.v1.market.access_wire import SUBSCRIPTION_STATES
from api.v1.market.views import REQUIRED_KEY, MoneyView, NamespaceView
from common.errors import Invalid
from common.pagination import keyset_page
from market import policies, subscription_queries
from market.order_terms import terms_for
from market.services import payments, plan_switches, subscriptions
from market.services.approval_requests import approval_needed
from market.services.payment_backend import is_in_ledger
from market.states import OrderState, TermKind
from market.subscription_queries import require_subscription

if TYPE_CHECKING:
    from market.models import Order as OrderRow
    from market.models import Subscription as Row
    from market.models import SubscriptionTerm

_KINDS = [each.value for each in TermKind]


class SubscriptionWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    buyer = serializers.CharField()
    seller = serializers.CharField()
    listing = serializers.UUIDField()
    listing_title = serializers.CharField()
    plan = wire.PlanWire()
    next_plan = wire.PlanWire(allow_null=True, help_text="What the buyer has chosen for the next period.")
    quantity = serializers.IntegerField()
    state = serializers.ChoiceField(SUBSCRIPTION_STATES)
    period = serializers.IntegerField(help_text="Number of the present period; a trial is one.")
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    order = serializers.UUIDField(help_text="The order that paid the present period.")
    cancel_at_period_end = serializers.BooleanField()
    attempts = serializers.IntegerField(help_text="How often the next period could not be collected.")
    problem = serializers.CharField(allow_blank=True)
    failed_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    end_reason = serializers.CharField(allow_blank=True)


class SubscriptionOrderWire(serializers.Serializer):
    """An order of a subscription, and what it pays."""

    kind = serializers.ChoiceField(_KINDS)
    period = serializers.IntegerField()
    order = serializers.UUIDField()
    state = serializers.ChoiceField([each.value for each in OrderState])
    total_minor = serializers.IntegerField()
    credit_minor = serializers.IntegerField(help_text="What was left of the period before, taken off the price.")
    currency = serializers.CharField()
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)


class SubscriptionOrdersWire(serializers.Serializer):
    items = SubscriptionOrderWire(many=True)


class SubscriptionPaidWire(serializers.Serializer):
    """`order` waits for its payment at `payment_url` while it is `placed`; null: nothing was due, or nothing is due now."""

    subscription = SubscriptionWire()
    order = wire.OrderWire(allow_null=True)


class SubscriptionChangedWire(SubscriptionPaidWire):
    """`change` is what was chosen; null where the present plan is kept. It waits while its `outcome` is `waiting`."""

    change = switch_wire.PlanSwitchWire(allow_null=True)


class SubscriptionChangeNew(serializers.Serializer):
    plan = serializers.UUIDField()
    accept_terms = serializers.CharField(
        max_length=64,
        required=False,
        default="",
        allow_blank=True,
        help_text="`terms_digest` of the terms that are accepted. Not needed to keep the present plan.",
    )
    reason = serializers.CharField(
        max_length=500, required=False, default="", allow_blank=True, help_text="For those who approve it."
    )


class PlanSwitchesWire(serializers.Serializer):
    items = switch_wire.PlanSwitchWire(many=True)


class SubscriptionChangeWire(serializers.Serializer):
    plan = serializers.UUIDField()
    is_now = serializers.BooleanField(help_text="It begins at once; else with the next period.")
    at = serializers.DateTimeField()
    price_minor = serializers.IntegerField()
    credit_minor = serializers.IntegerField(help_text="What is left of the present period.")
    due_minor = serializers.IntegerField()
    currency = serializers.CharField()
    terms = serializers.CharField(help_text="What taking the plan accepts.")
    terms_digest = serializers.CharField(help_text="SHA-256 of the terms: `accept_terms` of the change.")
    approval = ahead_wire.ApprovalNeededWire(
        allow_null=True, help_text="A period of the plan is above a limit: the change would wait for it."
    )


_PAGE = page_of(SubscriptionWire)


class Subscriptions(View):
    @extend_schema(responses=_PAGE, parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request) -> Response:
        """Subscriptions of the caller's namespaces, and those of the sellers it sells for, newest first."""
        self.actor.require_authenticated()
        page = keyset_page(
            subscription_queries.visible_subscriptions(self.actor),
            order=("-created_at", "-pk"),
            cursor=self.cursor,
            limit=self.page_limit(),
        )
        return self.paged(page, subscription)


class NamespaceSubscriptions(NamespaceView):
    @extend_schema(responses=_PAGE, parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """What a namespace subscribes to, newest first; those that are over, too."""
        buyer = self.namespace(Action.ORDER_READ)
        found = subscription_queries.subscriptions_of(buyer, cursor=self.cursor, limit=self.page_limit())
        return self.paged(found, subscription)


class Subscribers(NamespaceView):
    @extend_schema(responses=_PAGE, parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, name: str) -> Response:
        """Who subscribes to what a namespace sells, newest first; those that are over, too."""
        seller = self.namespace(Action.NAMESPACE_SELL)
        found = subscription_queries.subscribers_of(seller, cursor=self.cursor, limit=self.page_limit())
        return self.paged(found, subscription)


class Subscription(View):
    @extend_schema(responses=SubscriptionWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One subscription."""
        return Response(subscription(require_subscription(self.actor, uuid)))


class SubscriptionOrders(View):
    @extend_schema(responses=SubscriptionOrdersWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """The orders of a subscription, newest first, a hundred at most."""
        found = subscription_queries.terms_of(require_subscription(self.actor, uuid))
        return Response({"items": [term(each) for each in found]})


class SubscriptionPayment(View):
    @extend_schema(request=None, responses=SubscriptionPaidWire, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Pay what could not be collected. The wallet pays when it covers it, and access is back with this answer; else
        `order.payment_url` is where to pay. Harmless to repeat."""
        found = require_subscription(self.actor, uuid, Action.NAMESPACE_BUY)
        return Response(_paid(self, uuid, subscriptions.pay_now(self.actor, found)))


class SubscriptionCancellation(View):
    @extend_schema(request=None, responses=SubscriptionWire, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """End it with the present period; at once when that is over and not paid. Harmless to repeat."""
        subscriptions.cancel(self.actor, require_subscription(self.actor, uuid, Action.NAMESPACE_BUY))
        return Response(subscription(require_subscription(self.actor, uuid)))

    @extend_schema(responses=SubscriptionWire, tags=["market"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Let it go on. Harmless to repeat."""
        subscriptions.undo_cancellation(self.actor, require_subscription(self.actor, uuid, Action.NAMESPACE_BUY))
        return Response(subscription(require_subscription(self.actor, uuid)))


class SubscriptionChange(MoneyView):
    @extend_schema(
        responses=SubscriptionChangeWire,
        parameters=[OpenApiParameter("plan", UUID, required=True, description="A subscription plan of the listing.")],
        tags=["market"],
    )
    def get(self, request: Request, uuid: UUID) -> Response:
        """What taking another plan would mean now."""
        found = require_subscription(self.actor, uuid, Action.NAMESPACE_BUY)
        try:
            wanted = UUID(request.query_params.get("plan", ""))
        except ValueError as error:
            raise Invalid("Name the plan by its uuid.", fields={"plan": "not a uuid"}) from error
        plan = policies.require_plan(self.actor, wanted)
        change, terms = plan_switches.change_of(found, plan), terms_for(plan)
        price = 0 if plan.pk == found.plan_id else change.price_minor
        needed = approval_needed(self.actor, found.buyer, plan.currency, price)
        return Response(
            {
                "plan": change.plan.uuid,
                "is_now": change.is_now,
                "at": change.at,
                "price_minor": change.price_minor,
                "credit_minor": change.credit_minor,
                "due_minor": change.due_minor,
                "currency": change.plan.currency,
                "terms": terms.text,
                "terms_digest": terms.digest,
                "approval": ahead_wire.approval_needed(needed) if needed else None,
            }
        )

    @extend_schema(
        request=SubscriptionChangeNew,
        responses={201: SubscriptionChangedWire},
        parameters=[REQUIRED_KEY],
        tags=["market"],
    )
    def post(self, request: Request, uuid: UUID) -> Response:
        """Take another plan: a dearer one at once, for its price less what is left of the present period; another with the next
        period. Above a limit of an organisation's it waits for an approval. Naming the present plan takes a change for the next period
        back."""
        found = require_subscription(self.actor, uuid, Action.NAMESPACE_BUY)
        given, key = self.given(SubscriptionChangeNew), self.key()

        def make() -> dict[str, Any]:
            _, made = plan_switches.change_plan(
                self.actor, found, given["plan"], key=key, accept_terms=given["accept_terms"], reason=given["reason"]
            )
            return {
                **_paid(self, uuid, made.order if made else None),
                "change": switch_wire.switch(made, uuid) if made else None,
            }

        return self.creating(make)


class SubscriptionChanges(View):
    @extend_schema(responses=PlanSwitchesWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """The plans that were chosen for a subscription, newest first, a hundred at most: with the terms that were accepted, and what
        became of those that needed an approval."""
        found = require_subscription(self.actor, uuid)
        return Response(
            {"items": [switch_wire.switch(each, uuid) for each in subscription_queries.switches_of(self.actor, found)]}
        )


def subscription(row: "Row") -> dict[str, Any]:
    """Wants all that it names joined."""
    return {
        "uuid": row.uuid,
        "buyer": row.buyer.name,
        "seller": row.seller.name,
        "listing": row.listing.uuid,
        "listing_title": row.listing.title,
        "plan": wire.plan(row.plan),
        "next_plan": wire.plan(row.next_plan) if row.next_plan else None,
        "quantity": row.quantity,
        "state": row.state,
        "period": row.number,
        "period_start": row.period_start,
        "period_end": row.period_end,
        "order": row.order.uuid,
        "cancel_at_period_end": row.cancel_at_period_end,
        "attempts": row.attempts,
        "problem": row.problem,
        "failed_at": row.failed_at,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "end_reason": row.end_reason,
    }


def term(row: "SubscriptionTerm") -> dict[str, Any]:
    return {
        "kind": row.kind,
        "period": row.number,
        "order": row.order.uuid,
        "state": row.order.state,
        "total_minor": row.order.total_minor,
        "credit_minor": row.credit_minor,
        "currency": row.order.currency,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
    }


def _paid(view: View, uuid: UUID, order: "OrderRow | None") -> dict[str, Any]:
    if order is not None and order.state == OrderState.PLACED and not is_in_ledger(order.payment_backend):
        payments.cancel_lapsed(order.pk)
    shown = policies.require_order(view.actor, order.uuid) if order is not None else None
    return {
        "subscription": subscription(require_subscription(view.actor, uuid)),
        "order": wire.order(shown) if shown else None,
    }
