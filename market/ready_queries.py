"""What `market/readiness.py` looks at, gathered from the registry and from compute."""

from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from django.conf import settings

from accounts.actors import system
from common.errors import DomainError
from compute.endpoint_states import SERVING
from market.models import Listing
from market.readiness import Check, Facts, checks_of
from market.states import SubjectKind
from market.subjects import require_subject, version_of
from registry.queries import held_back_in, verdict_of
from registry.safety_queries import is_scanned
from registry.services.cards import card_of
from registry.standing import standing_of

if TYPE_CHECKING:
    from compute.models import Endpoint
    from registry.models import Version

_SYSTEM = system("market")
_PREFIX = {SubjectKind.MODEL: "", SubjectKind.DATASET: "/datasets", SubjectKind.ALGORITHM: "/algorithms"}


def readiness_of(listing: Listing) -> list[Check]:
    """Every check of a listing as things are now. Reads the card from the store; about ten queries."""
    return checks_of(facts_of(listing))


def facts_of(listing: Listing) -> Facts:
    """What the checks of a listing look at; of a subject that is gone nothing but its name."""
    kind = SubjectKind(listing.subject_kind)
    try:
        subject = require_subject(_SYSTEM, kind, listing.subject_uuid)
    except DomainError:
        return Facts(kind, f"/sell/{listing.uuid}", "/sell", f"the {kind}", listing.channel, is_serving=False)
    version = version_of(kind, subject, listing.channel)
    full_name = f"{subject.namespace.name}/{subject.name}"
    is_endpoint = kind == SubjectKind.ENDPOINT
    return Facts(
        kind=kind,
        edit_page=f"/sell/{listing.uuid}",
        subject_page=("/endpoints/" if is_endpoint else f"{_PREFIX[kind]}/") + quote(full_name),
        subject_name=full_name,
        channel=listing.channel,
        version=version.name if version else "",
        is_serving=not is_endpoint or cast("Endpoint", subject).state in SERVING,
        is_withdrawn=is_endpoint and version is not None and standing_of(version).is_yanked,
        support_contact=listing.support_contact,
        plan_count=listing.plans.filter(retired_at__isnull=True).count(),
        licence=licence_of(listing, version),
        has_example=bool(listing.example_input) or (version is not None and bool(version.signature.get("example"))),
        is_code_allowed=settings.LISTING_CODE,
        **(_examined(version) if version else {}),
    )


def licence_now(listing: Listing) -> str:
    """`licence_of` for a page. No query where the listing names its licence."""
    if listing.licence:
        return listing.licence
    kind = SubjectKind(listing.subject_kind)
    try:
        return licence_of(
            listing, version_of(kind, require_subject(_SYSTEM, kind, listing.subject_uuid), listing.channel)
        )
    except DomainError:
        return ""


def licence_of(listing: Listing, version: "Version | None") -> str:
    """The licence that a buyer gets: the listing's own word, else that of the version, else that of its repository."""
    return listing.licence or (version.licence or version.repo.licence if version else "")


def _examined(version: "Version") -> dict:
    return {
        "verdict": verdict_of(version),
        "is_scanned": is_scanned(version),
        "is_held": held_back_in([version.uuid]) is not None,
        "has_card": bool(card_of(version.commit).body.strip()),
    }
