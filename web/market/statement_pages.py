"""Statements of wallets and earnings: the page and the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from django import forms
from django.http import HttpResponse, HttpResponseBase
from django.views.decorators.http import require_GET

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.policies import require_namespace
from common.clock import now
from common.errors import Invalid
from common.money import CREDIT, EXPONENTS, Money
from market.services.ledger import AccountKind
from market.statements import KINDS, Line, Statement, currencies_of, statement_of
from web.exports import PAGE, Cell, amount, csv_response, every
from web.links import order_url, payout_url, with_query
from web.market.money_pages import OwnerChoice, owner_choices
from web.render import Request, render

if TYPE_CHECKING:
    from accounts.models import Namespace

HEADINGS = ["date", "what", "amount", "balance", "currency", "transaction", "order", "payout"]
_ACTIONS = {AccountKind.WALLET: Action.NAMESPACE_WALLET, AccountKind.EARNINGS: Action.NAMESPACE_SELL}


class StatementForm(forms.Form):
    """Which account and which days; both days are in it."""

    account = forms.ChoiceField(
        choices=[(AccountKind.WALLET.value, "Wallet"), (AccountKind.EARNINGS.value, "Earnings")], label="Account"
    )
    currency = forms.ChoiceField(choices=[(code, code) for code in sorted(EXPONENTS)], label="Currency")
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))


@dataclass(frozen=True)
class Period:
    """What was asked for. `since` and `until` are days, both in it; None: open."""

    kind: AccountKind
    currency: str
    since: date | None
    until: date | None

    @classmethod
    def of(cls, owner: "Namespace", query: dict[str, str]) -> "Period":
        """Raises Invalid for what can't be read. With no day at all: this month."""
        kind = query.get("account") or AccountKind.WALLET.value
        if kind not in KINDS:
            raise Invalid("The account is wallet or earnings.", fields={"account": "unknown"})
        known = currencies_of(owner, AccountKind(kind))
        currency = query.get("currency") or next(iter(known), CREDIT)
        since, until = _day(query, "since"), _day(query, "until")
        if since is None and until is None and "since" not in query:
            since = now().date().replace(day=1)
        return cls(AccountKind(kind), currency, since, until)

    def statement(self, owner: "Namespace", cursor: str | None, limit: int = 50) -> Statement:
        return statement_of(
            owner,
            self.kind,
            self.currency,
            since=_start(self.since) if self.since else None,
            until=_start(self.until + timedelta(days=1)) if self.until else None,
            cursor=cursor,
            limit=limit,
        )

    def query(self, owner: str) -> dict[str, object]:
        return {
            "owner": owner,
            "account": self.kind.value,
            "currency": self.currency,
            "since": self.since or "",
            "until": self.until or "",
        }


@dataclass(frozen=True)
class LineRow:
    """`href` leads to the order or the payout it is about."""

    at: datetime
    text: str
    href: str
    amount: Money
    balance: Money
    is_in: bool


@dataclass(frozen=True)
class Shortcut:
    label: str
    href: str


@dataclass(frozen=True)
class StatementPage:
    title: str
    owner: str
    owners: list[OwnerChoice]
    form: forms.Form
    statement: Statement
    lines: list[LineRow]
    shortcuts: list[Shortcut]
    csv_href: str
    next_href: str
    first_href: str

    @classmethod
    def of(cls, actor: Actor, owner: "Namespace", period: Period, cursor: str) -> "StatementPage":
        found = period.statement(owner, cursor or None)
        asked = period.query(owner.name)
        path = "/statements"
        return cls(
            title="Statement",
            owner=owner.name,
            owners=owner_choices(actor, _ACTIONS[period.kind], f"{path}?account={period.kind.value}", owner.name),
            form=StatementForm(initial=asked),
            statement=found,
            lines=[_row(line) for line in found.page.items],
            shortcuts=_shortcuts(asked),
            csv_href=with_query(f"{path}/entries.csv", **asked),
            next_href=_page(asked, found.page.next_cursor) if found.page.next_cursor else "",
            first_href=_page(asked, "") if cursor else "",
        )


@require_GET
def statement(request: Request) -> HttpResponse:
    owner, period = _asked(request)
    page = StatementPage.of(request.actor, owner, period, request.GET.get("cursor", ""))
    return render(request, "market/statement.html", page)


@require_GET
def statement_csv(request: Request) -> HttpResponseBase:
    owner, period = _asked(request)
    # a wrong period is refused before the first row is on its way
    period.statement(owner, None, limit=1)
    return csv_response(f"statement-{owner.name}-{period.kind}-{period.currency}", HEADINGS, _rows(owner, period))


def _asked(request: Request) -> "tuple[Namespace, Period]":
    request.actor.require_authenticated()
    kind = request.GET.get("account") or AccountKind.WALLET.value
    action = _ACTIONS.get(AccountKind(kind) if kind in KINDS else AccountKind.WALLET, Action.NAMESPACE_WALLET)
    owner = require_namespace(request.actor, request.GET.get("owner") or request.actor.username, action)
    return owner, Period.of(owner, request.GET.dict())


def _rows(owner: "Namespace", period: Period) -> Iterator[list[Cell]]:
    for line in every(lambda cursor: period.statement(owner, cursor, limit=PAGE).page):
        yield [
            line.at,
            line.text,
            amount(line.amount),
            amount(line.balance),
            line.amount.currency,
            str(line.transaction),
            str(line.order) if line.order else None,
            str(line.payout) if line.payout else None,
        ]


def _row(line: Line) -> LineRow:
    href = order_url(line.order) if line.order else payout_url(line.payout) if line.payout else ""
    return LineRow(line.at, line.text, href, line.amount, line.balance, line.amount.amount_minor > 0)


def _shortcuts(asked: dict[str, object]) -> list[Shortcut]:
    today = now().date()
    month = today.replace(day=1)
    last = month - timedelta(days=1)
    spans: list[tuple[str, date | None, date | None]] = [
        ("This month", month, None),
        ("Last month", last.replace(day=1), last),
        ("This year", today.replace(month=1, day=1), None),
    ]
    found = [
        Shortcut(label, with_query("/statements", **{**asked, "since": since or "", "until": until or ""}))
        for label, since, until in spans
    ]
    return [*found, Shortcut("All", _page({**asked, "since": "", "until": ""}, ""))]


def _page(asked: dict[str, object], cursor: str) -> str:
    address = with_query("/statements", **asked, cursor=cursor)
    # an open beginning is said: without a word about it a statement begins with the month
    return address if asked["since"] or asked["until"] else f"{address}&since="


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _day(query: dict[str, str], name: str) -> date | None:
    raw = query.get(name, "")
    try:
        found = date.fromisoformat(raw) if raw else None
    except ValueError as error:
        raise Invalid("Write the day as 2026-01-31.", fields={name: "not a day"}) from error
    if found is not None and not 1970 <= found.year <= 9998:
        raise Invalid("Write a day from 1970 on.", fields={name: "out of range"})
    return found
