"""Money that went back, and what is asked back, on the page of an order."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from common.money import Money
from market.return_policies import returns_of_order
from market.return_queries import refunds_of
from market.services.money_back import left_minor
from market.states import WAITING_RETURNS, OrderState, ReturnState

if TYPE_CHECKING:
    from market.models import Order, ReturnRequest

STATES = {
    ReturnState.OPEN.value: "the seller decides",
    ReturnState.DECLINED.value: "declined by the seller",
    ReturnState.ESCALATED.value: "the operator decides",
    ReturnState.ACCEPTED.value: "accepted",
    ReturnState.REJECTED.value: "declined by the operator",
    ReturnState.WITHDRAWN.value: "taken back by the buyer",
    ReturnState.CLOSED.value: "closed: the order ended otherwise",
}


@dataclass(frozen=True)
class RefundRow:
    amount: Money
    reason: str
    at: datetime
    ended_access: bool
    note: str


@dataclass(frozen=True)
class RequestCard:
    href: str
    state: str
    word: str
    amount: Money
    decide_by: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, request: "ReturnRequest") -> "RequestCard":
        is_timed = request.state in {ReturnState.OPEN, ReturnState.DECLINED}
        return cls(
            f"/orders/returns/{request.uuid}",
            request.state,
            STATES[request.state],
            Money(request.asked_minor, request.order.currency),
            request.decide_by if is_timed else None,
            request.created_at,
        )

    @staticmethod
    def is_in_time(request: "ReturnRequest") -> bool:
        return now() <= request.decide_by


@dataclass(frozen=True)
class MoneyBack:
    """`give_href`: where seller and staff give a part back; `ask_href`: where the buyer asks; each empty when it can't be done."""

    refunds: list[RefundRow]
    requests: list[RequestCard]
    left: Money
    give_href: str
    ask_href: str

    @classmethod
    def of(cls, actor: Actor, order: "Order") -> "MoneyBack":
        left = left_minor(order) if order.paid_at else 0
        is_open = order.state == OrderState.FULFILLED and left > 0
        requests = list(returns_of_order(actor, order.uuid)[:20])
        final = WAITING_RETURNS | {ReturnState.DECLINED, ReturnState.REJECTED}
        is_decided = any(
            each.state in final or (each.escalated_at and each.state == ReturnState.ACCEPTED) for each in requests
        )
        may_give = actor.is_staff or actor.may(Action.NAMESPACE_SELL, order.seller_id)
        may_ask = actor.may(Action.NAMESPACE_BUY, order.buyer_id) and not is_decided
        return cls(
            refunds=[
                RefundRow(
                    Money(each.amount_minor, order.currency),
                    each.reason,
                    each.created_at,
                    each.ended_access,
                    _note(each.failed_at, each.returned_at, is_sent=bool(each.send_minor)),
                )
                for each in (refunds_of(order) if order.refunded_minor else [])
            ],
            requests=[RequestCard.of(each) for each in requests],
            left=Money(left, order.currency),
            give_href=f"/orders/{order.uuid}/refunds" if is_open and may_give else "",
            ask_href=f"/orders/{order.uuid}/returns" if is_open and may_ask else "",
        )


def _note(failed_at: datetime | None, returned_at: datetime | None, *, is_sent: bool) -> str:
    if failed_at:
        return "the bank did not take it"
    return "sent by the payment provider" if returned_at and is_sent else ""
