"""Subscriptions in words: on plan cards, in the library, on their own pages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.money import Money, format_money
from market.states import SUBSCRIPTIONS, PlanKind, SubscriptionState
from market.tiers import steps_in_words
from metering.units import in_words, per
from web.links import subscription_url

if TYPE_CHECKING:
    from market.models import Plan, Subscription

_DAY = "%-d %b %Y"


def subscription_details(plan: "Plan", *, is_endpoint: bool) -> list[str]:
    """What a subscription plan says about itself, a line each."""
    assert plan.kind == PlanKind.SUBSCRIPTION, "only subscriptions have periods"
    details = []
    if plan.trial_days:
        days = "day is" if plan.trial_days == 1 else f"{plan.trial_days} days are"
        details.append(f"Your first {days} free")
    details.append(f"Renewed each {plan.interval} until you cancel")
    if not is_endpoint:
        return [*details, "Download of the repository, later versions included"]
    if plan.included_units is None:
        return [*details, "Calls without limit"]
    details.append(f"{in_words(plan.unit, plan.included_units)} each {plan.interval}")
    if plan.overage_minor is None or plan.overage_units is None:
        return [*details, "When they are used up, the next call is refused"]
    price = format_money(Money(plan.overage_minor, plan.currency))
    details += steps_in_words(plan) or [f"Beyond that {price} / {per(plan.unit, plan.unit_size)}"]
    most = in_words(plan.unit, plan.overage_units)
    return [*details, f"At most {most} beyond, paid when the {plan.interval} is over"]


@dataclass(frozen=True)
class Standing:
    """How a subscription stands, in a few words with a link to it."""

    href: str
    state: str
    standing: str

    @classmethod
    def of(cls, row: "Subscription") -> "Standing":
        return cls(subscription_url(row.uuid), row.state, standing_of(row))


def standing_of(row: "Subscription") -> str:
    """`renews on 28 Feb 2026`, and what else there is to say of the next step."""
    day = f"{row.period_end:{_DAY}}"
    if SUBSCRIPTIONS.is_final(SubscriptionState(row.state)):
        return f"ended on {row.ended_at:{_DAY}}" if row.ended_at else "ended"
    if row.state == SubscriptionState.PAST_DUE:
        return f"payment due since {day}"
    if row.state == SubscriptionState.SUSPENDED:
        return "access rests until it is paid"
    if row.cancel_at_period_end:
        return f"ends on {day}"
    return f"trial until {day}" if row.state == SubscriptionState.TRIALING else f"renews on {day}"
