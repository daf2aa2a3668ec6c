"""What upstream owners get of a sale. Pure integers: no database, no clock.

Each owner asks a share of what the seller of a derived listing receives for an order, after the fee of the site. Everything is
computed from the beginning of the order (`due_upto`), and what one step of an order pays is the difference of two such values. So it does
not matter in how many steps the calls of an order are charged: the sums are the same to the last minor unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WHOLE = 10_000
"""Basis points of everything: 250 are 2.5 %."""


@dataclass(frozen=True)
class Share:
    """What one owner asks of each order that is paid: `basis_points` (0 to 10,000), at least `minimum_minor`, at most `cap_minor`
    (None: no bound). When the two bounds contradict each other, the cap holds."""

    basis_points: int
    minimum_minor: int = 0
    cap_minor: int | None = None


def due_upto(shares: Sequence[Share], received_minor: int) -> list[int]:
    """Minor units that each share comes to when the seller has received `received_minor` (≥ 0) for an order. Rounded down, so that
    what is left over is the seller's; all ≥ 0, and together never more than there is: where minimum amounts ask more, the first are
    served first. Nothing received, nothing due."""
    left, due = received_minor, []
    for share in shares:
        wanted = max(received_minor * share.basis_points // WHOLE, share.minimum_minor) if received_minor > 0 else 0
        if share.cap_minor is not None:
            wanted = min(wanted, share.cap_minor)
        due.append(min(wanted, left))
        left -= due[-1]
    return due


def due_between(shares: Sequence[Share], before_minor: int, upto_minor: int) -> list[int]:
    """What a step pays that takes the seller's receipts for an order from `before_minor` to `upto_minor`. Where several shares round
    up at one time, a step can give a seller some minor units less than nothing, which earlier steps had left there."""
    return [
        after - before
        for before, after in zip(due_upto(shares, before_minor), due_upto(shares, upto_minor), strict=True)
    ]
