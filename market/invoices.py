"""What stands on invoices, credit notes and usage statements: lines and their sums, numbers, months, parties. No database, no clock.

Everything is computed from the beginning and taken as a difference (`parts_of`, `usage_lines`), as in `market.rating`: in how many
documents a sum is told does not matter, together they tell the whole."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from common.countries import COUNTRIES
from common.errors import Invalid
from common.money import Money, format_money
from market.rating import CallPack, Tier, charge_upto, price_of_call, weight_upto
from market.states import DocumentKind
from metering.units import Unit, per, singular

TITLES = {
    DocumentKind.INVOICE: "Invoice",
    DocumentKind.CREDIT_NOTE: "Credit note",
    DocumentKind.USAGE_STATEMENT: "Usage statement",
}
_USE = re.compile(r"(?:Calls|Rows|Ms|Tokens) ([0-9]+) to ([0-9]+)")
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")


@dataclass(frozen=True)
class Party:
    """Sender or receiver as written on a document. `name` is the namespace; the rest may be empty."""

    name: str
    legal_name: str = ""
    address: str = ""
    country: str = ""
    tax_id: str = ""
    purchase_order: str = ""
    email: str = ""

    @property
    def title(self) -> str:
        return self.legal_name or self.name

    @property
    def lines(self) -> list[str]:
        """Address and country, a line each."""
        lines = [line.strip() for line in self.address.splitlines() if line.strip()]
        return [*lines, COUNTRIES.get(self.country, self.country)] if self.country else lines

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> "Party":
        """From a document of any age: what it does not hold is empty."""
        return cls(**{name: str(kept.get(name, "")) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Line:
    """Minor units, `net_minor` + `tax_minor` = `total_minor`; below zero where something is taken off. `unit_price` in words."""

    description: str
    quantity: int
    unit: str
    unit_price: str
    total_minor: int
    tax_minor: int = 0
    order_id: int | None = None

    @property
    def net_minor(self) -> int:
        return self.total_minor - self.tax_minor


@dataclass(frozen=True)
class Bought:
    """What pure code needs to know of an order. `total_minor` ≥ 0 is what was paid, `tax_minor` the tax in it, `discount_minor` what
    a coupon took off before. Plans by use: `unit_size` of `unit` cost `price_minor`, or what `tiers` say; else `unit_size` is 0."""

    title: str
    currency: str
    quantity: int
    total_minor: int
    discount_minor: int = 0
    coupon: str = ""
    tax_minor: int = 0
    unit: str = Unit.CALLS
    unit_size: int = 0
    price_minor: int = 0
    tiers: tuple[Tier, ...] = ()


def order_lines(bought: Bought) -> list[Line]:
    """The lines of an order's invoice; they sum to `total_minor` and to `tax_minor`, whatever the plan."""
    gross = bought.total_minor + bought.discount_minor
    lines = _use_lines(bought) if bought.unit_size else []
    if sum(line.total_minor for line in lines) != gross or not lines:
        lines = [_plain_line(bought, gross)]
    if bought.discount_minor:
        name = f"Coupon {bought.coupon}" if bought.coupon else "Discount"
        lines.append(Line(name, 1, "", "", -bought.discount_minor))
    return taxed(lines, bought.tax_minor)


def taxed(lines: Sequence[Line], tax_minor: int) -> list[Line]:
    """The lines with the tax within their sum spread over them in proportion; the parts sum to `tax_minor` exactly."""
    taxes = parts_of(tax_minor, [line.total_minor for line in lines])
    return [_with_tax(line, tax) for line, tax in zip(lines, taxes, strict=True)]


