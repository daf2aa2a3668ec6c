"""Whether a buyer has used what they say something about. Whoever has access and has not used it has nothing to tell."""

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.actors import Actor
from accounts.directory import people_who
from accounts.permissions import Action
from market.models import Entitlement, Listing
from market.showing import showings_of
from market.stars import calls_in_words, days_in_words
from market.states import OrderState, SubjectKind
from metering.queries import calls_by_version
from registry.queries import versions_by_uuids
from registry.reading_queries import readings_of

_RETURNED = [OrderState.REFUNDING, OrderState.REFUNDED, OrderState.LOST]


@dataclass(frozen=True)
class Proof:
    """One namespace that may review a listing. `used`: names of the versions that it has used, the one to propose first, each with how
    much, as a band in words."""

    entitlement: Entitlement
    used: dict[str, str]

    @property
    def buyer(self) -> str:
        return self.entitlement.holder.name


def proofs_of(actor: Actor, listing: Listing) -> list[Proof]:
    """The namespaces that the actor buys for which have access to a listing now and have used it: calls that were counted, or files
    that one of its people has opened or fetched since it was bought. By name. About three queries, and four more for each namespace."""
    buying = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_BUY, pk) and pk != listing.namespace_id]
    live = Entitlement.objects.filter(
        holder_id__in=buying, listing=listing, revoked_at__isnull=True, frozen_at__isnull=True
    )
    held: dict[int, list[Entitlement]] = {}
    for entitlement in live.select_related("holder").order_by("pk"):
        held.setdefault(entitlement.holder_id, []).append(entitlement)
    found = [_proof(listing, rows) for rows in held.values()]
    return sorted([proof for proof in found if proof], key=lambda proof: proof.buyer.lower())


def _proof(listing: Listing, held: list[Entitlement]) -> Proof | None:
    if listing.subject_kind == SubjectKind.ENDPOINT:
        return _of_calls(listing, held)
    people = _people(held)
    readings = readings_of(listing.subject_uuid, people, held[0].created_at)
    if not readings.days:
        return None
    # a state without a version of its own belongs to what the listing hands over now
    versions = readings.versions or _offered(listing)
    return Proof(held[-1], dict.fromkeys(versions, days_in_words(readings.days))) if versions else None


def _of_calls(listing: Listing, held: list[Entitlement]) -> Proof | None:
    # of what it had earlier, too: each period of a subscription is an entitlement of its own
    ever = Entitlement.objects.filter(holder_id=held[-1].holder_id, listing=listing)
    kept = ever.exclude(order__state__in=_RETURNED)
    calls = calls_by_version([each.source for each in kept])
    named: dict[str, int] = {}
    rows = versions_by_uuids(uuid for uuid in calls if uuid is not None)
    for row in sorted(rows, key=lambda row: (row.created_at, row.pk), reverse=True):
        named[row.name] = named.get(row.name, 0) + calls[row.uuid]
    if not named and calls:
        # nobody has noted what answered: it counts for what answers now
        named = dict.fromkeys(_offered(listing), sum(calls.values()))
    return Proof(held[-1], {name: calls_in_words(count) for name, count in named.items()}) if named else None


def _offered(listing: Listing) -> tuple[str, ...]:
    name = showings_of([listing])[listing.pk].version
    return (name,) if name else ()


def _people(held: Iterable[Entitlement]) -> list[int]:
    return people_who(next(iter(held)).holder_id, Action.NAMESPACE_READ)
