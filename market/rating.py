"""What used calls cost. Pure integers: no database, no clock, no rounding that depends on how often it is asked.

Everything is computed from the beginning of the pack (`charge_upto`, `shares_upto`) and a settlement is the difference of two
such values. So it does not matter in how many steps usage is billed: the sum is the same to the last minor unit, and when all
calls are used it is exactly what was paid.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CallPack:
    """Calls that were bought together. `total_minor` is the price of all paid calls; `included_calls` of `granted_calls` are
    free and are used first. 0 ≤ included < granted, total ≥ 0."""

    granted_calls: int
    included_calls: int
    total_minor: int


@dataclass(frozen=True)
class Settlement:
    """What is charged for some calls, in minor units: `charged_minor` = `seller_minor` + `fee_minor`, all ≥ 0."""

    charged_minor: int
    seller_minor: int
    fee_minor: int
    seller_before_minor: int = 0
    """The seller's part of everything that was charged before."""


def charge_upto(pack: CallPack, used_calls: int) -> int:
    """Minor units that the first `used_calls` (≥ 0) calls cost. Rounded down, so a pack that is only partly used is never
    charged above its share; calls beyond the pack cost nothing, because nobody agreed to pay them."""
    paid = min(max(used_calls - pack.included_calls, 0), pack.granted_calls - pack.included_calls)
    return pack.total_minor * paid // (pack.granted_calls - pack.included_calls)


def shares_upto(charged_minor: int, fee_percent: int) -> Settlement:
    """Seller and platform share of an amount; largest remainder, halves to the seller. Each share grows with the amount."""
    fee = (charged_minor * fee_percent * 2 + 99) // 200
    return Settlement(charged_minor, charged_minor - fee, fee)


def settle(pack: CallPack, fee_percent: int, *, settled_calls: int, used_calls: int) -> Settlement:
    """What the calls after the first `settled_calls`, up to `used_calls`, cost. `used_calls` ≥ `settled_calls`."""
    before = shares_upto(charge_upto(pack, settled_calls), fee_percent)
    after = shares_upto(charge_upto(pack, used_calls), fee_percent)
    return Settlement(
        after.charged_minor - before.charged_minor,
        after.seller_minor - before.seller_minor,
        after.fee_minor - before.fee_minor,
        before.seller_minor,
    )
