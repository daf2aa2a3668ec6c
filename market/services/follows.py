"""Liking and following listings, following sellers, and telling followers what has happened. Followers are told by tasks, so that a seller
with many does not wait for them; the key of each notice makes a second telling harmless."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F

from accounts import directory
from accounts.actors import Actor
from accounts.permissions import Action, Scope
from accounts.policies import require_namespace
from common.errors import Forbidden
from market.addresses import listing_address
from market.models import Follow, Listing, ListingLike
from market.policies import require_listing_by_uuid
from market.showing import showings_of
from market.states import ListingState, Visibility
from notices.services import notify_users
from work.door import enqueue

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Plan

LISTED, WITHDRAWN, PRICED, RECALLED = "listed", "withdrawn", "priced", "recalled"
_BATCH = 500


def like_listing(actor: Actor, listing: Listing) -> bool:
    """Note that the actor likes a listing; returns whether that is new. The counter moves with the row, so it is exact."""
    row = _required(actor, listing)
    with transaction.atomic():
        _, is_new = ListingLike.objects.get_or_create(listing=row, user_id=actor.person_id)
        if is_new:
            Listing.objects.filter(pk=row.pk).update(likes=F("likes") + 1)
    return is_new


def unlike_listing(actor: Actor, listing: Listing) -> bool:
    """Take a like back; returns whether there was one."""
    row = _required(actor, listing)
    with transaction.atomic():
        gone, _ = ListingLike.objects.filter(listing=row, user_id=actor.person_id).delete()
        if gone:
            Listing.objects.filter(pk=row.pk).update(likes=F("likes") - 1)
    return bool(gone)


def follow_listing(actor: Actor, listing: Listing) -> bool:
    """Have the actor told of new versions, prices and the end of a listing; returns whether that is new."""
    row = _required(actor, listing)
    with transaction.atomic():
        _, is_new = Follow.objects.get_or_create(user_id=actor.person_id, listing=row)
        if is_new and not row.told_version:
            # what there is already is no news
            present = showings_of([row])[row.pk].version
            Listing.objects.filter(pk=row.pk, told_version="").update(told_version=present)
    return is_new


def unfollow_listing(actor: Actor, listing: Listing) -> bool:
    """Tell the actor nothing more of it; returns whether they followed it."""
    _require_person(actor)
    return bool(Follow.objects.filter(user_id=actor.person_id, listing=listing).delete()[0])


def follow_namespace(actor: Actor, name: str) -> "Namespace":
    """Have the actor told of what somebody lists. A second call changes nothing. Raises NotFound."""
    _require_person(actor)
    namespace = require_namespace(actor, name)
    Follow.objects.get_or_create(user_id=actor.person_id, namespace=namespace)
    return namespace


def unfollow_namespace(actor: Actor, name: str) -> "Namespace":
    """Tell the actor nothing more of what somebody lists. A second call changes nothing. Raises NotFound."""
    _require_person(actor)
    namespace = require_namespace(actor, name)
    Follow.objects.filter(user_id=actor.person_id, namespace=namespace).delete()
    return namespace


def note_listed(listing: Listing) -> None:
    """A listing is in the shop for the first time: the followers of its seller will be told, in the caller's transaction."""
    if Follow.objects.filter(namespace=listing.namespace_id).exists():
        enqueue("market.tell_followers", listing.pk, LISTED, str(listing.uuid))


def note_withdrawn(listing: Listing) -> None:
    """A listing has left the shop: its followers will be told, in the caller's transaction."""
    if listing.follows.exists():
        enqueue("market.tell_followers", listing.pk, WITHDRAWN, listing.updated_at.isoformat())


def note_price(listing: Listing, plan: "Plan") -> None:
    """A plan came or went: the followers of a published listing will be told, in the caller's transaction. Private offers are nobody
    else's business."""
    is_told = listing.state == ListingState.PUBLISHED and plan.offered_to_id is None
    if is_told and listing.follows.exists():
        ended: datetime | None = plan.retired_at
        enqueue("market.tell_followers", listing.pk, PRICED, f"{plan.uuid}:{'gone' if ended else 'new'}")


def note_recalled(listings: Iterable[Listing], key: str) -> None:
    """A version that these listings offered was recalled: their followers will be told, in the caller's transaction."""
    for listing in listings:
        if listing.follows.exists():
            enqueue("market.tell_followers", listing.pk, RECALLED, key)


def tell_followers(listing_id: int, event: str, key: str) -> int:
    """Tell those who follow, and may know of the listing, that `event` happened; returns how many. Safe to repeat: keyed by `key`."""
    listing = Listing.objects.select_related("namespace").get(pk=listing_id)
    title, seller = listing.title, listing.namespace.name
    words = {
        LISTED: f"{seller} lists something new: {title}.",
        WITHDRAWN: f"{title} of {seller} was taken out of the shop. What was bought stays open.",
        PRICED: f"The plans of {title} have changed.",
        RECALLED: f"A version of {title} was recalled: its page says why, and what to do.",
    }[event]
    rows = Follow.objects.filter(namespace=listing.namespace_id) if event == LISTED else listing.follows.all()
    return _tell(listing, rows.values_list("user_id", flat=True), words, f"{event}:{key}")


def tell_of_versions() -> int:
    """Tell the followers of listings whose channel leads to another version than they know of; returns how many listings. Runs every few
    minutes: new versions, withdrawn ones and redeployed endpoints are all seen that way, wherever they came from. Safe to repeat:
    the version told of last stands in the row."""
    moved, last = 0, 0
    followed = Listing.objects.filter(state=ListingState.PUBLISHED, follows__isnull=False).select_related("namespace")
    while rows := list(followed.filter(pk__gt=last).distinct().order_by("pk")[:_BATCH]):
        last = rows[-1].pk
        showings = showings_of(rows)
        for row in rows:
            version = showings[row.pk].version
            if version != row.told_version:
                moved += _tell_version(row, version)
    return moved


def _tell_version(listing: Listing, version: str) -> bool:
    with transaction.atomic():
        known = listing.told_version
        rows = Listing.objects.filter(pk=listing.pk, told_version=known)
        if not rows.update(told_version=version):
            return False
        words = (
            f"{listing.title} leads to version {version} now." if version
            else f"Version {known} of {listing.title} was withdrawn; there is no other on its channel now."
        )  # fmt: skip
        people = listing.follows.values_list("user_id", flat=True)
        _tell(listing, people, words, f"version:{known}:{version}")
    return True


def _tell(listing: Listing, user_ids: Iterable[int], words: str, key: str) -> int:
    people = set(user_ids)
    if listing.visibility == Visibility.ORGANIZATION:
        people &= set(directory.people_who(listing.namespace_id, Action.NAMESPACE_READ))
    elif listing.visibility == Visibility.PRIVATE:
        people &= set(directory.people_who(listing.namespace_id, Action.LISTING_MANAGE))
    event = key.partition(":")[0]
    return notify_users(
        people, f"market:followed:{event}", words, url=listing_address(listing), key=f"follow:{listing.pk}:{key}"[:160]
    )


def _required(actor: Actor, listing: Listing) -> Listing:
    _require_person(actor)
    return require_listing_by_uuid(actor, listing.uuid)


def _require_person(actor: Actor) -> None:
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    if actor.user_id is None:
        raise Forbidden("Only a person can like or follow something.")
