"""What the next call costs, told before it is made."""

from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from accounts.actors import Actor
from market.models import Entitlement
from market.policies import usable_entitlements
from market.rating import price_beyond, price_of_call
from market.services.entitlements import pack_of
from market.states import PlanKind, SubjectKind
from market.tiers import tiers_of
from metering.queries import used_of_sources


@dataclass(frozen=True)
class NextCall:
    """Of one entitlement to call an endpoint, as of the calls that have been counted."""

    entitlement: Entitlement
    price: Fraction | None
    """Of its first unit: minor units of `currency`, exactly, which may be a part of one; 0 when it costs nothing; None: nothing is
    left."""
    currency: str
    included_left: int
    """Units left that cost nothing."""
    paid_left: int | None
    """Units left that are paid already; None: without limit and without price."""
    beyond_left: int = 0
    """Units left beyond the quota of a subscription, which are charged later."""

    @property
    def unit(self) -> str:
        """What it is counted in: a member of `Unit`."""
        return self.entitlement.order.plan.unit


def next_call(entitlement: Entitlement, used_units: int) -> NextCall:
    """Wants `order__plan` joined."""
    order, granted = entitlement.order, entitlement.granted_units
    if order.plan.kind == PlanKind.PAY_PER_USE:
        pack = pack_of(entitlement)
        included = max(pack.included_units - used_units, 0)
        paid = max(pack.granted_units - max(used_units, pack.included_units), 0)
        return NextCall(entitlement, price_of_call(pack, used_units), order.currency, included, paid)
    if granted is None:
        return NextCall(entitlement, Fraction(0), order.currency, 0, None)
    plan = order.plan
    if plan.overage_minor is not None:
        over = used_units - entitlement.included_units
        price = price_beyond(plan.overage_minor, plan.unit_size, tiers_of(plan), max(over, 0))
        shown = None if used_units >= granted else price if over >= 0 else Fraction(0)
        beyond = max(granted - max(used_units, entitlement.included_units), 0)
        return NextCall(entitlement, shown, order.currency, max(-over, 0), 0, beyond)
    # bought as a whole, or free: a call has no price of its own
    left = max(granted - used_units, 0)
    return NextCall(entitlement, Fraction(0) if left else None, order.currency, left, 0)


def next_call_of(actor: Actor, endpoint_uuid: UUID) -> NextCall | None:
    """The next call of the actor to an endpoint by what was bought: from the oldest entitlement with calls left, as the inference
    process draws them; from the newest when all are used up; None when there is none that opens it to the actor
    (`usable_entitlements`). Two queries."""
    found = usable_entitlements(actor).filter(subject_kind=SubjectKind.ENDPOINT, subject_uuid=endpoint_uuid)
    entitlements = list(found.order_by("pk"))
    used = used_of_sources([each.source for each in entitlements]) if entitlements else {}
    calls = [next_call(each, used.get(each.source, 0)) for each in entitlements]
    return next((each for each in calls if each.price is not None), calls[-1] if calls else None)
