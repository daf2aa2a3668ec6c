"""The thread of a request for money back, who is told of what happens in it, and its end when the order ends otherwise."""

from typing import TYPE_CHECKING

from accounts.actors import Actor, system
from accounts.directory import people_who, staff
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from market.models import ReturnEntry, ReturnRequest
from market.states import RETURNS, OrderState, ReturnSide, ReturnState, ReturnStep
from notices.services import notify_users

if TYPE_CHECKING:
    from market.models import Order

_SITE = system("returns")


def write(
    actor: Actor,
    request: ReturnRequest,
    step: ReturnStep,
    side: ReturnSide,
    *,
    text: str = "",
    amount_minor: int | None = None,
) -> ReturnEntry:
    """Add a line to the thread, in the caller's transaction."""
    return ReturnEntry.objects.create(
        request=request, step=step, side=side, text=text, amount_minor=amount_minor, created_by_id=actor.user_id
    )


def tell(request: ReturnRequest, entry: ReturnEntry, said: str, *, with_operator: bool = False) -> None:
    """Word of a line to the people of buyer and seller who deal with it, and to those who run the site, but not to who wrote it. Once for
    each line. Wants order, buyer and seller joined."""
    order = request.order
    people = {
        *people_who(order.buyer_id, Action.NAMESPACE_BUY),
        *people_who(order.seller_id, Action.NAMESPACE_SELL),
        *(staff() if with_operator else ()),
    }
    url, key = f"/orders/returns/{request.uuid}", f"return:{entry.uuid}"
    notify_users(people - {entry.created_by_id}, f"market:return:{entry.step}", said, url=url, key=key)


def record(actor: Actor, request: ReturnRequest, tag: str, **facts: object) -> None:
    """An audit record on both sides."""
    for namespace in (request.order.buyer_id, request.order.seller_id):
        audit.record(actor, tag, "return", request.uuid, namespace_id=namespace, order=str(request.order.uuid), **facts)


def close_requests(order: "Order") -> None:
    """End what is asked of an order that has ended otherwise, in the caller's transaction, which holds the order's lock. A second call
    finds nothing."""
    over = ReturnRequest.objects.filter(
        order=order, state__in=[ReturnState.OPEN, ReturnState.DECLINED, ReturnState.ESCALATED]
    )
    for request in over.select_for_update(no_key=True):
        request.order = order
        RETURNS.ensure(ReturnState(request.state), ReturnState.CLOSED)
        request.state, request.ended_at = ReturnState.CLOSED, now()
        request.save(update_fields=["state", "ended_at"])
        why = "undone" if order.state == OrderState.REFUNDED else "lost to a dispute"
        entry = write(_SITE, request, ReturnStep.CLOSED, ReturnSide.SITE, text=f"The order was {why} meanwhile.")
        record(_SITE, request, "market:return:closed")
        tell(request, entry, f"The request for money back for {order.listing.title} is closed: the order was {why}.")
