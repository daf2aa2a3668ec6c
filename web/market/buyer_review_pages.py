"""What pages show of buyer reviews: the summary on a listing, all of them, one with its history; and what staff have to decide."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from common.pagination import keyset_page
from market import buyer_review_queries as queries
from market.addresses import listing_address, review_address, thread_address
from market.community_policies import speaks_for_seller, visible_reports
from market.services.moderation import REASONS
from registry.services.cards import render_markdown
from web.links import with_query

if TYPE_CHECKING:
    from market.models import BuyerReview, BuyerReviewRevision, ContentReport, Listing

PAGE_REVIEWS = 20
ON_LISTING = 3


@dataclass(frozen=True)
class StarLine:
    """One line of the histogram. `share`: whole percent of all."""

    stars: int
    count: int
    share: int
    href: str
    is_on: bool


@dataclass(frozen=True)
class VersionLink:
    label: str
    count: int
    href: str
    is_on: bool


@dataclass(frozen=True)
class Summary:
    """`average` is empty without a review."""

    average: str
    count: int
    lines: list[StarLine]
    versions: list[VersionLink]
    all_href: str

    @classmethod
    def of(cls, listing: "Listing", version: str = "", stars: int | None = None) -> "Summary":
        rated = queries.ratings_of(listing, version)
        base = f"{listing_address(listing)}/reviews"
        lines = [
            StarLine(
                number,
                count,
                round(100 * count / rated.count) if rated.count else 0,
                with_query(base, version=version, stars="" if number == stars else number),
                number == stars,
            )
            for number, count in rated.stars.items()
        ]
        versions = [
            VersionLink(name, count, with_query(base, version="" if name == version else name), name == version)
            for name, count in rated.by_version.items()
        ]
        said = f"{rated.average:.1f}" if rated.average is not None else ""
        return cls(said, rated.count, lines, versions, base)


@dataclass(frozen=True)
class AnswerView:
    html: str
    at: datetime
    earlier: list[tuple[datetime, str]]


@dataclass(frozen=True)
class ReviewView:
    uuid: str
    href: str
    stars: int
    title: str
    html: str
    buyer: str
    version: str
    usage: str
    at: datetime
    is_changed: bool
    is_refunded: bool
    hidden_reason: str
    answer: AnswerView | None
    is_own: bool

    @classmethod
    def of(cls, actor: Actor, review: "BuyerReview") -> "ReviewView":
        """Wants what `page_of_reviews` joins."""
        said = review.said  # type: ignore[attr-defined]
        answer = None
        if said:
            earlier = [(each.created_at, render_markdown(each.text)) for each in said[1:]]
            answer = AnswerView(render_markdown(said[0].text), said[0].created_at, earlier)
        return cls(
            uuid=str(review.uuid),
            href=review_address(review),
            stars=review.stars,
            title=review.title,
            html=render_markdown(review.text) if review.text else "",
            buyer=review.buyer.name,
            version=review.version,
            usage=review.usage,
            at=review.updated_at,
            is_changed=review.revisions_count > 1,
            is_refunded=review.is_refunded,  # type: ignore[attr-defined]
            hidden_reason=review.hidden_reason if review.hidden_at else "",
            answer=answer,
            is_own=review.author_id == actor.user_id and actor.user_id is not None,
        )


@dataclass(frozen=True)
class ReviewsOnListing:
    """The part of a listing's page."""

    summary: Summary
    reviews: list[ReviewView]
    write_href: str

    @classmethod
    def of(cls, actor: Actor, listing: "Listing") -> "ReviewsOnListing":
        found = queries.page_of_reviews(actor, listing, limit=ON_LISTING)
        may_try = actor.is_authenticated and listing.namespace_id not in actor.roles
        href = f"{listing_address(listing)}/reviews#write" if may_try else ""
        return cls(Summary.of(listing), [ReviewView.of(actor, each) for each in found.items], href)


