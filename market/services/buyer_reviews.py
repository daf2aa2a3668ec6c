"""Buyer reviews: what those who have bought and used something say of it, and what the seller answers. Every wording is kept."""

from typing import Any

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from market.addresses import review_address
from market.community_policies import require_buyer_review
from market.models import BuyerReview, BuyerReviewRevision, Listing, SellerAnswer
from market.policies import require_listing_by_uuid
from market.proofs import Proof, proofs_of
from market.services import market_events, search_documents
from notices.services import notify

TITLE_LIMIT = 120
TEXT_LIMIT = 10_000


def write_review(
    actor: Actor, listing: Listing, *, stars: int, title: str, text: str = "", buyer: str = "", version: str = ""
) -> BuyerReview:
    """Say what one thinks of a listing that one has bought and used, for the namespace `buyer` (needed where several may), of the
    `version` used (default: the newest of those used). There is one review for each buyer: written again, it changes, and a
    new version may be named; what it said before stays readable. The same words again change nothing. A buyer who has the money back
    keeps the review and may reword it. Writes review, revision, rating, search, audit, notice. Raises Invalid, NotFound, Conflict
    (`not_used`), Forbidden for the seller's own people."""
    actor.require_authenticated()
    listing = require_listing_by_uuid(actor, listing.uuid)
    if listing.namespace_id in actor.roles:
        raise Forbidden("You belong to its seller: buyer reviews are written by buyers.", code="own_listing")
    said = {"stars": _stars(stars), "title": _title(title), "text": clean_text(text, TEXT_LIMIT)}
    with transaction.atomic():
        row = (
            Listing.objects.select_for_update(of=("self",), no_key=True).select_related("namespace").get(pk=listing.pk)
        )
        present = _own(actor, row, buyer)
        if present is not None and version in {"", present.version}:
            return _revise(actor, row, present, {**said, "version": present.version, "usage": present.usage})
        proof = _proof(actor, row, present.buyer.name if present else buyer)
        version = version or next(iter(proof.used))
        if version not in proof.used:
            raise Invalid(
                f"You have not used version {version[:100]}. Name one of: {', '.join(proof.used)}.",
                fields={"version": "not used"},
            )
        said |= {"version": version, "usage": proof.used[version]}
        return _revise(actor, row, present, said) if present else _first(actor, row, proof, said)


def answer_review(actor: Actor, review: BuyerReview, *, text: str) -> SellerAnswer:
    """Answer a buyer review for the seller. There is one answer; written again, it changes, and earlier wordings stay readable. The same
    words again change nothing. Writes answer, audit, notices to the reviewer's side. Raises Invalid, NotFound, Forbidden."""
    review = require_buyer_review(actor, review.uuid)
    if not actor.may(Action.LISTING_MANAGE, review.listing.namespace_id):
        actor.require_authenticated()
        raise Forbidden("Only the seller answers a review.", action=str(Action.LISTING_MANAGE))
    words = clean_text(text, TEXT_LIMIT)
    if not words:
        raise Invalid("Write something first.", fields={"text": "needed"})
    with transaction.atomic():
        rows = BuyerReview.objects.select_for_update(of=("self",), no_key=True)
        row = rows.select_related("listing__namespace", "buyer").get(pk=review.pk)
        last = SellerAnswer.objects.filter(review=row).order_by("-pk").first()
        if last is not None and last.text == words:
            return last
        made = SellerAnswer.objects.create(review=row, text=words, author_id=actor.user_id)
        _record(actor, "market:buyer-review:answered", row)
        notify(
            row.buyer_id,
            "market:community:answered",
            f"{row.listing.namespace.name} answered the review of {row.listing.title}.",
            url=review_address(row),
            key=f"answer:{made.pk}",
        )
    return made


def clean_text(text: str, limit: int) -> str:
    """What somebody has written, without space around it. Raises Invalid when it is too long."""
    words = text.strip().replace("\r\n", "\n")
    if len(words) > limit or "\x00" in words:
        raise Invalid(f"Use at most {limit:,} characters.", fields={"text": f"at most {limit:,} characters"})
    return words


