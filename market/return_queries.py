"""Refunds and requests for money back, as their parties read them."""

from django.db.models import QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Forbidden
from common.pagination import Page, keyset_page
from market.models import Order, Refund, ReturnEntry, ReturnRequest
from market.return_policies import visible_returns
from market.states import ReturnSide, ReturnState


def refunds_of(order: Order) -> list[Refund]:
    """What went back of an order, oldest first. One query."""
    return list(Refund.objects.filter(order=order).select_related("created_by").order_by("pk")[:200])


def thread_of(request: ReturnRequest, *, cursor: str | None = None, limit: int = 100) -> Page[ReturnEntry]:
    """What was said and decided, oldest first, with who did."""
    entries = ReturnEntry.objects.filter(request=request).select_related("created_by")
    return keyset_page(entries, order=("pk",), cursor=cursor, limit=limit)


def queue_of(
    actor: Actor, side: ReturnSide, *, state: str = "", cursor: str | None = None, limit: int = 50
) -> Page[ReturnRequest]:
    """Requests that concern the actor as buyer, seller or operator (staff), in one state or all; joined as `visible_returns`. What a
    seller has to decide comes by deadline, what the operator has to by how long it has waited; everything else newest first.
    One query. Raises Forbidden."""
    requests = _of_side(actor, side)
    order: tuple[str, ...] = ("-created_at", "-pk")
    if state:
        requests = requests.filter(state=state)
        order = {
            ReturnState.OPEN.value: ("decide_by", "pk"),
            ReturnState.ESCALATED.value: ("escalated_at", "pk"),
        }.get(state, order)
    return keyset_page(requests, order=order, cursor=cursor, limit=limit)


def waiting_for(actor: Actor) -> int:
    """How many requests wait for the actor's decision as a seller. One query."""
    return _of_side(actor, ReturnSide.SELLER).filter(state=ReturnState.OPEN).count()


def _of_side(actor: Actor, side: ReturnSide) -> QuerySet[ReturnRequest]:
    requests = visible_returns(actor)
    if side == ReturnSide.BUYER:
        return requests.filter(order__buyer_id__in=[pk for pk in actor.roles if actor.may(Action.ORDER_READ, pk)])
    if side == ReturnSide.SELLER:
        return requests.filter(order__seller_id__in=[pk for pk in actor.roles if actor.may(Action.NAMESPACE_SELL, pk)])
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff see what the operator decides.")
    return requests
