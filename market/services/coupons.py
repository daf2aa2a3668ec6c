"""Coupons: made and archived by sellers, taken by orders. A coupon's row is locked while an order counts who used it."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Invalid
from common.money import EXPONENTS, LIMIT_MINOR
from market.models import Coupon, CouponRedemption, Listing, Order, Plan
from market.models.coupons import CODE_LIMIT
from market.policies import require_coupon
from market.rating import WHOLE_BP, discount_of
from market.states import PlanKind

if TYPE_CHECKING:
    from accounts.models import Namespace

_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{2,39}")
_LIMIT, _SUBJECTS_LIMIT = 10**9, 200


def normalised(code: str) -> str:
    """A code as it is kept: ` spring 25 ` is `SPRING25`."""
    return "".join(unicodedata.normalize("NFKC", code).split()).upper()


def create_coupon(
    actor: Actor,
    namespace: str,
    code: str,
    *,
    percent_bp: int | None = None,
    amount_minor: int | None = None,
    currency: str = "",
    limit_total: int | None = None,
    limit_per_buyer: int | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    listings: Sequence[UUID | str] = (),
    plans: Sequence[UUID | str] = (),
) -> Coupon:
    """Make a coupon for what `namespace` sells: `percent_bp` basis points of the price, or `amount_minor` of `currency`. Valid in
    [starts_at, ends_at), aware instants; `listings` and `plans` narrow it down, both must hold. Writes the coupon and an audit
    record. Raises Invalid per field; Conflict while another coupon of the seller has the code; NotFound, Forbidden."""
    seller = require_namespace(actor, namespace, Action.LISTING_MANAGE)
    wanted = normalised(code)
    for_listings, for_plans = sorted({str(each) for each in listings}), sorted({str(each) for each in plans})
    faults = _faults(wanted, percent_bp, amount_minor, currency, (limit_total, limit_per_buyer), starts_at, ends_at)
    if not _all_sold_by(seller, for_listings, for_plans):
        faults["plans" if plans else "listings"] = f"choose from what {seller.name} sells"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{name}: {fault}" for name, fault in faults.items()), fields=faults
        )
    try:
        with transaction.atomic():
            coupon = Coupon.objects.create(
                namespace=seller,
                code=wanted,
                percent_bp=percent_bp,
                amount_minor=amount_minor,
                currency=currency,
                limit_total=limit_total,
                limit_per_buyer=limit_per_buyer,
                starts_at=starts_at,
                ends_at=ends_at,
                listings=for_listings,
                plans=for_plans,
            )
            audit.record(
                actor, "market:coupon:created", "coupon", coupon.uuid, namespace_id=seller.pk, code=coupon.code
            )
    except IntegrityError as error:
        raise Conflict(
            f"{seller.name} has a coupon {wanted} already: archive it first.",
            code="code_taken",
            fields={"code": "taken"},
        ) from error
    return coupon


def archive_coupon(actor: Actor, coupon: Coupon) -> Coupon:
    """End a coupon: no order takes it any more, those that did keep their price, its code is free again. Writes the coupon and an
    audit record; a second call changes nothing. Raises NotFound, Forbidden."""
    require_coupon(actor, coupon.uuid)
    with transaction.atomic():
        row = Coupon.objects.select_for_update(no_key=True).get(pk=coupon.pk)
        if row.archived_at is None:
            row.archived_at = now()
            row.save(update_fields=["archived_at"])
            audit.record(
                actor, "market:coupon:archived", "coupon", row.uuid, namespace_id=row.namespace_id, code=row.code
            )
    return row


def find(plan: Plan, code: str) -> Coupon | None:
    """The coupon of the plan's seller by its code as somebody typed it; None when nothing was typed. Raises Invalid for one that
    there is not."""
    wanted = normalised(code)
    if not wanted:
        return None
    if _CODE.fullmatch(wanted) is None:
        raise _refusal("unknown", "A coupon is a code of letters, digits, dashes or underscores, such as SPRING25.")
    # of those that had the code the one that lives, else the last one: it is told that it has ended
    found = Coupon.objects.filter(namespace=plan.listing.namespace_id, code=wanted)
    coupon = found.filter(archived_at__isnull=True).first() or found.order_by("-pk").first()
    if coupon is None:
        raise _refusal("unknown", f"{plan.listing.namespace.name} has no coupon {wanted}.")
    return coupon


def discount(coupon: Coupon, price_minor: int) -> int:
    """What it takes off a price of its currency, minor units."""
    return discount_of(price_minor, percent_bp=coupon.percent_bp, amount_minor=coupon.amount_minor)


def check(coupon: Coupon, plan: Plan, buyer: "Namespace") -> None:
    """Raises Invalid, with a sentence that says why, unless an order of `plan` by `buyer` may take the coupon now. Certain only for
    a caller that holds the coupon's lock; `redeem` asks again under it."""
    code, at = coupon.code, now()
    if coupon.archived_at is not None:
        raise _refusal("archived", f"The seller has ended the coupon {code}.")
    if coupon.starts_at is not None and at < coupon.starts_at:
        raise _refusal("not_yet_valid", f"The coupon {code} is not valid before {_moment(coupon.starts_at)}.")
    if coupon.ends_at is not None and at >= coupon.ends_at:
        raise _refusal("expired", f"The coupon {code} expired on {_moment(coupon.ends_at)}.")
    if coupon.listings and str(plan.listing.uuid) not in coupon.listings:
        raise _refusal("other_listing", f"The coupon {code} is not for this listing.")
    if coupon.plans and str(plan.uuid) not in coupon.plans:
        raise _refusal("other_plan", f"The coupon {code} is not for this plan.")
    if plan.kind == PlanKind.FREE:
        raise _refusal("free", "This plan is free: leave the coupon out.")
    if coupon.currency and coupon.currency != plan.currency:
        raise _refusal("other_currency", f"The coupon {code} is in {coupon.currency}; this plan is in {plan.currency}.")
    used = coupon.redemptions.filter(returned_at__isnull=True)
    if coupon.limit_total is not None and used.count() >= coupon.limit_total:
        raise _refusal("used_up", f"The coupon {code} is used up: it was for {coupon.limit_total:,} orders.")
    if coupon.limit_per_buyer is not None and used.filter(buyer=buyer).count() >= coupon.limit_per_buyer:
        times = "once" if coupon.limit_per_buyer == 1 else f"{coupon.limit_per_buyer:,} times"
        raise _refusal("used_by_buyer", f"{buyer.name} has used the coupon {code} already: it may be used {times}.")


