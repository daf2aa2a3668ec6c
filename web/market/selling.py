"""What the seller's pages show."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.conf import settings

from accounts.actors import Actor
from accounts.permissions import Action
from compute.endpoint_policies import visible_endpoints
from market.policies import needs_review, review_queue, visible_listings, visible_plans
from market.readiness import Check
from market.ready_queries import readiness_of
from market.return_queries import waiting_for
from market.services.images import IMAGES_LIMIT
from market.services.reviews import submission_of
from market.showing import channel_words, showings_of
from market.states import ListingState
from registry.queries import search_repos
from web.links import listing_url
from web.market.cards import ImageView, ListingCard, PlanView
from web.market.pages import SubjectView, subject_of
from web.market.royalty_pages import RoyaltyChain
from web.namespaces import acting_namespaces

if TYPE_CHECKING:
    from market.models import Listing

LISTED = 200


@dataclass(frozen=True)
class SellRow:
    card: ListingCard
    state: str
    sales: int
    edit_href: str


@dataclass(frozen=True)
class SellPage:
    title: str
    rows: list[SellRow]
    waiting: int
    """Listings that wait for a review by the person."""
    returns: int
    """Buyers' requests for money back that wait for the person's decision."""

    @classmethod
    def of(cls, actor: Actor) -> "SellPage":
        mine = [each.pk for each in acting_namespaces(actor, Action.LISTING_MANAGE)]
        listings = (
            visible_listings(actor).filter(namespace_id__in=mine).prefetch_related("plans").order_by("-updated_at")
        )
        rows = []
        for listing in listings[:LISTED]:
            plans = [plan for plan in listing.plans.all() if plan.retired_at is None and plan.offered_to_id is None]
            rows.append(SellRow(ListingCard.of(listing, plans), listing.state, listing.sales, f"/sell/{listing.uuid}"))
        return cls("Sell", rows, review_queue(actor).count(), waiting_for(actor))


@dataclass(frozen=True)
class NewListingPage:
    title: str
    form: forms.Form
    has_subjects: bool


@dataclass(frozen=True)
class EditorPage:
    title: str
    state: str
    view_href: str
    form: forms.Form
    plan_form: forms.Form
    plans: list[PlanView]
    subject: SubjectView | None
    is_published: bool
    publish_href: str
    withdraw_href: str
    plan_href: str
    save_href: str
    is_endpoint: bool
    problem: str
    royalties: RoyaltyChain
    checks: list[Check]
    is_ready: bool
    is_in_review: bool
    has_thread: bool
    needs_review: bool
    review_href: str
    follows: str
    images: list[ImageView]
    image_form: forms.Form
    image_href: str
    images_left: int
    evaluations_href: str
    trial_href: str

    @classmethod
    def of(
        cls,
        actor: Actor,
        listing: "Listing",
        form: forms.Form,
        plan_form: forms.Form,
        image_form: forms.Form,
        problem: str = "",
    ) -> "EditorPage":
        base = f"/sell/{listing.uuid}"
        showing = showings_of([listing])[listing.pk]
        checks = readiness_of(listing)
        # private offers that have ended stand here until they are retired
        plans = list(visible_plans(actor).filter(listing=listing, retired_at__isnull=True).order_by("number"))
        return cls(
            title=listing.title,
            state=listing.state,
            view_href=listing_url(listing.namespace.name, listing.slug),
            form=form,
            plan_form=plan_form,
            plans=[PlanView.of(listing, plan) for plan in plans],
            subject=subject_of(actor, listing.subject_kind, listing.subject_uuid, listing.channel),
            is_published=listing.state == ListingState.PUBLISHED,
            publish_href=f"{base}/publication",
            withdraw_href=f"{base}/withdrawal",
            plan_href=f"{base}/plans",
            save_href=base,
            is_endpoint=listing.subject_kind == "endpoint",
            problem=problem,
            royalties=RoyaltyChain.of(actor, listing, plans, settings.PLATFORM_FEE_PERCENT),
            checks=checks,
            is_ready=all(check.is_ok for check in checks),
            is_in_review=listing.state == ListingState.IN_REVIEW,
            has_thread=submission_of(listing) is not None,
            needs_review=needs_review(listing),
            review_href=f"/sell/reviews/{listing.uuid}",
            follows=channel_words(listing, showing.version),
            images=[ImageView.of(listing, each) for each in showing.images],
            image_form=image_form,
            image_href=f"{base}/images",
            images_left=IMAGES_LIMIT - len(showing.images),
            trial_href=f"{base}/trial" if listing.subject_kind == "endpoint" else "",
            evaluations_href="" if listing.subject_kind == "dataset" else f"{base}/evaluations",
        )


def subject_choices(actor: Actor) -> list[tuple[str, str]]:
    """`kind:uuid:namespace` and a title, for everything the actor could list."""
    choices = []
    owners = acting_namespaces(actor, Action.LISTING_MANAGE)
    for owner in owners:
        for kind in ("model", "dataset", "algorithm"):
            repos = search_repos(actor, kind=kind, namespace=owner.name, limit=LISTED).items
            title = kind.capitalize()
            choices += [(f"{kind}:{repo.uuid}:{owner.name}", f"{title}: {owner.name}/{repo.name}") for repo in repos]
    endpoints = visible_endpoints(actor).filter(namespace_id__in=[owner.pk for owner in owners])
    for endpoint in endpoints.order_by("name")[:LISTED]:
        label = f"{endpoint.namespace.name}/{endpoint.name}"
        choices.append((f"endpoint:{endpoint.uuid}:{endpoint.namespace.name}", f"Endpoint: {label}"))
    return choices
