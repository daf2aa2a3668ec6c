"""Refunds of a part, and requests for money back."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from api.v1.market.views import REQUIRED_KEY, MoneyView
from common.errors import Invalid
from common.money import LIMIT_MINOR
from market import policies, return_policies, return_queries
from market.services import partial_refunds, return_requests
from market.services.money_back import left_minor
from market.states import ReturnSide, ReturnState, ReturnStep

if TYPE_CHECKING:
    from market.models import Refund, ReturnEntry, ReturnRequest

SIDES = [ReturnSide.BUYER.value, ReturnSide.SELLER.value, ReturnSide.OPERATOR.value]


class AmountField(serializers.IntegerField):
    """Minor units of the order's currency, at least 1."""

    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=1, max_value=LIMIT_MINOR, **more)


class PartialRefundNew(serializers.Serializer):
    amount_minor = AmountField()
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    ends_access = serializers.BooleanField(required=False, default=False)


class RefundWire(serializers.Serializer):
    """`returned_at`: when the payment provider took the order to send it; null for money that went into a wallet, at once."""

    uuid = serializers.UUIDField()
    order = serializers.UUIDField()
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    ended_access = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    returned_at = serializers.DateTimeField(allow_null=True)
    failed_at = serializers.DateTimeField(allow_null=True)


class RefundsWire(serializers.Serializer):
    items = RefundWire(many=True)
    left_minor = serializers.IntegerField()


class ReturnRequestNew(serializers.Serializer):
    amount_minor = AmountField()
    text = serializers.CharField(max_length=5000)


class ReturnRequestWire(serializers.Serializer):
    """`decide_by`: until when the seller decides, and of a declined one, until when the buyer can take it to the operator. `sides`: on whose
    behalf the caller can act."""

    uuid = serializers.UUIDField()
    order = serializers.UUIDField()
    listing_title = serializers.CharField()
    buyer = serializers.CharField()
    seller = serializers.CharField()
    state = serializers.ChoiceField([each.value for each in ReturnState])
    asked_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField()
    sides = serializers.ListField(child=serializers.ChoiceField(SIDES))
    decide_by = serializers.DateTimeField()
    escalated_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class ReturnRequestsWire(serializers.Serializer):
    items = ReturnRequestWire(many=True)


class ReturnEntryWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    step = serializers.ChoiceField([each.value for each in ReturnStep])
    side = serializers.ChoiceField([each.value for each in ReturnSide])
    text = serializers.CharField(allow_blank=True)
    amount_minor = serializers.IntegerField(allow_null=True)
    by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class ReturnTextNew(serializers.Serializer):
    text = serializers.CharField(max_length=5000)


class ReturnDecisionNew(serializers.Serializer):
    """Accepted with an amount of at most what was asked, or declined with a sentence."""

    is_accepted = serializers.BooleanField()
    amount_minor = AmountField(required=False)
    text = serializers.CharField(max_length=5000, required=False, default="", allow_blank=True)
    ends_access = serializers.BooleanField(required=False, default=False)


