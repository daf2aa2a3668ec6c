"""What a namespace's people see of each thing that it has access to: seats, who used it how much, and the caps that hold for it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count

from accounts.actors import Actor
from accounts.directory import tokens_by_uuid
from accounts.permissions import Action
from common.clock import now
from market.cap_policies import CapView, caps_in
from market.models import Entitlement, SeatHolder
from market.states import SubjectKind
from metering.queries import usage_by_token
from metering.services.caps import month_of

if TYPE_CHECKING:
    from accounts.models import Namespace


@dataclass(frozen=True)
class UsedBy:
    """Calls of one token in the present month (UTC). `member` and `token` are names, empty when they are gone."""

    member: str
    token: str
    token_uuid: UUID | None
    calls: int


@dataclass(frozen=True)
class AccessDetail:
    """`seats` None: it is open to everybody in the namespace."""

    seats: int | None
    seats_taken: int
    used_by: list[UsedBy]
    caps: list[CapView]


def details_of(actor: Actor, namespace: "Namespace", entitlements: Sequence[Entitlement]) -> dict[int, AccessDetail]:
    """By primary key of the entitlement, all of `namespace`, in which `actor` may read. Those who manage its money see everybody's calls,
    others their own. Eight queries at most, however many."""
    called = [each for each in entitlements if each.subject_kind == SubjectKind.ENDPOINT]
    by_seat = [each.pk for each in entitlements if each.seats is not None]
    taken: dict[int, int] = {}
    if by_seat:
        rows = SeatHolder.objects.filter(entitlement__in=by_seat).values("entitlement").annotate(count=Count("pk"))
        taken = {row["entitlement"]: row["count"] for row in rows}
    used = _used(actor, namespace, called) if called else {}
    caps = caps_in(namespace) if called else []
    return {
        each.pk: AccessDetail(
            each.seats,
            taken.get(each.pk, 0),
            used.get(each.source, []),
            [cap for cap in caps if cap.subject in {None, each.subject_uuid}]
            if each.subject_kind == SubjectKind.ENDPOINT
            else [],
        )
        for each in entitlements
    }


def _used(actor: Actor, namespace: "Namespace", called: list[Entitlement]) -> dict[str, list[UsedBy]]:
    calls = usage_by_token(namespace.uuid, [each.source for each in called], since=month_of(now()))
    tokens = tokens_by_uuid(UUID(token) for _, token in calls if token)
    sees_all = actor.may(Action.NAMESPACE_WALLET, namespace.pk)
    found: dict[str, list[UsedBy]] = defaultdict(list)
    for (source, text), count in sorted(calls.items(), key=lambda each: (-each[1], each[0])):
        token = tokens.get(UUID(text)) if text else None
        if sees_all or (token is not None and token.user_id == actor.user_id):
            found[source].append(
                UsedBy(
                    token.user.username if token else "",
                    token.name if token else "",
                    token.uuid if token else None,
                    count,
                )
            )
    return found
