"""What the calls of a buyer cost, by day, token and team: the units that they drew, at the price that these were charged. Added up in the
database, in a fixed number of queries. Minor units; days in the time zone of the period.

What the calls of one purchase cost in a period is the difference of two sums from its beginning, as it is charged, so days and periods
add up to the whole. Who made them shares that by the units drawn, to the last minor unit."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.directory import teams_of_members, tokens_by_uuid
from market.dashboard_periods import Period
from market.models import Entitlement, Listing
from market.rating import beyond_upto, charge_upto, spread
from market.services.entitlements import pack_of
from market.states import OrderState, PlanKind
from market.tiers import tiers_of
from metering.queries import BudgetUse, use_of_payer

if TYPE_CHECKING:
    from accounts.models import Namespace

OWN = "an endpoint of one's own"


@dataclass
class Used:
    calls: int = 0
    cost_minor: int = 0

    def add(self, calls: int, cost_minor: int) -> None:
        self.calls += calls
        self.cost_minor += cost_minor


@dataclass
class UseOfToken:
    """`name`: `walt: notebook`; empty: metering has not noted it, or it is gone. `teams`: as `UseOfTeam` has them."""

    name: str
    teams: tuple[str, ...] | None
    total: Used = field(default_factory=Used)
    by_title: dict[str, Used] = field(default_factory=lambda: defaultdict(Used))


@dataclass(frozen=True)
class UseOfTeam:
    """`teams`: those that the people of these calls' tokens are in today; more than one where somebody is in several. Empty: in none;
    None: it cannot be told whose calls they were."""

    teams: tuple[str, ...] | None
    total: Used


@dataclass
class UseIn:
    """What was used of purchases in one currency; `currency` empty: calls without a purchase, which cost nothing. The costs of days, of
    tokens and of teams each sum to that of `total`, and so do the calls. `teams` is empty for a person."""

    currency: str
    total: Used = field(default_factory=Used)
    by_day: dict[date, Used] = field(default_factory=lambda: defaultdict(Used))
    tokens: list[UseOfToken] = field(default_factory=list)
    teams: list[UseOfTeam] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.tokens


def use_of(buyer: "Namespace", period: Period) -> dict[str, UseIn]:
    """What a namespace's calls in a period cost, by currency. The caller has checked the right (ORDER_READ). Ten queries at most."""
    budgets = use_of_payer(buyer.uuid, since=period.since, until=period.until, zone=period.zone)
    if not budgets:
        return {}
    sources = {uuid: each.source for each in budgets if (uuid := _entitlement_in(each.source))}
    rows = Entitlement.objects.filter(uuid__in=sources).select_related("order__plan", "listing")
    bought = {each.source: each for each in rows}
    free = {each.subject for each in budgets if each.source not in bought}
    titles = dict(Listing.objects.filter(subject_uuid__in=free).order_by("pk").values_list("subject_uuid", "title"))
    found: dict[str, UseIn] = {}
    tokens: dict[str, dict[str, UseOfToken]] = defaultdict(dict)
    teams = teams_of_members(buyer.organization_id) if buyer.organization_id else {}
    known = {str(uuid): each for uuid, each in tokens_by_uuid(_uuids(budgets)).items()}
    for each in budgets:
        entitlement = bought.get(each.source)
        currency = entitlement.order.currency if entitlement else ""
        title = entitlement.listing.title if entitlement else titles.get(each.subject, OWN)
        place = found.setdefault(currency, UseIn(currency))
        upto, cost = each.units_before, _cost_upto(entitlement, each.units_before)
        before = cost
        for day, (calls, units) in sorted(each.by_day.items()):
            upto += units
            now_cost = _cost_upto(entitlement, upto)
            place.by_day[day].add(calls, now_cost - cost)
            place.total.add(calls, now_cost - cost)
            cost = now_cost
        shares = spread(cost - before, [units for _, units in each.by_token.values()])
        for (token, (calls, _)), share in zip(each.by_token.items(), shares, strict=True):
            owner = known.get(token)
            key = token if owner else ""
            name = f"{owner.user.username}: {owner.name}" if owner else ""
            its_teams = teams.get(owner.user_id, ()) if owner else None
            of_token = tokens[currency].setdefault(key, UseOfToken(name, its_teams))
            of_token.total.add(calls, share)
            of_token.by_title[title].add(calls, share)
    for currency, place in found.items():
        place.tokens = sorted(tokens[currency].values(), key=lambda each: _order(each.total, each.name))
        if buyer.organization_id:
            place.teams = _teams(place.tokens)
    return found


def _teams(tokens: list[UseOfToken]) -> list[UseOfTeam]:
    found: dict[tuple[str, ...] | None, Used] = defaultdict(Used)
    for each in tokens:
        found[each.teams].add(each.total.calls, each.total.cost_minor)
    rows = [UseOfTeam(names, total) for names, total in found.items()]
    return sorted(rows, key=lambda each: _order(each.total, ", ".join(each.teams or ())))


def _order(used: Used, name: str) -> tuple[bool, int, int, str]:
    """The most expensive first, what has no name last."""
    return (not name, -used.cost_minor, -used.calls, name.lower())


def _cost_upto(entitlement: Entitlement | None, units: int) -> int:
    """Minor units that the first `units` of an entitlement cost, refunds taken off: of a pack its part of the price, of a subscription
    what is beyond the quota; 0 of what was bought as a whole, and of what the buyer's bank has taken back for good."""
    if entitlement is None or entitlement.order.state == OrderState.LOST:
        return 0
    plan = entitlement.order.plan
    if plan.kind == PlanKind.PAY_PER_USE:
        return charge_upto(pack_of(entitlement), units)
    if plan.overage_minor is None:
        return 0
    over = max(min(units, entitlement.granted_units or 0) - entitlement.included_units, 0)
    return beyond_upto(plan.overage_minor, plan.unit_size, tiers_of(plan), over)


def _entitlement_in(source: str) -> UUID | None:
    kind, _, uuid = source.partition(":")
    return UUID(uuid) if kind == "entitlement" else None


def _uuids(budgets: Iterable[BudgetUse]) -> set[UUID]:
    return {UUID(token) for each in budgets for token in each.by_token if len(token) == 36}
