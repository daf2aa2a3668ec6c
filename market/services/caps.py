"""Setting and lifting caps on the calls of a namespace, and telling its people how far quotas and caps are used."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.actors import Actor
from accounts.directory import namespaces_by_uuid, people_who, teams_by_uuid, tokens_by_uuid
from accounts.permissions import Action
from accounts.policies import require_namespace, require_team
from accounts.services import audit
from common.errors import Invalid, NotFound
from common.money import EXPONENTS, LIMIT_MINOR
from market.cap_policies import require_cap
from market.models import Entitlement
from market.policies import require_listing
from market.states import SubjectKind
from metering.cap_words import cap_in_words
from metering.meters import Meter
from metering.queries import budgets_to_warn
from metering.services import caps
from metering.services.budgets import note_warning
from metering.units import UNIT_OF
from notices.services import notify_users

if TYPE_CHECKING:
    from accounts.models import Namespace
    from metering.models import Budget, Cap

THRESHOLDS = (50, 85, 100)
"""Per cent of a quota or a cap at which people are told."""
_CALLS_LIMIT = 10**12
_MONEY_LIMIT = min(LIMIT_MINOR, 9 * 10**12)
"""Counted in millionths, it fits the database's largest number."""


def set_cap(
    actor: Actor,
    namespace: str,
    *,
    calls: int | None = None,
    amount_minor: int | None = None,
    currency: str = "",
    team: str = "",
    token: UUID | None = None,
    listing: str = "",
) -> "Cap":
    """Let at most `calls`, or `amount_minor` of `currency`, be used in each month (UTC) by calls that `namespace` answers for: those of
    the team, with the token, to the listing (`seller/slug`) that are named; by all together when none is. A call in money counts at the
    average price of its pack. Takes the place of an earlier cap of the same scope; every process knows it within a second. Writes cap
    and audit; a second call changes nothing. Raises Invalid per field, NotFound, Forbidden."""
    owner = require_namespace(actor, namespace, Action.NAMESPACE_APPROVE)
    limit = _limit(calls, amount_minor, currency)
    team_uuid = _team(actor, owner, team) if team else None
    subject = _endpoint(actor, listing) if listing else None
    if token is not None and token not in tokens_by_uuid([token]):
        raise Invalid("There is no such token.", fields={"token": "unknown"})
    with transaction.atomic():
        cap = caps.open_cap(
            holder=owner.uuid,
            limit=limit,
            currency=currency if calls is None else "",
            team=team_uuid,
            token=token,
            subject=subject,
        )
        audit.record(
            actor,
            "market:cap:set",
            "cap",
            cap.uuid,
            namespace_id=owner.pk,
            limit=limit,
            currency=cap.currency,
            team=team,
            token=str(token or ""),
            listing=listing,
        )
    return cap


def lift_cap(actor: Actor, uuid: UUID | str) -> None:
    """End a cap: every process knows it within a second. Raises NotFound (also when it ended before), Forbidden."""
    cap, owner = require_cap(actor, uuid)
    with transaction.atomic():
        caps.end_cap(cap)
        audit.record(actor, "market:cap:lifted", "cap", cap.uuid, namespace_id=owner.pk, limit=cap.limit)


def warn_of_use() -> int:
    """Tell those who manage the money of a namespace, and the owner of a cap's token, when 50, 85 and 100 per cent of a quota or of a
    cap's month are used; returns how many budgets had something to tell. Of several thresholds at once the highest is told. Each budget
    and threshold once, however often this runs."""
    rows = budgets_to_warn(THRESHOLDS)
    owners = namespaces_by_uuid([budget.holder for budget, _ in rows])
    for budget, percent in rows:
        with transaction.atomic():
            if note_warning(budget.pk, percent) and budget.holder in owners:
                _warn(budget, percent, owners[budget.holder])
    return len(rows)


def _warn(budget: "Budget", percent: int, owner: "Namespace") -> None:
    people = set(people_who(owner.pk, Action.NAMESPACE_WALLET))
    cap = budget.cap
    if cap is not None:
        token = tokens_by_uuid([cap.token]).get(cap.token) if cap.token else None
        team = teams_by_uuid([cap.team]).get(cap.team) if cap.team else None
        if token is not None:
            people.add(token.user_id)
        what = "of the cap " + cap_in_words(
            cap, team=team.name if team else "(gone)", caller=f"the token {token.name}" if token else "a token"
        )
        end = "Further calls are refused until the month ends, or the cap is raised."
        url = f"/library/caps?owner={owner.name}"
    else:
        entitlement = Entitlement.objects.filter(Q(uuid=_uuid_in(budget.source))).select_related("listing").first()
        if entitlement is None:
            return
        what = f"of the {UNIT_OF[Meter(budget.meter)]} of {entitlement.listing.title}"
        end = "Further calls are refused until more are bought."
        url = f"/library?owner={owner.name}"
    said = f"{owner.name} has used {'all' if percent == 100 else f'{percent}%'} {what}."
    notify_users(
        people,
        "market:usage:threshold",
        f"{said} {end}" if percent == 100 else said,
        url=url,
        key=f"budget:{budget.uuid}:{percent}",
    )


def _uuid_in(source: str) -> UUID:
    """Of `entitlement:<uuid>`, with or without a further part."""
    try:
        return UUID(source.split(":")[1])
    except (IndexError, ValueError):
        return UUID(int=0)


def _limit(calls: int | None, amount_minor: int | None, currency: str) -> int:
    if (calls is None) == (amount_minor is None):
        raise Invalid("A cap is either a number of calls or an amount.", fields={"calls": "either calls or an amount"})
    if calls is not None:
        if not 0 <= calls <= _CALLS_LIMIT:
            raise Invalid("A cap is a number of calls, 0 or more.", fields={"calls": "0 or more"})
        return calls
    assert amount_minor is not None
    if currency not in EXPONENTS:
        raise Invalid("Name the currency of the amount.", fields={"currency": "unknown"})
    if not 0 <= amount_minor <= _MONEY_LIMIT:
        raise Invalid("A cap is an amount, 0 or more.", fields={"amount_minor": "0 or more"})
    return amount_minor


def _team(actor: Actor, owner: "Namespace", name: str) -> UUID:
    if owner.organization is None:
        raise Invalid("A person has no teams.", fields={"team": "of an organisation"})
    try:
        return require_team(actor, owner.organization, name).uuid
    except NotFound as error:
        raise Invalid(error.message, fields={"team": "unknown"}) from error


def _endpoint(actor: Actor, name: str) -> UUID:
    seller, _, slug = name.partition("/")
    try:
        found = require_listing(actor, seller, slug)
    except NotFound as error:
        raise Invalid("Write a listing as seller/name.", fields={"listing": "unknown"}) from error
    if found.subject_kind != SubjectKind.ENDPOINT:
        raise Invalid("Only calls have caps: name the listing of an endpoint.", fields={"listing": "not an endpoint"})
    return found.subject_uuid