class Refunds(MoneyView):
    @extend_schema(responses=RefundsWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """What went back of an order, oldest first, and what is left."""
        order = policies.require_order(self.actor, uuid)
        rows = [_refund(each, order) for each in return_queries.refunds_of(order)]
        return Response({"items": rows, "left_minor": left_minor(order)})

    @extend_schema(request=PartialRefundNew, responses={201: RefundWire}, parameters=[REQUIRED_KEY], tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Give a part of an order's money back, or all that is left; for the seller and staff. Access goes on unless it is the whole or
        `ends_access`."""
        order, given, key = policies.require_order(self.actor, uuid), self.given(PartialRefundNew), self.key()
        return self.creating(lambda: _refund(partial_refunds.refund_part(self.actor, order, key=key, **given), order))


class OfOrder(MoneyView):
    @extend_schema(responses=ReturnRequestsWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """Requests for money back about one order, newest first."""
        order = policies.require_order(self.actor, uuid)
        found = return_policies.returns_of_order(self.actor, order.uuid)[:50]
        return Response({"items": [_request(self.actor, each) for each in found]})

    @extend_schema(
        request=ReturnRequestNew, responses={201: ReturnRequestWire}, parameters=[REQUIRED_KEY], tags=["market"]
    )
    def post(self, request: Request, uuid: UUID) -> Response:
        """Ask the seller for money back, with a reason; for the buyer. The seller decides in time, else the operator does."""
        order, given, key = policies.require_order(self.actor, uuid), self.given(ReturnRequestNew), self.key()

        def make() -> dict[str, Any]:
            made = return_requests.ask_for_return(self.actor, order, given["amount_minor"], text=given["text"], key=key)
            return _request(self.actor, return_policies.require_return(self.actor, made.uuid))

        return self.creating(make)


class Requests(View):
    @extend_schema(
        responses=page_of(ReturnRequestWire),
        parameters=[
            *PAGE_PARAMETERS,
            OpenApiParameter("side", str, enum=SIDES, description="As whom; seller by default."),
            OpenApiParameter("state", str, enum=[each.value for each in ReturnState]),
        ],
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Requests for money back that concern the caller: those to decide first come by deadline, all others newest first."""
        self.actor.require_authenticated()
        side, state = request.query_params.get("side", "seller"), request.query_params.get("state", "")
        if side not in SIDES:
            raise Invalid(f"side is one of {', '.join(SIDES)}.", fields={"side": "unknown"})
        if state and state not in set(ReturnState):
            raise Invalid(f"state is one of {', '.join(ReturnState)}.", fields={"state": "unknown"})
        page = return_queries.queue_of(
            self.actor, ReturnSide(side), state=state, cursor=self.cursor, limit=self.page_limit()
        )
        return self.paged(page, lambda each: _request(self.actor, each))


class RequestView(View):
    def found(self) -> Any:
        self.actor.require_authenticated()
        return return_policies.require_return(self.actor, self.kwargs["uuid"])

    def answer(self) -> Response:
        return Response(_request(self.actor, self.found()))


class OneRequest(RequestView):
    @extend_schema(responses=ReturnRequestWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One request for money back."""
        return self.answer()


class Messages(RequestView):
    @extend_schema(responses=page_of(ReturnEntryWire), parameters=PAGE_PARAMETERS, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """What was said and decided of it, oldest first."""
        page = return_queries.thread_of(self.found(), cursor=self.cursor, limit=self.page_limit())
        return self.paged(page, _entry)

    @extend_schema(request=ReturnTextNew, responses={201: ReturnEntryWire}, parameters=[KEY_PARAMETER], tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Say something to the other side."""
        found, given = self.found(), self.given(ReturnTextNew)
        return self.creating(lambda: _entry(return_requests.write_on_return(self.actor, found, text=given["text"])))


class Decision(RequestView):
    @extend_schema(request=ReturnDecisionNew, responses=ReturnRequestWire, tags=["market"])
    def put(self, request: Request, uuid: UUID) -> Response:
        """Accept it, the whole or a part, which gives the money back; or decline it with a sentence. For the seller while it is open,
        for staff once it is escalated."""
        found, given = self.found(), self.given(ReturnDecisionNew)
        if given["is_accepted"]:
            amount = given.get("amount_minor", found.asked_minor)
            words = {"text": given["text"], "ends_access": given["ends_access"]}
            return_requests.accept_return(self.actor, found, amount, **words)
        else:
            return_requests.decline_return(self.actor, found, text=given["text"])
        return self.answer()


class Escalation(RequestView):
    @extend_schema(request=ReturnTextNew, responses=ReturnRequestWire, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Take what the seller declined to the operator, who decides for good; for the buyer. Harmless to repeat."""
        return_requests.escalate_return(self.actor, self.found(), text=self.given(ReturnTextNew)["text"])
        return self.answer()


class Withdrawal(RequestView):
    @extend_schema(request=None, responses=ReturnRequestWire, tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Take it back; for the buyer. Harmless to repeat."""
        return_requests.withdraw_return(self.actor, self.found())
        return self.answer()


def _refund(row: "Refund", order: Any) -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "order": order.uuid,
        "amount_minor": row.amount_minor,
        "currency": order.currency,
        "reason": row.reason,
        "ended_access": row.ended_access,
        "created_at": row.created_at,
        "returned_at": row.returned_at,
        "failed_at": row.failed_at,
    }


def _request(actor: Any, row: "ReturnRequest") -> dict[str, Any]:
    """Wants order, listing, buyer, seller and refund joined."""
    order = row.order
    return {
        "uuid": row.uuid,
        "order": order.uuid,
        "listing_title": order.listing.title,
        "buyer": order.buyer.name,
        "seller": order.seller.name,
        "state": row.state,
        "asked_minor": row.asked_minor,
        "refunded_minor": row.refund.amount_minor if row.refund else None,
        "currency": order.currency,
        "sides": [side.value for side in return_policies.sides_of(actor, row)],
        "decide_by": row.decide_by,
        "escalated_at": row.escalated_at,
        "ended_at": row.ended_at,
        "created_at": row.created_at,
    }


def _entry(row: "ReturnEntry") -> dict[str, Any]:
    """Wants the author joined."""
    return {
        "uuid": row.uuid,
        "step": row.step,
        "side": row.side,
        "text": row.text,
        "amount_minor": row.amount_minor,
        "by": row.created_by.username if row.created_by else "",
        "created_at": row.created_at,
    }
