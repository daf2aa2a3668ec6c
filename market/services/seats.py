"""Giving and taking the seats of what an organisation has bought for some of its people. Who sits follows from the gifts: those who sit
already keep their seats, then comes whoever has been waiting longest. Every change locks the entitlement."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from django.db import transaction

from accounts.actors import Actor, system
from accounts.directory import members_by_id, people_by_id, rosters_of
from accounts.permissions import Action
from accounts.policies import require_holder
from accounts.services import audit, grants
from common.clock import now
from common.errors import Conflict, Invalid, NotFound
from market.models import Entitlement, SeatGift, SeatHolder
from market.seat_policies import require_seats
from market.states import SubjectKind
from market.subjects import LEVELS, Subject, require_subject
from notices.services import notify, notify_users

if TYPE_CHECKING:
    from accounts.models import Organization, Team, User


class _Wish(NamedTuple):
    since: datetime
    user_id: int


def give_seat(actor: Actor, entitlement: Entitlement, holder: str) -> SeatGift:
    """Give a seat to a member (`anna`), or as many as it has members to a team (`acme/vision`). Access opens at once. Writes gift,
    seats, grants, audit, notices; a second call changes nothing. Raises Invalid for somebody who is not of the organisation, Conflict
    when there are not enough seats left; NotFound, Forbidden."""
    require_seats(actor, entitlement.uuid, Action.NAMESPACE_BUY)
    found = require_holder(actor, holder)
    with transaction.atomic():
        row = _locked(entitlement.pk)
        if row.revoked_at is not None:
            raise Conflict("This access has ended: there are no seats to give.", code="access_ended")
        column, wanted, words = _wanted_by(row, found)
        earlier = SeatGift.objects.filter(entitlement=row, **{column: found.pk}).first()
        if earlier is not None:
            return earlier
        seated = set(SeatHolder.objects.filter(entitlement=row).values_list("user_id", flat=True))
        needed, left = len(wanted - seated), (row.seats or 0) - len(seated)
        if needed > left:
            raise Conflict(
                f"{words} {needed} more {'seat' if needed == 1 else 'seats'}; of {row.seats} there "
                f"{'is' if left == 1 else 'are'} {left or 'none'} left. Buy more, or take some from others.",
                code="no_seat_left",
                left=left,
            )
        gift = SeatGift.objects.create(entitlement=row, **{f"{column}_id": found.pk}, given_by_id=actor.user_id)
        _record(actor, row, "market:seat:given", to=holder.strip())
        _settle(actor, row)
    return gift


def take_seat(actor: Actor, entitlement: Entitlement, gift_uuid: UUID) -> None:
    """Take back what was given to a member or a team: their access ends at once, unless they sit by another gift. Raises NotFound
    when there is no such gift, Forbidden."""
    require_seats(actor, entitlement.uuid, Action.NAMESPACE_BUY)
    with transaction.atomic():
        row = _locked(entitlement.pk)
        gift = SeatGift.objects.filter(entitlement=row, uuid=gift_uuid).select_related("user", "team").first()
        if gift is None:
            raise NotFound("This seat is not given to anybody.")
        name = gift.name_in(row.holder.name)
        gift.delete()
        _record(actor, row, "market:seat:taken", to=name)
        _settle(actor, row)


def settle_seats(actor: Actor, namespace_id: int) -> None:
    """Bring the seats of everything that an organisation has bought in line with its members and teams as they are now, in the
    transaction that changes these: whoever left is without access when it is committed. Owners and admins are told of members of
    a team for whom there is no seat, once. A second call changes nothing."""
    live = Entitlement.objects.filter(holder=namespace_id, seats__isnull=False, revoked_at__isnull=True)
    for pk in live.order_by("pk").values_list("pk", flat=True):
        _settle(actor, _locked(pk))


def carry_over(actor: Actor, former: Entitlement, row: Entitlement) -> None:
    """Give the seats of a period of a subscription to the same members and teams in the next one, in the transaction that begins it. Who
    sat keeps the seat, and nobody is told."""
    if row.seats is None:
        return
    for gift in SeatGift.objects.filter(entitlement=former).order_by("pk"):
        SeatGift.objects.create(
            entitlement=row,
            user_id=gift.user_id,
            team_id=gift.team_id,
            given_by_id=gift.given_by_id,
            created_at=gift.created_at,
        )
    seated = dict(SeatHolder.objects.filter(entitlement=former).values_list("user_id", "created_at"))
    _settle(actor, _locked(row.pk), first=seated, is_told=False)


def _locked(pk: int) -> Entitlement:
    rows = Entitlement.objects.select_for_update(of=("self",), no_key=True).select_related("holder", "listing")
    return rows.get(pk=pk)


def _wanted_by(row: Entitlement, holder: "User | Organization | Team") -> tuple[str, set[int], str]:
    """(column of the gift, the people it seats, how a refusal begins)"""
    members = members_by_id(row.holder_id)
    organization_id = getattr(holder, "organization_id", None)
    if organization_id is not None and organization_id == row.holder.organization_id:
        people = {pk for pk, _ in rosters_of([holder.pk])[holder.pk] if pk in members}
        return "team", people, f"The team {holder.name} needs"  # type: ignore[union-attr]  # a team
    username = getattr(holder, "username", None)
    if username is not None and holder.pk in members:
        return "user", {holder.pk}, f"{username} needs"
    raise Invalid(
        f"Seats are given to members of {row.holder.name}, by name, and to its teams, as {row.holder.name}/team.",
        fields={"holder": "not a member or team"},
    )


def _settle(
    actor: Actor, row: Entitlement, *, first: Mapping[int, datetime] | None = None, is_told: bool = True
) -> None:
    """`first`: people who sit before others, whoever waited longer, and since when."""
    first = first or {}
    wishes = _wishes(row)
    holders = SeatHolder.objects.filter(entitlement=row)
    seated = set(holders.values_list("user_id", flat=True))
    leaving = seated - wishes.keys()
    free = (row.seats or 0) - (len(seated) - len(leaving))
    waiting = (wish for pk, wish in wishes.items() if pk not in seated)
    queue = sorted(waiting, key=lambda wish: (wish.user_id not in first, wish))
    coming, without = queue[: max(free, 0)], queue[max(free, 0) :]
    people = people_by_id([*leaving, *(wish.user_id for wish in queue)])
    subject = _subject_of(row) if leaving or coming else None
    holders.filter(user_id__in=leaving).delete()
    for pk in sorted(leaving):
        if subject is not None:
            grants.revoke_for(actor, subject, people[pk], source=row.source)
        _record(actor, row, "market:seat:left", user=people[pk].username)
    for wish in coming:
        SeatHolder.objects.create(entitlement=row, user_id=wish.user_id, created_at=first.get(wish.user_id, now()))
        if subject is not None and row.frozen_at is None and row.revoked_at is None:
            level = LEVELS[SubjectKind(row.subject_kind)]
            grants.grant(actor, subject, people[wish.user_id], level, source=row.source)
        _record(actor, row, "market:seat:used", user=people[wish.user_id].username)
        if is_told:
            _tell_of_seat(row, wish)
    for wish in without if is_told else ():
        notify(
            row.holder_id,
            "market:seat:missing",
            f"{people[wish.user_id].username} has no seat for {row.listing.title}: all {row.seats} are taken.",
            url=f"/library/seats/{row.uuid}",
            key=f"no-seat:{row.uuid}:{wish.user_id}:{wish.since.timestamp():.0f}",
        )


def _tell_of_seat(row: Entitlement, wish: _Wish) -> None:
    notify_users(
        [wish.user_id],
        "market:seat:used",
        f"{row.holder.name} gave you a seat for {row.listing.title}.",
        url=f"/library?owner={row.holder.name}",
        key=f"seat:{row.uuid}:{wish.user_id}:{wish.since.timestamp():.0f}",
    )


def _wishes(row: Entitlement) -> dict[int, _Wish]:
    """Everybody for whom a seat was given, since when: themselves, or by a team that they are in."""
    members = members_by_id(row.holder_id)
    gifts = list(SeatGift.objects.filter(entitlement=row))
    rosters = rosters_of([gift.team_id for gift in gifts if gift.team_id is not None])
    found: dict[int, _Wish] = {}
    for gift in gifts:
        people = [(gift.user_id, gift.created_at)] if gift.team_id is None else rosters[gift.team_id]
        for user_id, since in people:
            if user_id in members:
                wish = _Wish(max(since, gift.created_at), user_id)
                found[user_id] = min(wish, found.get(user_id, wish))
    return found


def _subject_of(row: Entitlement) -> Subject | None:
    """None when what was bought is gone: then there is nothing to open."""
    with suppress(NotFound):
        return require_subject(system("market"), SubjectKind(row.subject_kind), row.subject_uuid)
    return None


def _record(actor: Actor, row: Entitlement, tag: str, **detail: str) -> None:
    audit.record(
        actor, tag, "entitlement", row.uuid, namespace_id=row.holder_id, listing=str(row.listing.uuid), **detail
    )
