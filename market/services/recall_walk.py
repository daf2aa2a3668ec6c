"""Finding what a recall reaches: down the lineage from the version, then to what serves, offers and holds any of it. For the product
itself, so nothing is filtered by rights here; what a reader is shown goes through `recall_queries.sight_of`."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q

from accounts.actors import system
from compute.endpoint_policies import visible_endpoints
from lineage.queries import edges_from
from lineage.services.record import Ref
from market.models import Entitlement, Listing, Recall, RecallItem
from market.recalls import ItemKind, Step, Way
from market.states import ListingState, SubjectKind
from registry.build_queries import visible_builds
from registry.channels import newest_names
from registry.policies import visible_repos
from registry.queries import versions_by_uuids
from registry.states import RepoKind

if TYPE_CHECKING:
    from compute.models import Endpoint
    from registry.models import Build, Repo, Version

LEVELS_LIMIT = 60
THINGS_LIMIT = 20_000
"""Nodes of the lineage that one walk takes; there the recall says that it is cut."""
_AT_ONCE = 500
_NOT_FOLLOWED = ("next_version", "listed", "sold", "deployed")
"""The next version is not made from the one before: or nothing could ever be mended. What serves and offers is looked up as it is now."""
_REPOS = frozenset(each.value for each in RepoKind)
_SYSTEM = system("recalls")


@dataclass
class Reached:
    """What a walk has found. `ways`: the shortest way to each node, the version itself with an empty one."""

    ways: dict[Ref, Way] = field(default_factory=dict)
    versions: "dict[UUID, Version]" = field(default_factory=dict)
    builds: "dict[UUID, Build]" = field(default_factory=dict)
    copies: "list[tuple[Repo, Version]]" = field(default_factory=list)
    """Duplicates of the repositories of affected versions, each with such a version."""
    is_cut: bool = False


def find_items(recall: Recall) -> tuple[list[RecallItem], bool]:
    """What the recall reaches now, as rows that are not saved, each once; and whether there is more than one walk takes. A few queries
    for each level of the lineage and each 500 things."""
    root = Ref("version", recall.version.uuid)
    reached = _walk(root)
    found = [*_versions(reached), *_builds(reached)]
    endpoints = _endpoints(reached)
    listings = _listings(reached, endpoints)
    found += [
        _item(ItemKind.ENDPOINT, each.uuid, _name(each), each, *_of_endpoint(reached, each)) for each in endpoints
    ]
    found += [
        _item(
            ItemKind.LISTING,
            each.uuid,
            each.title,
            each,
            version,
            _on(reached, version, "listed", "listing", each.uuid),
        )
        for each, version in listings
    ]
    found += list(_holders(reached, endpoints))
    found += [
        _item(
            ItemKind.COPY,
            repo.uuid,
            f"{_name(repo)} (duplicate)",
            repo,
            version.uuid,
            _on(reached, version.uuid, "duplicated", repo.kind, repo.uuid),
        )
        for repo, version in reached.copies
    ]
    for each in found:
        each.recall = recall
    return found, reached.is_cut


def _walk(root: Ref) -> Reached:
    """Breadth first, so that each way is a shortest one and a cycle ends."""
    reached = Reached(ways={root: ()})
    level = [root]
    for _ in range(LEVELS_LIMIT):
        if not level:
            return reached
        nearest: dict[Ref, Way] = {}
        for source, target, relation in [*edges_from(level, relations_but=_NOT_FOLLOWED), *_beside(reached, level)]:
            if target not in reached.ways and target not in nearest and target.kind not in _REPOS:
                nearest[target] = (*reached.ways[source], Step(relation, target.kind, target.uuid))
        room = THINGS_LIMIT - len(reached.ways)
        reached.is_cut |= len(nearest) > room
        level = list(nearest)[: max(room, 0)]
        reached.ways |= {ref: nearest[ref] for ref in level}
    reached.is_cut |= bool(level)
    return reached


def _beside(reached: Reached, level: Collection[Ref]) -> list[tuple[Ref, Ref, str]]:
    """What the graph does not know of a level: builds that were brought and not made here, and duplicates of repositories, which are
    noted of the repository. Remembers versions and builds for their titles."""
    edges: list[tuple[Ref, Ref, str]] = []
    versions = [ref.uuid for ref in level if ref.kind == "version"]
    for batch in _batches(versions):
        fresh = {row.uuid: row for row in versions_by_uuids(batch)}
        reached.versions |= fresh
        of_repo = {Ref(row.repo.kind, row.repo.uuid): row for row in fresh.values()}
        for source, target, relation in edges_from(of_repo):
            if relation == "duplicated":
                for repo in visible_repos(_SYSTEM).filter(uuid=target.uuid):
                    if all(repo.pk != known.pk for known, _ in reached.copies):
                        reached.copies.append((repo, of_repo[source]))
        edges.extend(
            (Ref("version", build.version.uuid), Ref("build", build.uuid), "build")
            for build in visible_builds(_SYSTEM).filter(version__uuid__in=batch)
        )
    for batch in _batches([ref.uuid for ref in level if ref.kind == "build"]):
        reached.builds |= {row.uuid: row for row in visible_builds(_SYSTEM).filter(uuid__in=batch)}
    return edges


def _versions(reached: Reached) -> Iterator[RecallItem]:
    for ref, way in reached.ways.items():
        version = reached.versions.get(ref.uuid) if ref.kind == "version" else None
        if version is not None:
            yield _item(
                ItemKind.VERSION, ref.uuid, f"{_name(version.repo)} {version.name}", version.repo, ref.uuid, way
            )


def _builds(reached: Reached) -> Iterator[RecallItem]:
    for ref, way in reached.ways.items():
        build = reached.builds.get(ref.uuid) if ref.kind == "build" else None
        if build is not None:
            repo = build.version.repo
            title = f"{_name(repo)} {build.version.name}, {build.format} build"
            yield _item(ItemKind.BUILD, ref.uuid, title, repo, build.version.uuid, way)


def _endpoints(reached: Reached) -> "list[Endpoint]":
    found: dict[int, Endpoint] = {}
    for batch in _batches(list(reached.versions)):
        serves = Q(version_uuid__in=batch) | Q(next_version_uuid__in=batch)
        found |= {row.pk: row for row in visible_endpoints(_SYSTEM).filter(serves)}
    for batch in _batches(list(reached.builds)):
        serves = Q(build_uuid__in=batch) | Q(next_build_uuid__in=batch)
        found |= {row.pk: row for row in visible_endpoints(_SYSTEM).filter(serves)}
    return [found[pk] for pk in sorted(found)]


def _of_endpoint(reached: Reached, endpoint: "Endpoint") -> tuple[UUID, Way]:
    """The affected version that it serves or is about to, and the way there."""
    served = [uuid for uuid in (endpoint.version_uuid, endpoint.next_version_uuid) if uuid in reached.versions]
    if served:
        return served[0], _on(reached, served[0], "deployed", "endpoint", endpoint.uuid)
    build = next(uuid for uuid in (endpoint.build_uuid, endpoint.next_build_uuid) if uuid in reached.builds)
    way = reached.ways[Ref("build", build)]
    return reached.builds[build].version.uuid, (*way, Step("deployed", "endpoint", endpoint.uuid))


def _listings(reached: Reached, endpoints: "list[Endpoint]") -> list[tuple[Listing, UUID]]:
    """Listings whose channel leads to an affected version, or whose endpoint serves one, with that version."""
    named = {(row.repo.uuid, row.name): row.uuid for row in reached.versions.values()}
    served = {each.uuid: _of_endpoint(reached, each)[0] for each in endpoints}
    found: list[tuple[Listing, UUID]] = []
    for batch in _batches([*{repo for repo, _ in named}, *served]):
        rows = Listing.objects.filter(subject_uuid__in=batch).exclude(state=ListingState.WITHDRAWN)
        listings = list(rows.select_related("namespace").order_by("pk"))
        followed = {row.subject_uuid: row.channel for row in listings if row.subject_kind != SubjectKind.ENDPOINT}
        newest = newest_names(followed) if followed else {}
        for row in listings:
            version = served.get(row.subject_uuid) or named.get((row.subject_uuid, newest.get(row.subject_uuid, "")))
            if version is not None:
                found.append((row, version))
    return found


def _holders(reached: Reached, endpoints: "list[Endpoint]") -> Iterator[RecallItem]:
    """Who has access by an order; and, where that opens the bytes, the copies they may have made: this site knows no devices, so a
    download is known by the right to it."""
    subjects = {row.repo.uuid: row.uuid for row in sorted(reached.versions.values(), key=lambda row: -row.pk)}
    served = {each.uuid: _of_endpoint(reached, each)[0] for each in endpoints}
    for batch in _batches([*subjects, *served]):
        rows = Entitlement.objects.filter(subject_uuid__in=batch, revoked_at__isnull=True).order_by("pk")
        for row in rows.select_related("holder", "listing__namespace", "order"):
            version = served.get(row.subject_uuid) or subjects[row.subject_uuid]
            kinds = [ItemKind.HOLDER] + ([ItemKind.COPY] if row.subject_kind != SubjectKind.ENDPOINT else [])
            for kind in kinds:
                says = f"{row.holder.name}: {row.listing.title}"
                title = says if kind == ItemKind.HOLDER else f"Downloads by {says}"
                way = (
                    *reached.ways.get(Ref("version", version), ()),
                    Step("offered", "listing", row.listing.uuid),
                    Step("sold", "order", row.order.uuid),
                )
                yield RecallItem(
                    kind=kind,
                    object_uuid=row.order.uuid,
                    title=title[:300],
                    owner=row.holder,
                    seller=row.listing.namespace,
                    order=row.order,
                    version_uuid=version,
                    path=[step.as_list() for step in way],
                )


def _item(kind: ItemKind, uuid: UUID, title: str, of: object, version: UUID, way: Way) -> RecallItem:
    owner = of.namespace  # type: ignore[attr-defined]  # a repository, an endpoint or a listing
    return RecallItem(
        kind=kind,
        object_uuid=uuid,
        title=title[:300],
        owner=owner,
        version_uuid=version,
        path=[step.as_list() for step in way],
    )


def _on(reached: Reached, version: UUID, relation: str, kind: str, uuid: UUID) -> Way:
    return (*reached.ways.get(Ref("version", version), ()), Step(relation, kind, uuid))


def _name(of: object) -> str:
    return f"{of.namespace.name}/{of.name}"  # type: ignore[attr-defined]  # a repository or an endpoint


def _batches(uuids: Iterable[UUID]) -> Iterator[list[UUID]]:
    listed = sorted(set(uuids))
    for start in range(0, len(listed), _AT_ONCE):
        yield listed[start : start + _AT_ONCE]
