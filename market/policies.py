"""Who may see and manage listings, orders, entitlements and money."""

from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import SCOPE_OF_ACTION, Action
from common.errors import Forbidden, NotFound
from market.models import Entitlement, LicenceWaiver, Listing, Order, Plan
from market.states import ListingState, Visibility
from registry.policies import administered_repos


def visible_listings(actor: Actor) -> QuerySet[Listing]:
    """Published listings that the actor may find, and all those of the sellers it manages; namespaces joined."""
    listings = Listing.objects.select_related("namespace")
    if actor.is_system or actor.is_staff:
        return listings
    published = Q(state=ListingState.PUBLISHED)
    public = published & Q(visibility=Visibility.PUBLIC)
    if not actor.is_authenticated or not actor.can_scope(SCOPE_OF_ACTION[Action.LISTING_READ]):
        return listings.filter(public)
    return listings.filter(
        public
        | (published & Q(visibility=Visibility.ORGANIZATION, namespace_id__in=actor.member_namespaces()))
        | Q(namespace_id__in=_namespaces_where(actor, Action.LISTING_MANAGE))
    )


def require_listing(actor: Actor, namespace: str, slug: str, action: Action = Action.LISTING_READ) -> Listing:
    """The listing, by its names in any case, with which `actor` may do `action`. Raises NotFound, Forbidden."""
    return _managed(
        actor, visible_listings(actor).filter(namespace__name__iexact=namespace, slug__iexact=slug).first(), action
    )


def require_listing_by_uuid(actor: Actor, uuid: UUID | str, action: Action = Action.LISTING_READ) -> Listing:
    """`require_listing` for a caller that knows the uuid."""
    return _managed(actor, visible_listings(actor).filter(uuid=uuid).first(), action)


def require_plan(actor: Actor, uuid: UUID | str, action: Action = Action.LISTING_READ) -> Plan:
    """A plan of a listing on which `actor` may do `action`, joined with listing and seller. Raises NotFound, Forbidden."""
    plan = (
        Plan.objects.filter(uuid=uuid, listing__in=visible_listings(actor)).select_related("listing__namespace").first()
    )
    if plan is None:
        raise NotFound("There is no such plan.")
    _managed(actor, plan.listing, action)
    return plan


def visible_orders(actor: Actor) -> QuerySet[Order]:
    """Orders of the namespaces for which the actor may read orders, and sales of those it sells for; newest first by the
    caller's paging. Staff see all."""
    orders = Order.objects.select_related("listing__namespace", "plan", "buyer", "seller", "entitlement")
    if actor.is_system or actor.is_staff:
        return orders
    return orders.filter(
        Q(buyer_id__in=_namespaces_where(actor, Action.ORDER_READ))
        | Q(seller_id__in=_namespaces_where(actor, Action.NAMESPACE_SELL))
    )


def require_order(actor: Actor, uuid: UUID | str) -> Order:
    """An order that the actor may see. Raises NotFound."""
    order = visible_orders(actor).filter(uuid=uuid).first()
    if order is None:
        raise NotFound("There is no such order.")
    return order


def visible_waivers(actor: Actor) -> QuerySet[LicenceWaiver]:
    """Waivers of the repositories that the actor administers, given or got, with their revocations. Staff see all."""
    waivers = LicenceWaiver.objects.select_related("owner", "holder", "revocation", "created_by")
    if actor.is_system or actor.is_staff:
        return waivers
    own = administered_repos(actor).order_by().values("uuid")
    return waivers.filter(Q(upstream_uuid__in=own) | Q(downstream_uuid__in=own))


def visible_entitlements(actor: Actor) -> QuerySet[Entitlement]:
    """What the namespaces of the actor have access to: everybody with a role there sees it."""
    entitlements = Entitlement.objects.select_related("listing__namespace", "order__plan", "holder")
    if actor.is_system or actor.is_staff:
        return entitlements
    return entitlements.filter(holder_id__in=_namespaces_where(actor, Action.NAMESPACE_READ))


def _namespaces_where(actor: Actor, action: Action) -> list[int]:
    return [pk for pk in actor.roles if actor.may(action, pk)]


def _managed(actor: Actor, listing: Listing | None, action: Action) -> Listing:
    if listing is None:
        raise NotFound("There is no such listing.")
    if action == Action.LISTING_READ or actor.may(action, listing.namespace_id):
        return listing
    actor.require_authenticated()
    actor.require_scope(SCOPE_OF_ACTION[action])
    raise Forbidden(f"You may not manage the listings of {listing.namespace.name}.", action=str(action))
