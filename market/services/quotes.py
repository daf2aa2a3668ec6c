"""What an order would cost, before it is placed, and by the same sums when it is."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from common.clock import now
from common.errors import Conflict, Invalid, NotFound
from common.money import LIMIT_MINOR
from market.caps_ahead import CapAhead, caps_ahead
from market.models import Coupon, Plan
from market.order_terms import OrderTerms, terms_for
from market.policies import require_plan
from market.rating import list_price
from market.services import coupons
from market.services.approval_requests import ApprovalNeeded, approval_needed
from market.states import ListingState, PlanKind
from market.subscription_queries import had_trial
from market.subscriptions import price_of_period
from market.tiers import tiers_of

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.models import Namespace

_PACKS_LIMIT = 1_000_000
SEATS_LIMIT = 10_000


@dataclass(frozen=True)
class Quote:
    """Minor units of `currency`. `total_minor` = `price_minor` - `discount_minor` + `tax_minor`."""

    plan: Plan
    quantity: int
    price_minor: int
    discount_minor: int
    total_minor: int
    currency: str
    coupon: Coupon | None = None
    tax_minor: int = 0
    """Prices are final: this site adds no tax to them."""
    terms: OrderTerms | None = None
    """What an order accepts; None where nobody asked for it."""
    trial_days: int = 0
    """The order begins a trial of so many days, and costs nothing; 0: it does not."""
    approval: ApprovalNeeded | None = None
    """What the order would wait for; None: nothing, or nobody asked."""
    caps: list[CapAhead] = field(default_factory=list)
    """Of the buyer, that would refuse calls of what is bought."""


def quote(actor: Actor, *, buyer_namespace: str, plan_uuid: "UUID", quantity: int = 1, coupon: str = "") -> Quote:
    """What `place_order` with the same arguments would cost now; nothing is written or kept back. Raises Invalid when the quantity
    or the coupon does not fit, with a sentence that says why; Conflict when the plan is not on sale; NotFound, Forbidden."""
    buyer = require_namespace(actor, buyer_namespace, Action.NAMESPACE_BUY)
    plan = require_plan(actor, plan_uuid)
    check_offered(plan, buyer)
    check_seats(plan, buyer, quantity)
    taken = coupons.find(plan, coupon)
    if taken is not None:
        coupons.check(taken, plan, buyer)
    found = reckon(plan, quantity, taken, buyer)
    return replace(
        found,
        terms=terms_for(plan),
        approval=approval_needed(actor, buyer, found.currency, found.total_minor),
        caps=caps_ahead(buyer, plan, quantity, found.total_minor),
    )


def reckon(plan: Plan, quantity: int, coupon: Coupon | None, buyer: "Namespace") -> Quote:
    """`quote` for a caller that has obtained the plan and checked the coupon. Raises Invalid."""
    price = _price(plan, quantity)
    if plan.trial_days and not had_trial(buyer, plan.listing):
        if coupon is not None:
            raise Invalid(
                "The trial costs nothing: order without the coupon, which is for the first order that is paid.",
                fields={"coupon": "not with a trial"},
            )
        return Quote(plan, quantity, 0, 0, 0, plan.currency, None, trial_days=plan.trial_days)
    off = coupons.discount(coupon, price) if coupon else 0
    return Quote(plan, quantity, price, off, price - off, plan.currency, coupon)


def check_offered(plan: Plan, buyer: "Namespace") -> None:
    """Raises NotFound for a private offer to somebody else, Conflict for a plan that is not sold now."""
    if plan.offered_to_id not in {None, buyer.pk}:
        raise NotFound("There is no such plan.")
    if plan.listing.state != ListingState.PUBLISHED or plan.retired_at is not None:
        raise Conflict("This plan is not on sale.", code="not_on_sale")
    if plan.offer_ends_at is not None and plan.offer_ends_at <= now():
        raise Conflict(f"This offer ended on {plan.offer_ends_at:%-d %b %Y, %H:%M} UTC.", code="offer_ended")


def check_seats(plan: Plan, buyer: "Namespace", quantity: int) -> None:
    """Raises Invalid when a person orders several seats: there is nobody to give them to."""
    if plan.per_seat and quantity != 1 and not buyer.is_organization:
        raise Invalid("A person has one seat: buy more for an organisation.", fields={"quantity": "1 for a person"})


def _price(plan: Plan, quantity: int) -> int:
    limit = _PACKS_LIMIT if plan.kind == PlanKind.PAY_PER_USE else SEATS_LIMIT if plan.per_seat else 1
    if type(quantity) is not int or not 1 <= quantity <= limit:
        raise Invalid("This plan can't be bought so many times at once.", fields={"quantity": "out of range"})
    if plan.kind == PlanKind.SUBSCRIPTION:
        price = price_of_period(plan.price_minor, quantity)
    else:
        price = list_price(plan.price_minor, plan.unit_size, tiers_of(plan), quantity)
    if price > LIMIT_MINOR:
        raise Invalid("The order is too large.", fields={"quantity": "too large"})
    return price
