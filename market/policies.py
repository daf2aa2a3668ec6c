"""Who may see, manage and review listings; who may see orders, entitlements and money."""

from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import SCOPE_OF_ACTION, Action
from common.clock import now
from common.errors import Forbidden, NotFound
from market.models import (
    Coupon,
    Entitlement,
    LicenceWaiver,
    Listing,
    Order,
    Payout,
    PayoutAccount,
    Plan,
    ReviewPolicy,
    SeatHolder,
)
from market.states import LEAVES_HOUSE, ListingState, Visibility
from registry.policies import administered_repos


def visible_listings(actor: Actor) -> QuerySet[Listing]:
    """Listings that the actor may find: public ones that are published, those of its organisations' private catalogues, those it
    reviews or has a private offer of, and all those of the sellers it manages; namespaces joined. Unlisted ones are not found, only reached."""
    return _listings(actor, {Visibility.PUBLIC})


def _reachable_listings(actor: Actor) -> QuerySet[Listing]:
    """`visible_listings` and the unlisted ones: for a caller that names one listing."""
    return _listings(actor, {Visibility.PUBLIC, Visibility.UNLISTED})


def _listings(actor: Actor, open_to_all: set[Visibility]) -> QuerySet[Listing]:
    listings = Listing.objects.select_related("namespace")
    if actor.is_system or actor.is_staff:
        return listings
    published = Q(state=ListingState.PUBLISHED)
    public = published & Q(visibility__in=open_to_all)
    if not actor.is_authenticated or not actor.can_scope(SCOPE_OF_ACTION[Action.LISTING_READ]):
        return listings.filter(public)
    seen = (
        public
        | (published & Q(visibility=Visibility.ORGANIZATION, namespace_id__in=actor.member_namespaces()))
        | (published & Q(pk__in=_private_offers(actor).values("listing_id")))
        | Q(namespace_id__in=_namespaces_where(actor, Action.LISTING_MANAGE))
    )
    reviewed = _namespaces_where(actor, Action.LISTING_REVIEW)
    return listings.filter(seen | _submitted_to(reviewed) if reviewed else seen)


def catalogue_of(actor: Actor, namespace_id: int) -> QuerySet[Listing]:
    """The private catalogue of an organisation with what it offers everybody: published listings, for its members and staff. Raises
    NotFound for others: what a house has for itself is not even a refusal."""
    is_member = namespace_id in actor.member_namespaces() and actor.can_scope(SCOPE_OF_ACTION[Action.LISTING_READ])
    if not (is_member or actor.is_staff or actor.is_system):
        actor.require_authenticated()
        raise NotFound("There is no catalogue that you may see.")
    offered = {Visibility.ORGANIZATION, Visibility.PUBLIC}
    return visible_listings(actor).filter(
        namespace_id=namespace_id, state=ListingState.PUBLISHED, visibility__in=offered
    )


def is_reviewed_by_site(visibility: str) -> bool:
    """Whether staff look at a listing of this visibility before it is published."""
    return bool(settings.LISTING_REVIEW) and visibility in LEAVES_HOUSE


def needs_review(listing: Listing) -> bool:
    """Whether the site, or the seller's organisation, wants the listing reviewed. At most one query."""
    if is_reviewed_by_site(listing.visibility):
        return True
    return wants_reviews(listing.namespace_id)


def wants_reviews(namespace_id: int) -> bool:
    """Whether an organisation wants what it lists reviewed by its own reviewers."""
    return ReviewPolicy.objects.filter(namespace=namespace_id, is_needed=True).exists()


def may_review(actor: Actor, listing: Listing) -> bool:
    """Whether `actor` is one of the listing's reviewers: staff, or, where the site leaves it to the organisation, its own. Whether it
    is their own submission is asked when they decide."""
    if actor.is_staff or actor.is_system:
        return True
    return not is_reviewed_by_site(listing.visibility) and actor.may(Action.LISTING_REVIEW, listing.namespace_id)


def review_queue(actor: Actor) -> QuerySet[Listing]:
    """Listings that wait for a review by `actor` (`may_review`), namespaces and submitters joined."""
    waiting = Listing.objects.filter(state=ListingState.IN_REVIEW).select_related("namespace", "submitted_by")
    if actor.is_staff or actor.is_system:
        return waiting
    return waiting.filter(_submitted_to(_namespaces_where(actor, Action.LISTING_REVIEW)))


def require_review(actor: Actor, uuid: UUID | str) -> Listing:
    """A listing whose thread of reviews `actor` takes part in: as a reviewer or as a seller. Raises NotFound, Forbidden."""
    listing = require_listing_by_uuid(actor, uuid)
    if not (may_review(actor, listing) or actor.may(Action.LISTING_MANAGE, listing.namespace_id)):
        actor.require_authenticated()
        raise Forbidden("Only its seller and its reviewers see what was said of a listing.")
    return listing


def _submitted_to(namespaces: list[int]) -> Q:
    """What reviewers in these namespaces have to look at, or had to: they go on talking about it after a decision."""
    submitted = Q(submitted_at__isnull=False, namespace_id__in=namespaces)
    return submitted & ~Q(visibility__in=LEAVES_HOUSE) if settings.LISTING_REVIEW else submitted


def require_listing(actor: Actor, namespace: str, slug: str, action: Action = Action.LISTING_READ) -> Listing:
    """The listing, by its names in any case, with which `actor` may do `action`. Raises NotFound, Forbidden."""
    return _managed(
        actor, _reachable_listings(actor).filter(namespace__name__iexact=namespace, slug__iexact=slug).first(), action
    )


