"""What shopping pages show: the market, a listing, the checkout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote as escaped

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from common.money import Money
from compute.endpoint_policies import require_endpoint_by_uuid
from market import blind_queries, queries
from market.next_call import next_call_of
from market.order_terms import terms_for
from market.policies import may_review, plans_on_sale
from market.prices import price_of
from market.ready_queries import licence_now
from market.search import Sort, search_listings
from market.seat_policies import unseated_of
from market.services.quotes import quote
from market.showing import changelog_of, channel_words, covers_of, showings_of
from market.states import ListingState, PlanKind, SubjectKind
from market.trial_queries import trial_calls
from registry.channels import LATEST, newest_on
from registry.policies import can, require_repo_by_uuid, require_version
from registry.safety_queries import state_of_version
from registry.services.cards import render_markdown
from web.hub.pages import Fact, Option
from web.hub.versions import Metric, metrics_of
from web.links import endpoint_url, listing_url, namespace_url, repo_url, version_url, with_query
from web.market.blind_pages import CertificateRow
from web.market.buyer_review_pages import ReviewsOnListing
from web.market.cards import ImageView, ListingCard, PlanView, access_in_words, next_call_in_words
from web.market.follow_pages import Social
from web.market.forms import put_shown
from web.market.headlines import headlines_of
from web.market.recall_pages import Banner
from web.market.thread_pages import ThreadsOnListing

if TYPE_CHECKING:
    from compute.models import Endpoint
    from market.models import Listing, Plan
    from market.showing import Change
    from registry.models import Version

PAGE_LISTINGS = 24
VISIBILITY_TITLES = {"private": "Private", "organization": "Private catalogue", "unlisted": "Unlisted"}
FACET_TITLES = {
    "kind": "Kind",
    "price": "Price",
    "task": "Task",
    "category": "Category",
    "licence": "Licence",
    "tag": "Tag",
}
FACET_VALUES = 12
"""Values shown of one facet; the most frequent stand first, a chosen one is always shown."""
SORT_TITLES = {"relevance": "Best match", "popular": "Most bought", "rated": "Best rated", "newest": "Newest"}
PRICE_TITLES = {"free": "Free", "one_time": "One-time", "pay_per_use": "Pay per use"}


@dataclass(frozen=True)
class FacetValue:
    label: str
    count: int | None
    href: str
    is_on: bool


@dataclass(frozen=True)
class FacetView:
    """`more_href` leads to the same page with more values of this facet (or fewer again), and back to this place in it."""

    name: str
    title: str
    values: list[FacetValue]
    more_href: str
    more_label: str


@dataclass(frozen=True)
class HomePage:
    title: str
    text: str
    listings: list[ListingCard]
    total: int
    facets: list[FacetView]
    chosen: list[FacetValue]
    hidden: list[tuple[str, str]]
    sorts: list[Option]
    next_href: str
    first_href: str
    is_search: bool

    @classmethod
    def of(
        cls,
        actor: Actor,
        text: str,
        chosen: Mapping[str, Sequence[str]],
        sort: str,
        cursor: str,
        opened: Sequence[str] = (),
    ) -> "HomePage":
        """`opened`: the facets of which all values are shown."""
        sort = sort if sort in list(Sort) else ""
        found = search_listings(
            actor, text=text, facets=chosen, sort=sort or None, cursor=cursor or None, limit=PAGE_LISTINGS
        )
        opened = [name for name in FACET_TITLES if name in opened]
        state = {"q": text, **{name: list(values) for name, values in chosen.items()}, "sort": sort, "more": opened}
        headlines = headlines_of(actor, found.items)
        covers = covers_of(found.items)
        owned = queries.listings_open_to(actor, found.items) if actor.is_authenticated else set()
        current = sort or ("relevance" if text else "popular")
        return cls(
            title="Market",
            text=text,
            listings=[
                ListingCard.of(
                    listing,
                    listing.offers,  # type: ignore[attr-defined]
                    headlines.get(listing.subject_uuid, ("", "")),
                    is_owned=listing.pk in owned,
                    cover=covers.get(listing.pk),
                )
                for listing in found.items
            ],
            total=found.total,
            facets=_facets(found.facets, chosen, state),
            chosen=[
                FacetValue(_value_title(name, value), None, _toggled(state, name, value), is_on=True)
                for name, values in chosen.items()
                for value in values
            ],
            hidden=[(name, value) for name, values in chosen.items() for value in values],
            sorts=[
                Option(value, label, value == current)
                for value, label in SORT_TITLES.items()
                if text or value != "relevance"
            ],
            next_href=with_query("/", **state, cursor=found.next_cursor) if found.next_cursor else "",
            first_href=with_query("/", **state) if cursor else "",
            is_search=bool(text or any(chosen.values())),
        )


@dataclass(frozen=True)
class SubjectView:
    """What is sold, as far as the actor may see it."""

    kind: str
    title: str
    href: str
    version_name: str
    version_href: str
    metrics: list[Metric]
    scan: str = ""
    """What scanning says of that version, in a word; empty without one."""
    safety_href: str = ""


@dataclass(frozen=True)
class ListingPage:
    title: str
    card: ListingCard
    seller_href: str
    state: str
    html: str
    plans: list[PlanView]
    facts: list[Fact]
    tags: list[FacetValue]
    sales: int
    published_at: datetime | None
    subject: SubjectView | None
    access: str
    """By what the reader has it, in a sentence; empty when they do not."""
    access_href: str
    next_call: str
    no_seat: str
    """What is said to people of an organisation that bought it by the seat, who have none."""
    manage_href: str
    follows: str
    """What the listing follows and where that leads now, in words."""
    visibility: str
    """Empty for a public one."""
    images: list[ImageView]
    changes: list["ChangeView"]
    example_input: str
    support: "Support | None"
    return_terms: str
    review_href: str
    licence_href: str
    evaluate_href: str
    certificates: list[CertificateRow]
    recall: Banner | None
    reviews: ReviewsOnListing
    questions: ThreadsOnListing
    social: Social
    try_href: str
    free_calls: int
    cost_href: str

    @classmethod
    def of(cls, actor: Actor, listing: "Listing") -> "ListingPage":
        showing = showings_of([listing])[listing.pk]
        plans = list(plans_on_sale(actor, listing))
        mine = queries.entitlement_for(actor, listing) if actor.is_authenticated else None
        unseated = unseated_of(actor, listing.subject_uuid) if mine is None and actor.is_authenticated else None
        subject = subject_of(actor, listing.subject_kind, listing.subject_uuid, listing.channel)
        licence = licence_now(listing)
        facts = [Fact("Task", listing.task), Fact("Category", listing.category), Fact("Licence", licence)]
        is_sellers = actor.may(Action.LISTING_MANAGE, listing.namespace_id)
        return cls(
            title=listing.title,
            recall=Banner.of(showing.recall),
            card=ListingCard.of(listing, [plan for plan in plans if plan.offered_to_id is None]),
            seller_href=namespace_url(listing.namespace.name),
            state=listing.state,
            html=render_markdown(listing.description) if listing.description else "",
            plans=[PlanView.of(listing, plan) for plan in plans],
            facts=[fact for fact in facts if fact.value],
            tags=[FacetValue(tag, None, with_query("/", tag=tag), is_on=False) for tag in listing.tags],
            sales=listing.sales,
            published_at=listing.published_at,
            subject=subject,
            access=access_in_words(actor, mine) if mine else "",
            no_seat=unseated.sentence if unseated else "",
            access_href=subject.href if mine and subject else "",
            next_call=next_call_in_words(next_call_of(actor, listing.subject_uuid)) if mine else "",
            licence_href=f"{listing_url(listing.namespace.name, listing.slug)}/licence",
            manage_href=f"/sell/{listing.uuid}" if is_sellers else "",
            follows=channel_words(listing, showing.version),
            visibility=VISIBILITY_TITLES.get(listing.visibility, ""),
            images=[ImageView.of(listing, each) for each in showing.images],
            changes=[ChangeView.of(each) for each in changelog_of(listing)],
            example_input=listing.example_input,
            support=Support.of(listing.support_contact),
            return_terms=listing.return_terms,
            review_href=f"/sell/reviews/{listing.uuid}"
            if listing.state == ListingState.IN_REVIEW and may_review(actor, listing)
            else "",
            evaluate_href=f"{listing_url(listing.namespace.name, listing.slug)}/evaluation"
            if blind_queries.can_be_evaluated(listing) and not is_sellers
            else "",
            certificates=[CertificateRow.of(row) for row in blind_queries.certificates_on(listing)],
            reviews=ReviewsOnListing.of(actor, listing),
            questions=ThreadsOnListing.of(actor, listing),
            social=Social.of(actor, listing),
            try_href=f"{listing_url(listing.namespace.name, listing.slug)}/try"
            if listing.subject_kind == SubjectKind.ENDPOINT
            else "",
            free_calls=trial_calls(listing),
            cost_href=f"{listing_url(listing.namespace.name, listing.slug)}/cost"
            if listing.subject_kind in {SubjectKind.MODEL, SubjectKind.ENDPOINT}
            else "",
        )


@dataclass(frozen=True)
class QuoteView:
    """What the order costs, before it is placed. `problem` says why there is no sum."""

    problem: str
    price: Money | None = None
    discount: Money | None = None
    coupon: str = ""
    tax: Money | None = None
    total: Money | None = None
    trial_days: int = 0
    approval: str = ""
    """What the order would wait for, in words; empty: for nobody."""
    caps: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, actor: Actor, plan: "Plan", form: forms.Form) -> "QuoteView | None":
        """For what stands in the form; None when nobody is chosen to buy for. About ten queries."""
        given = {name: form[name].value() for name in form.fields if name in {"buyer_namespace", "quantity", "coupon"}}
        if given.get("buyer_namespace") not in dict(form.fields["buyer_namespace"].choices):  # type: ignore[attr-defined]
            return None
        quantity = str(given.get("quantity") or "")
        try:
            found = quote(
                actor,
                buyer_namespace=str(given["buyer_namespace"]),
                plan_uuid=plan.uuid,
                quantity=int(quantity) if quantity.isascii() and quantity.isdigit() and len(quantity) < 10 else 0,
                coupon=str(given.get("coupon") or ""),
            )
        except (Invalid, Conflict, Forbidden, NotFound) as error:
            return cls(error.message)
        sums = [
            Money(minor, found.currency)
            for minor in (found.price_minor, found.discount_minor, found.tax_minor, found.total_minor)
        ]
        code = found.coupon.code if found.coupon else ""
        waits = found.approval.sentence if found.approval else ""
        caps = [each.sentence for each in found.caps]
        return cls("", sums[0], -sums[1], code, sums[2], sums[3], found.trial_days, waits, caps)


@dataclass(frozen=True)
class ChangeView:
    version: str
    html: str
    published_at: datetime

    @classmethod
    def of(cls, change: "Change") -> "ChangeView":
        return cls(change.version, render_markdown(change.notes) if change.notes else "", change.published_at)


@dataclass(frozen=True)
class Support:
    """Where buyers get help: a mail address or a page."""

    label: str
    href: str

    @classmethod
    def of(cls, contact: str) -> "Support | None":
        if not contact:
            return None
        return cls(contact, contact if contact.startswith("https://") else f"mailto:{escaped(contact, safe='@')}")


@dataclass(frozen=True)
class CheckoutPage:
    title: str
    card: ListingCard
    plan: PlanView
    listing_href: str
    form: forms.Form
    quote: QuoteView | None
    can_buy: bool
    is_free: bool
    is_subscription: bool
    licence: str
    follows: str
    return_terms: str
    support: Support | None
    terms: str

    @classmethod
    def of(cls, actor: Actor, listing: "Listing", plan: "Plan", form: forms.Form) -> "CheckoutPage":
        terms = terms_for(plan)
        quoted = QuoteView.of(actor, plan, form)
        put_shown(form, accept_terms=terms.digest, asks="1" if quoted and quoted.approval else "")
        return cls(
            title=f"{'Subscribe to' if plan.kind == PlanKind.SUBSCRIPTION else 'Buy'} {listing.title}",
            card=ListingCard.of(listing, [plan]),
            plan=PlanView.of(listing, plan),
            listing_href=listing_url(listing.namespace.name, listing.slug),
            form=form,
            quote=quoted,
            can_buy=bool(form.fields["buyer_namespace"].choices),  # type: ignore[attr-defined]
            is_free=price_of(plan) == "Free",
            is_subscription=plan.kind == PlanKind.SUBSCRIPTION,
            licence=licence_now(listing),
            follows=channel_words(listing, showings_of([listing])[listing.pk].version),
            return_terms=listing.return_terms,
            support=Support.of(listing.support_contact),
            terms=terms.text,
        )


def subject_of(actor: Actor, kind: str, uuid: object, channel: str = LATEST) -> SubjectView | None:
    """The subject of a listing that follows a channel; None where it is hidden until it is bought. Few queries."""
    try:
        if kind == SubjectKind.ENDPOINT:
            endpoint = require_endpoint_by_uuid(actor, str(uuid), Action.ENDPOINT_DISCOVER)
            version = _served(actor, endpoint)
            return SubjectView(
                kind,
                f"{endpoint.namespace.name}/{endpoint.name}",
                endpoint_url(endpoint.namespace.name, endpoint.name),
                endpoint.version_name,
                version_url(version.repo, version.name) if version else "",
                metrics_of(version) if version else [],
            )
        repo = require_repo_by_uuid(actor, str(uuid), Action.REPO_DISCOVER)
    except DomainError:
        return None
    newest = newest_on(repo, channel)
    return SubjectView(
        kind,
        f"{repo.namespace.name}/{repo.name}",
        repo_url(repo),
        newest.name if newest else "",
        version_url(repo, newest.name) if newest else "",
        metrics_of(newest) if newest else [],
        state_of_version(newest) if newest else "",
        repo_url(repo, "safety") if newest and can(actor, repo, Action.REPO_READ) else "",
    )


def _served(actor: Actor, endpoint: "Endpoint") -> "Version | None":
    """The version that an endpoint serves, when the actor may see it."""
    if not endpoint.version_uuid:
        return None
    try:
        return require_version(actor, endpoint.version_uuid, Action.REPO_DISCOVER)
    except DomainError:
        return None


def _facets(
    found: Mapping[str, Mapping[str, int]], chosen: Mapping[str, Sequence[str]], state: dict
) -> list[FacetView]:
    views = []
    for name, title in FACET_TITLES.items():
        counts = found.get(name, {})
        is_open = name in state["more"]
        shown = list(counts)[: None if is_open else FACET_VALUES]
        shown += [value for value in chosen.get(name, ()) if value not in shown]
        values = [
            FacetValue(
                _value_title(name, value),
                counts.get(value, 0),
                _toggled(state, name, value),
                value in chosen.get(name, ()),
            )
            for value in shown
        ]
        hidden = len(counts) - FACET_VALUES
        others = [each for each in state["more"] if each != name]
        more = with_query("/", **{**state, "more": others if is_open else [*others, name]}) + f"#facet-{name}"
        label = "Show fewer" if is_open else f"Show {hidden} more"
        if values:
            views.append(FacetView(name, title, values, more if hidden > 0 else "", label))
    return views


def _toggled(state: dict, name: str, value: str) -> str:
    """The address of the same search with one value put in or taken out."""
    present = list(state.get(name) or [])
    changed = [each for each in present if each != value] if value in present else [*present, value]
    return with_query("/", **{**state, name: changed})


def _value_title(name: str, value: str) -> str:
    if name == "price":
        return PRICE_TITLES.get(value, value)
    return f"{value.capitalize()}s" if name == "kind" else value
