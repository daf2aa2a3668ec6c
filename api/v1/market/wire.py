"""Listings, orders and money on the wire. Amounts are whole minor units of their currency."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from api.v1.market import ahead_wire
from api.v1.registry.version_wire import VersionRecallWire, recall
from market.showing import channel_words
from market.stars import average
from market.statements import lines_of
from market.states import (
    REVIEW_CHECKS,
    Interval,
    ListingState,
    OrderState,
    PlanKind,
    ReviewStep,
    SubjectKind,
    Visibility,
)
from market.tiers import tiers_of
from metering.units import Unit

if TYPE_CHECKING:
    from market.models import Coupon, LedgerEntry, Listing, ListingImage, Order, Plan, ReviewEntry
    from market.queries import Balances, Earned
    from market.readiness import Check
    from market.services.quotes import Quote
    from market.showing import Change, Showing
    from market.statements import Line

SUBJECTS = [each.value for each in SubjectKind]
PLANS = [each.value for each in PlanKind]
UNITS = [each.value for each in Unit]
INTERVALS = [each.value for each in Interval]
VISIBILITIES = [each.value for each in Visibility]


class TierWire(serializers.Serializer):
    """Paid units up to and with number `up_to_units` (null: all further ones) cost `price_minor` for each `unit_size`."""

    up_to_units = serializers.IntegerField(allow_null=True, min_value=1)
    price_minor = serializers.IntegerField(min_value=0)


class PlanWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(PLANS)
    name = serializers.CharField()
    price_minor = serializers.IntegerField()
    currency = serializers.CharField()
    unit = serializers.ChoiceField(UNITS, help_text="What use is counted in; seconds in milliseconds.")
    unit_size = serializers.IntegerField(help_text="How many of them the price is for.")
    included_units = serializers.IntegerField(allow_null=True)
    refund_window_days = serializers.IntegerField()
    tiers = TierWire(many=True)
    per_seat = serializers.BooleanField(help_text="The price is that of one seat; quantity is how many.")
    interval = serializers.ChoiceField(INTERVALS, allow_blank=True, help_text="Of a subscription.")
    trial_days = serializers.IntegerField(help_text="Days that cost nothing, with a buyer's first subscription.")
    overage_minor = serializers.IntegerField(
        allow_null=True, help_text="What `unit_size` units beyond the quota cost; null: the quota is a hard stop."
    )
    overage_units = serializers.IntegerField(allow_null=True, help_text="Units beyond the quota of a period at most.")
    offered_to = serializers.CharField(allow_null=True, help_text="The only buyer of a private offer.")
    offer_ends_at = serializers.DateTimeField(allow_null=True)
    offer_note = serializers.CharField(allow_blank=True)
    retired_at = serializers.DateTimeField(allow_null=True)


class PlanNew(serializers.Serializer):
    kind = serializers.ChoiceField(PLANS)
    name = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    price_minor = serializers.IntegerField(min_value=0, required=False, default=0)
    currency = serializers.CharField(max_length=3, required=False, default="CRD")
    unit = serializers.ChoiceField(UNITS, required=False, default=Unit.CALLS.value)
    unit_size = serializers.IntegerField(required=False, allow_null=True, default=None)
    included_units = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    refund_window_days = serializers.IntegerField(required=False, default=14, min_value=0)
    tiers = TierWire(many=True, required=False, default=list)
    per_seat = serializers.BooleanField(required=False, default=False)
    interval = serializers.ChoiceField(INTERVALS, required=False, default="", allow_blank=True)
    trial_days = serializers.IntegerField(required=False, default=0, min_value=0)
    overage_minor = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    overage_units = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=1)
    offered_to = serializers.CharField(max_length=96, required=False, default="", allow_blank=True)
    offer_ends_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    offer_note = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class OfferWire(PlanWire):
    """A private offer with what it is for."""

    listing = serializers.UUIDField()
    listing_title = serializers.CharField()
    seller = serializers.CharField()


class QuoteWire(serializers.Serializer):
    plan = serializers.UUIDField()
    quantity = serializers.IntegerField()
    coupon = serializers.CharField(allow_blank=True)
    price_minor = serializers.IntegerField()
    discount_minor = serializers.IntegerField()
    tax_minor = serializers.IntegerField(help_text="0: prices are final, this site adds no tax.")
    total_minor = serializers.IntegerField()
    currency = serializers.CharField()
    terms = serializers.CharField(help_text="What an order accepts.")
    terms_digest = serializers.CharField(help_text="SHA-256 of the terms: `accept_terms` of the order.")
    trial_days = serializers.IntegerField(help_text="The order begins a trial of so many days; 0: it does not.")
    approval = ahead_wire.ApprovalNeededWire(
        allow_null=True, help_text="The order would wait for it; null: for nobody."
    )
    caps = ahead_wire.CapAheadWire(many=True)


class CouponWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    seller = serializers.CharField()
    code = serializers.CharField()
    percent_bp = serializers.IntegerField(allow_null=True, help_text="Basis points: 2500 is 25 per cent.")
    amount_minor = serializers.IntegerField(allow_null=True)
    currency = serializers.CharField(allow_blank=True)
    limit_total = serializers.IntegerField(allow_null=True)
    limit_per_buyer = serializers.IntegerField(allow_null=True)
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    listings = serializers.ListField(child=serializers.UUIDField())
    plans = serializers.ListField(child=serializers.UUIDField())
    used = serializers.IntegerField(help_text="Orders that have it now.")
    created_at = serializers.DateTimeField()
    archived_at = serializers.DateTimeField(allow_null=True)


class CouponNew(serializers.Serializer):
    code = serializers.CharField(max_length=80)
    percent_bp = serializers.IntegerField(required=False, allow_null=True, default=None)
    amount_minor = serializers.IntegerField(required=False, allow_null=True, default=None)
    currency = serializers.CharField(max_length=3, required=False, default="", allow_blank=True)
    limit_total = serializers.IntegerField(required=False, allow_null=True, default=None)
    limit_per_buyer = serializers.IntegerField(required=False, allow_null=True, default=None)
    starts_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    ends_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    listings = serializers.ListField(child=serializers.UUIDField(), required=False, default=list, max_length=200)
    plans = serializers.ListField(child=serializers.UUIDField(), required=False, default=list, max_length=200)


class ImageWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    alt = serializers.CharField()
    media_type = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    position = serializers.IntegerField()


class ImageChange(serializers.Serializer):
    alt = serializers.CharField(max_length=200, required=False)
    position = serializers.IntegerField(min_value=1, required=False)


class CheckWire(serializers.Serializer):
    key = serializers.CharField()
    is_ok = serializers.BooleanField()
    sentence = serializers.CharField()
    link = serializers.CharField()


class ReadinessWire(serializers.Serializer):
    is_ready = serializers.BooleanField()
    needs_review = serializers.BooleanField()
    checks = CheckWire(many=True)


class ChangeWire(serializers.Serializer):
    version = serializers.CharField()
    notes = serializers.CharField(allow_blank=True)
    published_at = serializers.DateTimeField()


class ChangelogWire(serializers.Serializer):
    items = ChangeWire(many=True)


class ReviewEntryWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    step = serializers.ChoiceField([each.value for each in ReviewStep])
    text = serializers.CharField(allow_blank=True)
    checks = serializers.ListField(child=serializers.ChoiceField(list(REVIEW_CHECKS)))
    by = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()


class ReviewCommentNew(serializers.Serializer):
    text = serializers.CharField(max_length=5000)


class ReviewDecision(serializers.Serializer):
    is_approved = serializers.BooleanField()
    checks = serializers.ListField(
        child=serializers.ChoiceField(list(REVIEW_CHECKS)), required=False, default=list, max_length=10
    )
    text = serializers.CharField(max_length=5000, required=False, default="", allow_blank=True)
    submission = serializers.UUIDField(required=False, allow_null=True, default=None)


class ReviewPolicyWire(serializers.Serializer):
    is_needed = serializers.BooleanField()


class ListingWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    seller = serializers.CharField()
    slug = serializers.CharField()
    subject_kind = serializers.ChoiceField(SUBJECTS)
    subject_uuid = serializers.UUIDField()
    title = serializers.CharField()
    summary = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    category = serializers.CharField(allow_blank=True)
    task = serializers.CharField(allow_blank=True)
    licence = serializers.CharField(allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField())
    visibility = serializers.ChoiceField(VISIBILITIES)
    state = serializers.ChoiceField([each.value for each in ListingState])
    channel = serializers.CharField()
    version = serializers.CharField(allow_blank=True, help_text="What the channel leads to now; empty for nothing.")
    follows = serializers.CharField(help_text="The same in words.")
    example_input = serializers.CharField(allow_blank=True)
    support_contact = serializers.CharField(allow_blank=True)
    return_terms = serializers.CharField(allow_blank=True)
    recall = VersionRecallWire(allow_null=True, help_text="Of the version that the channel leads to.")
    images = ImageWire(many=True)
    sales = serializers.IntegerField()
    rating = serializers.FloatField(allow_null=True, help_text="Average of its buyer reviews, 1 to 5.")
    rating_count = serializers.IntegerField()
    likes = serializers.IntegerField()
    plans = PlanWire(many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class ListingSearchPage(serializers.Serializer):
    items = ListingWire(many=True)
    total = serializers.IntegerField()
    facets = serializers.DictField(child=serializers.DictField(child=serializers.IntegerField()))
    next_cursor = serializers.CharField(allow_null=True)
    next = serializers.URLField(allow_null=True)


class _Texts(serializers.Serializer):
    title = serializers.CharField(max_length=120)
    summary = serializers.CharField(max_length=300, required=False, allow_blank=True)
    description = serializers.CharField(max_length=50_000, required=False, allow_blank=True)
    category = serializers.CharField(max_length=60, required=False, allow_blank=True)
    task = serializers.CharField(max_length=80, required=False, allow_blank=True)
    licence = serializers.CharField(max_length=80, required=False, allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=20)
    visibility = serializers.ChoiceField(VISIBILITIES, required=False)
    channel = serializers.CharField(max_length=100, required=False)
    example_input = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    support_contact = serializers.CharField(max_length=200, required=False, allow_blank=True)
    return_terms = serializers.CharField(max_length=2_000, required=False, allow_blank=True)


class ListingNew(_Texts):
    namespace = serializers.CharField(max_length=96)
    subject_kind = serializers.ChoiceField(SUBJECTS)
    subject_uuid = serializers.UUIDField()
    slug = serializers.CharField(max_length=96, required=False, allow_null=True, default=None)


class ListingChange(_Texts):
    title = serializers.CharField(max_length=120, required=False)


class OrderNew(serializers.Serializer):
    buyer = serializers.CharField(max_length=96)
    plan = serializers.UUIDField()
    quantity = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, default=1)
    coupon = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    accept_terms = serializers.CharField(
        max_length=64, required=False, default="", allow_blank=True, help_text="Digest of the terms, from the quote."
    )
    reason = serializers.CharField(
        max_length=500,
        required=False,
        default="",
        allow_blank=True,
        help_text="For those who approve it, if it must be.",
    )


class OrderWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    buyer = serializers.CharField()
    seller = serializers.CharField()
    listing = serializers.UUIDField()
    listing_title = serializers.CharField()
    plan = serializers.UUIDField()
    quantity = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    discount_minor = serializers.IntegerField()
    coupon = serializers.CharField(allow_blank=True)
    refunded_minor = serializers.IntegerField()
    currency = serializers.CharField()
    state = serializers.ChoiceField([each.value for each in OrderState])
    payment_url = serializers.CharField(allow_blank=True)
    terms_digest = serializers.CharField(
        allow_blank=True, help_text="Of the terms it was placed on: `/terms/<digest>`."
    )
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class RefundNew(serializers.Serializer):
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class BalanceWire(serializers.Serializer):
    currency = serializers.CharField()
    wallet_minor = serializers.IntegerField()
    held_minor = serializers.IntegerField()
    earnings_minor = serializers.IntegerField()


class WalletWire(serializers.Serializer):
    balances = BalanceWire(many=True)


class MovementWire(serializers.Serializer):
    at = serializers.DateTimeField()
    transaction = serializers.UUIDField()
    kind = serializers.CharField()
    memo = serializers.CharField(allow_blank=True)
    text = serializers.CharField()
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    balance_after_minor = serializers.IntegerField()
    order = serializers.UUIDField(allow_null=True)
    payout = serializers.UUIDField(allow_null=True)


class StatementPage(serializers.Serializer):
    items = MovementWire(many=True)
    opening_minor = serializers.IntegerField(
        allow_null=True, help_text="In the account when the period began; null unless one currency was asked for."
    )
    closing_minor = serializers.IntegerField(allow_null=True, help_text="In the account when it ended.")
    next_cursor = serializers.CharField(allow_null=True)
    next = serializers.URLField(allow_null=True)


class CreditsNew(serializers.Serializer):
    amount_minor = serializers.IntegerField(min_value=1)
    currency = serializers.CharField(max_length=3, required=False, default="CRD")


class EarnedWire(serializers.Serializer):
    listing = serializers.UUIDField()
    title = serializers.CharField()
    currency = serializers.CharField()
    orders = serializers.IntegerField()
    gross_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()


def plan(row: "Plan") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "kind": row.kind,
        "name": row.name,
        "price_minor": row.price_minor,
        "currency": row.currency,
        "unit": row.unit,
        "unit_size": row.unit_size,
        "included_units": row.included_units,
        "refund_window_days": row.refund_window_days,
        "tiers": [{"up_to_units": tier.up_to_units, "price_minor": tier.price_minor} for tier in tiers_of(row)],
        "per_seat": row.per_seat,
        "interval": row.interval,
        "trial_days": row.trial_days,
        "overage_minor": row.overage_minor,
        "overage_units": row.overage_units,
        "offered_to": row.offered_to.name if row.offered_to else None,
        "offer_ends_at": row.offer_ends_at,
        "offer_note": row.offer_note,
        "retired_at": row.retired_at,
    }


def offer(row: "Plan") -> dict[str, Any]:
    """Wants listing, seller and buyer joined."""
    about = row.listing
    return plan(row) | {"listing": about.uuid, "listing_title": about.title, "seller": about.namespace.name}


def quote(row: "Quote") -> dict[str, Any]:
    return {
        "plan": row.plan.uuid,
        "quantity": row.quantity,
        "coupon": row.coupon.code if row.coupon else "",
        "price_minor": row.price_minor,
        "discount_minor": row.discount_minor,
        "tax_minor": row.tax_minor,
        "total_minor": row.total_minor,
        "currency": row.currency,
        "terms": row.terms.text if row.terms else "",
        "terms_digest": row.terms.digest if row.terms else "",
        "trial_days": row.trial_days,
        "approval": ahead_wire.approval_needed(row.approval) if row.approval else None,
        "caps": [ahead_wire.cap_ahead(each) for each in row.caps],
    }


def coupon(row: "Coupon") -> dict[str, Any]:
    """Wants the namespace joined and `used` counted (`coupons_of`)."""
    return {
        "uuid": row.uuid,
        "seller": row.namespace.name,
        "code": row.code,
        "percent_bp": row.percent_bp,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "limit_total": row.limit_total,
        "limit_per_buyer": row.limit_per_buyer,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "listings": row.listings,
        "plans": row.plans,
        "used": row.used,  # type: ignore[attr-defined]  # annotated
        "created_at": row.created_at,
        "archived_at": row.archived_at,
    }


def image(row: "ListingImage") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "alt": row.alt,
        "media_type": row.media_type,
        "width": row.width,
        "height": row.height,
        "position": row.position,
    }


def check(row: "Check") -> dict[str, Any]:
    return {"key": row.key, "is_ok": row.is_ok, "sentence": row.sentence, "link": row.link}


def change(row: "Change") -> dict[str, Any]:
    return {"version": row.version, "notes": row.notes, "published_at": row.published_at}


def review_entry(row: "ReviewEntry") -> dict[str, Any]:
    """Wants the author joined."""
    return {
        "uuid": row.uuid,
        "step": row.step,
        "text": row.text,
        "checks": row.checks,
        "by": row.created_by.username if row.created_by else "",
        "created_at": row.created_at,
    }


def listing(row: "Listing", plans: "list[Plan]", showing: "Showing") -> dict[str, Any]:
    """Wants the namespace joined."""
    return {
        "uuid": row.uuid,
        "seller": row.namespace.name,
        "slug": row.slug,
        "subject_kind": row.subject_kind,
        "subject_uuid": row.subject_uuid,
        "title": row.title,
        "summary": row.summary,
        "description": row.description,
        "category": row.category,
        "task": row.task,
        "licence": row.licence,
        "tags": row.tags,
        "visibility": row.visibility,
        "state": row.state,
        "channel": row.channel,
        "version": showing.version,
        "follows": channel_words(row, showing.version),
        "example_input": row.example_input,
        "support_contact": row.support_contact,
        "return_terms": row.return_terms,
        "recall": recall(showing.recall),
        "images": [image(each) for each in showing.images],
        "sales": row.sales,
        "rating": average(row.rating_count, row.rating_sum),
        "rating_count": row.rating_count,
        "likes": row.likes,
        "plans": [plan(each) for each in plans],
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def order(row: "Order") -> dict[str, Any]:
    """Wants buyer, seller, listing, plan and coupon joined."""
    return {
        "uuid": row.uuid,
        "buyer": row.buyer.name,
        "seller": row.seller.name,
        "listing": row.listing.uuid,
        "listing_title": row.listing.title,
        "plan": row.plan.uuid,
        "quantity": row.quantity,
        "total_minor": row.total_minor,
        "discount_minor": row.discount_minor,
        "coupon": row.coupon_code,
        "refunded_minor": row.refunded_minor,
        "currency": row.currency,
        "state": row.state,
        "payment_url": row.payment_url,
        "terms_digest": row.terms_digest,
        "created_at": row.created_at,
        "paid_at": row.paid_at,
        "closed_at": row.closed_at,
    }


def balance(row: "Balances") -> dict[str, Any]:
    return {
        "currency": row.currency,
        "wallet_minor": row.wallet_minor,
        "held_minor": row.held_minor,
        "earnings_minor": row.earnings_minor,
    }


def movement(row: "LedgerEntry") -> dict[str, Any]:
    """Wants transaction, order, listing, buyer and account joined."""
    (told,) = lines_of([row], row.account.currency)
    return line(told)


def line(row: "Line") -> dict[str, Any]:
    return {
        "at": row.at,
        "transaction": row.transaction,
        "kind": row.kind,
        "memo": row.memo,
        "text": row.text,
        "currency": row.amount.currency,
        "amount_minor": row.amount.amount_minor,
        "balance_after_minor": row.balance.amount_minor,
        "order": row.order,
        "payout": row.payout,
    }


def earned(row: "Earned") -> dict[str, Any]:
    return {
        "listing": row.listing.uuid,
        "title": row.listing.title,
        "currency": row.currency,
        "orders": row.orders,
        "gross_minor": row.gross_minor,
        "refunded_minor": row.refunded_minor,
    }
