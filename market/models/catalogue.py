"""What is for sale: a listing over one model, dataset, algorithm or endpoint, and the plans it can be had on."""

from enum import StrEnum

from django.db import models
from django.db.models.functions import Lower

from common.clock import now
from common.ids import NAME_LIMIT, new_uuid
from market.states import Interval, ListingState, PlanKind, SubjectKind, Visibility
from metering.units import SIZES, Unit


def _one_of(words: type[StrEnum]) -> list[str]:
    return [word.value for word in words]


class Listing(models.Model):
    """The shop window of one subject. Its texts may change at any time; what was bought stands in the plan and the order."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="listings")
    """The seller."""
    slug = models.CharField(max_length=NAME_LIMIT)
    subject_kind = models.CharField(max_length=12, choices=[(word, word) for word in _one_of(SubjectKind)])
    subject_uuid = models.UUIDField()
    title = models.CharField(max_length=120)
    summary = models.CharField(max_length=300, blank=True)
    description = models.TextField(blank=True)
    """Markdown; sanitised where it is rendered."""
    category = models.CharField(max_length=60, blank=True)
    task = models.CharField(max_length=80, blank=True)
    licence = models.CharField(max_length=80, blank=True)
    tags = models.JSONField(default=list)
    """At most 20 lower-case words."""
    visibility = models.CharField(max_length=12, choices=[(word, word) for word in _one_of(Visibility)])
    channel = models.CharField(max_length=100, default="latest")
    """Which version of a repository is offered (registry/channels.py); an endpoint offers the one it serves: always `latest`."""
    example_input = models.TextField(blank=True)
    """What to call it with, as JSON."""
    support_contact = models.CharField(max_length=200, blank=True)
    """A mail address or an https address."""
    return_terms = models.TextField(blank=True)
    """What the seller promises beyond the days of return, which stand in each plan. Shown at checkout."""
    state = models.CharField(max_length=12, default=ListingState.DRAFT, choices=[(w, w) for w in _one_of(ListingState)])
    blind_runs = models.PositiveSmallIntegerField(null=True)
    """Blind evaluations that one buyer may have in a month; null: as the site says, 0: none."""
    trial_calls = models.PositiveIntegerField(null=True)
    """Calls a day that a person may make to its endpoint without buying; null: as the site says, 0: none."""
    sales = models.BigIntegerField(default=0)
    """Orders that were fulfilled; refunded ones are taken off."""
    rating_count = models.PositiveIntegerField(default=0)
    """Buyer reviews that stand (not hidden)."""
    rating_sum = models.PositiveIntegerField(default=0)
    """Their stars together."""
    likes = models.PositiveIntegerField(default=0)
    told_version = models.CharField(max_length=100, blank=True)
    """The version on its channel that followers know of."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)
    updated_at = models.DateTimeField(default=now)
    published_at = models.DateTimeField(null=True)
    submitted_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    """Who asked for the review under way or for the last one; that person does not decide it."""
    submitted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("namespace", Lower("slug"), name="listing_slug_ci"),
            models.UniqueConstraint(
                fields=["subject_kind", "subject_uuid"],
                condition=~models.Q(state=ListingState.WITHDRAWN),
                name="listing_once_per_subject",
            ),
            models.CheckConstraint(condition=models.Q(state__in=_one_of(ListingState)), name="listing_state"),
            models.CheckConstraint(condition=models.Q(visibility__in=_one_of(Visibility)), name="listing_visibility"),
            models.CheckConstraint(
                condition=models.Q(subject_kind__in=_one_of(SubjectKind)), name="listing_subject_kind"
            ),
        ]
        indexes = [
            models.Index(fields=["namespace", "-updated_at", "-id"], name="listing_in_namespace"),
            models.Index(fields=["subject_uuid"], name="listing_by_subject"),
            models.Index(
                fields=["submitted_at", "id"],
                condition=models.Q(state=ListingState.IN_REVIEW),
                name="listing_review_queue",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Plan(models.Model):
    """One offer of a listing, never edited: a new price is a new plan, and the old one is retired. Amounts in minor units."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="plans")
    number = models.PositiveIntegerField()
    """1, 2, 3… within the listing."""
    kind = models.CharField(max_length=12, choices=[(word, word) for word in _one_of(PlanKind)])
    name = models.CharField(max_length=80)
    price_minor = models.BigIntegerField()
    """FREE: 0. ONE_TIME: for good. PAY_PER_USE: for one pack of `unit_size` units; with `tiers` that of the first tier.
    SUBSCRIPTION: for one period."""
    currency = models.CharField(max_length=3)
    unit = models.CharField(max_length=8, default=Unit.CALLS, choices=[(word, word) for word in _one_of(Unit)])
    """What use of an endpoint is counted in, here and in what is bought from here: see metering/units.py."""
    unit_size = models.PositiveIntegerField(default=1)
    """PAY_PER_USE: units in a pack, one of `metering.units.SIZES`. SUBSCRIPTION with overage: how many units `overage_minor` is for. Else 1."""
    included_units = models.BigIntegerField(null=True)
    """PAY_PER_USE: free units that come with a buyer's first order. SUBSCRIPTION: units of each period. On an endpoint otherwise: all units
    there are. Null without limit, and where nothing is called."""
    per_seat = models.BooleanField(default=False)
    """ONE_TIME and what is paid again and again: the price is that of one seat, and an organisation gives its seats to members
    and teams. `included_units` come with each seat; all seats draw on them together."""
    refund_window_days = models.PositiveIntegerField(default=0)
    """Days in which the buyer may undo the order without asking."""
    tiers = models.JSONField(default=list)
    """PAY_PER_USE with prices by volume: `[[up_to_units, price_minor], …]`, rising, the last `up_to_units` null. Of the paid units
    of one order those up to and with number `up_to_units` cost `price_minor` for each `unit_size`. So for SUBSCRIPTION, of the units
    beyond the quota of one period. Else empty."""
    interval = models.CharField(max_length=5, blank=True, choices=[(word, word) for word in _one_of(Interval)])
    """SUBSCRIPTION: how long a period is. Else empty."""
    trial_days = models.PositiveSmallIntegerField(default=0)
    """SUBSCRIPTION: days that cost nothing, once for each buyer and listing."""
    overage_minor = models.BigIntegerField(null=True)
    """SUBSCRIPTION: what `unit_size` units beyond the quota cost, with `tiers` those of the first; null: the quota is a hard stop."""
    overage_units = models.BigIntegerField(null=True)
    """SUBSCRIPTION with overage: how many units beyond the quota there are at most in one period."""
    offered_to = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.PROTECT, related_name="+")
    """A private offer: nobody but this namespace sees and buys it. Null: everybody."""
    offer_ends_at = models.DateTimeField(null=True)
    """When a private offer ends; null: when it is retired."""
    offer_note = models.CharField(max_length=500, blank=True)
    """What the seller says to the buyer of a private offer."""
    created_at = models.DateTimeField(default=now)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "number"], name="plan_number_once"),
            models.CheckConstraint(
                condition=models.Q(kind=PlanKind.FREE, price_minor=0)
                | models.Q(
                    kind__in=[PlanKind.ONE_TIME, PlanKind.PAY_PER_USE, PlanKind.SUBSCRIPTION], price_minor__gt=0
                ),
                name="plan_price_fits_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(kind=PlanKind.SUBSCRIPTION, interval__in=_one_of(Interval))
                | (
                    ~models.Q(kind=PlanKind.SUBSCRIPTION)
                    & models.Q(interval="", trial_days=0, overage_minor__isnull=True, overage_units__isnull=True)
                ),
                name="plan_interval_fits_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(overage_minor__isnull=True, overage_units__isnull=True)
                | models.Q(overage_minor__gt=0, overage_units__gt=0, included_units__isnull=False),
                name="plan_overage_has_limit",
            ),
            models.CheckConstraint(
                condition=models.Q(unit_size__in=sorted({size for sizes in SIZES.values() for size in sizes})),
                name="plan_unit_size",
            ),
            models.CheckConstraint(
                condition=models.Q(offered_to__isnull=False) | models.Q(offer_ends_at__isnull=True, offer_note=""),
                name="plan_offer_has_buyer",
            ),
        ]

    def __str__(self) -> str:
        return self.name
