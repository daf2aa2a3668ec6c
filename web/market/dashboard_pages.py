"""What the dashboards show: a seller's money, calls and way to a purchase; a buyer's spending. The tables are the charts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from accounts.actors import Actor
from accounts.permissions import Action
from common.money import Money, format_money
from market.dashboard_periods import CHOICES, Period, month_of, period_of
from market.dashboard_queries import Flows, Interest, MoneyOf, SellerFigures, seller_figures
from market.spending_queries import Spending, forecasts, spending_of
from web.exports import Cell
from web.exports import amount as as_number
from web.links import listing_url, with_query
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace

SELLING, SPENDING = "/sell/dashboard", "/library/spending"


@dataclass(frozen=True)
class DayCell:
    text: str
    value: Decimal | int


@dataclass(frozen=True)
class DayRow:
    day: date
    cells: list[DayCell]


@dataclass(frozen=True)
class DaysChart:
    id: str
    title: str
    unit: str
    series: list[str]
    rows: list[DayRow]
    csv_href: str


@dataclass(frozen=True)
class RangeView:
    """The days that are shown; `choices` are the usual ones."""

    first: date
    last: date
    zone: str
    choices: list[OwnerChoice]
    path: str
    owner: str

    @classmethod
    def of(cls, path: str, owner: str, period: Period, asked: "Asked") -> "RangeView":
        now_on = "" if asked.first or asked.last else asked.days or str(CHOICES[1])
        choices = [
            OwnerChoice(f"{days} days", with_query(path, owner=owner, days=days), str(days) == now_on)
            for days in CHOICES
        ]
        return cls(period.first, period.last, period.zone.key, choices, path, owner)


@dataclass(frozen=True)
class Asked:
    """The days that an address asks for, as written there."""

    days: str = ""
    first: str = ""
    last: str = ""

    def period(self, zone: str) -> Period:
        return period_of(days=self.days, first=self.first, last=self.last, zone=zone)

    def link(self, path: str, owner: str) -> str:
        return with_query(path, owner=owner, days=self.days, since=self.first, until=self.last)


@dataclass(frozen=True)
class Figure:
    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class MoneyPanel:
    currency: str
    figures: list[Figure]
    chart: DaysChart


@dataclass(frozen=True)
class Step:
    """One step on the way to a purchase. `share`: of the views; None where there are fewer of them, because not all looks are counted."""

    label: str
    count: int
    share: float | None
    note: str


@dataclass(frozen=True)
class TopRow:
    title: str
    href: str
    views: int
    trials: int
    purchases: int
    calls: int
    money: list[Money]


@dataclass(frozen=True)
class SellerDashboardPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    range: RangeView
    panels: list[MoneyPanel]
    steps: list[Step]
    interest: DaysChart
    calls: DaysChart | None
    top: list[TopRow]
    top_href: str
    is_empty: bool

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", asked: Asked, zone: str) -> "SellerDashboardPage":
        period = asked.period(zone)
        found = seller_figures(owner, period)
        days_href = asked.link(f"{SELLING}/days.csv", owner.name)
        return cls(
            title="Dashboard",
            owner=owner.name,
            owners=owner_choices(actor, Action.NAMESPACE_SELL, SELLING, owner.name),
            range=RangeView.of(SELLING, owner.name, period, asked),
            panels=[_panel(each, period, days_href) for each in found.money],
            steps=_steps(found.interest),
            interest=_chart(
                "interest",
                "From a look to a purchase",
                "how many",
                ["Views", "Trials", "Purchases"],
                period,
                lambda day: _counts(found.interest_by_day.get(day, Interest()))[:3],
                days_href,
            ),
            calls=_chart(
                "calls",
                "Calls of endpoints",
                "calls",
                ["Calls"],
                period,
                lambda day: _counts(found.interest_by_day.get(day, Interest()))[3:],
                days_href,
            )
            if found.interest.calls
            else None,
            top=[_top(each.listing, each.interest, each.gross) for each in found.top],
            top_href=asked.link(f"{SELLING}/listings.csv", owner.name),
            is_empty=found.is_empty,
        )


@dataclass(frozen=True)
class SpentRow:
    name: str
    href: str
    orders: int
    paid: Money
    back: Money
    net: Money


@dataclass(frozen=True)
class SpendingPanel:
    currency: str
    figures: list[Figure]
    chart: DaysChart
    listings: list[SpentRow]
    members: list[SpentRow]


@dataclass(frozen=True)
class TokenRow:
    title: str
    token: str
    calls: int


@dataclass(frozen=True)
class SpendingPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    range: RangeView
    panels: list[SpendingPanel]
    tokens: list[TokenRow]
    csv_href: str
    is_empty: bool

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", asked: Asked, zone: str) -> "SpendingPage":
        period = asked.period(zone)
        found = spending_of(owner, period)
        expected = {each.currency: each for each in forecasts(owner, month_of(zone))}
        csv_href = asked.link(f"{SPENDING}.csv", owner.name)
        panels = []
        for each in found.money:
            month = expected.get(each.currency)
            figures = [
                Figure("Spent", _money(each.total.net, each.currency), f"{each.total.orders:,} orders"),
                Figure("Came back", _money(each.total.back, each.currency), "refunds in these days"),
            ]
            if month:
                so_far = f"{_money(month.so_far, each.currency)} so far, if it goes on like this"
                figures.append(Figure("By the end of the month", _money(month.until_end, each.currency), so_far))
            chart = _chart(
                f"spent-{each.currency}",
                f"Spent in {each.currency}",
                each.currency,
                ["Paid", "Came back"],
                period,
                lambda day, of=each: _amounts(  # type: ignore[misc]
                    (of.by_day[day].paid, of.by_day[day].back) if day in of.by_day else (0, 0), of.currency
                ),
                csv_href,
            )
            panels.append(
                SpendingPanel(
                    each.currency,
                    figures,
                    chart,
                    [
                        _spent(found.listings[pk].title, _href(found, pk), each.currency, spent)
                        for pk, spent in sorted(each.by_listing.items(), key=lambda pair: -pair[1].net)
                    ],
                    [
                        _spent(name or "Somebody who left", "", each.currency, spent)
                        for name, spent in sorted(each.by_member.items(), key=lambda pair: -pair[1].net)
                    ],
                )
            )
        tokens = [TokenRow(each.title, each.token, each.calls) for each in found.tokens]
        return cls(
            title="Spending",
            owner=owner.name,
            owners=owner_choices(actor, Action.ORDER_READ, SPENDING, owner.name),
            range=RangeView.of(SPENDING, owner.name, period, asked),
            panels=panels,
            tokens=tokens,
            csv_href=csv_href,
            is_empty=not (panels or tokens),
        )


DAYS = [
    "day", "currency", "gross", "refunds", "disputed", "fees", "royalties paid", "royalties received", "earned", "paid out",
    "views", "trials", "purchases", "calls",
]  # fmt: skip
LISTINGS = ["listing", "views", "trials", "purchases", "calls", "paid by buyers after refunds", "currency"]
SPENT = ["day", "currency", "orders", "paid", "came back"]


def day_rows(found: SellerFigures) -> Iterator[list[Cell]]:
    """A line for each day and currency; what has no currency stands in the first one's line."""
    for day in found.period.days:
        counts: list[Cell] = [cell.value for cell in _counts(found.interest_by_day.get(day, Interest()))]
        nothing = not found.money
        for number, each in enumerate(found.money):
            flows = each.by_day.get(day, Flows())
            amounts: list[Cell] = [as_number(Money(part, each.currency)) for part in _parts(flows)]
            yield [day, each.currency, *amounts, *(counts if number == 0 else [None] * 4)]
        if nothing:
            yield [day, None, *[None] * 8, *counts]


