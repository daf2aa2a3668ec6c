"""What a seller's dashboard shows: money, calls, and the way from a look to a purchase, by day and by listing. Everything is added up in
the database, in a fixed number of queries however much there is. Minor units; days in the time zone of the period."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Case, CharField, Count, F, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncDate

from market.dashboard_periods import Period
from market.models import (
    AccountKind,
    BlindEvaluation,
    LedgerEntry,
    Listing,
    ListingViews,
    Order,
    TransactionKind,
    TrialAllowance,
)
from market.payable import Payable, payables
from market.states import PlanKind
from metering.meters import Meter
from metering.queries import usage_by_subject_and_day

if TYPE_CHECKING:
    from accounts.models import Namespace

TOP = 20


@dataclass
class Flows:
    """What moved. `earned` = `gross` − `refunds` − `disputed` − `fees` − `royalties_out` + `royalties_in`."""

    gross: int = 0
    """What buyers paid for what was handed over: sales, and prepaid calls as they are made."""
    refunds: int = 0
    disputed: int = 0
    """Taken by buyers' banks, less what came back."""
    fees: int = 0
    """The site's share, less what went back with refunds."""
    royalties_out: int = 0
    """To owners upstream, less what went back."""
    royalties_in: int = 0
    """From listings derived from one's own, less what went back."""
    paid_out: int = 0
    """Payouts, less those that came back."""

    @property
    def earned(self) -> int:
        return self.gross - self.refunds - self.disputed - self.fees - self.royalties_out + self.royalties_in

    def add(self, other: "Flows") -> None:
        for name, amount in vars(other).items():
            setattr(self, name, getattr(self, name) + amount)


@dataclass
class Interest:
    """The way to a purchase. A trial: a free order, a blind evaluation, or a day on which somebody took the free calls."""

    views: int = 0
    trials: int = 0
    purchases: int = 0
    calls: int = 0

    def add(self, other: "Interest") -> None:
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)


@dataclass
class MoneyOf:
    """One currency."""

    currency: str
    standing: Payable
    """As of now, not of the period."""
    total: Flows = field(default_factory=Flows)
    by_day: dict[date, Flows] = field(default_factory=dict)


@dataclass
class TopListing:
    listing: Listing
    interest: Interest
    gross: dict[str, int]
    """By currency, after refunds."""


@dataclass(frozen=True)
class SellerFigures:
    period: Period
    money: list[MoneyOf]
    interest: Interest
    interest_by_day: dict[date, Interest]
    top: list[TopListing]

    @property
    def is_empty(self) -> bool:
        return not (self.money or self.top)


def seller_figures(owner: "Namespace", period: Period) -> SellerFigures:
    """Everything about what a namespace sells in a period. The caller has checked the right (NAMESPACE_SELL)."""
    money = {each.currency: MoneyOf(each.currency, each) for each in payables(owner)}
    for currency, day, flows in _flows(owner, period):
        found = money.setdefault(currency, MoneyOf(currency, Payable(currency, 0, 0)))
        found.total.add(flows)
        found.by_day.setdefault(day, Flows()).add(flows)
    interest, by_day, by_listing = _interest(owner, period)
    gross = _gross_by_listing(owner, period)
    keys = by_listing.keys() | gross.keys()
    listings = Listing.objects.select_related("namespace").in_bulk(keys)
    top = [TopListing(listings[pk], by_listing.get(pk, Interest()), gross.get(pk, {})) for pk in keys if pk in listings]
    top.sort(key=lambda each: (-sum(each.gross.values()), -each.interest.views, each.listing.pk))
    return SellerFigures(period, [money[key] for key in sorted(money)], interest, by_day, top[:TOP])


def _flows(owner: "Namespace", period: Period) -> "list[tuple[str, date, Flows]]":
    """Two queries: everybody's shares of one's own sales, and what else came into or left one's earnings."""
    own = _entries(period).filter(
        transaction__order__seller=owner, account__kind__in=[AccountKind.EARNINGS, AccountKind.FEES]
    )
    whose = Case(
        When(account__kind=AccountKind.FEES, then=Value("fees")),
        When(account__namespace=owner, then=Value("own")),
        default=Value("upstream"),
        output_field=CharField(),
    )
    found = [
        (row["account__currency"], row["day"], _of_sale(row["what"], row["whose"], row["total"]))
        for row in own.values("account__currency", "day", "what", whose=whose).annotate(total=Sum("amount_minor"))
    ]
    other = _entries(period).filter(account__namespace=owner, account__kind=AccountKind.EARNINGS)
    other = other.exclude(transaction__order__seller=owner)
    rows = other.values("account__currency", "day", "what", is_royalty=Q(transaction__order__isnull=False))
    for row in rows.annotate(total=Sum("amount_minor")):
        if row["is_royalty"]:
            flows = Flows(royalties_in=row["total"])
        elif row["what"] == TransactionKind.PAYOUT:
            flows = Flows(paid_out=-row["total"])
        else:
            continue
        found.append((row["account__currency"], row["day"], flows))
    return found


