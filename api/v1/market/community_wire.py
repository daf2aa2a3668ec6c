"""Buyer reviews, threads, reports, likes and follows on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from market.services.buyer_reviews import TEXT_LIMIT, TITLE_LIMIT
from market.services.moderation import REASON_LIMIT, REPORT_LIMIT
from market.services.threads import TITLE_LIMIT as THREAD_TITLE_LIMIT
from market.states import ReportReason, ThreadKind, ThreadState
from market.thread_queries import text_for

if TYPE_CHECKING:
    from accounts.actors import Actor
    from market.buyer_review_queries import Ratings
    from market.follow_queries import Standing
    from market.models import (
        BuyerReview,
        BuyerReviewRevision,
        CollectionListing,
        ContentReport,
        Follow,
        ListingPost,
        ListingThread,
        SellerAnswer,
    )
    from registry.models import Collection


class BuyerReviewNew(serializers.Serializer):
    stars = serializers.IntegerField(min_value=1, max_value=5)
    title = serializers.CharField(max_length=TITLE_LIMIT)
    text = serializers.CharField(max_length=TEXT_LIMIT, required=False, default="", allow_blank=True)
    buyer = serializers.CharField(
        max_length=96, required=False, default="", allow_blank=True, help_text="For whom, where you buy for several."
    )
    version = serializers.CharField(
        max_length=100,
        required=False,
        default="",
        allow_blank=True,
        help_text="One that was used, of an endpoint one that answered; default: the newest of them, and when rewritten the one named before.",
    )


class SellerAnswerNew(serializers.Serializer):
    text = serializers.CharField(max_length=TEXT_LIMIT)


class SellerAnswerWire(serializers.Serializer):
    text = serializers.CharField()
    created_at = serializers.DateTimeField()


class BuyerReviewWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    buyer = serializers.CharField()
    version = serializers.CharField()
    stars = serializers.IntegerField()
    title = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    usage = serializers.CharField(help_text="How much the buyer has used it: a band.")
    is_refunded = serializers.BooleanField(help_text="The buyer has the money back.")
    is_hidden = serializers.BooleanField(help_text="Seen by its author and staff alone.")
    hidden_reason = serializers.CharField(allow_blank=True)
    revision = serializers.IntegerField()
    answer = SellerAnswerWire(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BuyerReviewRevisionWire(serializers.Serializer):
    revision = serializers.IntegerField()
    version = serializers.CharField()
    stars = serializers.IntegerField()
    title = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    usage = serializers.CharField()
    created_at = serializers.DateTimeField()


class BuyerReviewHistoryWire(serializers.Serializer):
    review = BuyerReviewWire()
    revisions = BuyerReviewRevisionWire(many=True)
    answers = SellerAnswerWire(many=True)


class RatingsWire(serializers.Serializer):
    count = serializers.IntegerField()
    average = serializers.FloatField(allow_null=True)
    stars = serializers.DictField(child=serializers.IntegerField(), help_text="Reviews by number of stars.")
    by_version = serializers.DictField(child=serializers.IntegerField())


class BuyerReviewPageWire(serializers.Serializer):
    items = BuyerReviewWire(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    next = serializers.URLField(allow_null=True)
    ratings = RatingsWire()


class ReportNew(serializers.Serializer):
    reason = serializers.ChoiceField([reason.value for reason in ReportReason])
    text = serializers.CharField(max_length=REPORT_LIMIT, required=False, default="", allow_blank=True)


class ReportDecisionNew(serializers.Serializer):
    hide = serializers.BooleanField()
    reason = serializers.CharField(max_length=REASON_LIMIT)


class ReportWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    listing = serializers.UUIDField()
    review = serializers.UUIDField(allow_null=True)
    post = serializers.UUIDField(allow_null=True)
    reason = serializers.CharField()
    text = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)
    is_hidden = serializers.BooleanField(allow_null=True)
    decision_reason = serializers.CharField(allow_blank=True)


def buyer_review(row: "BuyerReview") -> dict[str, Any]:
    """Wants what `page_of_reviews` joins."""
    said = row.said  # type: ignore[attr-defined]
    return {
        "uuid": row.uuid,
        "buyer": row.buyer.name,
        "version": row.version,
        "stars": row.stars,
        "title": row.title,
        "text": row.text,
        "usage": row.usage,
        "is_refunded": row.is_refunded,  # type: ignore[attr-defined]
        "is_hidden": row.hidden_at is not None,
        "hidden_reason": row.hidden_reason,
        "revision": row.revisions_count,
        "answer": answer(said[0]) if said else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def revision(row: "BuyerReviewRevision") -> dict[str, Any]:
    return {
        "revision": row.number,
        "version": row.version,
        "stars": row.stars,
        "title": row.title,
        "text": row.text,
        "usage": row.usage,
        "created_at": row.created_at,
    }


def answer(row: "SellerAnswer") -> dict[str, Any]:
    return {"text": row.text, "created_at": row.created_at}


def ratings(found: "Ratings") -> dict[str, Any]:
    return {
        "count": found.count,
        "average": found.average,
        "stars": {str(stars): count for stars, count in found.stars.items()},
        "by_version": found.by_version,
    }


def report(row: "ContentReport") -> dict[str, Any]:
    """Wants listing, review and post joined."""
    return {
        "uuid": row.uuid,
        "listing": row.listing.uuid,
        "review": row.review.uuid if row.review else None,
        "post": row.post.uuid if row.post else None,
        "reason": row.reason,
        "text": row.text,
        "created_at": row.created_at,
        "decided_at": row.decided_at,
        "is_hidden": row.is_upheld,
        "decision_reason": row.decision_reason,
    }


class ThreadNew(serializers.Serializer):
    kind = serializers.ChoiceField([kind.value for kind in ThreadKind], required=False, default="question")
    title = serializers.CharField(max_length=THREAD_TITLE_LIMIT)
    text = serializers.CharField(max_length=TEXT_LIMIT)


class ThreadChange(serializers.Serializer):
    state = serializers.ChoiceField([state.value for state in ThreadState], required=False)
    accepted = serializers.UUIDField(
        required=False, allow_null=True, help_text="The post that settles the question; null: none."
    )


class ThreadWire(serializers.Serializer):
    number = serializers.IntegerField()
    kind = serializers.ChoiceField([kind.value for kind in ThreadKind])
    title = serializers.CharField()
    state = serializers.ChoiceField([state.value for state in ThreadState])
    author = serializers.CharField(allow_blank=True)
    posts = serializers.IntegerField()
    accepted = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PostNew(serializers.Serializer):
    text = serializers.CharField(max_length=TEXT_LIMIT, help_text="Markdown. `@name` tells somebody.")


class EarlierTextWire(serializers.Serializer):
    text = serializers.CharField()
    at = serializers.DateTimeField()


class PostWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    author = serializers.CharField(allow_blank=True)
    is_sellers = serializers.BooleanField()
    text = serializers.CharField(allow_blank=True, help_text="Empty when it is deleted or hidden.")
    history = EarlierTextWire(many=True)
    is_deleted = serializers.BooleanField()
    is_hidden = serializers.BooleanField()
    edited_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


class StandingWire(serializers.Serializer):
    is_liked = serializers.BooleanField()
    is_followed = serializers.BooleanField()
    is_seller_followed = serializers.BooleanField()


class FollowWire(serializers.Serializer):
    listing = serializers.CharField(allow_null=True, help_text="`seller/slug`.")
    title = serializers.CharField(allow_null=True)
    namespace = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class CollectionNew(serializers.Serializer):
    namespace = serializers.CharField(max_length=96)
    title = serializers.CharField(max_length=60)
    description = serializers.CharField(max_length=150, required=False, default="", allow_blank=True)
    is_private = serializers.BooleanField(required=False, default=False)


class CollectionListingNew(serializers.Serializer):
    listing = serializers.UUIDField()
    note = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class CollectionListingWire(serializers.Serializer):
    listing = serializers.UUIDField()
    name = serializers.CharField(help_text="`seller/slug`.")
    title = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class CollectionRepoWire(serializers.Serializer):
    kind = serializers.CharField()
    name = serializers.CharField()
    note = serializers.CharField(allow_blank=True)


class CollectionWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    namespace = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    is_private = serializers.BooleanField()
    listings = CollectionListingWire(many=True)
    repos = CollectionRepoWire(many=True)
    updated_at = serializers.DateTimeField()


def thread(row: "ListingThread") -> dict[str, Any]:
    """Wants author and accepted joined."""
    return {
        "number": row.number,
        "kind": row.kind,
        "title": row.title,
        "state": row.state,
        "author": row.author.username if row.author else "",
        "posts": row.posts_count,
        "accepted": row.accepted.uuid if row.accepted else None,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def post(actor: "Actor", row: "ListingPost") -> dict[str, Any]:
    """Wants the author joined."""
    text = text_for(actor, row)
    return {
        "uuid": row.uuid,
        "author": row.author.username if row.author else "",
        "is_sellers": row.is_sellers,
        "text": text,
        "history": row.history if text else [],
        "is_deleted": row.deleted_at is not None,
        "is_hidden": row.hidden_at is not None,
        "edited_at": row.edited_at,
        "created_at": row.created_at,
    }


def standing(found: "Standing") -> dict[str, Any]:
    return {
        "is_liked": found.is_liked,
        "is_followed": found.is_followed,
        "is_seller_followed": found.is_seller_followed,
    }


def follow(row: "Follow") -> dict[str, Any]:
    """Wants listing, its seller and the namespace joined."""
    listing = row.listing
    return {
        "listing": f"{listing.namespace.name}/{listing.slug}" if listing else None,
        "title": listing.title if listing else None,
        "namespace": row.namespace.name if row.namespace else None,
        "created_at": row.created_at,
    }


def collection(row: "Collection", listings: "list[CollectionListing]") -> dict[str, Any]:
    """Wants `visible_items` and the namespace joined."""
    repos = row.visible_items  # type: ignore[attr-defined]
    return {
        "uuid": row.uuid,
        "namespace": row.namespace.name,
        "title": row.title,
        "description": row.description,
        "is_private": row.is_private,
        "listings": [
            {
                "listing": item.listing.uuid,
                "name": f"{item.listing.namespace.name}/{item.listing.slug}",
                "title": item.listing.title,
                "note": item.note,
            }
            for item in listings
        ],
        "repos": [
            {"kind": item.repo.kind, "name": f"{item.repo.namespace.name}/{item.repo.name}", "note": item.note}
            for item in repos
        ],
        "updated_at": row.updated_at,
    }
