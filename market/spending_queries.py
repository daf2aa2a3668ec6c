"""What a buyer spends: by listing, by who ordered, by day; calls by token; and a forecast for the month. Added up in the database, in a
fixed number of queries. Minor units; days in the time zone of the period."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncDate

from accounts.directory import names_of, names_of_tokens
from common.clock import now
from market.dashboard_periods import Period
from market.models import Listing, Order, Refund
from metering.meters import Meter
from metering.queries import usage_by_subject_and_token

if TYPE_CHECKING:
    from accounts.models import Namespace


@dataclass
class Spent:
    """Paid for orders, and what came back."""

    orders: int = 0
    paid: int = 0
    back: int = 0

    @property
    def net(self) -> int:
        return self.paid - self.back

    def add(self, other: "Spent") -> None:
        self.orders += other.orders
        self.paid += other.paid
        self.back += other.back


@dataclass
class SpentIn:
    """One currency. `by_listing`: primary key of the listing; `by_member`: name of who ordered, empty for somebody who left."""

    currency: str
    total: Spent = field(default_factory=Spent)
    by_day: dict[date, Spent] = field(default_factory=lambda: defaultdict(Spent))
    by_listing: dict[int, Spent] = field(default_factory=lambda: defaultdict(Spent))
    by_member: dict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))


@dataclass(frozen=True)
class TokenCalls:
    """Calls of one endpoint with one token. `token`: `walt: notebook`; empty when metering has not noted it, or it is gone."""

    title: str
    token: str
    calls: int


@dataclass(frozen=True)
class Spending:
    period: Period
    money: list[SpentIn]
    listings: dict[int, Listing]
    tokens: list[TokenCalls]


@dataclass(frozen=True)
class Forecast:
    """What the month comes to when it goes on as it began: spent so far, by the part of the month that is over."""

    currency: str
    so_far: int
    until_end: int


def spending_of(buyer: "Namespace", period: Period) -> Spending:
    """What a namespace spent in a period. The caller has checked the right (ORDER_READ). Six queries."""
    money = _spent(buyer, period)
    listings = Listing.objects.select_related("namespace").in_bulk({pk for each in money for pk in each.by_listing})
    return Spending(period, money, listings, _tokens(buyer, period))


def forecasts(buyer: "Namespace", month: Period) -> list[Forecast]:
    """For each currency in which something moved in `month`, which is the present one. Linear over the time that has passed, from at
    least one day on; what is net below zero stays as it is. Three queries."""
    whole, passed = (month.until - month.since).total_seconds(), (now() - month.since).total_seconds()
    day = 24 * 3600
    found = []
    for each in _spent(buyer, month):
        so_far = each.total.net
        rest = round(so_far * whole / max(passed, day)) if so_far > 0 else so_far
        found.append(Forecast(each.currency, so_far, rest))
    return found


def _spent(buyer: "Namespace", period: Period) -> list[SpentIn]:
    """Three queries: orders, refunds, the names of who ordered."""
    orders = Order.objects.filter(
        buyer=buyer, total_minor__gt=0, paid_at__gte=period.since, paid_at__lt=period.until
    ).annotate(day=TruncDate("paid_at", tzinfo=period.zone))
    refunds = Refund.objects.filter(
        order__buyer=buyer, created_at__gte=period.since, created_at__lt=period.until
    ).annotate(day=TruncDate("created_at", tzinfo=period.zone))
    paid = _grouped(orders, "").annotate(total=Sum("total_minor"), count=Count("pk"))
    back = _grouped(refunds, "order__").annotate(total=Sum("amount_minor"))
    rows = [(row, Spent(orders=row["count"], paid=row["total"])) for row in paid]
    rows += [(row, Spent(back=row["total"])) for row in back]
    names = names_of({row["by"] for row, _ in rows if row["by"]})
    found: dict[str, SpentIn] = {}
    for row, spent in rows:
        place = found.setdefault(row["money"], SpentIn(row["money"]))
        place.total.add(spent)
        place.by_day[row["day"]].add(spent)
        place.by_listing[row["of"]].add(spent)
        place.by_member[names.get(row["by"], "")].add(spent)
    return [found[currency] for currency in sorted(found)]


def _grouped(rows: Any, order: str) -> Any:
    """By day, and of the order that `order` leads to: listing (`of`), who placed it (`by`) and currency (`money`)."""
    keys = {"of": F(f"{order}listing"), "by": F(f"{order}placed_by"), "money": F(f"{order}currency")}
    return rows.order_by().values("day", **keys)


def _tokens(buyer: "Namespace", period: Period) -> list[TokenCalls]:
    rows = usage_by_subject_and_token(Meter.INFERENCE_CALLS, buyer.uuid, since=period.since, until=period.until)
    titles = dict(
        Listing.objects.filter(Q(subject_uuid__in={subject for subject, _, _ in rows}))
        .order_by("pk")
        .values_list("subject_uuid", "title")
    )
    names = names_of_tokens({token for _, token, _ in rows if token})
    found = [
        TokenCalls(titles.get(subject, "an endpoint of one's own"), names.get(token, ""), calls)
        for subject, token, calls in rows
    ]
    return sorted(found, key=lambda each: (-each.calls, each.title, each.token))[:100]
