"""Prices by volume on plans: what they may be, read from the row, said in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.money import LIMIT_MINOR, Money, format_money
from market.rating import Tier
from metering.units import SCALE, Unit, in_words, number_of, singular

if TYPE_CHECKING:
    from market.models import Plan

TIERS_LIMIT, _UNITS_LIMIT = 10, 10**9


def tiers_of(plan: "Plan") -> tuple[Tier, ...]:
    return tuple(Tier(up_to, price) for up_to, price in plan.tiers)


def fault_of(tiers: Sequence[tuple[int | None, int]], unit: str, unit_size: int) -> str:
    """What is wrong with these tiers for a plan priced by `unit_size` units; empty when nothing is. Whole units only, so that the
    price of an order is a whole number of minor units."""
    ends = [up_to for up_to, _ in tiers]
    prices = [price for _, price in tiers]
    bounds = [end for end in ends[:-1] if type(end) is int]
    if not 2 <= len(tiers) <= TIERS_LIMIT:
        return f"2 to {TIERS_LIMIT} steps"
    if ends[-1] is not None or len(bounds) != len(ends) - 1:
        return f"each step but the last says up to how many {unit} it goes"
    if bounds != sorted(set(bounds)) or not 0 < bounds[0] <= bounds[-1] <= _UNITS_LIMIT:
        return f"numbers of {unit} that rise, at most {number_of(unit, _UNITS_LIMIT)}"
    if any(end % unit_size for end in bounds):
        return f"steps end after whole units of {in_words(unit, unit_size)}"
    if any(type(price) is not int or not 0 <= price <= LIMIT_MINOR // 10**6 for price in prices) or not prices[0]:
        return "prices of 0 or more, the first above 0"
    return ""


def steps_in_words(plan: "Plan") -> list[str]:
    """`Calls 1 to 1,000: 0.20 CRD each`, a line for each tier; none for a plan without tiers."""
    scale = SCALE[Unit(plan.unit)]
    unit = "each" if plan.unit_size == scale else f"for {number_of(plan.unit, plan.unit_size)}"
    lines, first = [], 1
    for tier in tiers_of(plan):
        price = f"{format_money(Money(tier.price_minor, plan.currency))} {unit}" if tier.price_minor else "free"
        if tier.up_to_units is None:
            lines.append(f"From {singular(plan.unit)} {first:,} on: {price}")
        else:
            lines.append(f"{plan.unit.capitalize()} {first:,} to {number_of(plan.unit, tier.up_to_units)}: {price}")
            first = tier.up_to_units // scale + 1
    return lines