def _own(actor: Actor, listing: Listing, buyer: str) -> BuyerReview | None:
    buying = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_BUY, pk)]
    found = BuyerReview.objects.filter(listing=listing, buyer_id__in=buying).select_related("buyer")
    if buyer:
        return found.filter(buyer__name__iexact=buyer).first()
    rows = list(found.order_by("pk")[:2])
    # who writes for several has to say for whom, unless it is clear
    return rows[0] if len(rows) == 1 and len(proofs_of(actor, listing)) <= 1 else None


def _proof(actor: Actor, listing: Listing, buyer: str) -> Proof:
    proofs = proofs_of(actor, listing)
    mine = [proof for proof in proofs if not buyer or proof.buyer.lower() == buyer.lower()]
    if not mine:
        raise Conflict(
            "Reviews are written by those who have bought it and used it: make a call, or open a file, first.",
            code="not_used",
        )
    if len(mine) > 1:
        names = ", ".join(proof.buyer for proof in mine)
        raise Invalid(f"Say for whom you write: {names}.", fields={"buyer": "needed"})
    return mine[0]


def _first(actor: Actor, listing: Listing, proof: Proof, said: dict[str, Any]) -> BuyerReview:
    review = BuyerReview.objects.create(
        listing=listing, buyer=proof.entitlement.holder, entitlement=proof.entitlement, author_id=actor.user_id, **said
    )
    BuyerReviewRevision.objects.create(review=review, number=1, author_id=actor.user_id, **said)
    search_documents.count_rating(listing, count=1, stars=review.stars)
    _record(actor, "market:buyer-review:written", review, stars=review.stars)
    _tell_seller(review, "reviewed", 1)
    return review


def _revise(actor: Actor, listing: Listing, present: BuyerReview, said: dict[str, Any]) -> BuyerReview:
    review = BuyerReview.objects.select_for_update(of=("self",), no_key=True).select_related("buyer").get(pk=present.pk)
    review.listing = listing
    if all(getattr(review, name) == value for name, value in said.items()):
        return review
    if review.hidden_at is None and review.stars != said["stars"]:
        search_documents.count_rating(listing, count=0, stars=said["stars"] - review.stars)
    for name, value in said.items():
        setattr(review, name, value)
    review.author_id, review.updated_at, review.revisions_count = actor.user_id, now(), review.revisions_count + 1
    review.save(update_fields=[*said, "author", "updated_at", "revisions_count"])
    BuyerReviewRevision.objects.create(review=review, number=review.revisions_count, author_id=actor.user_id, **said)
    _record(actor, "market:buyer-review:changed", review, stars=review.stars)
    if review.hidden_at is None:
        _tell_seller(review, "changed the review of", review.revisions_count)
    return review


def _tell_seller(review: BuyerReview, did: str, number: int) -> None:
    listing = review.listing
    notify(
        listing.namespace_id,
        "market:community:reviewed",
        f"{review.buyer.name} {did} {listing.title}: {review.stars} of 5 stars, “{review.title}”.",
        url=review_address(review),
        key=f"buyer-review:{review.uuid}:{number}",
    )
    market_events.tell_of_review(review)


def _stars(stars: int) -> int:
    if type(stars) is not int or not 1 <= stars <= 5:
        raise Invalid("Give 1 to 5 stars.", fields={"stars": "1 to 5"})
    return stars


def _title(title: str) -> str:
    words = " ".join(title.replace("\x00", "").split())
    if not 1 <= len(words) <= TITLE_LIMIT:
        raise Invalid(f"A title has 1 to {TITLE_LIMIT} characters.", fields={"title": f"1 to {TITLE_LIMIT} characters"})
    return words


def _record(actor: Actor, tag: str, review: BuyerReview, **detail: object) -> None:
    audit.record(
        actor, tag, "listing", review.listing.uuid, namespace_id=review.buyer_id, review=str(review.uuid), **detail
    )
