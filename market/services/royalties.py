"""Royalties: owners declare what they ask of derived listings, sellers accept it, and every sale pays it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import networkx as nx
from django.db import transaction
from django.db.models import QuerySet

from accounts.actors import Actor, system
from accounts.permissions import Action
from accounts.services import audit
from common.clock import now
from common.errors import Conflict, Forbidden, Invalid
from common.money import CREDIT, EXPONENTS, LIMIT_MINOR, Money
from lineage.queries import subgraph
from lineage.services.record import Ref
from market.models import Listing, Order, OrderRoyalty, RoyaltyAcceptance, RoyaltyTerms
from market.policies import require_listing_by_uuid
from market.royalties import WHOLE, due_between
from market.services import ledger
from market.services.ledger import AccountRef, Leg
from market.states import SubjectKind
from market.subjects import current_source, require_subject
from notices.services import notify
from registry.policies import require_repo_by_uuid
from registry.queries import versions_by_uuids

if TYPE_CHECKING:
    from registry.models import Repo, Version

UPSTREAM_LIMIT = 100
"""Terms in one chain. More cannot be looked through before one agrees."""
_NO_DERIVATION = ("next_version", "listed", "sold")
"""Edges that say what follows what, not what was made of what: a newer version may share nothing with the one before."""


@dataclass(frozen=True)
class Upstream:
    """Terms that a listing has to pay, the version of theirs that is nearest to it, and how many derivations away that is."""

    terms: RoyaltyTerms
    version: "Version"
    steps: int


def declare_terms(
    actor: Actor,
    repo: "Repo",
    *,
    basis_points: int,
    minimum_minor: int = 0,
    cap_minor: int | None = None,
    currency: str = CREDIT,
    until: datetime | None = None,
) -> RoyaltyTerms:
    """Ask a share of every listing that is derived from versions of `repo` published from now on; 0 without a minimum ends that. Needs
    the right to sell for its namespace. `basis_points` of what the seller receives for an order after the fee of the site,
    `minimum_minor` and `cap_minor` per order, in minor units of `currency`. Writes the declaration and audit; the same again as what
    holds now changes nothing. Raises Invalid per field, NotFound, Forbidden."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_ADMIN)
    if not actor.may(Action.NAMESPACE_SELL, repo.namespace_id):
        raise Forbidden(f"You may not decide about the money of {repo.namespace.name}.")
    if repo.kind not in {"model", "dataset"}:
        raise Invalid("Royalties are asked for models and datasets.")
    _check(basis_points, minimum_minor, cap_minor, currency, until)
    wanted = (basis_points, minimum_minor, cap_minor, currency, until)
    with transaction.atomic():
        # one after the other: a lock on the row, which itself never changes
        type(repo).objects.select_for_update(no_key=True).only("pk").get(pk=repo.pk)
        present = terms_of(repo)
        if _values(present) == wanted or (present is None and not basis_points and not minimum_minor):
            return present or RoyaltyTerms(repo_uuid=repo.uuid, namespace_id=repo.namespace_id, currency=currency)
        terms = RoyaltyTerms.objects.create(
            namespace_id=repo.namespace_id,
            repo_uuid=repo.uuid,
            basis_points=basis_points,
            minimum_minor=minimum_minor,
            cap_minor=cap_minor,
            currency=currency,
            until=until,
            created_by_id=actor.user_id,
            created_at=now(),
        )
        audit.record(
            actor,
            "market:royalty:declared",
            "repo",
            repo.uuid,
            namespace_id=repo.namespace_id,
            terms=str(terms.uuid),
            basis_points=basis_points,
            minimum_minor=minimum_minor,
            cap_minor=cap_minor,
            currency=currency,
        )
    return terms


def terms_of(repo: "Repo") -> RoyaltyTerms | None:
    """What holds for a version that is published now; None when nothing was ever declared."""
    return terms_history(repo).first()


def terms_history(repo: "Repo") -> QuerySet[RoyaltyTerms]:
    """All declarations about it, newest first."""
    return RoyaltyTerms.objects.filter(repo_uuid=repo.uuid).select_related("namespace").order_by("-created_at", "-pk")


def chain_of(listing: Listing) -> list[Upstream]:
    """Whom a sale of the listing pays now: the nearest first. Of each repository upstream one version counts, the nearest, however many ways
    lead to it; what the seller owns asks nothing. Terms are those of the day on which that version was published, unless they have run
    out. Eight queries."""
    kind = SubjectKind(listing.subject_kind)
    source = current_source(kind, require_subject(system("market"), kind, listing.subject_uuid), listing.channel)
    return _chain(source, listing.namespace_id)


