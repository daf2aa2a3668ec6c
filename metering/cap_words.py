"""A cap as people read it."""

from typing import TYPE_CHECKING

from common.money import Money, format_money

if TYPE_CHECKING:
    from metering.models import Cap


def cap_in_words(cap: "Cap", *, team: str = "", caller: str = "this token", subject: str = "this model") -> str:
    """`1,000 calls a month`, `5.00 EUR a month for the team vision, on this model`. The names are those of what it is for."""
    amount = format_money(Money(cap.limit, cap.currency)) if cap.currency else f"{cap.limit:,} calls"
    parts = []
    if cap.team is not None:
        parts.append(f"for the team {team}")
    if cap.token is not None:
        parts.append(f"for {caller}")
    if cap.subject is not None:
        parts.append(f"on {subject}")
    return " ".join([f"{amount} a month", ", ".join(parts)]).strip()
