"""What a namespace's people see of each thing that it has access to: since when and until when, seats, who used it how much, and the caps
that hold for it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Count

from accounts.actors import Actor
from accounts.directory import tokens_by_uuid
from accounts.permissions import Action
from common.clock import now
from market.cap_policies import CapView, caps_in
from market.models import Entitlement, SeatHolder
from market.overdue import dunning
from market.seat_policies import givers_of, seats_of
from market.showing import showings_of
from market.states import ListingState, OrderState, PlanKind, SubjectKind, SubscriptionState
from metering.queries import usage_by_token
from metering.services.caps import month_of

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Subscription
    from market.recall_queries import Notice


class AccessState(StrEnum):
    """OPEN: it can be used. FROZEN: it rests, and comes back or ends. RECALLED: it can be used as far as the recall lets it."""

    OPEN = "open"
    FROZEN = "frozen"
    RECALLED = "recalled"


@dataclass(frozen=True)
class AccessTerm:
    """Since when and until when access is had. `until` None: for good. `renews`: it goes on then, if it is paid. `reason`: why it is
    not simply open, in a sentence."""

    since: datetime
    until: datetime | None = None
    renews: bool = False
    state: AccessState = AccessState.OPEN
    reason: str = ""


@dataclass(frozen=True)
class UsedBy:
    """Calls of one token in the present month (UTC). `member` and `token` are names, empty when they are gone."""

    member: str
    token: str
    token_uuid: UUID | None
    calls: int


@dataclass(frozen=True)
class AccessDetail:
    """`seats` None: it is open to everybody in the namespace. `has_seat`: whether the reader sits; None: not by the seat. `givers`: who
    could give them one, where they have none."""

    term: AccessTerm
    seats: int | None
    seats_taken: int
    used_by: list[UsedBy]
    caps: list[CapView]
    has_seat: bool | None = None
    givers: list[str] = field(default_factory=list)


def details_of(actor: Actor, namespace: "Namespace", entitlements: Sequence[Entitlement]) -> dict[int, AccessDetail]:
    """By primary key of the entitlement, for a page of `namespace`, in which `actor` may read. Those who manage the money of a holder see
    everybody's calls, others their own. Twenty queries at most, however many, and ten more for each organisation that a person has
    seats of."""
    called = [each for each in entitlements if each.subject_kind == SubjectKind.ENDPOINT]
    by_seat = [each for each in entitlements if each.seats is not None]
    taken: dict[int, int] = {}
    if by_seat:
        rows = SeatHolder.objects.filter(entitlement__in=by_seat).values("entitlement").annotate(count=Count("pk"))
        taken = {row["entitlement"]: row["count"] for row in rows}
    own = seats_of(actor, by_seat) if by_seat else set()
    without = {each.holder_id for each in by_seat if each.pk not in own}
    givers = {holder_id: givers_of(holder_id) for holder_id in without}
    used: dict[str, list[UsedBy]] = {}
    caps: dict[int, list[CapView]] = {}
    for holder in {each.holder_id: each.holder for each in called}.values():
        used |= _used(actor, holder, [each for each in called if each.holder_id == holder.pk])
        caps[holder.pk] = caps_in(holder)
    terms = access_terms(namespace, entitlements)
    return {
        each.pk: AccessDetail(
            terms[each.pk],
            each.seats,
            taken.get(each.pk, 0),
            used.get(each.source, []),
            [cap for cap in caps.get(each.holder_id, []) if cap.subject in {None, each.subject_uuid}]
            if each.subject_kind == SubjectKind.ENDPOINT
            else [],
            None if each.seats is None else each.pk in own,
            givers.get(each.holder_id, []) if each.seats is not None and each.pk not in own else [],
        )
        for each in entitlements
    }


def access_terms(namespace: "Namespace", entitlements: Sequence[Entitlement]) -> dict[int, AccessTerm]:
    """By primary key of the entitlement: when `namespace` has it, a person by a seat since they sit. Wants what `entitlements_of` joins.
    Six queries at most."""
    recalled = {pk: shown.recall for pk, shown in showings_of(_listings(entitlements)).items()}
    foreign = [each.pk for each in entitlements if each.holder_id != namespace.pk]
    since = {}
    if foreign and namespace.user_id is not None:
        sits = SeatHolder.objects.filter(entitlement__in=foreign, user_id=namespace.user_id)
        since = dict(sits.values_list("entitlement_id", "created_at"))
    return {each.pk: _term(each, recalled.get(each.listing_id), since.get(each.pk)) for each in entitlements}


def _listings(entitlements: Iterable[Entitlement]) -> list:
    return list({each.listing_id: each.listing for each in entitlements}.values())


def _term(entitlement: Entitlement, recall: "Notice | None", seat_since: datetime | None) -> AccessTerm:
    order = entitlement.order
    term = getattr(order, "term", None) if order.plan.kind == PlanKind.SUBSCRIPTION else None
    subscription = term.subscription if term else None
    since = seat_since or (subscription.created_at if subscription else entitlement.created_at)
    until, renews = _end_of(subscription, entitlement) if subscription else (None, False)
    if entitlement.frozen_at is not None:
        return AccessTerm(since, until, renews, AccessState.FROZEN, _why_it_rests(entitlement, subscription))
    if recall is not None:
        said = (
            f"The version that it gives was recalled on {recall.recalled_at:%-d %b %Y}: {recall.reason} {recall.advice}"
        )
        return AccessTerm(since, until, renews, AccessState.RECALLED, said.strip())
    return AccessTerm(since, until, renews)


def _end_of(subscription: "Subscription", entitlement: Entitlement) -> tuple[datetime, bool]:
    """What is overdue goes on for the grace, then rests."""
    if subscription.state == SubscriptionState.PAST_DUE and subscription.failed_at is not None:
        return dunning().suspend_at(subscription.failed_at), not subscription.cancel_at_period_end
    if subscription.state == SubscriptionState.SUSPENDED:
        return entitlement.frozen_at or subscription.period_end, False
    is_going_on = not subscription.cancel_at_period_end and entitlement.listing.state != ListingState.WITHDRAWN
    return subscription.period_end, is_going_on


def _why_it_rests(entitlement: Entitlement, subscription: "Subscription | None") -> str:
    if entitlement.order.state == OrderState.DISPUTED:
        return "Its payment is disputed: access rests until that is decided."
    if subscription is not None and subscription.state == SubscriptionState.SUSPENDED:
        return "Its next period is not paid: access is back as soon as it is."
    return "Access rests."


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
