"""Walking the lineage up from what is sold, to the licences of all that went into it. For the product itself: nothing is filtered by
rights, so what a person is shown of a chain goes through `Shown`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.actors import Actor
from lineage.queries import edges_into
from lineage.services.record import Ref
from market.licences import Chain, Thing, links_between
from registry.licence_queries import handed_over, licensed_versions, newest_licensed, resolved
from registry.licences import CUSTOM
from registry.policies import visible_repos
from registry.states import RepoKind

if TYPE_CHECKING:
    from registry.models import Repo, Version

DEPTH_LIMIT = 50
"""Levels above what is sold."""
THINGS_LIMIT = 2000
DECLARED_LIMIT = 20
"""Names of a card that are looked up: base models, and data sets."""
_REPOS = frozenset(each.value for each in RepoKind)
_THROUGH = frozenset({"job", "build"})
"""What has no licence of its own: whatever went in went into what came out."""
_NOT_FOLLOWED = ("next_version",)
"""A version stands on what went into it, not on the one before: or a lineage could never be mended by training anew."""
_PRIVATE = "a repository that is not shown to you"


def chain_of_repo(repo: "Repo") -> Chain:
    """What who gets the repository gets, all versions that are not withdrawn, and what went into them. Four queries for each level."""
    versions = handed_over(repo)
    walk = _Walk()
    if not versions:
        walk.take_repo(repo)
        return walk.up((_key(repo.kind, repo.uuid),))
    walk.take_versions(versions)
    return walk.up(tuple(_key("version", each.uuid) for each in versions))


def chain_of_version(uuid: UUID | str) -> Chain:
    """One version, as an endpoint serves it, and what went into it."""
    walk = _Walk()
    versions = licensed_versions([UUID(str(uuid))])
    walk.take_versions(versions)
    return walk.up(tuple(_key("version", each.uuid) for each in versions))


@dataclass(frozen=True)
class Shown:
    """What a reader may know of the things of a chain: names of what they may discover, and no more of the rest."""

    repos: "dict[UUID, Repo]"

    @classmethod
    def to(cls, actor: Actor, chain: Chain) -> "Shown":
        """One query."""
        wanted = {thing.repo for thing in chain.things.values()}
        return cls({repo.uuid: repo for repo in visible_repos(actor).filter(uuid__in=wanted)})

    def is_visible(self, thing: Thing) -> bool:
        return thing.repo in self.repos

    def name(self, thing: Thing) -> str:
        return thing.title if self.is_visible(thing) else _PRIVATE

    def licence(self, thing: Thing) -> str:
        """The licence of what is not shown, unless its name tells whose it is."""
        is_telling = not thing.licence.is_known or CUSTOM.lower() in thing.licence.name.lower()
        return thing.licence.name if self.is_visible(thing) or not is_telling else "a licence that is not shown to you"


@dataclass
class _Walk:
    """The state of one walk. Keys are `kind:uuid`; `in:<uuid>` is the way into all versions of a repository."""

    rows: "dict[str, tuple[str, str, Repo, UUID | None, str]]" = field(default_factory=dict)
    """Of each thing: kind, title, repository, version, licence as written."""
    edges: set[tuple[str, str]] = field(default_factory=set)
    new: list[Ref] = field(default_factory=list)
    seen: set[Ref] = field(default_factory=set)
    repos: "dict[UUID, Repo]" = field(default_factory=dict)
    undeclared: "list[Repo]" = field(default_factory=list)

    def take_versions(self, versions: "Iterable[Version]") -> None:
        for version in versions:
            repo = version.repo
            key = _key("version", version.uuid)
            title = f"{repo.namespace.name}/{repo.name} {version.name}"
            self.rows[key] = (repo.kind, title, repo, version.uuid, version.licence or repo.licence)
            self._meet(Ref("version", version.uuid))
            self._enter(repo, key)

    def take_repo(self, repo: "Repo") -> None:
        key = _key(repo.kind, repo.uuid)
        self.rows[key] = (repo.kind, f"{repo.namespace.name}/{repo.name}", repo, None, repo.licence)
        self._enter(repo, key)

    def up(self, subjects: tuple[str, ...]) -> Chain:
        level = 0
        while (self.new or self.undeclared) and level < DEPTH_LIMIT and len(self.rows) <= THINGS_LIMIT:
            self._climb()
            level += 1
        return self._chain(subjects, is_cut=bool(self.new or self.undeclared))

    def _climb(self) -> None:
        """One level: edges, repositories, versions."""
        refs, self.new = self.new, []
        owners, self.undeclared = self.undeclared, []
        repos: dict[tuple[str, UUID], set[str]] = {}
        named: dict[tuple[str, str, str], set[str]] = {}
        versions: set[UUID] = set()
        for source, target, _ in edges_into(refs, relations_but=_NOT_FOLLOWED):
            into = f"in:{target.uuid}" if target.kind in _REPOS else _key(target.kind, target.uuid)
            if source.kind in _REPOS:
                repos.setdefault((source.kind, source.uuid), set()).add(into)
                continue
            if source.kind == "version":
                if source not in self.seen:
                    versions.add(source.uuid)
            elif source.kind in _THROUGH:
                self._meet(source)
            else:
                continue
            self.edges.add((_key(source.kind, source.uuid), into))
        for repo in owners:
            for name in _declared(repo):
                named.setdefault(name, set()).add(f"in:{repo.uuid}")
        for found in newest_licensed(list(repos), list(named)):
            newest: UUID | None = found.newest  # type: ignore[attr-defined]  # the query joins it
            source_key = _key("version", newest) if newest else _key(found.kind, found.uuid)
            name = (found.kind, found.namespace.name.lower(), found.name.lower())
            for into in repos.get((found.kind, found.uuid), set()) | named.get(name, set()):
                if into != f"in:{found.uuid}":
                    self.edges.add((source_key, into))
            if newest and Ref("version", newest) not in self.seen:
                versions.add(newest)
            elif not newest and source_key not in self.rows:
                self.take_repo(found)
        if versions:
            self.take_versions(licensed_versions(versions))

    def _meet(self, ref: Ref) -> None:
        if ref not in self.seen:
            self.seen.add(ref)
            self.new.append(ref)

    def _enter(self, repo: "Repo", key: str) -> None:
        """What went into a repository as a whole (a copy's original, what its card declares) went into each version of it."""
        self.edges.add((f"in:{repo.uuid}", key))
        if repo.uuid not in self.repos:
            self.repos[repo.uuid] = repo
            self.undeclared.append(repo)
            self._meet(Ref(repo.kind, repo.uuid))

    def _chain(self, subjects: tuple[str, ...], *, is_cut: bool) -> Chain:
        known = resolved(licence for *_, licence in self.rows.values())
        things = {
            key: Thing(key, kind, title, repo.uuid, version, repo.namespace_id, known[licence])
            for key, (kind, title, repo, version, licence) in self.rows.items()
        }
        return Chain(subjects, things, links_between(things, self.edges), is_cut)


def _key(kind: str, uuid: UUID) -> str:
    return f"{kind}:{uuid}"


def _declared(repo: "Repo") -> list[tuple[str, str, str]]:
    """The repositories that a card says its own was made from, by kind, namespace and name in lower case."""
    found = []
    card: dict[str, Any] = repo.card if isinstance(repo.card, dict) else {}
    for field_name, kind in (("base_model", "model"), ("datasets", "dataset")):
        value = card.get(field_name)
        names = value if isinstance(value, list) else [value]
        for name in [each for each in names if isinstance(each, str)][:DECLARED_LIMIT]:
            namespace, slash, rest = name.strip().lower().partition("/")
            if slash and rest and len(name) <= 200 and "\x00" not in name:
                found.append((kind, namespace, rest))
    return found