@dataclass(frozen=True)
class ReviewsPage:
    """`form` is None for those who may not write; `why_not` says why, when they are signed in."""

    title: str
    listing_title: str
    listing_href: str
    summary: Summary
    reviews: list[ReviewView]
    is_filtered: bool
    next_href: str
    first_href: str
    form: forms.Form | None
    why_not: str

    @classmethod
    def of(
        cls, actor: Actor, listing: "Listing", form: forms.Form | None, *, version: str, stars: int | None, cursor: str
    ) -> "ReviewsPage":
        found = queries.page_of_reviews(
            actor, listing, version=version, stars=stars, cursor=cursor or None, limit=PAGE_REVIEWS
        )
        base = f"{listing_address(listing)}/reviews"
        chosen = {"version": version, "stars": stars}
        return cls(
            title=f"Reviews of {listing.title}",
            listing_title=listing.title,
            listing_href=listing_address(listing),
            summary=Summary.of(listing, version, stars),
            reviews=[ReviewView.of(actor, each) for each in found.items],
            is_filtered=bool(version or stars),
            next_href=with_query(base, **chosen, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=with_query(base, **chosen) if cursor else "",
            form=form,
            why_not=_why_not(actor, listing) if form is None else "",
        )


def _why_not(actor: Actor, listing: "Listing") -> str:
    if not actor.is_authenticated:
        return ""
    if listing.namespace_id in actor.roles:
        return "You belong to the seller. Answer reviews on their pages."
    return "Those who have it and have used it can write a review: make a call, or open or download a file, first."


@dataclass(frozen=True)
class RevisionView:
    number: int
    stars: int
    title: str
    html: str
    version: str
    usage: str
    at: datetime

    @classmethod
    def of(cls, row: "BuyerReviewRevision") -> "RevisionView":
        html = render_markdown(row.text) if row.text else ""
        return cls(row.number, row.stars, row.title, html, row.version, row.usage, row.created_at)


@dataclass(frozen=True)
class ReviewPage:
    title: str
    listing_title: str
    listing_href: str
    reviews_href: str
    review: ReviewView
    revisions: list[RevisionView]
    answer_form: forms.Form | None
    answer_href: str
    report_form: forms.Form | None
    report_href: str

    @classmethod
    def of(cls, actor: Actor, review: "BuyerReview", answer_form: forms.Form, report_form: forms.Form) -> "ReviewPage":
        shown = ReviewView.of(actor, queries.with_answers(actor, review))
        listing = review.listing
        may_report = actor.user_id is not None and not shown.is_own
        return cls(
            title=f"“{review.title}”",
            listing_title=listing.title,
            listing_href=listing_address(listing),
            reviews_href=f"{listing_address(listing)}/reviews",
            review=shown,
            revisions=[RevisionView.of(row) for row in queries.revisions_of(review)],
            answer_form=answer_form if speaks_for_seller(actor, listing) else None,
            answer_href=f"{shown.href}/answer",
            report_form=report_form if may_report else None,
            report_href=f"{shown.href}/report",
        )


@dataclass(frozen=True)
class ReportRow:
    uuid: str
    what: str
    by: str
    listing_title: str
    listing_href: str
    href: str
    title: str
    html: str
    reason: str
    reports: list[tuple[str, str, str, datetime]]
    """Reason, text, reporter, when."""
    at: datetime

    @classmethod
    def of(cls, report: "ContentReport") -> "ReportRow":
        review, post = report.review, report.post
        target = review or post
        assert target is not None
        if review is not None:
            review.listing = report.listing
            href, by, title = review_address(review), review.buyer.name, review.title
        else:
            assert post is not None
            post.thread.listing = report.listing
            href, title = f"{thread_address(post.thread)}#post-{post.uuid}", post.thread.title
            by = post.author.username if post.author else "somebody who left"
        return cls(
            uuid=str(report.uuid),
            what="Review" if review else "Post",
            by=by,
            listing_title=report.listing.title,
            listing_href=listing_address(report.listing),
            href=href,
            title=title,
            html=render_markdown(target.text) if target.text else "",
            reason=REASONS[report.reason],
            reports=[
                (REASONS[each.reason], each.text, each.reporter.username if each.reporter else "", each.created_at)
                for each in queries.reports_on(report)
            ],
            at=report.created_at,
        )


@dataclass(frozen=True)
class ModerationPage:
    title: str
    rows: list[ReportRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, cursor: str) -> "ModerationPage":
        found = keyset_page(visible_reports(actor), order=("pk",), cursor=cursor or None, limit=10)
        url = "/-/moderation"
        return cls(
            "Reported",
            [ReportRow.of(each) for each in found.items],
            with_query(url, cursor=found.next_cursor) if found.next_cursor else "",
            url if cursor else "",
        )
