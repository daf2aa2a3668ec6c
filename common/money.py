"""Money is an integer of minor units and a currency; no float ever touches it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from common.errors import Invalid

CREDIT = "CRD"
"""Credits of this installation: what departments charge each other in, and the embedded default."""

_CODES_BY_EXPONENT = {
    0: "CLP ISK JPY KRW PYG UGX VND XAF XOF XPF",
    2: "AED ARS AUD BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MAD MXN MYR NGN NOK NZD PEN PHP PLN"
    " QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
EXPONENTS = {CREDIT: 2} | {code: digits for digits, codes in _CODES_BY_EXPONENT.items() for code in codes.split()}
"""Digits after the point: column "minor unit" of ISO 4217, list one. What is not listed cannot be used."""

_AMOUNT = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,12})?")

LIMIT_MINOR = 10**15
"""Largest amount of one movement, minor units: leaves head-room for sums in 64 bits."""


@dataclass(frozen=True, order=False)
class Money:
    """`amount_minor` of `currency`; may be negative. Two currencies never mix."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError(f"amount_minor must be int, not {type(self.amount_minor).__name__}")
        if self.currency not in EXPONENTS:
            raise Invalid(f"{self.currency} is not a currency of this site.", fields={"currency": "unknown"})

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def __mul__(self, count: int) -> "Money":
        if type(count) is not int:
            raise TypeError("money is multiplied by whole numbers only")
        return Money(self.amount_minor * count, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount_minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def __str__(self) -> str:
        return format_money(self)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise TypeError(f"{self.currency} and {other.currency} do not mix")
        return other.amount_minor


def split(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Share `amount_minor` in proportion to `weights` (≥ 0, not all 0) by largest remainder: the parts are whole and sum
    to the amount exactly; ties go to the earlier part. Negative amounts mirror positive ones."""
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError("weights must be non-negative and not all zero")
    if amount_minor < 0:
        return [-part for part in split(-amount_minor, weights)]
    parts = [amount_minor * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount_minor * weights[i] % total), i))
    for i in by_remainder[: amount_minor - sum(parts)]:
        parts[i] += 1
    return parts


def format_money(money: Money) -> str:
    """`12.50 EUR`, `1,200 JPY`, `-0.05 CRD`."""
    exponent = EXPONENTS[money.currency]
    return f"{Decimal(money.amount_minor).scaleb(-exponent):,.{exponent}f} {money.currency}"


def parse_amount(text: str, currency: str) -> Money:
    """`text` such as `12.5` as Money. Raises Invalid for anything that is not a plain decimal number with at most as many
    digits after the point as the currency has."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise Invalid(f"{currency} is not a currency of this site.", fields={"currency": "unknown"})
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        example = f"{Decimal(1250).scaleb(-exponent):.{exponent}f}"
        raise Invalid(f"Write the amount as a number such as {example}.", fields={"amount": "not a number"})
    minor = Decimal(match[0]).scaleb(exponent)
    if minor != minor.to_integral_value():
        digits = f"at most {exponent} digits" if exponent else "no digits"
        raise Invalid(f"{currency} has {digits} after the point.", fields={"amount": "too many digits"})
    if abs(minor) > LIMIT_MINOR:
        raise Invalid("The amount is too large.", fields={"amount": "too large"})
    return Money(int(minor), currency)