def _of_sale(what: str, whose: str, total: int) -> Flows:
    flows = Flows()
    if what in {TransactionKind.SALE, TransactionKind.USAGE}:
        flows.gross = total
    elif what == TransactionKind.DISPUTE:
        flows.disputed = -total
    else:
        flows.refunds = -total
    if whose == "fees":
        flows.fees = total
    elif whose == "upstream":
        flows.royalties_out = total
    return flows


def _entries(period: Period) -> "QuerySet[Any]":
    """Entries of a period with their `day` and `what` moved them; what is undone counts as what undoes it: a dispute that is won
    as a dispute, a payout that came back as a payout, a sale that is reversed as a refund."""
    undone = [TransactionKind.DISPUTE, TransactionKind.PAYOUT]
    what = Case(
        When(transaction__reverses__kind__in=undone, then=F("transaction__reverses__kind")),
        default=F("transaction__kind"),
        output_field=CharField(),
    )
    entries = LedgerEntry.objects.filter(transaction__at__gte=period.since, transaction__at__lt=period.until)
    return entries.annotate(day=TruncDate("transaction__at", tzinfo=period.zone), what=what).order_by()


def _interest(owner: "Namespace", period: Period) -> "tuple[Interest, dict[date, Interest], dict[int, Interest]]":
    """Six queries: views, evaluations, free calls, orders (free and paid), endpoints, calls."""
    total, by_day, by_listing = Interest(), defaultdict[date, Interest](Interest), defaultdict[int, Interest](Interest)

    def note(listing: int, day: date, step: Interest) -> None:
        for place in (total, by_day[day], by_listing[listing]):
            place.add(step)

    views = ListingViews.objects.filter(listing__namespace=owner, day__gte=period.first, day__lte=period.last)
    for listing, day, count in views.values_list("listing", "day", "views"):
        note(listing, day, Interest(views=count))
    tried = BlindEvaluation.objects.filter(
        listing__namespace=owner, created_at__gte=period.since, created_at__lt=period.until
    ).exclude(state__in=["failed", "cancelled"])
    days = tried.annotate(day=TruncDate("created_at", tzinfo=period.zone)).order_by()
    for row in days.values("listing", "day").annotate(count=Count("pk")):
        note(row["listing"], row["day"], Interest(trials=row["count"]))
    allowances = TrialAllowance.objects.filter(listing__namespace=owner, day__gte=period.first, day__lte=period.last)
    for row in allowances.order_by().values("listing", "day").annotate(count=Count("pk")):
        note(row["listing"], row["day"], Interest(trials=row["count"]))
    orders = Order.objects.filter(seller=owner, paid_at__gte=period.since, paid_at__lt=period.until)
    is_free = Q(plan__kind=PlanKind.FREE)
    bought = orders.annotate(day=TruncDate("paid_at", tzinfo=period.zone)).order_by()
    counted = bought.values("listing", "day").annotate(
        free=Count("pk", filter=is_free), paid=Count("pk", filter=~is_free)
    )
    for each in counted:
        note(each["listing"], each["day"], Interest(trials=each["free"], purchases=each["paid"]))
    endpoints: dict[UUID, int] = dict(
        Listing.objects.filter(namespace=owner, subject_kind="endpoint").values_list("subject_uuid", "pk")
    )
    for subject, day, count in usage_by_subject_and_day(
        Meter.INFERENCE_CALLS, endpoints, since=period.since, until=period.until, zone=period.zone
    ):
        note(endpoints[subject], day, Interest(calls=count))
    return total, dict(by_day), dict(by_listing)


def _gross_by_listing(owner: "Namespace", period: Period) -> dict[int, dict[str, int]]:
    """What buyers paid for each listing, refunds and disputes taken off. One query."""
    rows = (
        _entries(period)
        .filter(transaction__order__seller=owner, account__kind__in=[AccountKind.EARNINGS, AccountKind.FEES])
        .values("transaction__order__listing", "account__currency")
        .annotate(total=Sum("amount_minor"))
    )
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for row in rows:
        found[row["transaction__order__listing"]][row["account__currency"]] = row["total"]
    return dict(found)
