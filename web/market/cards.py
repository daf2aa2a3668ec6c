"""Listings and plans as pages show them: price in words, seller, face."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING

from market.next_call import NextCall
from market.prices import price_of, unit_price_in_words
from market.stars import average
from market.states import PlanKind
from market.tiers import steps_in_words
from metering.units import SCALE, Unit, in_words, number_of, singular
from web.links import listing_url, with_query
from web.market.subscription_words import subscription_details

if TYPE_CHECKING:
    from accounts.actors import Actor
    from market.models import Entitlement, Listing, ListingImage, Plan


@dataclass(frozen=True)
class ListingCard:
    """What `components/listing_card.html` names; `figure` may be empty."""

    url: str
    title: str
    summary: str
    kind: str
    seed: str
    seller: str
    price: str
    figure: str = ""
    figure_note: str = ""
    is_owned: bool = False
    cover: "ImageView | None" = None
    rating: str = ""
    """The average of its buyer reviews, `4.5`; empty without one."""
    rating_count: int = 0

    @classmethod
    def of(
        cls,
        listing: "Listing",
        plans: "list[Plan]",
        headline: tuple[str, str] = ("", ""),
        *,
        is_owned: bool = False,
        cover: "ListingImage | None" = None,
    ) -> "ListingCard":
        """`headline`: figure and note of `headlines_of`; `cover`: of `covers_of`."""
        prices = [price_of(plan) for plan in plans]
        price = "Not for sale" if not prices else prices[0] if len(prices) == 1 else f"from {prices[0]}"
        return cls(
            url=listing_url(listing.namespace.name, listing.slug),
            title=listing.title,
            summary=listing.summary,
            kind=listing.subject_kind,
            seed=str(listing.uuid),
            seller=listing.namespace.name,
            price="Free" if prices and prices[0] == "Free" else price,
            figure=headline[0],
            figure_note=headline[1],
            is_owned=is_owned,
            cover=ImageView.of(listing, cover) if cover else None,
            rating=f"{rated:.1f}" if (rated := average(listing.rating_count, listing.rating_sum)) else "",
            rating_count=listing.rating_count,
        )


@dataclass(frozen=True)
class ImageView:
    uuid: str
    href: str
    alt: str
    width: int
    height: int
    position: int
    edit_href: str

    @classmethod
    def of(cls, listing: "Listing", image: "ListingImage") -> "ImageView":
        base = listing_url(listing.namespace.name, listing.slug)
        return cls(
            str(image.uuid),
            f"{base}/images/{image.uuid}",
            image.alt,
            image.width,
            image.height,
            image.position,
            f"/sell/{listing.uuid}/images/{image.uuid}",
        )


@dataclass(frozen=True)
class PlanView:
    uuid: str
    name: str
    kind: str
    price: str
    details: list[str]
    buy_href: str
    retire_href: str
    offered_to: str = ""
    """The buyer of a private offer."""
    offer_ends_at: datetime | None = None
    offer_note: str = ""

    @classmethod
    def of(cls, listing: "Listing", plan: "Plan") -> "PlanView":
        base = listing_url(listing.namespace.name, listing.slug)
        return cls(
            uuid=str(plan.uuid),
            name=plan.name,
            kind=plan.kind,
            price=price_of(plan),
            details=_details(listing, plan),
            buy_href=with_query(f"{base}/checkout", plan=str(plan.uuid)),
            retire_href=f"/sell/{listing.uuid}/plans/{plan.uuid}/retirement",
            offered_to=plan.offered_to.name if plan.offered_to else "",
            offer_ends_at=plan.offer_ends_at,
            offer_note=plan.offer_note,
        )


_HOW: dict[Unit, str] = {
    Unit.ROWS: "A call counts as the rows that it sends",
    Unit.SECONDS: "A call counts as what the model computes for it, by the millisecond",
    Unit.TOKENS: "A call counts as the tokens that it sends",
}


def _details(listing: "Listing", plan: "Plan") -> list[str]:
    is_endpoint = listing.subject_kind == "endpoint"
    details = []
    if plan.kind == PlanKind.SUBSCRIPTION:
        details += subscription_details(plan, is_endpoint=is_endpoint)
    elif plan.kind == PlanKind.PAY_PER_USE:
        details.append(f"Prepaid: {plan.unit} are charged as you use them")
        details += steps_in_words(plan)
        if plan.unit_size > SCALE[Unit(plan.unit)] and not plan.tiers:
            each = unit_price_in_words(plan.unit, Fraction(plan.price_minor, plan.unit_size), plan.currency)
            details.append(f"The next {singular(plan.unit)}: {each}")
        if plan.included_units:
            is_one = plan.included_units == SCALE[Unit(plan.unit)]
            details.append(
                f"{in_words(plan.unit, plan.included_units)} {'is' if is_one else 'are'} free with the first order"
            )
        if plan.unit in _HOW:
            details.append(_HOW[Unit(plan.unit)])
    elif is_endpoint:
        each = " with each seat" if plan.per_seat else ""
        given = in_words(plan.unit, plan.included_units) if plan.included_units is not None else ""
        details.append(f"{given}{each}" if given else "Calls without limit")
    else:
        details.append("Download of the repository, later versions included")
    if plan.per_seat:
        details.append("For as many members of an organisation as it has seats")
    if plan.kind != PlanKind.FREE:
        days = plan.refund_window_days
        details.append(f"Money back within {days} days" if days else "No return")
    return details


def access_in_words(actor: "Actor", entitlement: "Entitlement") -> str:
    """By whose purchase the reader has it. Wants the holder joined."""
    if entitlement.seats is not None:
        return f"You have a seat of what {entitlement.holder.name} bought."
    return (
        "You have it." if entitlement.holder_id == actor.namespace_id else f"{entitlement.holder.name} has it, you too."
    )


def next_call_in_words(found: NextCall | None) -> str:
    """What the holder's next call costs and how many are left, in a sentence or two; empty where there is no entitlement."""
    if found is None:
        return ""
    if found.price is None:
        return "Nothing is left: buy more to go on."
    if found.paid_left is None:
        return "The next call is free; there is no limit."
    left = []
    if found.included_left:
        left.append(f"{number_of(found.unit, found.included_left)} without charge")
    if found.paid_left:
        left.append(f"{number_of(found.unit, found.paid_left)} paid in advance")
    if found.beyond_left:
        left.append(f"{number_of(found.unit, found.beyond_left)} beyond the quota, charged when the period is over")
    price = unit_price_in_words(found.unit, found.price, found.currency)
    cost = "is free" if price == "free" else f"costs {price}"
    return f"The next {singular(found.unit)} {cost}. {found.unit.capitalize()} left: {', '.join(left)}."
