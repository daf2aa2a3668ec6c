"""The gallery of a listing: at most eight pictures in an order; the first one stands on its card."""

from uuid import UUID

from django.db import transaction
from django.db.models import Max

from accounts.actors import Actor
from accounts.permissions import Action
from backends.pictures import UPLOAD_LIMIT, shown_of
from common.errors import Conflict, Invalid, NotFound, TooLarge
from market.models import Listing, ListingImage
from market.policies import require_listing_by_uuid
from market.services.listings import mark_changed, require_not_in_review
from registry.services import storage

IMAGES_LIMIT = 8
ALT_LIMIT = 200


def add_image(actor: Actor, listing: Listing, *, content: bytes, alt: str) -> ListingImage:
    """Put a picture (PNG, JPEG or WebP, at most 5 MB) at the end of the gallery. `alt` says what it shows. It is decoded and encoded anew
    (backends/pictures.py). Writes the bytes, the row, audit. Raises Invalid, TooLarge, Conflict for the ninth and while the listing
    is in review, NotFound, Forbidden."""
    require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    words = _alt(alt)
    if len(content) > UPLOAD_LIMIT:
        raise TooLarge(
            f"A picture may have {UPLOAD_LIMIT // 1024**2} MB: make it smaller.", fields={"image": "too large"}
        )
    try:
        shown = shown_of(content)
    except ValueError as error:
        raise Invalid(str(error), fields={"image": "not accepted"}) from error
    blob = storage.store_bytes(shown.content)
    with transaction.atomic():
        row = _locked(actor, listing)
        if row.images.count() >= IMAGES_LIMIT:
            raise Conflict(f"A listing has {IMAGES_LIMIT} pictures at most: remove one first.", code="too_many_images")
        image = ListingImage.objects.create(
            listing=row,
            blob_id=blob.pk,
            media_type=shown.media_type,
            width=shown.width,
            height=shown.height,
            alt=words,
            position=(row.images.aggregate(last=Max("position"))["last"] or 0) + 1,
        )
        mark_changed(actor, row, ["images"])
    return image


def change_image(actor: Actor, image: ListingImage, *, alt: str | None = None, position: int | None = None) -> None:
    """Say anew what a picture shows, or move it to a place in the order, 1 the first; places beyond the end are the end. Safe to
    repeat. Raises Invalid, Conflict, NotFound, Forbidden."""
    words = None if alt is None else _alt(alt)
    if position is not None and position < 1:
        raise Invalid("Places are counted from 1.", fields={"position": "1 or more"})
    with transaction.atomic():
        row = _locked(actor, image.listing)
        images = list(row.images.order_by("position", "pk"))
        present = next((each for each in images if each.pk == image.pk), None)
        if present is None:
            raise NotFound("There is no such picture.")
        before = [(each.pk, each.position, each.alt) for each in images]
        if words is not None:
            present.alt = words
        if position is not None:
            images.remove(present)
            images.insert(min(position, len(images) + 1) - 1, present)
            for place, each in enumerate(images, 1):
                each.position = place
        if [(each.pk, each.position, each.alt) for each in images] != before:
            ListingImage.objects.bulk_update(images, ["position", "alt"])
            mark_changed(actor, row, ["images"])


def remove_image(actor: Actor, image: ListingImage) -> None:
    """Take a picture out of the gallery. A second call changes nothing. Raises Conflict, NotFound, Forbidden."""
    with transaction.atomic():
        row = _locked(actor, image.listing)
        if ListingImage.objects.filter(pk=image.pk).delete()[0]:
            mark_changed(actor, row, ["images"])


def image_of(listing: Listing, uuid: UUID | str) -> ListingImage:
    """A picture of a listing that the caller has obtained. Raises NotFound."""
    image = ListingImage.objects.filter(listing=listing, uuid=uuid).select_related("blob", "listing__namespace").first()
    if image is None:
        raise NotFound("There is no such picture.")
    return image


def content_of(image: ListingImage) -> bytes:
    """The bytes of a picture. Raises Unavailable when the store has lost them."""
    return storage.read_blob(image.blob, UPLOAD_LIMIT * 4)


def _locked(actor: Actor, listing: Listing) -> Listing:
    require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    row = Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)
    require_not_in_review(row)
    return row


def _alt(text: str) -> str:
    words = " ".join(text.split())
    if not words or len(words) > ALT_LIMIT or "\x00" in words:
        raise Invalid(
            f"Say what the picture shows, in at most {ALT_LIMIT} characters: not everybody sees it.",
            fields={"alt": f"1 to {ALT_LIMIT} characters"},
        )
    return words
