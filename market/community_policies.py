"""Who may say something about a listing, and who may take it out of sight. Whoever sees a listing sees what is said of it; what was hidden
is seen by its author and by staff alone."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Forbidden, NotFound
from market.models import BuyerReview, ContentReport, Listing, ListingPost, ListingThread, Order
from market.policies import require_listing_by_uuid
from market.states import OrderState

Target = BuyerReview | ListingPost
_HOLDING = (OrderState.FULFILLED, OrderState.DISPUTED)


def visible_buyer_reviews(actor: Actor, listing: Listing) -> QuerySet[BuyerReview]:
    """The buyer reviews of a listing that the actor has obtained, joined with buyer and author; `is_refunded` says that the buyer has
    nothing of it any more."""
    holds = Order.objects.filter(buyer=OuterRef("buyer"), listing=OuterRef("listing"), state__in=_HOLDING)
    reviews = BuyerReview.objects.filter(listing=listing).select_related("buyer", "author", "listing__namespace")
    return _shown(actor, reviews).annotate(is_refunded=~Exists(holds))


def require_buyer_review(actor: Actor, uuid: UUID | str) -> BuyerReview:
    """A buyer review that the actor may see. Raises NotFound."""
    found = BuyerReview.objects.filter(uuid=uuid).select_related("listing").first()
    review = None
    if found is not None:
        listing = require_listing_by_uuid(actor, found.listing.uuid)
        review = visible_buyer_reviews(actor, listing).filter(pk=found.pk).first()
    if review is None:
        raise NotFound("There is no such review.")
    return review


def threads_of(listing: Listing) -> QuerySet[ListingThread]:
    """Questions and discussions on a listing that the caller has obtained, with their authors."""
    return ListingThread.objects.filter(listing=listing).select_related("author", "accepted")


def require_thread(actor: Actor, listing: Listing, number: int) -> ListingThread:
    """A thread by its number, on a listing that the actor has obtained. Raises NotFound."""
    thread = threads_of(listing).filter(number=number).first()
    if thread is None:
        raise NotFound(f"There is no thread {number}.")
    thread.listing = listing
    return thread


def require_post(actor: Actor, uuid: UUID | str) -> ListingPost:
    """A post of a thread on a listing that the actor may see. Raises NotFound."""
    post = _shown(actor, ListingPost.objects.select_related("thread__listing__namespace", "author")).filter(uuid=uuid)
    found = post.first()
    if found is None:
        raise NotFound("There is no such post.")
    require_listing_by_uuid(actor, found.thread.listing.uuid)
    return found


def speaks_for_seller(actor: Actor, listing: Listing) -> bool:
    """Whether the actor answers for the seller."""
    return actor.may(Action.LISTING_MANAGE, listing.namespace_id)


def visible_reports(actor: Actor) -> QuerySet[ContentReport]:
    """What waits for staff: of each reported thing the first open report. Raises Forbidden for others."""
    _require_staff(actor)
    waiting = ContentReport.objects.filter(decided_at__isnull=True)
    same = Q(review__isnull=False, review=OuterRef("review")) | Q(post__isnull=False, post=OuterRef("post"))
    earlier = ContentReport.objects.filter(same, decided_at__isnull=True, pk__lt=OuterRef("pk"))
    return waiting.filter(~Exists(earlier)).select_related(
        "listing__namespace", "reporter", "review__buyer", "review__author", "post__author", "post__thread"
    )


def require_report(actor: Actor, uuid: UUID | str) -> ContentReport:
    """A report, decided or not, for staff. Raises NotFound, Forbidden."""
    _require_staff(actor)
    found = ContentReport.objects.filter(uuid=uuid).select_related("listing", "review", "post__thread").first()
    if found is None:
        raise NotFound("There is no such report.")
    return found


def require_moderator(actor: Actor, target: Target) -> None:
    """Raises Forbidden unless the actor is staff and has no part in the matter: neither its author, nor of the seller, nor of the buyer."""
    _require_staff(actor)
    if actor.is_system:
        return
    listing = listing_of(target)
    parties = {listing.namespace_id} | ({target.buyer_id} if isinstance(target, BuyerReview) else set())
    if target.author_id == actor.user_id or parties & set(actor.roles):
        raise Forbidden("You have a part in this: another member of staff has to decide.", code="own_matter")


def listing_of(target: Target) -> Listing:
    """The listing that something was said of."""
    return target.listing if isinstance(target, BuyerReview) else target.thread.listing


def _require_staff(actor: Actor) -> None:
    actor.require_authenticated()
    if not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff of the site decide what is reported.")


def _shown(actor: Actor, rows: QuerySet) -> QuerySet:
    if actor.is_staff or actor.is_system:
        return rows
    return rows.filter(Q(hidden_at__isnull=True) | Q(author_id=actor.person_id))
