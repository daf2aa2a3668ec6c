"""What is seen of subscriptions once inside, and who may see them."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Forbidden, NotFound
from common.pagination import Page, keyset_page
from market.models import Listing, PlanSwitch, Subscription, SubscriptionTerm
from market.states import SUBSCRIPTIONS, ApprovalOutcome

if TYPE_CHECKING:
    from accounts.models import Namespace

_JOINED = ("buyer", "seller", "listing__namespace", "plan__offered_to", "next_plan__offered_to", "order")


def has_subscription(buyer: "Namespace", listing: Listing) -> bool:
    """Whether a subscription of the listing runs."""
    return Subscription.objects.filter(buyer=buyer, listing=listing).exclude(state__in=SUBSCRIPTIONS.final).exists()


def had_trial(buyer: "Namespace", listing: Listing) -> bool:
    """Whether the buyer has had the trial of the listing, or has subscribed to it before: a trial is for those who do not know it."""
    return Subscription.objects.filter(buyer=buyer, listing=listing).exists()


def visible_subscriptions(actor: Actor) -> QuerySet[Subscription]:
    """Subscriptions of the namespaces whose orders the actor may read, and those of the sellers it sells for. Staff see all."""
    rows = Subscription.objects.select_related(*_JOINED)
    if actor.is_system or actor.is_staff:
        return rows
    return rows.filter(
        Q(buyer_id__in=_where(actor, Action.ORDER_READ)) | Q(seller_id__in=_where(actor, Action.NAMESPACE_SELL))
    )


def require_subscription(actor: Actor, uuid: UUID | str, action: Action = Action.ORDER_READ) -> Subscription:
    """A subscription that the actor may see and, for NAMESPACE_BUY, that is its buyer's to change. Raises NotFound, Forbidden."""
    found = visible_subscriptions(actor).filter(uuid=uuid).first()
    if found is None:
        raise NotFound("There is no such subscription.")
    if action == Action.NAMESPACE_BUY and not actor.may(action, found.buyer_id):
        raise Forbidden(f"You may not buy for {found.buyer.name}.", action=str(action))
    return found


def subscriptions_of(buyer: "Namespace", *, cursor: str | None = None, limit: int = 50) -> Page[Subscription]:
    """What a namespace subscribes to and has subscribed to, newest first. One query."""
    rows = Subscription.objects.filter(buyer=buyer).select_related(*_JOINED)
    return keyset_page(rows, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def subscribers_of(seller: "Namespace", *, cursor: str | None = None, limit: int = 50) -> Page[Subscription]:
    """Who subscribes and has subscribed to what a namespace sells, newest first. One query."""
    rows = Subscription.objects.filter(seller=seller).select_related(*_JOINED)
    return keyset_page(rows, order=("-created_at", "-pk"), cursor=cursor, limit=limit)


def terms_of(subscription: Subscription) -> list[SubscriptionTerm]:
    """The newest hundred orders of a subscription, cancelled ones too. One query."""
    return list(subscription.terms.select_related("order__plan").order_by("-pk")[:100])


def switches_of(actor: Actor, subscription: Subscription) -> list[PlanSwitch]:
    """The newest hundred plans that were chosen for a subscription, with terms, approval and people. What was not approved is seen by the
    buyer's people alone. One query."""
    rows = subscription.switches.select_related(
        "former", "plan", "order", "placed_by", "approval", "acceptance__terms"
    ).order_by("-pk")
    if not actor.may(Action.ORDER_READ, subscription.buyer_id):
        rows = rows.filter(Q(approval__isnull=True) | Q(approval__outcome=ApprovalOutcome.APPROVED))
    return list(rows[:100])


def waiting_switch(subscription: Subscription) -> PlanSwitch | None:
    """The plan that waits for an approval. One query."""
    waiting = subscription.switches.filter(approval__outcome=ApprovalOutcome.WAITING)
    return waiting.select_related("former", "plan", "placed_by", "approval").first()


def open_term(subscription: Subscription) -> SubscriptionTerm | None:
    """What is under way for the next period: an order that waits for its payment."""
    found = subscription.terms.filter(number=subscription.number + 1, part=0, voided_at__isnull=True)
    return found.select_related("order__plan").first()


def _where(actor: Actor, action: Action) -> list[int]:
    return [pk for pk in actor.roles if actor.may(action, pk)]
