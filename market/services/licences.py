"""The licence check of sales, and the waivers that lift it for one edge."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common import errors
from common.errors import Invalid, NotFound
from market.licence_chains import Shown, chain_of_repo, chain_of_version
from market.licences import WAIVABLE, Chain, Conflict, Sale, Thing, Waived, conflicts, sentence, to_be_named
from market.models import LicenceWaiver, LicenceWaiverRevocation, Listing
from market.policies import visible_waivers
from market.states import SubjectKind
from market.subjects import Subject
from notices.services import notify
from registry.licences import normalised
from registry.policies import require_repo_by_uuid

if TYPE_CHECKING:
    from compute.models import Endpoint
    from registry.models import Repo

TEXT_LIMIT = 20_000
_SHOWN_CONFLICTS = 50


@dataclass(frozen=True)
class Check:
    """What the licences along a lineage say of a sale. `shown`: what the reader may know."""

    chain: Chain
    sale: Sale
    conflicts: list[Conflict]
    waived: list[LicenceWaiver]
    """In force, of edges of this chain."""
    named: list[Thing]
    """Whom a buyer has to name."""
    shown: Shown

    @property
    def is_free(self) -> bool:
        return not self.conflicts

    def sentence(self, conflict: Conflict) -> str:
        return sentence(conflict, self.shown.name, self.shown.licence)


def check(actor: Actor, kind: SubjectKind | str, subject: "Subject", *, is_paid: bool = True) -> Check:
    """The licence check of selling (or, not `is_paid`, giving away) a repository or the calls of an endpoint, for a caller that may
    see the subject. Changes nothing. About three queries for each level of the lineage."""
    is_service = kind == SubjectKind.ENDPOINT
    if is_service:
        version_uuid = cast("Endpoint", subject).version_uuid
        chain = chain_of_version(version_uuid) if version_uuid else Chain((), {}, frozenset())
    else:
        chain = chain_of_repo(cast("Repo", subject))
    waivers = _in_force({thing.repo for thing in chain.things.values()})
    sale = Sale(is_paid, is_service)
    given = [
        Waived(each.upstream_uuid, each.upstream_version_uuid, each.downstream_uuid, frozenset(each.rules))
        for each in waivers
    ]
    return Check(chain, sale, conflicts(chain, sale, given), waivers, to_be_named(chain), Shown.to(actor, chain))


def require_licences(actor: Actor, listing: Listing, subject: "Subject", *, is_paid: bool) -> Check:
    """Refuse what the licences along the lineage do not allow: called when a listing is published, gets a paid plan, and is bought.
    Raises Conflict `licence_conflict` with each conflict (edge, rule, sentence) in `conflicts`, and `licence_differs` when a paid
    listing names another licence than what it sells."""
    found = check(actor, listing.subject_kind, subject, is_paid=is_paid)
    if not found.is_free:
        first = found.sentence(found.conflicts[0])
        more = f" And {len(found.conflicts) - 1} more." if len(found.conflicts) > 1 else ""
        raise errors.Conflict(
            f"The licences do not allow this: {first}{more} The licence page shows what helps.",
            code="licence_conflict",
            conflicts=[told(found, each) for each in found.conflicts[:_SHOWN_CONFLICTS]],
        )
    own = licence_of(found)
    if is_paid and listing.licence and own and _spelled(listing.licence) != _spelled(own):
        raise errors.Conflict(
            f"The listing says {listing.licence}, but what it sells is under {own}: make them the same.",
            code="licence_differs",
        )
    return found


def licence_of(found: Check) -> str:
    """The licence of what is sold, of its newest version; empty when none is known."""
    subjects = found.chain.subjects
    return found.chain.things[subjects[0]].licence.expression if subjects else ""


def told(found: Check, conflict: Conflict) -> dict[str, Any]:
    """A conflict as an answer holds it: nothing of what the reader may not see."""
    sides: dict[str, str | None] = {}
    for side, thing in (("upstream", conflict.upstream), ("downstream", conflict.downstream)):
        is_visible = found.shown.is_visible(thing)
        sides[side] = found.shown.name(thing)
        sides[f"{side}_repo"] = str(thing.repo) if is_visible else None
        sides[f"{side}_licence"] = found.shown.licence(thing)
    return {**sides, "rule": str(conflict.rule), "sentence": found.sentence(conflict)}


def grant_waiver(
    actor: Actor,
    *,
    upstream: UUID | str,
    downstream: UUID | str,
    rules: Iterable[str],
    text: str,
    version: UUID | str | None = None,
) -> LicenceWaiver:
    """Permit in writing what the licence of a repository forbids, for one edge: what `downstream` makes of `upstream` (or of one
    version of it) may be sold in spite of these rules. For who administers the upstream repository and sees the other. Writes the
    waiver, audit, notices to both owners. The same one again, while it is in force, is returned. Raises Invalid per field, NotFound,
    Forbidden."""
    source = require_repo_by_uuid(actor, upstream, Action.REPO_ADMIN)
    target = require_repo_by_uuid(actor, downstream, Action.REPO_DISCOVER)
    wanted, text = sorted(set(rules)), text.strip()
    faults = {}
    if not wanted or not set(wanted) <= set(WAIVABLE):
        faults["rules"] = f"one or more of {', '.join(WAIVABLE)}"
    if not text or len(text) > TEXT_LIMIT or "\x00" in text:
        faults["text"] = f"1 to {TEXT_LIMIT:,} characters"
    version_uuid = UUID(str(version)) if version else None
    if version_uuid and not source.versions.filter(uuid=version_uuid).exists():
        faults["version"] = "no version of the upstream repository"
    if faults:
        raise Invalid(
            "Please correct: " + "; ".join(f"{field}: {fault}" for field, fault in faults.items()), fields=faults
        )
    edge = {
        "upstream_uuid": source.uuid,
        "upstream_version_uuid": version_uuid,
        "downstream_uuid": target.uuid,
    }
    with transaction.atomic():
        for same in LicenceWaiver.objects.filter(**edge, revocation=None, text=text):
            if same.rules == wanted:
                return same
        waiver = LicenceWaiver.objects.create(
            **edge,
            rules=wanted,
            text=text,
            owner=source.namespace,
            holder=target.namespace,
            created_by_id=actor.user_id,
        )
        _record(actor, "market:waiver:granted", waiver, rules=wanted)
        _tell(waiver, f"{_name(source)} waives rules of its licence for {_name(target)}.", "granted")
    return waiver


def revoke_waiver(actor: Actor, waiver: LicenceWaiver, *, reason: str = "") -> LicenceWaiverRevocation:
    """End a waiver for the future: nothing new is sold under it, what was bought stays. For who administers the upstream repository.
    Writes the revocation, audit, notices to both owners; a second call returns the first. Raises Invalid, NotFound, Forbidden."""
    source = require_repo_by_uuid(actor, waiver.upstream_uuid, Action.REPO_ADMIN)
    if len(reason) > TEXT_LIMIT or "\x00" in reason:
        raise Invalid(f"A reason has at most {TEXT_LIMIT:,} characters.", fields={"reason": "too long"})
    with transaction.atomic():
        revocation, is_new = LicenceWaiverRevocation.objects.get_or_create(
            waiver=waiver, defaults={"reason": reason.strip(), "created_by_id": actor.user_id}
        )
        if is_new:
            _record(actor, "market:waiver:revoked", waiver)
            _tell(waiver, f"{_name(source)} took back a waiver: nothing new is sold under it.", "revoked")
    return revocation


def require_waiver(actor: Actor, uuid: UUID) -> LicenceWaiver:
    """A waiver that the actor gave or got. Raises NotFound."""
    waiver = visible_waivers(actor).filter(uuid=uuid).first()
    if waiver is None:
        raise NotFound("There is no such waiver.")
    return waiver


def waivers_of(actor: Actor, repo: "Repo") -> QuerySet[LicenceWaiver]:
    """Waivers that a repository gave or got, for who may see them."""
    return visible_waivers(actor).filter(Q(upstream_uuid=repo.uuid) | Q(downstream_uuid=repo.uuid))


def _in_force(repos: set[UUID]) -> list[LicenceWaiver]:
    rows = LicenceWaiver.objects.filter(downstream_uuid__in=repos, upstream_uuid__in=repos, revocation=None)
    return list(rows.select_related("owner").order_by("pk"))


def _spelled(licence: str) -> str:
    """The first in SPDX's spelling, so that `mit` and `MIT` are one; what is none as it is written."""
    return (normalised(licence) or licence).lower()


def _name(repo: "Repo") -> str:
    return f"{repo.namespace.name}/{repo.name}"


def _tell(waiver: LicenceWaiver, text: str, deed: str) -> None:
    for namespace_id in {waiver.owner_id, waiver.holder_id}:
        notify(namespace_id, "licence", text, url=f"/waivers/{waiver.uuid}", key=f"waiver:{waiver.uuid}:{deed}")


def _record(actor: Actor, tag: str, waiver: LicenceWaiver, **detail: Any) -> None:
    audit.record(
        actor,
        tag,
        "waiver",
        waiver.uuid,
        namespace_id=waiver.owner_id,
        upstream=str(waiver.upstream_uuid),
        downstream=str(waiver.downstream_uuid),
        **detail,
    )
