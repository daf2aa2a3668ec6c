"""Release channels: which of a repository's versions a follower gets. `latest` is the newest one, `major:2` the newest 2.x,
`version:1.4` stays where it is. Versions that were withdrawn are on no channel; a pre-release counts only where there is no release.

A channel is resolved when it is read, so nothing has to be told when a version appears or is withdrawn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models import Q

from common.errors import Invalid
from registry import version_names
from registry.models import LatestVersion, Repo, Version
from registry.queries import in_use, latest_version, versions_of

LATEST = "latest"
CHANNEL_LIMIT = 100


class ChannelKind(StrEnum):
    LATEST = "latest"
    MAJOR = "major"
    VERSION = "version"


@dataclass(frozen=True)
class Channel:
    """`value` is the major number or the name of the version; empty for latest."""

    kind: ChannelKind
    value: str = ""

    def holds(self, name: str) -> bool:
        """Whether a version called `name` is on the channel."""
        if self.kind == ChannelKind.VERSION:
            return name.lower() == self.value.lower()
        parsed = version_names.parse(name)
        return self.kind == ChannelKind.LATEST or (parsed is not None and str(parsed.numbers[0]) == self.value)

    @property
    def condition(self) -> Q:
        """What the database can tell of `holds`: never less than it."""
        if self.kind == ChannelKind.VERSION:
            return Q(name__iexact=self.value)
        return Q(name__startswith=self.value) | Q(name__istartswith=f"v{self.value}") if self.value else Q()


def parse_channel(text: str) -> Channel:
    """`latest`, `major:N` or `version:NAME`. Raises Invalid."""
    kind, colon, value = text.partition(":")
    is_number = value.isascii() and value.isdigit() and len(value) <= 12 and str(int(value)) == value
    is_right = {
        ChannelKind.LATEST: not colon,
        ChannelKind.MAJOR: is_number,
        ChannelKind.VERSION: version_names.parse(value) is not None,
    }
    if kind not in list(ChannelKind) or not is_right[ChannelKind(kind)]:
        raise Invalid(
            "A channel is latest, major:N such as major:2, or version:NAME such as version:1.4.0.",
            fields={"channel": "latest, major:N or version:NAME"},
        )
    return Channel(ChannelKind(kind), value)


def newest_on(repo: Repo, text: str) -> Version | None:
    """The version that a follower of the channel gets now. At most two queries and those of `versions_of`."""
    channel = parse_channel(text)
    if channel.kind == ChannelKind.LATEST:
        return latest_version(repo)
    rows = in_use(Version.objects.filter(channel.condition, repo=repo)).values_list("name", flat=True)
    name = _newest(rows, channel)
    return versions_of(repo).filter(name=name).first() if name else None


def newest_names(followed: Mapping[UUID, str]) -> dict[UUID, str]:
    """`newest_on` for many repositories (uuid: channel) at once: names only. Two queries."""
    channels = {uuid: parse_channel(text) for uuid, text in followed.items()}
    latest = [uuid for uuid, channel in channels.items() if channel.kind == ChannelKind.LATEST]
    others = {uuid: channel for uuid, channel in channels.items() if channel.kind != ChannelKind.LATEST}
    found: dict[UUID, str] = {}
    if latest:
        found |= dict(LatestVersion.objects.filter(repo__uuid__in=latest).values_list("repo__uuid", "version__name"))
    if others:
        wanted = Q(pk__in=())
        for uuid, channel in others.items():
            wanted |= Q(repo__uuid=uuid) & channel.condition
        names: dict[UUID, list[str]] = {}
        for uuid, name in in_use(Version.objects.filter(wanted)).values_list("repo__uuid", "name"):
            names.setdefault(uuid, []).append(name)
        found |= {uuid: name for uuid, each in names.items() if (name := _newest(each, others[uuid]))}
    return found


def versions_on(repo: Repo, text: str, *, limit: int = 50) -> list[Version]:
    """The versions of a channel that are not withdrawn, the newest of the last `limit` published first."""
    channel = parse_channel(text)
    rows = in_use(Version.objects.filter(channel.condition, repo=repo)).order_by("-created_at", "-pk")
    held = [version for version in rows[: limit * 4] if channel.holds(version.name)][:limit]
    return sorted(held, key=lambda version: _rank(version.name), reverse=True)


def majors_of(repo: Repo) -> list[str]:
    """The major numbers of the last thousand versions that are in use, highest first."""
    names = in_use(Version.objects.filter(repo=repo)).order_by("-pk").values_list("name", flat=True)[:1000]
    numbers = {parsed.numbers[0] for name in names if (parsed := version_names.parse(name))}
    return [str(number) for number in sorted(numbers, reverse=True)]


def _newest(names: Iterable[str], channel: Channel) -> str:
    return max((name for name in names if channel.holds(name)), key=_rank, default="")


def _rank(name: str) -> tuple[bool, bool, object]:
    parsed = version_names.parse(name)
    return (parsed is not None, parsed is not None and not parsed.is_prerelease, parsed or name)
