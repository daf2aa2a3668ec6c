"""How somebody would call a listed endpoint now, and what is left of a day's free calls: told before the call is made."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Count

from accounts.actors import Actor
from accounts.permissions import Scope
from common.clock import now
from compute.endpoint_policies import calls_by_role, sources_of_use
from compute.endpoint_serving import ENTITLEMENT, TRIAL
from compute.endpoint_states import SERVING
from market.models import Listing, TrialAllowance
from market.next_call import NextCall, next_call_of
from market.seat_policies import Unseated, unseated_of
from market.states import ListingState, SubjectKind
from metering.meters import Meter
from metering.queries import daily_usage, used_of_sources

if TYPE_CHECKING:
    from compute.models import Endpoint


class Way(StrEnum):
    """By which right a call is made: as one of the owner's people, by a share, by what was bought, by a day's free calls; or none."""

    OWN = "own"
    SHARED = "shared"
    BOUGHT = "bought"
    TRIAL = "trial"
    NONE = "none"


@dataclass(frozen=True)
class Trial:
    """A person's free calls of one day (UTC)."""

    calls_per_day: int
    used: int
    ends_at: datetime

    @property
    def left(self) -> int:
        return max(0, self.calls_per_day - self.used)


@dataclass(frozen=True)
class Right:
    """`next_call` where the way is BOUGHT, `trial` where it is TRIAL; `unseated` where it is neither, nor one's own, and an organisation
    of the actor's has seats."""

    way: Way
    next_call: NextCall | None = None
    trial: Trial | None = None
    unseated: Unseated | None = None


def trial_calls(listing: Listing) -> int:
    """Free calls a day for each person; 0: none. No query."""
    if listing.subject_kind != SubjectKind.ENDPOINT or listing.state != ListingState.PUBLISHED:
        return 0
    return settings.TRIAL_CALLS_PER_DAY if listing.trial_calls is None else listing.trial_calls


def right_of(actor: Actor, endpoint: "Endpoint", listing: Listing | None) -> Right:
    """How the actor would call the endpoint now. Whoever has another right has no free calls: what one has is used. At most
    eleven queries."""
    if not actor.is_authenticated or not actor.can_scope(Scope.ENDPOINT_USE):
        return Right(Way.NONE)
    if calls_by_role(actor, endpoint):
        return Right(Way.OWN)
    sources = sources_of_use(actor, endpoint)
    if any(not source.startswith((ENTITLEMENT, TRIAL)) for source in sources):
        return Right(Way.SHARED)
    if any(source.startswith(ENTITLEMENT) for source in sources):
        return Right(Way.BOUGHT, next_call=next_call_of(actor, endpoint.uuid))
    unseated = unseated_of(actor, endpoint.uuid)
    if listing is None or actor.user_id is None or endpoint.state not in SERVING or not trial_calls(listing):
        return Right(Way.NONE, unseated=unseated)
    return Right(Way.TRIAL, trial=trial_of(actor.user_id, listing), unseated=unseated)


def trial_of(user_id: int, listing: Listing) -> Trial:
    """A person's free calls of today, as of the calls that have been counted. Two queries."""
    today = now().date()
    row = TrialAllowance.objects.filter(listing=listing, user_id=user_id, day=today).first()
    if row is None:
        return Trial(trial_calls(listing), 0, end_of(today))
    used = used_of_sources([row.source]).get(row.source, 0)
    return Trial(row.granted_calls, row.granted_calls if row.closed_at else used, end_of(today))


def end_of(day: date) -> datetime:
    """The midnight (UTC) that ends it."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


@dataclass(frozen=True)
class TrialDay:
    day: date
    people: int
    calls: int


def trial_days(listing: Listing, *, days: int = 30) -> list[TrialDay]:
    """Free calls made a day, the last `days` days, oldest first, and how many people opened theirs. Two queries."""
    calls = daily_usage(Meter.INFERENCE_CALLS, subject=listing.subject_uuid, days=days, source=TRIAL)
    rows = TrialAllowance.objects.filter(listing=listing, day__gte=calls[0][0])
    people = dict(rows.values_list("day").annotate(people=Count("pk")).order_by())
    return [TrialDay(day, people.get(day, 0), made) for day, made in calls]
