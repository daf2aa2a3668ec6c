"""What reviewers see, and the private catalogue of an organisation."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.pagination import keyset_page
from market import policies, queries
from market.readiness import Check
from market.ready_queries import readiness_of
from market.services import reviews
from market.showing import channel_words, covers_of, showings_of
from market.states import REVIEW_CHECKS, ListingState
from registry.services.cards import render_markdown
from web.account.pages import OrganizationHead
from web.links import listing_url, with_query
from web.market.cards import ImageView, ListingCard, PlanView
from web.market.headlines import headlines_of
from web.market.pages import VISIBILITY_TITLES, SubjectView, subject_of

if TYPE_CHECKING:
    from accounts.models import Organization
    from market.models import Listing, ReviewEntry

PAGE_ROWS = 30
THREAD_ENTRIES = 100
STEP_TITLES = {
    "submitted": "asked for a review",
    "commented": "wrote",
    "returned": "returned it",
    "approved": "approved it",
    "taken_back": "took it back",
}


@dataclass(frozen=True)
class QueueRow:
    card: ListingCard
    submitted_by: str
    submitted_at: datetime | None
    is_own: bool
    href: str


@dataclass(frozen=True)
class QueuePage:
    title: str
    rows: list[QueueRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, cursor: str) -> "QueuePage":
        waiting = policies.review_queue(actor).prefetch_related(queries.with_offers())
        page = keyset_page(waiting, order=("submitted_at", "pk"), cursor=cursor or None, limit=PAGE_ROWS)
        rows = [
            QueueRow(
                ListingCard.of(each, each.offers),  # type: ignore[attr-defined]
                each.submitted_by.username if each.submitted_by else "",
                each.submitted_at,
                each.submitted_by_id == actor.user_id,
                f"/sell/reviews/{each.uuid}",
            )
            for each in page.items
        ]
        following = with_query("/sell/reviews", cursor=page.next_cursor) if page.next_cursor else ""
        return cls("Reviews", rows, following, "/sell/reviews" if cursor else "")


@dataclass(frozen=True)
class EntryRow:
    by: str
    said: str
    html: str
    checks: list[str]
    at: datetime

    @classmethod
    def of(cls, entry: "ReviewEntry") -> "EntryRow":
        return cls(
            entry.created_by.username if entry.created_by else "Somebody who left",
            STEP_TITLES[entry.step],
            render_markdown(entry.text) if entry.text else "",
            [REVIEW_CHECKS[key] for key in entry.checks if key in REVIEW_CHECKS],
            entry.created_at,
        )


@dataclass(frozen=True)
class ReviewPage:
    title: str
    state: str
    card: ListingCard
    listing_href: str
    manage_href: str
    html: str
    follows: str
    visibility: str
    subject: SubjectView | None
    plans: list[PlanView]
    images: list[ImageView]
    checks: list[Check]
    thread: list[EntryRow]
    older_href: str
    may_decide: bool
    is_own: bool
    comment_form: forms.Form
    comment_href: str
    form: forms.Form
    decision_href: str

    @classmethod
    def of(
        cls, actor: Actor, listing: "Listing", form: forms.Form, comment_form: forms.Form, cursor: str = ""
    ) -> "ReviewPage":
        plans = list(policies.plans_on_sale(actor, listing))
        showing = showings_of([listing])[listing.pk]
        base = f"/sell/reviews/{listing.uuid}"
        is_waiting = listing.state == ListingState.IN_REVIEW
        is_own = listing.submitted_by_id == actor.user_id
        thread = reviews.page_of_thread(listing, cursor=cursor or None, limit=THREAD_ENTRIES)
        return cls(
            title=f"Review of {listing.title}",
            state=listing.state,
            card=ListingCard.of(listing, plans),
            listing_href=listing_url(listing.namespace.name, listing.slug),
            manage_href=f"/sell/{listing.uuid}" if actor.may(Action.LISTING_MANAGE, listing.namespace_id) else "",
            html=render_markdown(listing.description) if listing.description else "",
            follows=channel_words(listing, showing.version),
            visibility=VISIBILITY_TITLES.get(listing.visibility, "Public"),
            subject=subject_of(actor, listing.subject_kind, listing.subject_uuid, listing.channel),
            plans=[PlanView.of(listing, plan) for plan in plans],
            images=[ImageView.of(listing, each) for each in showing.images],
            checks=readiness_of(listing),
            thread=[EntryRow.of(entry) for entry in thread.items],
            older_href=with_query(base, cursor=thread.next_cursor) if thread.next_cursor else "",
            may_decide=is_waiting and not is_own and policies.may_review(actor, listing),
            is_own=is_waiting and is_own,
            comment_form=comment_form,
            comment_href=f"{base}/comments",
            form=form,
            decision_href=f"{base}/decision",
        )


@dataclass(frozen=True)
class CataloguePage:
    """`review_href` is empty for those who may not change the switch."""

    title: str
    head: OrganizationHead
    listings: list[ListingCard]
    next_href: str
    first_href: str
    wants_reviews: bool
    review_href: str

    @classmethod
    def of(cls, actor: Actor, organization: "Organization", cursor: str) -> "CataloguePage":
        namespace = organization.namespace
        found = policies.catalogue_of(actor, namespace.pk).prefetch_related(queries.with_offers())
        page = keyset_page(found, order=("-published_at", "-pk"), cursor=cursor or None, limit=24)
        headlines, covers = headlines_of(actor, page.items), covers_of(page.items)
        owned = queries.listings_open_to(actor, page.items)
        url = f"/organizations/{namespace.name}/catalogue"
        return cls(
            title=f"Catalogue of {organization.display_name}",
            head=OrganizationHead.of(organization, actor, "catalogue"),
            listings=[
                ListingCard.of(
                    each,
                    each.offers,  # type: ignore[attr-defined]
                    headlines.get(each.subject_uuid, ("", "")),
                    is_owned=each.pk in owned,
                    cover=covers.get(each.pk),
                )
                for each in page.items
            ],
            next_href=with_query(url, cursor=page.next_cursor) if page.next_cursor else "",
            first_href=url if cursor else "",
            wants_reviews=policies.wants_reviews(namespace.pk),
            review_href=f"{url}/review" if actor.may(Action.NAMESPACE_MANAGE, namespace.pk) else "",
        )