def listing_rows(found: SellerFigures) -> Iterator[list[Cell]]:
    for each in found.top:
        counts = [each.interest.views, each.interest.trials, each.interest.purchases, each.interest.calls]
        for currency, total in (each.gross or {"": 0}).items():
            paid = as_number(Money(total, currency)) if currency else None
            yield [each.listing.title, *counts, paid, currency]


def spent_rows(found: Spending) -> Iterator[list[Cell]]:
    for day in found.period.days:
        for each in found.money:
            if day in each.by_day:
                spent = each.by_day[day]
                amounts = (as_number(Money(part, each.currency)) for part in (spent.paid, spent.back))
                yield [day, each.currency, spent.orders, *amounts]


def _parts(flows: Flows) -> list[int]:
    return [
        flows.gross, flows.refunds, flows.disputed, flows.fees, flows.royalties_out, flows.royalties_in, flows.earned,
        flows.paid_out,
    ]  # fmt: skip


def _panel(of: MoneyOf, period: Period, csv_href: str) -> MoneyPanel:
    total, currency = of.total, of.currency
    figures = [
        Figure("Paid by buyers", _money(total.gross, currency), "sales, and calls as they are made"),
        Figure("Refunds", _money(total.refunds, currency), "borne by all who got a share"),
        Figure("Fees of the site", _money(total.fees, currency), "less what went back"),
        Figure("Royalties paid", _money(total.royalties_out, currency), "to owners upstream"),
        Figure("Royalties received", _money(total.royalties_in, currency), "from derived listings"),
        Figure("Earned", _money(total.earned, currency), "what is left of it"),
        Figure("Paid out", _money(total.paid_out, currency), "in these days"),
        Figure("Held for now", _money(of.standing.held_minor, currency), "today, earned too recently"),
        Figure("Ready", _money(of.standing.ready_minor, currency), "today, for the next payout"),
    ]
    if total.disputed:
        figures.insert(2, Figure("Disputed", _money(total.disputed, currency), "taken by buyers' banks"))
    chart = _chart(
        f"money-{currency}",
        f"Money in {currency}",
        currency,
        ["Paid by buyers", "Refunds", "Earned"],
        period,
        lambda day: _amounts([(flows := of.by_day.get(day, Flows())).gross, flows.refunds, flows.earned], currency),
        csv_href,
    )
    return MoneyPanel(currency, figures, chart)


