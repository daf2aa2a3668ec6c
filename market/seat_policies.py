"""Who sees and gives the seats of what an organisation has bought."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.actors import Actor
from accounts.directory import members_by_id, rosters_of
from accounts.permissions import Action
from common.errors import Forbidden, NotFound
from market.models import Entitlement, SeatGift, SeatHolder
from market.policies import visible_entitlements


def require_seats(actor: Actor, uuid: UUID | str, action: Action = Action.NAMESPACE_READ) -> Entitlement:
    """Something that was bought by the seat, for a namespace in which `actor` may do `action`. Raises NotFound, Forbidden."""
    entitlement = visible_entitlements(actor).filter(uuid=uuid, seats__isnull=False).first()
    if entitlement is None:
        actor.require_authenticated()
        raise NotFound("There are no such seats.")
    if not actor.may(action, entitlement.holder_id):
        raise Forbidden(f"You may not give seats in {entitlement.holder.name}.", action=str(action))
    return entitlement


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
