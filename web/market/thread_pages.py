"""What pages show of questions and discussions on a listing."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from market import thread_queries as queries
from market.addresses import listing_address, thread_address
from market.community_policies import speaks_for_seller
from market.services.buyer_reviews import TEXT_LIMIT
from market.services.threads import TITLE_LIMIT
from market.states import ThreadKind, ThreadState
from registry.services.cards import render_markdown
from web.links import with_query

if TYPE_CHECKING:
    from market.models import Listing, ListingPost, ListingThread

PAGE_THREADS = 20
ON_LISTING = 3
FILTERS = (("", "All"), ("question", "Questions"), ("discussion", "Discussions"))


class ThreadForm(forms.Form):
    kind = forms.ChoiceField(
        choices=[("question", "A question"), ("discussion", "A discussion")], label="What is it?", initial="question"
    )
    title = forms.CharField(max_length=TITLE_LIMIT, label="In a sentence")
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        label="More about it",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Markdown. Everybody who sees the listing reads it; @name tells somebody.",
    )


class PostForm(forms.Form):
    text = forms.CharField(
        max_length=TEXT_LIMIT,
        label="Your answer",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="Markdown. @name tells somebody.",
    )


@dataclass(frozen=True)
class ThreadRow:
    title: str
    href: str
    kind: str
    by: str
    answers: int
    is_closed: bool
    is_answered: bool
    updated_at: datetime

    @classmethod
    def of(cls, thread: "ListingThread", listing: "Listing") -> "ThreadRow":
        thread.listing = listing
        return cls(
            title=thread.title,
            href=thread_address(thread),
            kind=thread.kind,
            by=thread.author.username if thread.author else "somebody who left",
            answers=max(0, thread.posts_count - 1),
            is_closed=thread.state == ThreadState.CLOSED,
            is_answered=thread.accepted_id is not None,
            updated_at=thread.updated_at,
        )


@dataclass(frozen=True)
class ThreadsOnListing:
    """The part of a listing's page. One query."""

    threads: list[ThreadRow]
    all_href: str
    ask_href: str

    @classmethod
    def of(cls, actor: Actor, listing: "Listing") -> "ThreadsOnListing":
        found = queries.page_of_threads(listing, limit=ON_LISTING)
        href = f"{listing_address(listing)}/questions"
        return cls(
            [ThreadRow.of(each, listing) for each in found.items], href, f"{href}#ask" if actor.is_authenticated else ""
        )


@dataclass(frozen=True)
class Filter:
    label: str
    href: str
    is_on: bool


@dataclass(frozen=True)
class ThreadsPage:
    title: str
    listing_title: str
    listing_href: str
    here: str
    filters: list[Filter]
    threads: list[ThreadRow]
    next_href: str
    first_href: str
    form: forms.Form | None

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", form: forms.Form, *, kind: str, cursor: str) -> "ThreadsPage":
        kind = kind if kind in list(ThreadKind) else ""
        found = queries.page_of_threads(listing, kind=kind, cursor=cursor or None, limit=PAGE_THREADS)
        here = f"{listing_address(listing)}/questions"
        return cls(
            title=f"Questions on {listing.title}",
            listing_title=listing.title,
            listing_href=listing_address(listing),
            here=here,
            filters=[Filter(label, with_query(here, kind=value), value == kind) for value, label in FILTERS],
            threads=[ThreadRow.of(each, listing) for each in found.items],
            next_href=with_query(here, kind=kind, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=with_query(here, kind=kind) if cursor else "",
            form=form if actor.is_authenticated else None,
        )


@dataclass(frozen=True)
class PostView:
    uuid: str
    href: str
    by: str
    is_sellers: bool
    html: str
    text: str
    """As it was written, for its author to change; else empty."""
    note: str
    """Why there is nothing to read, or who reads it only."""
    earlier: list[tuple[datetime, str]]
    at: datetime
    is_edited: bool
    is_accepted: bool
    may_accept: bool
    may_report: bool


@dataclass(frozen=True)
class ThreadPage:
    title: str
    listing_title: str
    listing_href: str
    threads_href: str
    here: str
    kind: str
    is_closed: bool
    posts: list[PostView]
    next_href: str
    first_href: str
    may_close: bool
    form: forms.Form | None

    @classmethod
    def of(cls, actor: Actor, thread: "ListingThread", form: forms.Form, cursor: str) -> "ThreadPage":
        listing, here = thread.listing, thread_address(thread)
        found = queries.page_of_posts(thread, cursor=cursor or None)
        is_owner = actor.user_id is not None and (
            thread.author_id == actor.user_id or speaks_for_seller(actor, listing)
        )
        first = None if cursor else found.items[0].pk if found.items else None
        return cls(
            title=thread.title,
            listing_title=listing.title,
            listing_href=listing_address(listing),
            threads_href=f"{listing_address(listing)}/questions",
            here=here,
            kind=thread.kind,
            is_closed=thread.state == ThreadState.CLOSED,
            posts=[
                _post(
                    actor, thread, each, may_accept=is_owner and thread.kind == ThreadKind.QUESTION and each.pk != first
                )
                for each in found.items
            ],
            next_href=with_query(here, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=here if cursor else "",
            may_close=is_owner or actor.is_staff,
            form=form if actor.is_authenticated and thread.state == ThreadState.OPEN else None,
        )


def _post(actor: Actor, thread: "ListingThread", post: "ListingPost", *, may_accept: bool) -> PostView:
    text = queries.text_for(actor, post)
    is_own = post.author_id == actor.user_id and actor.user_id is not None
    note = ""
    if post.deleted_at is not None:
        note = "Deleted by who wrote it."
    elif post.hidden_at is not None:
        note = f"Hidden by staff: {post.hidden_reason}"
    is_shown = not note
    earlier = (
        [(datetime.fromisoformat(each["at"]), render_markdown(each["text"])) for each in post.history] if text else []
    )
    return PostView(
        uuid=str(post.uuid),
        href=f"{thread_address(thread)}/posts/{post.uuid}",
        by=post.author.username if post.author else "Somebody who left",
        is_sellers=post.is_sellers,
        html=render_markdown(text) if text else "",
        text=post.text if is_own and is_shown else "",
        note=note,
        earlier=earlier,
        at=post.created_at,
        is_edited=post.edited_at is not None and post.deleted_at is None,
        is_accepted=thread.accepted_id == post.pk,
        may_accept=may_accept and is_shown,
        may_report=actor.user_id is not None and not is_own and is_shown,
    )
