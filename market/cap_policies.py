"""Who sees and sets the caps on the calls of a namespace, and what they say."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.actors import Actor
from accounts.directory import namespaces_by_uuid, teams_by_uuid, tokens_by_uuid
from accounts.permissions import Action
from common.clock import now
from common.errors import Forbidden, NotFound
from market.models import Listing
from market.states import SubjectKind
from metering.cap_words import cap_in_words
from metering.queries import cap_by_uuid, caps_of, months_of
from metering.services.caps import MICRO, month_of

if TYPE_CHECKING:
    from accounts.models import Namespace
    from metering.models import Cap


@dataclass(frozen=True)
class CapView:
    """`limit` and `used` are calls, or minor units of `currency`, of the present month (UTC); `token` names it and its owner."""

    uuid: UUID
    words: str
    team: str
    token: str
    token_uuid: UUID | None
    listing: str
    subject: UUID | None
    currency: str
    limit: int
    used: int
    ends_at: datetime | None
    created_at: datetime


def caps_in(namespace: "Namespace") -> list[CapView]:
    """The caps of a namespace that the caller may read, oldest first. Five queries."""
    caps = list(caps_of(namespace.uuid).order_by("pk"))
    months = months_of(caps, month_of(now()))
    teams = teams_by_uuid(cap.team for cap in caps if cap.team is not None)
    tokens = tokens_by_uuid(cap.token for cap in caps if cap.token is not None)
    listings = {
        each.subject_uuid: each
        for each in Listing.objects.filter(
            subject_kind=SubjectKind.ENDPOINT, subject_uuid__in=[cap.subject for cap in caps if cap.subject]
        )
        .select_related("namespace")
        .order_by("pk")
    }
    rows = []
    for cap in caps:
        team, token = teams.get(cap.team) if cap.team else None, tokens.get(cap.token) if cap.token else None
        listing, month = listings.get(cap.subject) if cap.subject else None, months.get(cap.pk)
        names = {
            "team": team.name if team else "(gone)",
            "caller": f"the token {token.name} of {token.user.username}" if token else "a token that is gone",
            "subject": listing.title if listing else "a model",
        }
        used = month.used if month else 0
        rows.append(
            CapView(
                cap.uuid,
                cap_in_words(cap, **names),
                team.name if team else "",
                f"{token.name} of {token.user.username}" if token else "",
                cap.token,
                f"{listing.namespace.name}/{listing.slug}" if listing else "",
                cap.subject,
                cap.currency,
                cap.limit,
                used // MICRO if cap.currency else used,
                month.valid_until if month else None,
                cap.created_at,
            )
        )
    return rows


def require_cap(actor: Actor, uuid: UUID | str) -> "tuple[Cap, Namespace]":
    """An open cap of a namespace that the actor answers for. Raises NotFound, Forbidden."""
    cap = cap_by_uuid(uuid)
    owner = namespaces_by_uuid([cap.holder]).get(cap.holder) if cap is not None else None
    if cap is None or owner is None or not actor.may(Action.NAMESPACE_READ, owner.pk):
        actor.require_authenticated()
        raise NotFound("There is no such cap.")
    if not actor.may(Action.NAMESPACE_APPROVE, owner.pk):
        raise Forbidden(f"You may not set the caps of {owner.name}.", action=str(Action.NAMESPACE_APPROVE))
    return cap, owner
