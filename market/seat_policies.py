"""Who sees and gives the seats of what an organisation has bought."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.actors import Actor
from accounts.directory import members_by_id, names_of, people_who, rosters_of
from accounts.permissions import Action
from common.errors import Forbidden, NotFound
from market.models import Entitlement, SeatGift, SeatHolder
from market.policies import visible_entitlements

_NAMED = 4
"""People whose names stand in a sentence."""


def require_seats(actor: Actor, uuid: UUID | str, action: Action = Action.NAMESPACE_READ) -> Entitlement:
    """Something that was bought by the seat, for a namespace in which `actor` may do `action`. Raises NotFound, Forbidden."""
    entitlement = visible_entitlements(actor).filter(uuid=uuid, seats__isnull=False).first()
    if entitlement is None:
        actor.require_authenticated()
        raise NotFound("There are no such seats.")
    if not actor.may(action, entitlement.holder_id):
        raise Forbidden(f"You may not give seats in {entitlement.holder.name}.", action=str(action))
    return entitlement


def seats_of(actor: Actor, entitlements: Iterable[Entitlement]) -> set[int]:
    """Of these entitlements the primary keys of those on which the actor sits. One query."""
    seats = SeatHolder.objects.filter(user_id=actor.person_id, entitlement__in=list(entitlements))
    return set(seats.values_list("entitlement_id", flat=True))


def givers_of(holder_id: int) -> list[str]:
    """The names of those who give the seats of a namespace. Three queries."""
    return sorted(names_of(people_who(holder_id, Action.NAMESPACE_BUY)).values())


@dataclass(frozen=True)
class Unseated:
    """An organisation of the reader's has bought something by the seat, and the reader has no seat; `givers` can give one."""

    entitlement: Entitlement
    givers: list[str]

    @property
    def sentence(self) -> str:
        names = self.givers[:_NAMED]
        who = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        return f"{self.entitlement.holder.name} bought it by the seat, and you have none. {who} can give you one."


def unseated_of(actor: Actor, subject_uuid: UUID) -> Unseated | None:
    """For somebody whom nothing opens the subject to: what one of their organisations has of it by the seat, the newest. At most five queries."""
    live = Entitlement.objects.filter(
        holder_id__in=actor.member_namespaces(),
        subject_uuid=subject_uuid,
        seats__isnull=False,
        revoked_at__isnull=True,
        frozen_at__isnull=True,
    )
    found = live.select_related("holder").order_by("-pk").first()
    if found is None or seats_of(actor, [found]):
        return None
    return Unseated(found, givers_of(found.holder_id))


@dataclass(frozen=True)
class GivenSeat:
    """`holder` is a name, or `organisation/team`; `waiting` are people of the team for whom there is no seat."""

    uuid: UUID
    holder: str
    is_team: bool
    people: list[str]
    waiting: list[str]
    created_at: datetime


@dataclass(frozen=True)
class Seating:
    """Everything about the seats of one entitlement."""

    entitlement: Entitlement
    total: int
    taken: int
    gifts: list[GivenSeat]

    @property
    def left(self) -> int:
        return max(0, self.total - self.taken)


def seating_of(entitlement: Entitlement) -> Seating:
    """Who was given seats, and who sits. Wants the holder joined. Four queries."""
    seated = set(SeatHolder.objects.filter(entitlement=entitlement).values_list("user_id", flat=True))
    gifts = list(SeatGift.objects.filter(entitlement=entitlement).select_related("user", "team").order_by("pk"))
    rosters = rosters_of([gift.team_id for gift in gifts if gift.team_id is not None])
    names = {pk: user.username for pk, user in members_by_id(entitlement.holder_id).items()}
    rows = []
    for gift in gifts:
        people = [gift.user_id] if gift.team_id is None else [pk for pk, _ in rosters[gift.team_id]]
        present = [(pk, names[pk]) for pk in people if pk in names]
        rows.append(
            GivenSeat(
                gift.uuid,
                gift.name_in(entitlement.holder.name),
                gift.team_id is not None,
                [name for pk, name in present if pk in seated],
                [name for pk, name in present if pk not in seated],
                gift.created_at,
            )
        )
    return Seating(entitlement, entitlement.seats or 0, len(seated), rows)
