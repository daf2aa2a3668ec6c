"""Who sees requests for money back, and on whose behalf they act: the buyer's and the seller's people, and those who run the site."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Forbidden, NotFound
from market.models import ReturnRequest
from market.policies import visible_orders
from market.states import ReturnSide

_JOINED = ("order__listing__namespace", "order__plan", "order__buyer", "order__seller", "refund")


def visible_returns(actor: Actor) -> QuerySet[ReturnRequest]:
    """Requests about the orders that the actor sees, joined with order, listing, plan, buyer, seller and refund."""
    requests = ReturnRequest.objects.select_related(*_JOINED)
    if actor.is_system or actor.is_staff:
        return requests
    bought = [pk for pk in actor.roles if actor.may(Action.ORDER_READ, pk)]
    sold = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_SELL, pk)]
    return requests.filter(Q(order__buyer_id__in=bought) | Q(order__seller_id__in=sold))


def require_return(actor: Actor, uuid: UUID | str) -> ReturnRequest:
    """A request that the actor sees. Raises NotFound."""
    found = visible_returns(actor).filter(uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such request.")
    return found


def returns_of_order(actor: Actor, order_uuid: UUID) -> QuerySet[ReturnRequest]:
    """The requests about one order that the actor sees, newest first; there are seldom more than one."""
    seen = visible_orders(actor).filter(uuid=order_uuid)
    return ReturnRequest.objects.filter(order__in=seen.values("pk")).select_related(*_JOINED).order_by("-pk")


def sides_of(actor: Actor, request: ReturnRequest) -> list[ReturnSide]:
    """On whose behalf the actor may speak; staff for the site unless they are a party themselves. Empty: only looks on."""
    if actor.is_system:
        return [ReturnSide.OPERATOR]
    order = request.order
    found = []
    if actor.may(Action.NAMESPACE_BUY, order.buyer_id):
        found.append(ReturnSide.BUYER)
    if actor.may(Action.NAMESPACE_SELL, order.seller_id):
        found.append(ReturnSide.SELLER)
    return found or ([ReturnSide.OPERATOR] if actor.is_staff else [])


def require_side(actor: Actor, request: ReturnRequest, *sides: ReturnSide) -> ReturnSide:
    """The actor's side, which has to be one of `sides`. Raises Forbidden."""
    for side in sides_of(actor, request):
        if side in sides:
            return side
    names = " and ".join(f"the {each.value}" for each in sides)
    raise Forbidden(f"Only {names} can do that here.", code="wrong_side")
