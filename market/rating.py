"""What calls cost, and what coupons take off. Pure integers: no database, no clock, no rounding that depends on how often it is asked.

Everything is computed from the beginning of the pack (`charge_upto`, `shares_upto`) and a settlement is the difference of two
such values. So it does not matter in how many steps usage is billed: the sum is the same to the last minor unit, and when all
calls are used it is exactly what was paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

WHOLE_BP = 10_000
"""Basis points in the whole."""


@dataclass(frozen=True)
class Tier:
    """Paid calls up to and with number `up_to_units` (None: all further ones) cost `price_minor` per unit of the plan. In a
    sequence of tiers `up_to_units` rises and only the last is None; each call has the price of the tier that it falls in."""

    up_to_units: int | None
    price_minor: int


@dataclass(frozen=True)
class CallPack:
    """Calls that were bought together. `total_minor` is what all paid calls cost, a discount taken off; `included_units` of
    `granted_units` are free and are used first. 0 ≤ included < granted, total ≥ 0. With `tiers`, of which the first is not
    free, the total is spread over the calls in proportion to their prices; without, evenly."""

    granted_units: int
    included_units: int
    total_minor: int
    tiers: tuple[Tier, ...] = ()

    @property
    def paid_units(self) -> int:
        return self.granted_units - self.included_units


@dataclass(frozen=True)
class Settlement:
    """What is charged for some calls, in minor units: `charged_minor` = `seller_minor` + `fee_minor`, all ≥ 0."""

    charged_minor: int
    seller_minor: int
    fee_minor: int
    seller_before_minor: int = 0
    """The seller's part of everything that was charged before."""


def weight_upto(tiers: Sequence[Tier], calls: int) -> int:
    """Sum of the prices per unit of the first `calls` paid calls; their number where there are no tiers. Divided by the calls of
    a unit it is their list price."""
    if not tiers:
        return calls
    weight = start = 0
    for tier in tiers:
        end = calls if tier.up_to_units is None else min(calls, tier.up_to_units)
        weight += max(end - start, 0) * tier.price_minor
        start = max(start, end)
    return weight


def list_price(price_minor: int, unit_size: int, tiers: Sequence[Tier], quantity: int) -> int:
    """Minor units that `quantity` units of a plan cost before a discount. Exact, as tiers end on whole units."""
    return weight_upto(tiers, quantity * unit_size) // unit_size if tiers else price_minor * quantity


def discount_of(price_minor: int, *, percent_bp: int | None = None, amount_minor: int | None = None) -> int:
    """What a coupon takes off `price_minor` (≥ 0): basis points of it, rounded down, or an amount; never more than the price."""
    if percent_bp is not None:
        return price_minor * percent_bp // WHOLE_BP
    return min(amount_minor or 0, price_minor)


def charge_upto(pack: CallPack, used_units: int) -> int:
    """Minor units that the first `used_units` (≥ 0) calls cost. Rounded down, so a pack that is only partly used is never
    charged above its share; calls beyond the pack cost nothing, because nobody agreed to pay them."""
    paid = min(max(used_units - pack.included_units, 0), pack.paid_units)
    return pack.total_minor * weight_upto(pack.tiers, paid) // weight_upto(pack.tiers, pack.paid_units)


def price_of_call(pack: CallPack, used_units: int) -> Fraction | None:
    """What the call after the first `used_units` costs, in minor units, exactly: 0 for an included one, None when the pack is used
    up. The prices of all its calls sum to the total."""
    if used_units >= pack.granted_units:
        return None
    if used_units < pack.included_units:
        return Fraction(0)
    paid = used_units - pack.included_units
    weight = weight_upto(pack.tiers, paid + 1) - weight_upto(pack.tiers, paid)
    return Fraction(pack.total_minor * weight, weight_upto(pack.tiers, pack.paid_units))


def beyond_upto(price_minor: int, unit_size: int, tiers: Sequence[Tier], calls: int) -> int:
    """Minor units that the first `calls` (≥ 0) calls beyond a quota cost, rounded down: `price_minor` for each `unit_size`, or by
    `tiers`. Charged as the difference of two such values, so that it does not matter in how many steps."""
    return (weight_upto(tiers, calls) if tiers else price_minor * calls) // unit_size


def price_beyond(price_minor: int, unit_size: int, tiers: Sequence[Tier], calls: int) -> Fraction:
    """What the call after the first `calls` beyond a quota costs, in minor units, exactly."""
    weight = weight_upto(tiers, calls + 1) - weight_upto(tiers, calls) if tiers else price_minor
    return Fraction(weight, unit_size)


def shares_upto(charged_minor: int, fee_percent: int) -> Settlement:
    """Seller and platform share of an amount; largest remainder, halves to the seller. Each share grows with the amount."""
    fee = (charged_minor * fee_percent * 2 + 99) // 200
    return Settlement(charged_minor, charged_minor - fee, fee)


def settle(pack: CallPack, fee_percent: int, *, settled_units: int, used_units: int) -> Settlement:
    """What the calls after the first `settled_units`, up to `used_units`, cost. `used_units` ≥ `settled_units`."""
    before = shares_upto(charge_upto(pack, settled_units), fee_percent)
    after = shares_upto(charge_upto(pack, used_units), fee_percent)
    return Settlement(
        after.charged_minor - before.charged_minor,
        after.seller_minor - before.seller_minor,
        after.fee_minor - before.fee_minor,
        before.seller_minor,
    )


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """`total` (≥ 0) in parts by weights (≥ 0): largest remainder, so the parts sum to it exactly; of equal remainders the first gets
    more. All 0 where there is nothing to go by, and then the total is 0, too."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in by_rest[: total - sum(parts)]:
        parts[at] += 1
    return parts
