"""What the lineage page of a repository shows: where a version comes from and what became of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.actors import Actor
from common.errors import NotFound
from lineage.queries import GraphNode, visible_subgraph
from lineage.services.record import Ref
from registry import queries
from web.hub.heads import RepoHead
from web.hub.pages import Option
from web.links import repo_url, with_query

if TYPE_CHECKING:
    from registry.models import Repo

VERSIONS_OFFERED = 100


@dataclass(frozen=True)
class NodeView:
    key: str
    kind: str
    title: str
    detail: str
    url: str
    is_self: bool


@dataclass(frozen=True)
class EdgeView:
    source: NodeView
    target: NodeView
    relation: str
    is_conflict: bool = False
    """Drawn as what stands in the way."""


@dataclass(frozen=True)
class LineagePage:
    title: str
    head: RepoHead
    version: str
    versions: list[Option]
    commit_oid: str
    commit_href: str
    edges: list[EdgeView]
    private_count: int
    is_cut: bool

    @classmethod
    def of(cls, repo: "Repo", actor: Actor, version_name: str) -> "LineagePage":
        """The graph around one version, the newest when none is named. Raises NotFound for a version that is not there."""
        head = RepoHead.of(repo, actor, "lineage")
        versions = list(queries.versions_of(repo)[:VERSIONS_OFFERED])
        chosen = next((each for each in versions if not version_name or each.name == version_name), None)
        if chosen is None and version_name:
            raise NotFound(f"There is no version {version_name[:80]}.")
        graph = visible_subgraph(actor, Ref("version", chosen.uuid)) if chosen else None
        nodes = {each.key: _view(each, graph.focus) for each in graph.nodes} if graph else {}
        here = repo_url(repo, "lineage")
        return cls(
            title=f"Lineage of {head.full_name}",
            head=head,
            version=chosen.name if chosen else "",
            versions=[Option(with_query(here, version=each.name), each.name, each == chosen) for each in versions],
            commit_oid=chosen.commit.oid if chosen else "",
            commit_href=repo_url(repo, "commit", chosen.commit.oid) if chosen and head.can_read else "",
            edges=[EdgeView(nodes[edge.source], nodes[edge.target], edge.relation or "to") for edge in graph.edges]
            if graph
            else [],
            private_count=graph.private_count if graph else 0,
            is_cut=graph.is_cut if graph else False,
        )


def _view(node: GraphNode, focus: str) -> NodeView:
    """A version is shown as what it is a version of: its detail says so."""
    kind = node.detail if node.kind == "version" and node.detail else node.kind
    return NodeView(node.key, kind, node.title, node.detail, node.url, node.key == focus)