def parts_of(part_minor: int, amounts: Sequence[int]) -> list[int]:
    """`part_minor` of the sum of `amounts` (not 0), amount by amount: differences of floors from the beginning, so they sum up."""
    total = sum(amounts)
    upto = [0]
    for amount in amounts:
        upto.append(upto[-1] + amount)
    floors = [part_minor * each // total for each in upto]
    return [after - before for before, after in pairwise(floors)]


def credit_line(invoice_number: str, *, total_minor: int, tax_minor: int, before_minor: int, amount_minor: int) -> Line:
    """The line of a credit note over `amount_minor` of an invoice of which `before_minor` were credited before. The taxes of all notes
    that make up the whole sum to the tax of the invoice."""
    if not 0 < amount_minor <= total_minor - before_minor:
        raise ValueError("more is credited than was invoiced")
    rest = total_minor - before_minor - amount_minor
    _, tax, _ = parts_of(tax_minor, [before_minor, amount_minor, rest])
    return Line(f"Returned of invoice {invoice_number}", 1, "", "", amount_minor, tax)


def usage_lines(
    title: str, unit: str, pack: CallPack, *, used_before: int, used: int, say: Callable[[Fraction], str]
) -> list[Line]:
    """The units of a pack after the first `used_before`, up to `used`: a line for the included ones and for each tier, with what
    they cost. The lines sum to what billing has charged for them, in however many steps. `say` puts the price of one, in minor
    units, into words."""
    steps = [pack.included_units, *(pack.included_units + (tier.up_to_units or 0) for tier in pack.tiers)]
    bounds = sorted({used_before, used, *(step for step in steps if used_before < step < used)})
    return [
        Line(
            f"{title}: {_stretch(unit, start, end)}{' (included)' if end <= pack.included_units else ''}",
            end - start,
            counted_in(unit),
            _price_of_one(unit, pack, start, say),
            charge_upto(pack, end) - charge_upto(pack, start),
        )
        for start, end in pairwise(bounds)
    ]


def use_memo(unit: str, first: int, last: int) -> str:
    """How the ledger's entry of charged use names it; read back by `use_of`."""
    return f"{counted_in(unit).capitalize()} {first} to {last}"


def use_of(memo: str) -> tuple[int, int] | None:
    """First and last call of such an entry; None for any other."""
    match = _USE.fullmatch(memo)
    return (int(match[1]), int(match[2])) if match else None


def number_of(name: str, year: int, sequence: int) -> str:
    """`ACME-2026-000042`."""
    return f"{name.upper()}-{year}-{sequence:06d}"


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, moment: datetime | date) -> "Month":
        return cls(moment.year, moment.month)

    @classmethod
    def parse(cls, text: str) -> "Month":
        """From `2026-11`. Raises Invalid."""
        match = _MONTH.fullmatch(text)
        if match is None or not 1 <= int(match[2]) <= 12 or not 1970 <= int(match[1]) <= 9998:
            raise Invalid("Write the month as 2026-11.", fields={"period": "not a month"})
        return cls(int(match[1]), int(match[2]))

    @property
    def previous(self) -> "Month":
        return Month.of(self.first_day - timedelta(days=1))

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        return self.until.date() - timedelta(days=1)

    @property
    def since(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        """The first instant after it."""
        years, month = divmod(self.month, 12)
        return datetime(self.year + years, month + 1, 1, tzinfo=UTC)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def _plain_line(bought: Bought, gross: int) -> Line:
    each, rest = divmod(gross, bought.quantity)
    price = "" if rest else format_money(Money(each, bought.currency))
    return Line(bought.title, bought.quantity, "", price, gross)


def _use_lines(bought: Bought) -> list[Line]:
    units = bought.quantity * bought.unit_size
    if not bought.tiers:
        return [
            Line(
                bought.title,
                units,
                counted_in(bought.unit),
                _unit_price(bought, bought.price_minor),
                bought.price_minor * bought.quantity,
            )
        ]
    lines, start = [], 0
    for tier in bought.tiers:
        end = units if tier.up_to_units is None else min(units, tier.up_to_units)
        if end > start:
            cost = [weight_upto(bought.tiers, each) // bought.unit_size for each in (start, end)]
            words = f"{bought.title}: {_stretch(bought.unit, start, end)}"
            price = _unit_price(bought, tier.price_minor)
            lines.append(Line(words, end - start, counted_in(bought.unit), price, cost[1] - cost[0]))
            start = end
    return lines


def _unit_price(bought: Bought, price_minor: int) -> str:
    return f"{format_money(Money(price_minor, bought.currency))} / {per(bought.unit, bought.unit_size)}"


def _price_of_one(unit: str, pack: CallPack, used_units: int, say: Callable[[Fraction], str]) -> str:
    price = price_of_call(pack, used_units)
    return f"{say(price)} / {singular(unit)}" if price else ""


def counted_in(unit: str) -> str:
    """The unit of a line's quantity: seconds are counted in milliseconds."""
    return "ms" if unit == Unit.SECONDS else unit


def _stretch(unit: str, start: int, end: int) -> str:
    return f"{counted_in(unit)} {start + 1:,} to {end:,}"


def _with_tax(line: Line, tax_minor: int) -> Line:
    return Line(**{**asdict(line), "tax_minor": tax_minor})
