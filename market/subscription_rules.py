"""What a subscription plan may say. Pure checks: every fault is named by its field."""

from dataclasses import dataclass

from common.money import LIMIT_MINOR
from market.states import Interval, PlanKind

TRIAL_LIMIT, _UNITS_LIMIT = 365, 10**12


@dataclass(frozen=True)
class SubscriptionTerms:
    """What a subscription plan has and others have not; see the fields of `Plan`."""

    interval: str = ""
    trial_days: int = 0
    overage_minor: int | None = None
    overage_units: int | None = None

    @property
    def has_overage(self) -> bool:
        return self.overage_minor is not None or self.overage_units is not None


def faults_of(terms: SubscriptionTerms, kind: PlanKind, *, is_endpoint: bool, included: int | None) -> dict[str, str]:
    """What is wrong, by field; empty when nothing is."""
    if kind != PlanKind.SUBSCRIPTION:
        given = {
            "interval": terms.interval,
            "trial_days": terms.trial_days,
            "overage_minor": terms.overage_minor is not None,
            "overage_units": terms.overage_units is not None,
        }
        return {name: "only a subscription has it" for name, value in given.items() if value}
    faults = {}
    if terms.interval not in list(Interval):
        faults["interval"] = "month or year"
    if not 0 <= terms.trial_days <= TRIAL_LIMIT:
        faults["trial_days"] = f"0 to {TRIAL_LIMIT}"
    if not terms.has_overage:
        return faults
    if not is_endpoint or included is None:
        faults["included_units"] = "what is beyond a quota needs a quota, of an endpoint"
    if terms.overage_minor is None or not 0 < terms.overage_minor <= LIMIT_MINOR // 10**6:
        faults["overage_minor"] = "above 0: what is beyond the quota costs"
    if terms.overage_units is None or not 0 < terms.overage_units <= _UNITS_LIMIT:
        faults["overage_units"] = "at least 1: how many beyond the quota there are at most"
    return faults
