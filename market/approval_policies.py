"""Who sees and decides purchases that need an approval."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import NotFound
from market.models import Approval, PurchaseLimit


def visible_approvals(actor: Actor) -> QuerySet[Approval]:
    """Purchases and plans that the actor may decide, and those it has asked for; joined with order, or switch and subscription, listing,
    plan, buyer and people."""
    approvals = Approval.objects.select_related(
        "order__listing__namespace",
        "order__plan",
        "order__buyer",
        "order__seller",
        "order__placed_by",
        "order__redemption__coupon",
        "order__acceptance__terms",
        "switch__subscription__listing__namespace",
        "switch__subscription__buyer",
        "switch__subscription__seller",
        "switch__subscription__plan",
        "switch__subscription__order",
        "switch__former",
        "switch__plan",
        "switch__order",
        "switch__placed_by",
        "switch__acceptance__terms",
        "decided_by",
    )
    if actor.is_system:
        return approvals
    decided = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_APPROVE, pk)]
    bought = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_BUY, pk)]
    own_orders = Q(order__placed_by_id=actor.person_id, order__buyer_id__in=bought)
    own_switches = Q(switch__placed_by_id=actor.person_id, switch__subscription__buyer_id__in=bought)
    to_decide = Q(order__buyer_id__in=decided) | Q(switch__subscription__buyer_id__in=decided)
    return approvals.filter(to_decide | own_orders | own_switches)


def require_approval(actor: Actor, uuid: UUID | str) -> Approval:
    """A purchase that the actor may decide or has asked for, by its own uuid or the order's. Raises NotFound."""
    approval = visible_approvals(actor).filter(Q(uuid=uuid) | Q(order__uuid=uuid)).first()
    if approval is None:
        actor.require_authenticated()
        raise NotFound("There is no such request for an approval.")
    return approval


def may_decide(actor: Actor, approval: Approval) -> bool:
    """Whether `actor` answers for what the buyer spends. Whoever asked would not need to ask if they did."""
    return actor.may(Action.NAMESPACE_APPROVE, approval.buyer.pk)


def asking_limits(actor: Actor, namespace_ids: list[int], currency: str) -> dict[int, int]:
    """Of these namespaces, in which the actor buys, those where it has to ask above a limit: the limit in minor units. One query."""
    asking = [pk for pk in namespace_ids if not actor.may(Action.NAMESPACE_APPROVE, pk)]
    if not asking:
        return {}
    rows = PurchaseLimit.objects.filter(namespace_id__in=asking, currency=currency)
    return dict(rows.values_list("namespace_id", "limit_minor"))


def limits_of(namespace_id: int) -> QuerySet[PurchaseLimit]:
    """The limits of a namespace that the caller has obtained, by currency."""
    return PurchaseLimit.objects.filter(namespace_id=namespace_id).order_by("currency")
