"""What people say about listings, and what they want to hear of them: buyer reviews, questions and discussions, reports, likes, follows,
listings in collections. (`market/models/review.py` is another thing: the editorial review before a listing is published.)"""

from enum import StrEnum

from django.db import models
from django.db.models import Q

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing
from market.models.orders import Entitlement
from market.states import ReportReason, ThreadKind, ThreadState


def _one_of(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


class Moderated(models.Model):
    """What staff can take out of sight. The text stays for those who decide and for its author."""

    hidden_at = models.DateTimeField(null=True)
    hidden_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        abstract = True


class BuyerReview(Moderated):
    """What one buyer says of a listing: as the newest revision has it. `Listing.rating_count` and `rating_sum` count those not hidden."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="buyer_reviews")
    buyer = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    entitlement = models.ForeignKey(Entitlement, on_delete=models.PROTECT, related_name="+")
    """The access under which it was used."""
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    version = models.CharField(max_length=100)
    """The version that was used."""
    stars = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=120)
    text = models.TextField(blank=True)
    """Markdown; sanitised where it is rendered."""
    usage = models.CharField(max_length=40)
    """How much it was used, as a band in words. The figure itself is kept nowhere here."""
    revisions_count = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "buyer"], name="buyer_review_once"),
            models.CheckConstraint(condition=Q(stars__gte=1, stars__lte=5), name="buyer_review_stars"),
        ]
        indexes = [models.Index(fields=["listing", "-updated_at", "-id"], name="buyer_review_newest")]

    def __str__(self) -> str:
        return f"{self.stars}: {self.title}"


class BuyerReviewRevision(models.Model):
    """What a buyer review said from one moment on. Append-only."""

    review = models.ForeignKey(BuyerReview, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    """1, 2, 3… within the review."""
    version = models.CharField(max_length=100)
    stars = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=120)
    text = models.TextField(blank=True)
    usage = models.CharField(max_length=40)
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["review", "number"], name="buyer_review_revision_once")]

    def __str__(self) -> str:
        return f"{self.number} of {self.review_id}"


class SellerAnswer(models.Model):
    """What the seller answers to a buyer review; the newest row stands, the others are its history. Append-only."""

    review = models.ForeignKey(BuyerReview, on_delete=models.PROTECT, related_name="answers")
    text = models.TextField()
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["review", "-id"], name="seller_answer_newest")]

    def __str__(self) -> str:
        return self.text[:40]


class ListingThread(models.Model):
    """A question or a discussion on a listing, numbered from 1. Its first post opens it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="threads")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=[(word, word) for word in _one_of(ThreadKind)])
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=8, default=ThreadState.OPEN, choices=[(w, w) for w in _one_of(ThreadState)])
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    accepted = models.ForeignKey(
        "market.ListingPost", null=True, on_delete=models.SET_NULL, related_name="+", db_constraint=True
    )
    """The answer that settled a question."""
    posts_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "number"], name="listing_thread_number"),
            models.CheckConstraint(condition=Q(kind__in=_one_of(ThreadKind)), name="listing_thread_kind"),
            models.CheckConstraint(condition=Q(state__in=_one_of(ThreadState)), name="listing_thread_state"),
            models.CheckConstraint(
                condition=Q(accepted__isnull=True) | Q(kind=ThreadKind.QUESTION), name="listing_thread_accepted"
            ),
        ]
        indexes = [models.Index(fields=["listing", "-updated_at", "-id"], name="listing_thread_newest")]

    def __str__(self) -> str:
        return f"#{self.number} {self.title[:40]}"


class ListingPost(Moderated):
    """One contribution to a thread. Its author edits it, earlier texts stay; deleting it takes the texts away and leaves its place."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    thread = models.ForeignKey(ListingThread, on_delete=models.PROTECT, related_name="posts")
    author = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    is_sellers = models.BooleanField(default=False)
    """Written for the seller."""
    text = models.TextField(blank=True)
    """Markdown; sanitised where it is rendered."""
    history = models.JSONField(default=list)
    """Earlier texts, oldest first: `[{text, at}]`."""
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["thread", "id"], name="listing_post_order")]

    def __str__(self) -> str:
        return self.text[:40]


class ContentReport(models.Model):
    """Somebody finds that a buyer review or a post should not stand. Staff's decision on it answers all open reports of the same thing."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="+")
    review = models.ForeignKey(BuyerReview, null=True, on_delete=models.PROTECT, related_name="reports")
    post = models.ForeignKey(ListingPost, null=True, on_delete=models.PROTECT, related_name="reports")
    reporter = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=12, choices=[(word, word) for word in _one_of(ReportReason)])
    text = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(default=now)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    is_upheld = models.BooleanField(null=True)
    """Whether it was hidden; null: nobody has decided yet."""
    decision_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(review__isnull=False, post__isnull=True) | Q(review__isnull=True, post__isnull=False),
                name="content_report_one_target",
            ),
            models.CheckConstraint(condition=Q(reason__in=_one_of(ReportReason)), name="content_report_reason"),
            models.CheckConstraint(
                condition=Q(decided_at__isnull=True, is_upheld__isnull=True)
                | Q(decided_at__isnull=False, is_upheld__isnull=False),
                name="content_report_decided",
            ),
            models.UniqueConstraint(
                fields=["review", "reporter"], condition=Q(decided_at__isnull=True), name="report_of_review_once"
            ),
            models.UniqueConstraint(
                fields=["post", "reporter"], condition=Q(decided_at__isnull=True), name="report_of_post_once"
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(decided_at__isnull=True), name="content_report_queue")]

    def __str__(self) -> str:
        return f"{self.reason}: {self.review_id or self.post_id}"


class ListingLike(models.Model):
    """A person likes a listing. `Listing.likes` counts them."""

    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="like_rows")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["listing", "user"], name="listing_like_once")]
        indexes = [models.Index(fields=["user", "-created_at", "-id"], name="listing_like_of_user")]

    def __str__(self) -> str:
        return f"{self.user_id} likes {self.listing_id}"


class Follow(models.Model):
    """A person wants to hear of a listing, or of what a namespace lists."""

    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    listing = models.ForeignKey(Listing, null=True, on_delete=models.CASCADE, related_name="follows")
    namespace = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "listing"], name="follow_listing_once"),
            models.UniqueConstraint(fields=["user", "namespace"], name="follow_namespace_once"),
            models.CheckConstraint(
                condition=Q(listing__isnull=False, namespace__isnull=True)
                | Q(listing__isnull=True, namespace__isnull=False),
                name="follow_one",
            ),
        ]
        indexes = [models.Index(fields=["user", "-created_at", "-id"], name="follow_of_user")]

    def __str__(self) -> str:
        return f"{self.user_id} follows {self.listing_id or self.namespace_id}"


class CollectionListing(models.Model):
    """A listing in a collection, beside the repositories there."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    collection = models.ForeignKey("registry.Collection", on_delete=models.CASCADE, related_name="listing_items")
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="+")
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "listing"], name="collection_listing_once")]

    def __str__(self) -> str:
        return f"{self.listing_id} in {self.collection_id}"
