"""Listings, orders and money on the wire. Amounts are whole minor units of their currency."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from market.showing import channel_words
from market.states import REVIEW_CHECKS, ListingState, OrderState, PlanKind, ReviewStep, SubjectKind, Visibility

if TYPE_CHECKING:
    from market.models import LedgerEntry, Listing, ListingImage, Order, Plan, ReviewEntry
    from market.queries import Access, Balances, Earned
    from market.readiness import Check
    from market.showing import Change, Showing

SUBJECTS = [each.value for each in SubjectKind]
PLANS = [each.value for each in PlanKind]
VISIBILITIES = [each.value for each in Visibility]


class PlanWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    kind = serializers.ChoiceField(PLANS)
    name = serializers.CharField()
    price_minor = serializers.IntegerField()
    currency = serializers.CharField()
    unit_calls = serializers.IntegerField()
    included_calls = serializers.IntegerField(allow_null=True)
    refund_window_days = serializers.IntegerField()
    retired_at = serializers.DateTimeField(allow_null=True)


class PlanNew(serializers.Serializer):
    kind = serializers.ChoiceField(PLANS)
    name = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    price_minor = serializers.IntegerField(min_value=0, required=False, default=0)
    currency = serializers.CharField(max_length=3, required=False, default="CRD")
    unit_calls = serializers.IntegerField(required=False, default=1)
    included_calls = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)
    refund_window_days = serializers.IntegerField(required=False, default=14, min_value=0)


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
    images = ImageWire(many=True)
    sales = serializers.IntegerField()
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


class OrderWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    buyer = serializers.CharField()
    seller = serializers.CharField()
    listing = serializers.UUIDField()
    listing_title = serializers.CharField()
    plan = serializers.UUIDField()
    quantity = serializers.IntegerField()
    total_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    currency = serializers.CharField()
    state = serializers.ChoiceField([each.value for each in OrderState])
    payment_url = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)


class RefundNew(serializers.Serializer):
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class AccessWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    order = serializers.UUIDField()
    listing = serializers.UUIDField()
    title = serializers.CharField()
    subject_kind = serializers.ChoiceField(SUBJECTS)
    subject_uuid = serializers.UUIDField()
    used_calls = serializers.IntegerField(allow_null=True)
    left_calls = serializers.IntegerField(allow_null=True)
    charged_minor = serializers.IntegerField()
    currency = serializers.CharField()
    created_at = serializers.DateTimeField()


class BalanceWire(serializers.Serializer):
    currency = serializers.CharField()
    wallet_minor = serializers.IntegerField()
    held_minor = serializers.IntegerField()
    earnings_minor = serializers.IntegerField()


class WalletWire(serializers.Serializer):
    balances = BalanceWire(many=True)


class MovementWire(serializers.Serializer):
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    memo = serializers.CharField(allow_blank=True)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField()
    balance_after_minor = serializers.IntegerField()


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
        "unit_calls": row.unit_calls,
        "included_calls": row.included_calls,
        "refund_window_days": row.refund_window_days,
        "retired_at": row.retired_at,
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
        "images": [image(each) for each in showing.images],
        "sales": row.sales,
        "plans": [plan(each) for each in plans],
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def order(row: "Order") -> dict[str, Any]:
    """Wants buyer, seller, listing and plan joined."""
    return {
        "uuid": row.uuid,
        "buyer": row.buyer.name,
        "seller": row.seller.name,
        "listing": row.listing.uuid,
        "listing_title": row.listing.title,
        "plan": row.plan.uuid,
        "quantity": row.quantity,
        "total_minor": row.total_minor,
        "refunded_minor": row.refunded_minor,
        "currency": row.currency,
        "state": row.state,
        "payment_url": row.payment_url,
        "created_at": row.created_at,
        "paid_at": row.paid_at,
        "closed_at": row.closed_at,
    }


def access(row: "Access") -> dict[str, Any]:
    held = row.entitlement
    return {
        "uuid": held.uuid,
        "order": held.order.uuid,
        "listing": held.listing.uuid,
        "title": held.listing.title,
        "subject_kind": held.subject_kind,
        "subject_uuid": held.subject_uuid,
        "used_calls": row.used_calls,
        "left_calls": row.left_calls,
        "charged_minor": row.charged_minor,
        "currency": held.order.currency,
        "created_at": held.created_at,
    }


def balance(row: "Balances") -> dict[str, Any]:
    return {
        "currency": row.currency,
        "wallet_minor": row.wallet_minor,
        "held_minor": row.held_minor,
        "earnings_minor": row.earnings_minor,
    }


def movement(row: "LedgerEntry") -> dict[str, Any]:
    return {
        "at": row.transaction.at,
        "kind": row.transaction.kind,
        "memo": row.transaction.memo,
        "currency": row.account.currency,
        "amount_minor": row.amount_minor,
        "balance_after_minor": row.balance_after_minor,
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
