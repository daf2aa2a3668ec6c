"""What is seen of buyer reviews. The caller has obtained the listing or the review."""

from dataclasses import dataclass

from django.db.models import Count, Prefetch, Sum

from accounts.actors import Actor
from common.pagination import Page, keyset_page
from market.community_policies import visible_buyer_reviews
from market.models import BuyerReview, BuyerReviewRevision, ContentReport, Listing, SellerAnswer
from market.stars import average

NEWEST = ("-updated_at", "-pk")


@dataclass(frozen=True)
class Ratings:
    """`stars`: reviews by number of stars, 5 first. `by_version`: reviews by version, the most reviewed first. Hidden ones aside."""

    count: int
    average: float | None
    stars: dict[int, int]
    by_version: dict[str, int]


def ratings_of(listing: Listing, version: str = "") -> Ratings:
    """How a listing was rated, of all versions or of one. Two queries."""
    shown = BuyerReview.objects.filter(listing=listing, hidden_at__isnull=True)
    versions = shown.values_list("version").annotate(count=Count("pk")).order_by("-count", "-version")
    of_version = shown.filter(version=version) if version else shown
    rows = of_version.values("stars").annotate(count=Count("pk"), total=Sum("stars")).order_by()
    found = {row["stars"]: row["count"] for row in rows}
    count = sum(found.values())
    total = sum(stars * number for stars, number in found.items())
    return Ratings(count, average(count, total), {n: found.get(n, 0) for n in range(5, 0, -1)}, dict(versions[:50]))


def page_of_reviews(
    actor: Actor,
    listing: Listing,
    *,
    version: str = "",
    stars: int | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> Page[BuyerReview]:
    """Buyer reviews that the actor may see, the one changed last first, with `said` (the seller's answer and its earlier wordings, newest
    first). Two queries a page."""
    rows = visible_buyer_reviews(actor, listing).prefetch_related(_answers())
    if version:
        rows = rows.filter(version=version)
    if stars is not None:
        rows = rows.filter(stars=stars)
    return keyset_page(rows, order=NEWEST, cursor=cursor, limit=limit)


def with_answers(actor: Actor, review: BuyerReview) -> BuyerReview:
    """The same review as `page_of_reviews` has it. Two queries."""
    return visible_buyer_reviews(actor, review.listing).prefetch_related(_answers()).get(pk=review.pk)


def revisions_of(review: BuyerReview) -> list[BuyerReviewRevision]:
    """What it said, newest first, the present wording included; the last hundred. One query."""
    return list(BuyerReviewRevision.objects.filter(review=review).select_related("author").order_by("-number")[:100])


def reports_on(report: ContentReport) -> list[ContentReport]:
    """The open reports of the same thing, oldest first. One query."""
    aim = {"review": report.review_id} if report.review_id else {"post": report.post_id}
    rows = ContentReport.objects.filter(**aim, decided_at__isnull=True).select_related("reporter")
    return list(rows.order_by("pk")[:50])


def _answers() -> "Prefetch[str]":
    return Prefetch("answers", SellerAnswer.objects.select_related("author").order_by("-pk"), to_attr="said")