def lock(coupon: Coupon) -> Coupon:
    """Its row as it is now, until the caller's transaction ends: orders with the coupon wait here for each other, so its limits are
    never exceeded. Taken after the accounts of money, before anything else (the one order of locks)."""
    return Coupon.objects.select_for_update(no_key=True).get(pk=coupon.pk)


def redeem(coupon: Coupon, order: Order) -> CouponRedemption:
    """Note that an order takes the coupon, in the transaction that makes the order, under the coupon's lock and after `check`. One
    per order: the database refuses a second."""
    return CouponRedemption.objects.create(order=order, coupon=coupon, buyer=order.buyer)


def give_back(order: Order) -> None:
    """Let the coupon of an order count as unused again, in the caller's transaction. For orders that were never paid (cancelled)
    and for those that were undone as a whole: all money went back and no prepaid call had been made. After a refund of what
    was left of a pack it stays used. A second call, and an order without a coupon, change nothing."""
    CouponRedemption.objects.filter(order=order, returned_at__isnull=True).update(returned_at=now())


def check_again(order: Order, plan: Plan) -> Coupon | None:
    """The coupon that a waiting order has taken, locked, if an order could still take it now; None without one. In the caller's
    transaction. The order keeps it. Raises Invalid, with a sentence that says why."""
    taken = CouponRedemption.objects.filter(order=order).select_related("coupon").first()
    if taken is None:
        return None
    coupon = lock(taken.coupon)
    # not counted against its own limits
    CouponRedemption.objects.filter(pk=taken.pk).update(returned_at=now())
    check(coupon, plan, order.buyer)
    CouponRedemption.objects.filter(pk=taken.pk).update(returned_at=None)
    return coupon


def _refusal(why: str, sentence: str) -> Invalid:
    return Invalid(sentence, code=f"coupon_{why}", fields={"coupon": why})


def _moment(at: datetime) -> str:
    return f"{at:%-d %b %Y, %H:%M} UTC"


def _all_sold_by(seller: "Namespace", listings: Sequence[str], plans: Sequence[str]) -> bool:
    if len(listings) > _SUBJECTS_LIMIT or len(plans) > _SUBJECTS_LIMIT:
        return False
    known = Listing.objects.filter(namespace=seller, uuid__in=listings).count()
    offered = Plan.objects.filter(listing__namespace=seller, uuid__in=plans).count()
    return (known, offered) == (len(listings), len(plans))


def _faults(
    code: str,
    percent_bp: int | None,
    amount_minor: int | None,
    currency: str,
    limits: tuple[int | None, ...],
    starts_at: datetime | None,
    ends_at: datetime | None,
) -> dict[str, str]:
    faults: dict[str, str] = {}
    if _CODE.fullmatch(code) is None:
        faults["code"] = f"3 to {CODE_LIMIT} letters, digits, dashes or underscores"
    if (percent_bp is None) == (amount_minor is None):
        faults["amount_minor"] = "either an amount or a percentage"
    elif percent_bp is not None and not 1 <= percent_bp <= WHOLE_BP:
        faults["percent_bp"] = f"1 to {WHOLE_BP}: a hundredth to 100 per cent"
    elif amount_minor is not None and not 1 <= amount_minor <= LIMIT_MINOR:
        faults["amount_minor"] = "an amount above 0"
    if amount_minor is not None and currency not in EXPONENTS:
        faults["currency"] = "the currency of the amount"
    if percent_bp is not None and currency:
        faults["currency"] = "a percentage has none"
    for name, limit in zip(("limit_total", "limit_per_buyer"), limits, strict=True):
        if limit is not None and not 1 <= limit <= _LIMIT:
            faults[name] = "at least 1, or none"
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        faults["ends_at"] = "after the beginning"
    elif ends_at is not None and ends_at <= now():
        faults["ends_at"] = "in the future"
    return faults
