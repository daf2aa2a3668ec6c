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
from market.spending_queries import Spending, Spent, forecasts, spending_of
from market.use_queries import Used, UseIn
from web.exports import Cell
from web.exports import amount as as_number
from web.links import listing_url, with_query
from web.market.cap_pages import CapRow, cap_rows
from web.market.money_pages import OwnerChoice, owner_choices

if TYPE_CHECKING:
    from accounts.models import Namespace

SELLING, SPENDING = "/sell/dashboard", "/library/spending"
UNTOLD = "Cannot be told"
_TEAM_NOTES: dict[tuple[str, ...] | None, str] = {None: "made with a token that was not noted, or is gone"}


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
    use: "UseView"


@dataclass(frozen=True)
class UseRow:
    """`cost` is None where no call has a price."""

    name: str
    note: str
    calls: int
    cost: Money | None

    @classmethod
    def of(cls, name: str, note: str, used: Used, currency: str) -> "UseRow":
        return cls(name, note, used.calls, Money(used.cost_minor, currency) if currency else None)


@dataclass(frozen=True)
class UseView:
    """Calls of these days and what they cost, by token and, of an organisation, by team; both come to `total`. None of them: there is
    nothing to show."""

    total: UseRow
    chart: DaysChart | None
    tokens: list[UseRow]
    teams: list[UseRow]

    @classmethod
    def of(cls, use: UseIn, chart: DaysChart | None = None) -> "UseView":
        tokens = [
            UseRow.of(each.name or UNTOLD, _titles(each.by_title), each.total, use.currency) for each in use.tokens
        ]
        teams = [
            UseRow.of(team_words(each.teams), _TEAM_NOTES.get(each.teams, ""), each.total, use.currency)
            for each in use.teams
        ]
        return cls(UseRow.of("Together", "", use.total, use.currency), chart, tokens, teams)


@dataclass(frozen=True)
class SpendingPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    range: RangeView
    panels: list[SpendingPanel]
    free: UseView | None
    caps: list[CapRow]
    caps_href: str
    csv_href: str
    use_href: str
    is_empty: bool

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", asked: Asked, zone: str) -> "SpendingPage":
        period = asked.period(zone)
        found = spending_of(owner, period)
        expected = {each.currency: each for each in forecasts(owner, month_of(zone))}
        csv_href, use_href = (asked.link(f"{SPENDING}{path}", owner.name) for path in (".csv", "/calls.csv"))
        panels = []
        for each in found.money:
            month = expected.get(each.currency)
            figures = [
                Figure("Spent", _money(each.total.net, each.currency), f"{each.total.orders:,} orders"),
                Figure("Came back", _money(each.total.back, each.currency), "refunds in these days"),
            ]
            if not each.use.is_empty:
                count = f"{each.use.total.calls:,} calls in these days, whenever they were paid"
                figures.append(Figure("Cost of calls", _money(each.use.total.cost_minor, each.currency), count))
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
                    UseView.of(each.use, _use_chart(each.use, period, csv_href)),
                )
            )
        return cls(
            title="Spending",
            owner=owner.name,
            owners=owner_choices(actor, Action.ORDER_READ, SPENDING, owner.name),
            range=RangeView.of(SPENDING, owner.name, period, asked),
            panels=panels,
            free=None if found.free.is_empty else UseView.of(found.free),
            caps=cap_rows(owner),
            caps_href=with_query("/library/caps", owner=owner.name),
            csv_href=csv_href,
            use_href="" if all(use.is_empty for use in uses_in(found)) else use_href,
            is_empty=not panels and found.free.is_empty,
        )


DAYS = [
    "day", "currency", "gross", "refunds", "disputed", "fees", "royalties paid", "royalties received", "earned", "paid out",
    "views", "trials", "purchases", "calls",
]  # fmt: skip
LISTINGS = ["listing", "views", "trials", "purchases", "calls", "paid by buyers after refunds", "currency"]
SPENT = ["day", "currency", "orders", "paid", "came back", "calls", "cost of calls"]
USED = ["token", "teams", "endpoint", "currency", "calls", "cost"]


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
            if day in each.by_day or day in each.use.by_day:
                spent, used = each.by_day.get(day, Spent()), each.use.by_day.get(day, Used())
                paid, back, cost = (
                    as_number(Money(part, each.currency)) for part in (spent.paid, spent.back, used.cost_minor)
                )
                yield [day, each.currency, spent.orders, paid, back, used.calls, cost]


def used_rows(found: Spending) -> Iterator[list[Cell]]:
    """A line for each token and endpoint; the costs of a currency come to what its calls cost together."""
    for use in uses_in(found):
        for token in use.tokens:
            teams = "" if token.teams is None else ", ".join(token.teams)
            for title, used in sorted(token.by_title.items()):
                cost = as_number(Money(used.cost_minor, use.currency)) if use.currency else None
                yield [token.name or UNTOLD, teams, title, use.currency, used.calls, cost]


def uses_in(found: Spending) -> list[UseIn]:
    return [*(each.use for each in found.money), found.free]


def team_words(teams: tuple[str, ...] | None) -> str:
    if teams is None:
        return UNTOLD
    return " and ".join(teams) or "In no team"


def _titles(by_title: dict[str, Used]) -> str:
    """The endpoints that were called, the most called first; no more than three by name."""
    names = sorted(by_title, key=lambda title: (-by_title[title].calls, title))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _use_chart(use: UseIn, period: Period, csv_href: str) -> DaysChart | None:
    if use.is_empty:
        return None
    return _chart(
        f"calls-{use.currency}",
        f"Cost of calls in {use.currency}",
        use.currency,
        ["Cost"],
        period,
        lambda day: _amounts([use.by_day.get(day, Used()).cost_minor], use.currency),
        csv_href,
    )


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
