"""The caps that would refuse calls of what is about to be bought: told before it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from common.clock import now
from common.money import Money, format_money
from market.cap_policies import CapView, caps_in
from market.models import Plan
from market.states import PlanKind, SubjectKind
from metering.services.caps import month_after, month_of
from metering.units import Unit

if TYPE_CHECKING:
    from accounts.models import Namespace


@dataclass(frozen=True)
class CapAhead:
    """A cap of the buyer's under which less is left this month (UTC) than an order gives. `left` and `needed` are calls, or minor
    units of `currency`; `needed` None: without limit."""

    words: str
    left: int
    needed: int | None
    currency: str
    ends_at: datetime

    @property
    def sentence(self) -> str:
        day = f"{self.ends_at:%-d %b %Y}"
        if not self.left:
            return f"The cap of {self.words} is used up: calls under it are refused until {day}."
        if self.currency:
            left, needed = (format_money(Money(minor, self.currency)) for minor in (self.left, self.needed or 0))
        else:
            left, needed = f"{self.left:,}", f"{self.needed or 0:,} calls"
        return f"The cap of {self.words} leaves {left} of {needed}: calls beyond it are refused until {day}."


def caps_ahead(buyer: "Namespace", plan: Plan, quantity: int, total_minor: int) -> list[CapAhead]:
    """For an order of `plan` now, oldest cap first. Caps for one team or token are named as such. No query unless it sells calls, else
    five."""
    listing = plan.listing
    if listing.subject_kind != SubjectKind.ENDPOINT:
        return []
    ends_at, found = month_after(month_of(now())), []
    for cap in caps_in(buyer):
        needed = _needed(cap, plan, quantity, total_minor)
        left = max(0, cap.limit - cap.used)
        is_in_way = not left if needed is None else left < needed
        if cap.subject in {None, listing.subject_uuid} and is_in_way:
            found.append(CapAhead(cap.words, left, needed, cap.currency, cap.ends_at or ends_at))
    return found


def _needed(cap: CapView, plan: Plan, quantity: int, total_minor: int) -> int | None:
    """What the order gives to use, as the cap counts it; None when that has no limit, or the two are not counted alike."""
    if cap.currency:
        # in money only what was paid in advance counts
        return total_minor if plan.kind == PlanKind.PAY_PER_USE and cap.currency == plan.currency else 0
    if plan.unit != Unit.CALLS:
        return None
    if plan.kind == PlanKind.PAY_PER_USE:
        return quantity * plan.unit_size
    return None if plan.included_units is None else plan.included_units * quantity
