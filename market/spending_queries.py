"""What a buyer spends: by listing, by who ordered, by day; what calls cost; and a forecast for the month. Added up in the database, in a
fixed number of queries. Minor units; days in the time zone of the period."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Sum
from django.db.models.functions import TruncDate

from accounts.directory import names_of
from common.clock import now
from market.dashboard_periods import Period
from market.models import Listing, Order, Refund
from market.use_queries import UseIn, use_of

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
    """One currency. `use`: what the calls of these days cost, whenever they were paid. `by_listing`: primary key of the listing;
    `by_member`: name of who ordered, empty for somebody who left."""

    currency: str
    use: UseIn
    total: Spent = field(default_factory=Spent)
    by_day: dict[date, Spent] = field(default_factory=lambda: defaultdict(Spent))
    by_listing: dict[int, Spent] = field(default_factory=lambda: defaultdict(Spent))
    by_member: dict[str, Spent] = field(default_factory=lambda: defaultdict(Spent))


@dataclass(frozen=True)
class Spending:
    period: Period
    money: list[SpentIn]
    listings: dict[int, Listing]
    free: UseIn
    """Calls without a purchase: to endpoints of one's own, and free ones."""


@dataclass(frozen=True)
class Forecast:
    """What the month comes to when it goes on as it began: spent so far, by the part of the month that is over."""

    currency: str
    so_far: int
    until_end: int


def spending_of(buyer: "Namespace", period: Period) -> Spending:
    """What a namespace spent in a period. The caller has checked the right (ORDER_READ). Fourteen queries at most."""
    use = use_of(buyer, period)
    spent = {each.currency: each for each in _spent(buyer, period, use)}
    money = [
        spent.get(currency) or SpentIn(currency, use[currency])
        for currency in sorted(spent.keys() | use.keys())
        if currency
    ]
    listings = Listing.objects.select_related("namespace").in_bulk({pk for each in money for pk in each.by_listing})
    return Spending(period, money, listings, use.get("", UseIn("")))


def forecasts(buyer: "Namespace", month: Period) -> list[Forecast]:
    """For each currency in which something moved in `month`, which is the present one. Linear over the time that has passed, from at
    least one day on; what is net below zero stays as it is. Three queries."""
    whole, passed = (month.until - month.since).total_seconds(), (now() - month.since).total_seconds()
    day = 24 * 3600
    found = []
    for each in _spent(buyer, month, {}):
        so_far = each.total.net
        rest = round(so_far * whole / max(passed, day)) if so_far > 0 else so_far
        found.append(Forecast(each.currency, so_far, rest))
    return found


def _spent(buyer: "Namespace", period: Period, use: dict[str, UseIn]) -> list[SpentIn]:
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
        place = found.setdefault(row["money"], SpentIn(row["money"], use.get(row["money"], UseIn(row["money"]))))
        place.total.add(spent)
        place.by_day[row["day"]].add(spent)
        place.by_listing[row["of"]].add(spent)
        place.by_member[names.get(row["by"], "")].add(spent)
    return [found[currency] for currency in sorted(found)]


def _grouped(rows: Any, order: str) -> Any:
    """By day, and of the order that `order` leads to: listing (`of`), who placed it (`by`) and currency (`money`)."""
    keys = {"of": F(f"{order}listing"), "by": F(f"{order}placed_by"), "money": F(f"{order}currency")}
    return rows.order_by().values("day", **keys)