def require_listing_by_uuid(actor: Actor, uuid: UUID | str, action: Action = Action.LISTING_READ) -> Listing:
    """`require_listing` for a caller that knows the uuid."""
    return _managed(actor, _reachable_listings(actor).filter(uuid=uuid).first(), action)


def public_plans() -> QuerySet[Plan]:
    """Plans that are on sale to everybody who sees their listing, by number: what search and cards show."""
    return Plan.objects.filter(retired_at__isnull=True, offered_to__isnull=True).order_by("number")


def visible_plans(actor: Actor) -> QuerySet[Plan]:
    """Plans of the listings that the actor may see or reach, retired ones too. A private offer is seen by the people of its buyer, by those
    who manage the seller's listings and by staff. Joined with listing, seller and buyer."""
    plans = Plan.objects.filter(listing__in=_reachable_listings(actor)).select_related(
        "listing__namespace", "offered_to"
    )
    if actor.is_system or actor.is_staff:
        return plans
    return plans.filter(
        Q(offered_to__isnull=True)
        | Q(offered_to_id__in=_namespaces_where(actor, Action.NAMESPACE_READ))
        | Q(listing__namespace_id__in=_namespaces_where(actor, Action.LISTING_MANAGE))
    )


def plans_on_sale(actor: Actor, listing: Listing) -> QuerySet[Plan]:
    """The plans of a listing that can be ordered now, the actor's private offers too, oldest first."""
    return _open(visible_plans(actor)).filter(listing=listing).order_by("number")


def private_offers(actor: Actor) -> QuerySet[Plan]:
    """Open private offers to the namespaces in which the actor may read; joined as `visible_plans`."""
    offers = _private_offers(actor).filter(listing__state=ListingState.PUBLISHED)
    return offers.select_related("listing__namespace", "offered_to")


def visible_coupons(actor: Actor) -> QuerySet[Coupon]:
    """Coupons of the sellers whose listings the actor manages; namespaces joined."""
    coupons = Coupon.objects.select_related("namespace")
    if actor.is_system or actor.is_staff:
        return coupons
    return coupons.filter(namespace_id__in=_namespaces_where(actor, Action.LISTING_MANAGE))


def require_coupon(actor: Actor, uuid: UUID | str) -> Coupon:
    """A coupon that the actor manages. Raises NotFound, Forbidden."""
    coupon = visible_coupons(actor).filter(uuid=uuid).first()
    if coupon is None:
        raise NotFound("There is no such coupon.")
    if not actor.may(Action.LISTING_MANAGE, coupon.namespace_id):
        raise Forbidden(f"You may not manage the coupons of {coupon.namespace.name}.", action=Action.LISTING_MANAGE)
    return coupon


def require_plan(actor: Actor, uuid: UUID | str, action: Action = Action.LISTING_READ) -> Plan:
    """A plan of a listing on which `actor` may do `action`, joined with listing and seller. Raises NotFound, Forbidden."""
    plan = visible_plans(actor).filter(uuid=uuid).first()
    if plan is None:
        raise NotFound("There is no such plan.")
    _managed(actor, plan.listing, action)
    return plan


def visible_orders(actor: Actor) -> QuerySet[Order]:
    """Orders of the namespaces for which the actor may read orders, and sales of those it sells for; newest first by the
    caller's paging. Staff see all."""
    orders = Order.objects.select_related(
        "listing__namespace",
        "plan",
        "buyer",
        "seller",
        "entitlement",
        "redemption__coupon",
        "acceptance__terms",
        "switch__acceptance__terms",
    )
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


def usable_entitlements(actor: Actor) -> QuerySet[Entitlement]:
    """What opens things to the actor itself: what its namespaces have that is neither over nor at rest, of what they bought by the seat
    only where the actor sits. Joined with order, plan and holder."""
    live = Entitlement.objects.filter(
        holder_id__in=actor.member_namespaces(), revoked_at__isnull=True, frozen_at__isnull=True
    )
    seats = SeatHolder.objects.filter(user_id=actor.person_id).values("entitlement_id")
    return live.filter(Q(seats__isnull=True) | Q(pk__in=seats)).select_related("order__plan", "holder")


def visible_payouts(actor: Actor) -> QuerySet[Payout]:
    """Payouts of the namespaces that the actor sells for, with account and namespace. Staff see all."""
    payouts = Payout.objects.select_related("namespace", "account")
    if actor.is_system or actor.is_staff:
        return payouts
    return payouts.filter(namespace_id__in=_namespaces_where(actor, Action.NAMESPACE_SELL))


def require_payout(actor: Actor, uuid: UUID | str) -> Payout:
    """A payout that the actor may see. Raises NotFound."""
    payout = visible_payouts(actor).filter(uuid=uuid).first()
    if payout is None:
        raise NotFound("There is no such payout.")
    return payout


def require_payout_account(actor: Actor, uuid: UUID | str) -> PayoutAccount:
    """A payout account, retired or not, of a namespace that the actor sells for. Raises NotFound."""
    accounts = PayoutAccount.objects.select_related("namespace").filter(uuid=uuid)
    if not actor.is_system:
        accounts = accounts.filter(namespace_id__in=_namespaces_where(actor, Action.NAMESPACE_SELL))
    account = accounts.first()
    if account is None:
        raise NotFound("There is no such payout account.")
    return account


def _private_offers(actor: Actor) -> QuerySet[Plan]:
    return _open(Plan.objects.filter(offered_to_id__in=_namespaces_where(actor, Action.NAMESPACE_READ)))


def _open(plans: QuerySet[Plan]) -> QuerySet[Plan]:
    return plans.filter(Q(offer_ends_at__isnull=True) | Q(offer_ends_at__gt=now()), retired_at__isnull=True)


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
