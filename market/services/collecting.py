"""Listings in collections. The collections themselves are the registry's, with their titles, owners and repositories."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.errors import Conflict, Invalid
from market.models import CollectionListing, Listing
from market.policies import require_listing_by_uuid
from registry.policies import require_collection

if TYPE_CHECKING:
    from registry.models import Collection

LIMIT = 500
NOTE_LIMIT = 500


def add_to_collection(actor: Actor, collection: UUID | str, listing: Listing, *, note: str = "") -> CollectionListing:
    """Put a listing, which the actor may see, into a collection of theirs. Writes the item and audit; one that is in there already is
    returned. Raises NotFound, Forbidden, Invalid."""
    found = require_collection(actor, collection, Action.NAMESPACE_PUBLISH)
    row = require_listing_by_uuid(actor, listing.uuid)
    words = note.strip().replace("\x00", "")
    if len(words) > NOTE_LIMIT:
        raise Invalid(
            f"A note has at most {NOTE_LIMIT} characters.", fields={"note": f"at most {NOTE_LIMIT} characters"}
        )
    items = CollectionListing.objects.filter(collection_id=found.pk)
    if present := items.filter(listing=row).first():
        return present
    if items.count() >= LIMIT:
        raise Conflict(f"A collection holds at most {LIMIT} listings.", code="collection_full")
    try:
        with transaction.atomic():
            made = CollectionListing.objects.create(collection_id=found.pk, listing=row, note=words)
            _record(actor, "market:collection:added", found, row)
    except IntegrityError:
        return items.get(listing=row)
    return made


def take_from_collection(actor: Actor, collection: UUID | str, listing: UUID | str) -> None:
    """Take a listing, by its uuid, out of a collection of the actor's. A second call changes nothing. Raises NotFound, Forbidden."""
    found = require_collection(actor, collection, Action.NAMESPACE_PUBLISH)
    with transaction.atomic():
        item = CollectionListing.objects.filter(collection_id=found.pk, listing__uuid=listing)
        row = item.select_related("listing").first()
        if row is not None:
            item.delete()
            _record(actor, "market:collection:removed", found, row.listing)


def _record(actor: Actor, tag: str, collection: "Collection", listing: Listing) -> None:
    audit.record(
        actor, tag, "collection", collection.uuid, namespace_id=collection.namespace_id, listing=str(listing.uuid)
    )