def require_accepted(listing: Listing, chain: Sequence[Upstream]) -> None:
    """Raises Conflict (`royalties_not_accepted`, with the terms) unless the seller has accepted all of the chain, and
    `royalties_exceed` when it asks more than everything."""
    _refuse_excess(chain)
    if missing := unaccepted(listing, chain):
        raise Conflict(
            "It is made of what others ask a share for, and the seller has to accept that first: "
            + "; ".join(sentence(each.terms) for each in missing[:3])
            + ("; …" if len(missing) > 3 else "."),
            code="royalties_not_accepted",
            royalties=[str(each.terms.uuid) for each in missing],
        )


def unaccepted(listing: Listing, chain: Sequence[Upstream]) -> list[Upstream]:
    """Those of the chain that the seller has not agreed to."""
    accepted = set(RoyaltyAcceptance.objects.filter(listing=listing).values_list("terms_id", flat=True))
    return [each for each in chain if each.terms.pk not in accepted]


def accept(actor: Actor, listing: Listing, wanted: Collection[UUID]) -> list[Upstream]:
    """Note that the seller agrees to pay what the terms `wanted` (uuids) ask, for good; returns the chain. Needs the right to manage the
    listing. Terms that are not in the chain now are passed over, those that are accepted stay so. Writes acceptances and audit.
    Raises Conflict when the chain asks more than everything, NotFound, Forbidden."""
    listing = require_listing_by_uuid(actor, listing.uuid, Action.LISTING_MANAGE)
    with transaction.atomic():
        Listing.objects.select_for_update(no_key=True).only("pk").get(pk=listing.pk)
        chain = chain_of(listing)
        _refuse_excess(chain)
        for each in unaccepted(listing, chain):
            if each.terms.uuid in wanted:
                RoyaltyAcceptance.objects.create(listing=listing, terms=each.terms, created_by_id=actor.user_id)
                audit.record(
                    actor,
                    "market:royalty:accepted",
                    "listing",
                    listing.uuid,
                    namespace_id=listing.namespace_id,
                    terms=str(each.terms.uuid),
                    to=each.terms.namespace.name,
                )
    return chain


def ask_seller(listing: Listing, chain: Sequence[Upstream]) -> None:
    """Tell the seller, once for the same terms, that buyers are turned away until they are accepted."""
    missing = sorted(each.terms.pk for each in unaccepted(listing, chain))
    if missing:
        notify(
            listing.namespace_id,
            "market:royalties",
            f"{listing.title} can't be bought: what it is made of has changed, and asks royalties. Look at them and accept them.",
            url=f"/sell/{listing.uuid}",
            key=f"royalties:{listing.uuid}:{'-'.join(map(str, missing))}"[:120],
        )


def note_on(order: Order, chain: Iterable[Upstream]) -> None:
    """Fix who takes part in a new order, in the caller's transaction."""
    OrderRoyalty.objects.bulk_create([OrderRoyalty(order=order, terms=each.terms) for each in chain])


def accounts_for(chain: Iterable[Upstream], currency: str) -> list[AccountRef]:
    """The accounts that royalties of a chain go to, for the lock of an order."""
    return [ledger.earnings(each.terms.namespace, currency) for each in chain]


def accounts_of(order: Order) -> list[AccountRef]:
    """The same of an order that was placed."""
    return [ledger.earnings(each.terms.namespace, order.currency) for each in _of(order)]


def shared(order: Order, before_minor: int, upto_minor: int) -> list[Leg]:
    """The legs that share a step of what the seller receives for an order (minor units, from `before_minor` to `upto_minor`, counted from
    its beginning) between the seller and everybody upstream. They sum to the step."""
    rows = _of(order)
    parts = due_between([row.terms.share_in(order.currency) for row in rows], before_minor, upto_minor)
    legs = [
        Leg(ledger.earnings(row.terms.namespace, order.currency), part) for row, part in zip(rows, parts, strict=True)
    ]
    rest = upto_minor - before_minor - sum(parts)
    return [Leg(ledger.earnings(order.seller, order.currency), rest), *legs]


def tell_owners(order: Order, legs: Iterable[Leg]) -> None:
    """Word to everybody upstream whom these legs pay, in the caller's transaction."""
    for leg in legs:
        owner = leg.account.namespace_id
        if owner is not None and owner != order.seller_id and leg.amount_minor:
            notify(
                owner,
                "market:royalty:paid",
                f"{order.listing.title}, which is derived from yours, was sold: {Money(leg.amount_minor, order.currency)} for you.",
                url="/earnings",
                key=f"order:{order.uuid}:royalty:{owner}",
            )