def _steps(interest: Interest) -> list[Step]:
    counts = [interest.views, interest.trials, interest.purchases]
    shares = [None, *(count / interest.views if 0 < interest.views >= count else None for count in counts[1:])]
    words = [("Views", "of listings by people"), ("Trials", "free orders, blind evaluations"), ("Purchases", "paid")]
    return [Step(label, count, share, note) for (label, note), count, share in zip(words, counts, shares, strict=True)]


def _chart(
    name: str,
    title: str,
    unit: str,
    series: list[str],
    period: Period,
    cells: Callable[[date], list[DayCell]],
    csv_href: str,
) -> DaysChart:
    return DaysChart(name, title, unit, series, [DayRow(day, cells(day)) for day in period.days], csv_href)


def _amounts(parts: Iterable[int], currency: str) -> list[DayCell]:
    return [DayCell(_money(part, currency), as_number(Money(part, currency))) for part in parts]


def _counts(interest: Interest) -> list[DayCell]:
    parts = (interest.views, interest.trials, interest.purchases, interest.calls)
    return [DayCell(f"{part:,}", part) for part in parts]


def _money(amount_minor: int, currency: str) -> str:
    return format_money(Money(amount_minor, currency)).replace("-", "−")


def _top(listing: object, interest: Interest, gross: dict[str, int]) -> TopRow:
    return TopRow(
        listing.title,  # type: ignore[attr-defined]
        listing_url(listing.namespace.name, listing.slug),  # type: ignore[attr-defined]
        interest.views,
        interest.trials,
        interest.purchases,
        interest.calls,
        [Money(total, currency) for currency, total in sorted(gross.items())],
    )


def _href(found: Spending, pk: int) -> str:
    listing = found.listings[pk]
    return listing_url(listing.namespace.name, listing.slug)


def _spent(name: str, href: str, currency: str, spent: object) -> SpentRow:
    money = [Money(part, currency) for part in (spent.paid, spent.back, spent.net)]  # type: ignore[attr-defined]
    return SpentRow(name, href, spent.orders, *money)  # type: ignore[attr-defined]
