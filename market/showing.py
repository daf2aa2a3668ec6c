"""What listings show beside their own texts: the version on their channel, their pictures, what changed from version to version. Batched:
pages with many listings ask once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from accounts.actors import system
from common.errors import DomainError
from compute.endpoint_policies import visible_endpoints
from market.models import Listing, ListingImage
from market.recall_queries import Notice, notices_offered
from market.states import SubjectKind
from market.subjects import require_subject
from registry.channels import ChannelKind, majors_of, newest_names, parse_channel, versions_on

if TYPE_CHECKING:
    from registry.models import Repo

_SYSTEM = system("market")
CHANGELOG_LIMIT = 30


@dataclass(frozen=True)
class Showing:
    """`version`: the name of what is handed over now; empty when there is nothing on the channel."""

    version: str = ""
    images: list[ListingImage] = field(default_factory=list)
    recall: Notice | None = None
    """What is said of that version, when it was recalled."""


@dataclass(frozen=True)
class Change:
    """What a version brought, in the words of its release notes."""

    version: str
    notes: str
    published_at: datetime


def showings_of(listings: Iterable[Listing]) -> dict[int, Showing]:
    """`Showing` of each listing by primary key. At most five queries, whatever their number."""
    rows = list(listings)
    repos = {each.subject_uuid: each.channel for each in rows if each.subject_kind != SubjectKind.ENDPOINT}
    served = [each.subject_uuid for each in rows if each.subject_kind == SubjectKind.ENDPOINT]
    names = newest_names(repos) if repos else {}
    versions: dict[UUID, UUID] = {}
    if served:
        rows_served = visible_endpoints(_SYSTEM).filter(uuid__in=served)
        for uuid, name, version in rows_served.values_list("uuid", "version_name", "version_uuid"):
            names[uuid] = name
            if version is not None:
                versions[uuid] = version
    recalled = notices_offered(repos, versions.values())
    images: dict[int, list[ListingImage]] = {}
    for image in ListingImage.objects.filter(listing__in=[each.pk for each in rows]).order_by("position", "pk"):
        images.setdefault(image.listing_id, []).append(image)
    return {
        each.pk: Showing(
            names.get(each.subject_uuid, ""),
            images.get(each.pk, []),
            recalled.get(versions.get(each.subject_uuid) or (each.subject_uuid, names.get(each.subject_uuid, ""))),
        )
        for each in rows
    }


def covers_of(listings: Iterable[Listing]) -> dict[int, ListingImage]:
    """The first picture of each listing that has one, by the listing's primary key. One query."""
    images = ListingImage.objects.filter(listing__in=[each.pk for each in listings]).order_by("-position", "-pk")
    return {image.listing_id: image for image in images}


def channel_words(listing: Listing, version: str) -> str:
    """What a listing follows, and where that leads now: `Follows the latest 2.x: now 2.3.1`."""
    if listing.subject_kind == SubjectKind.ENDPOINT:
        return f"Answers with version {version}" if version else "Does not answer now"
    channel = parse_channel(listing.channel)
    if channel.kind == ChannelKind.VERSION:
        return f"Stays at version {channel.value}" + ("" if version else ", which was withdrawn")
    followed = "the latest version" if channel.kind == ChannelKind.LATEST else f"the latest {channel.value}.x"
    return f"Follows {followed}: now {version}" if version else f"Follows {followed}: there is none now"


def channel_choices(listing: Listing) -> list[tuple[str, str]]:
    """The channels that a listing can follow, with their words: the newest version, each major number, the last hundred versions."""
    choices = [("latest", "The latest version")]
    if listing.subject_kind == SubjectKind.ENDPOINT:
        return [("latest", "The version that the endpoint serves")]
    repo = _repo_of(listing)
    if repo is not None:
        choices += [(f"major:{number}", f"The latest {number}.x") for number in majors_of(repo)]
        names = [version.name for version in versions_on(repo, "latest", limit=100)]
        choices += [(f"version:{name}", f"Version {name}, and no other") for name in names]
    if listing.channel not in {value for value, _ in choices}:
        choices.append((listing.channel, f"{channel_words(listing, '')}"))
    return choices


def _repo_of(listing: Listing) -> "Repo | None":
    kind = SubjectKind(listing.subject_kind)
    try:
        return cast("Repo", require_subject(_SYSTEM, kind, listing.subject_uuid))
    except DomainError:
        return None


def changelog_of(listing: Listing) -> list[Change]:
    """The release notes of the versions on a listing's channel, newest first; a version without notes is there with none. They are part
    of the listing: who sees it sees them. Three queries."""
    repo = None if listing.subject_kind == SubjectKind.ENDPOINT else _repo_of(listing)
    versions = versions_on(repo, listing.channel, limit=CHANGELOG_LIMIT) if repo else []
    return [Change(version.name, version.notes, version.created_at) for version in versions]