def sentence(terms: RoyaltyTerms) -> str:
    """The terms in words, without whom they are about: `2.5 % to alice, at least 1.00 EUR an order`."""
    text = f"{percent(terms.basis_points)} to {terms.namespace.name}"
    if terms.minimum_minor:
        text += f", at least {Money(terms.minimum_minor, terms.currency)} an order"
    if terms.cap_minor is not None:
        text += f", at most {Money(terms.cap_minor, terms.currency)} an order"
    if terms.until is not None:
        text += f", until {terms.until:%Y-%m-%d}"
    return text


def percent(basis_points: int) -> str:
    """`2.5 %`."""
    return f"{basis_points / 100:g} %"


def _of(order: Order) -> list[OrderRoyalty]:
    return list(OrderRoyalty.objects.filter(order=order).select_related("terms__namespace").order_by("pk"))


def _chain(source: Ref, seller_id: int) -> list[Upstream]:
    graph = subgraph(source, direction="up")
    if source not in graph:
        return []
    made_of = nx.DiGraph(
        (target, origin) for origin, target, data in graph.edges(data=True) if data["relation"] not in _NO_DERIVATION
    )
    made_of.add_node(source)
    steps = nx.single_source_shortest_path_length(made_of, source)
    near = {ref.uuid: distance for ref, distance in steps.items() if ref.kind == "version"}
    versions = sorted(versions_by_uuids(near), key=lambda each: (near[each.uuid], -each.pk))
    nearest: dict[UUID, Version] = {}
    for version in versions:
        nearest.setdefault(version.repo.uuid, version)
    asked = _terms_at({repo: version.created_at for repo, version in nearest.items()})
    chain = [
        Upstream(terms, nearest[repo], near[nearest[repo].uuid])
        for repo, terms in asked.items()
        if terms.namespace_id != seller_id and terms.asks and (terms.until is None or terms.until > now())
    ]
    return sorted(chain, key=lambda each: (each.steps, each.terms.pk))


def _terms_at(moments: dict[UUID, datetime]) -> dict[UUID, RoyaltyTerms]:
    """For each repository the newest terms that were declared before the moment."""
    found: dict[UUID, RoyaltyTerms] = {}
    rows = RoyaltyTerms.objects.filter(repo_uuid__in=moments).select_related("namespace").order_by("created_at", "pk")
    for row in rows:
        if row.created_at <= moments[row.repo_uuid]:
            found[row.repo_uuid] = row
    return found


def _refuse_excess(chain: Sequence[Upstream]) -> None:
    total = sum(each.terms.basis_points for each in chain)
    if total > WHOLE:
        raise Conflict(
            f"What it is made of asks {percent(total)} of the price together: more than everything. Talk to the owners upstream.",
            code="royalties_exceed",
        )
    if len(chain) > UPSTREAM_LIMIT:
        raise Conflict(
            f"More than {UPSTREAM_LIMIT} owners upstream ask a share: that is too many for one sale.",
            code="royalties_exceed",
        )


def _values(terms: RoyaltyTerms | None) -> tuple[object, ...] | None:
    if terms is None:
        return None
    return (terms.basis_points, terms.minimum_minor, terms.cap_minor, terms.currency, terms.until)


def _check(basis_points: int, minimum_minor: int, cap_minor: int | None, currency: str, until: datetime | None) -> None:
    faults: dict[str, str] = {}
    if type(basis_points) is not int or not 0 <= basis_points <= WHOLE:
        faults["basis_points"] = "0 to 10,000 (100 %)"
    if type(minimum_minor) is not int or not 0 <= minimum_minor <= LIMIT_MINOR:
        faults["minimum_minor"] = "an amount of 0 or more"
    if cap_minor is not None and (type(cap_minor) is not int or not 0 < cap_minor <= LIMIT_MINOR):
        faults["cap_minor"] = "an amount above 0, or nothing"
    elif cap_minor is not None and cap_minor < minimum_minor:
        faults["cap_minor"] = "not below the minimum"
    if currency not in EXPONENTS:
        faults["currency"] = "not a currency of this site"
    if until is not None and until <= now():
        faults["until"] = "in the future, or nothing"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{name}: {fault}" for name, fault in faults.items()) + ".", fields=faults
        )
