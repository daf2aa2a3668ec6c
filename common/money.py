"""Money is an integer of minor units and a currency; no float ever touches it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from common.errors import Invalid

CREDIT = "CRD"
"""Credits of this installation: what departments charge each other in, and the embedded default."""

EXPONENTS = {
    CREDIT: 2, "AUD": 2, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2, "HUF": 2,
    "ILS": 2, "INR": 2, "JPY": 0, "KRW": 0, "KWD": 3, "MXN": 2, "NOK": 2, "NZD": 2, "PLN": 2, "SEK": 2, "SGD": 2, "TND": 3,
    "USD": 2, "ZAR": 2,
}  # fmt: skip
"""Digits after the point (ISO 4217); what is not listed cannot be used."""

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
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > LIMIT_MINOR:
        raise Invalid("Write the amount as a number such as 12.50.", fields={"amount": "not a number"})
    minor = number.scaleb(exponent)
    if minor != minor.to_integral_value():
        raise Invalid(f"{currency} has {exponent} digits after the point.", fields={"amount": "too many digits"})
    return Money(int(minor), currency)
