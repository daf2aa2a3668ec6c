"""What the pages of coupons and of private offers show."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django import forms

from accounts.actors import Actor
from accounts.permissions import Action
from common.clock import now
from common.money import Money, format_money
from common.pagination import keyset_page
from market import policies, queries
from market.prices import price_of
from market.rating import WHOLE_BP
from market.states import ListingState, PlanKind
from web.links import listing_url, with_query
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Coupon, Plan

PATH = "/sell/coupons"
CHOICES = 100


@dataclass(frozen=True)
class CouponRow:
    code: str
    off: str
    state: str
    used: int
    limits: str
    starts_at: datetime | None
    ends_at: datetime | None
    only_for: str
    archive_href: str

    @classmethod
    def of(cls, coupon: "Coupon", titles: dict[str, str]) -> "CouponRow":
        limits = []
        if coupon.limit_total is not None:
            limits.append(f"of {coupon.limit_total:,}")
        if coupon.limit_per_buyer is not None:
            limits.append(f"{coupon.limit_per_buyer:,} a buyer")
        return cls(
            code=coupon.code,
            off=off_of(coupon),
            state=_state_of(coupon),
            used=coupon.used,  # type: ignore[attr-defined]
            limits=", ".join(limits),
            starts_at=coupon.starts_at,
            ends_at=coupon.ends_at,
            only_for=", ".join(titles.get(uuid, "a listing of before") for uuid in [*coupon.listings, *coupon.plans]),
            archive_href="" if coupon.archived_at else f"{PATH}/{coupon.uuid}/archiving",
        )


@dataclass(frozen=True)
class CouponsPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    coupons: list[CouponRow]
    form: forms.Form
    form_href: str
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", form: forms.Form, cursor: str) -> "CouponsPage":
        rows = queries.coupons_of(policies.visible_coupons(actor).filter(namespace=owner))
        found = keyset_page(rows, order=("-created_at", "-pk"), cursor=cursor or None, limit=30)
        titles = titles_of(owner, found.items)
        return cls(
            "Coupons",
            owner.name,
            owner_choices(actor, Action.LISTING_MANAGE, PATH, owner.name),
            [CouponRow.of(coupon, titles) for coupon in found.items],
            form,
            with_query(PATH, owner=owner.name),
            with_query(PATH, owner=owner.name, cursor=found.next_cursor) if found.next_cursor else "",
            with_query(PATH, owner=owner.name) if cursor else "",
        )


@dataclass(frozen=True)
class OfferRow:
    title: str
    seller: str
    plan: str
    price: str
    buyer: str
    note: str
    ends_at: datetime | None
    listing_href: str
    buy_href: str

    @classmethod
    def of(cls, plan: "Plan") -> "OfferRow":
        href = listing_url(plan.listing.namespace.name, plan.listing.slug)
        return cls(
            title=plan.listing.title,
            seller=plan.listing.namespace.name,
            plan=plan.name,
            price=price_of(plan),
            buyer=plan.offered_to.name if plan.offered_to else "",
            note=plan.offer_note,
            ends_at=plan.offer_ends_at,
            listing_href=href,
            buy_href=with_query(f"{href}/checkout", plan=str(plan.uuid)),
        )


@dataclass(frozen=True)
class OffersPage:
    title: str
    offers: list[OfferRow]
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, cursor: str) -> "OffersPage":
        found = keyset_page(
            policies.private_offers(actor), order=("-created_at", "-pk"), cursor=cursor or None, limit=30
        )
        return cls(
            "Private offers",
            [OfferRow.of(plan) for plan in found.items],
            with_query("/library/offers", cursor=found.next_cursor) if found.next_cursor else "",
            "/library/offers" if cursor else "",
        )


def off_of(coupon: "Coupon") -> str:
    """`25 %`, `12.5 %`, `5.00 CRD`."""
    if coupon.percent_bp is None:
        return format_money(Money(coupon.amount_minor or 0, coupon.currency))
    return f"{coupon.percent_bp / (WHOLE_BP // 100):g} %"


def choices_of(owner: "Namespace") -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The listings and the plans on sale that a coupon can be narrowed down to, by uuid. Two queries."""
    listings = queries.listings_of(owner).exclude(state=ListingState.WITHDRAWN).order_by("title", "pk")[:CHOICES]
    plans = queries.plans_of(owner).exclude(kind=PlanKind.FREE).filter(retired_at__isnull=True)
    return (
        [(str(each.uuid), each.title) for each in listings],
        [
            (str(each.uuid), f"{each.listing.title}: {each.name}, {price_of(each)}")
            for each in plans.order_by("listing__title", "number")[:CHOICES]
        ],
    )


def titles_of(owner: "Namespace", coupons: "list[Coupon]") -> dict[str, str]:
    """What these coupons are narrowed down to, by uuid, retired ones too. Two queries."""
    listings = {uuid for coupon in coupons for uuid in coupon.listings}
    plans = {uuid for coupon in coupons for uuid in coupon.plans}
    found = {str(each.uuid): each.title for each in queries.listings_of(owner).filter(uuid__in=listings)}
    named = queries.plans_of(owner).filter(uuid__in=plans)
    return found | {str(each.uuid): f"{each.listing.title}: {each.name}" for each in named}


def _state_of(coupon: "Coupon") -> str:
    at = now()
    if coupon.archived_at is not None:
        return "archived"
    if coupon.ends_at is not None and coupon.ends_at <= at:
        return "expired"
    if coupon.starts_at is not None and at < coupon.starts_at:
        return "not yet valid"
    if coupon.limit_total is not None and coupon.used >= coupon.limit_total:  # type: ignore[attr-defined]
        return "used up"
    return "valid"
