"""Reading the graph. The database cuts out the part around a node, by a recursive query on the covering indexes; networkx
reasons over what was cut out; what the reader may not see is counted, not shown."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import networkx as nx
from django.db import connection
from django.db.models import Q

from accounts.actors import Actor
from lineage.kinds import cards
from lineage.models import Edge, Node
from lineage.services.record import Ref

Direction = Literal["up", "down", "both"]

DEPTH_LIMIT = 50
NODE_LIMIT = 1000
_WAYS: tuple[Literal["up", "down"], ...] = ("up", "down")

# Both databases work through a recursive query level by level and stop when the limit is reached, so the nearest come first and
# what lies beyond is never visited. UNION on the number alone: each node is visited once, whatever the number of ways to it, and
# a cycle ends. (With the depth in the row, a node is visited once per length of way: 170 times slower in a family of 11,000.)
_WALK = """
WITH RECURSIVE walk(id) AS (
    SELECT {start} UNION SELECT edge.{far} FROM walk JOIN lineage_edge edge ON edge.{near} = walk.id
)
SELECT id FROM walk LIMIT %s
"""


@dataclass(frozen=True)
class GraphNode:
    """A node as its reader sees it. `is_private`: it exists, and that is all that is told; `key` tells it from others."""

    key: str
    kind: str
    uuid: UUID | None
    title: str
    url: str
    detail: str
    is_private: bool


@dataclass(frozen=True)
class GraphEdge:
    source: str
    target: str
    relation: str


@dataclass(frozen=True)
class VisibleGraph:
    """The part of the graph around `focus`. `private_count`: nodes that the reader may not see. `is_cut`: there is more."""

    focus: str
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    private_count: int
    is_cut: bool


def reachable(node_id: int, direction: Literal["up", "down"], *, limit: int = NODE_LIMIT) -> list[int]:
    """Ancestors (`up`) or descendants (`down`) of a node, itself first: primary keys, nearest first, at most `limit`. One query,
    whose cost follows `limit` and not the size of the graph."""
    near, far = ("target_id", "source_id") if direction == "up" else ("source_id", "target_id")
    start = "CAST(%s AS bigint)" if connection.vendor == "postgresql" else "%s"
    with connection.cursor() as cursor:
        cursor.execute(_WALK.format(near=near, far=far, start=start), [node_id, limit])
        return [pk for (pk,) in cursor.fetchall()]


def subgraph(
    ref: Ref, *, direction: Direction = "both", depth: int = DEPTH_LIMIT, limit: int = NODE_LIMIT
) -> nx.DiGraph:
    """The part of the graph around `ref`: its ancestors, its descendants or both, at most `depth` steps away and the nearest `limit`
    of each, not the siblings between them. Nodes are Refs, edges carry `relation` and `run`; empty when nothing was recorded. Five
    queries at most. Not filtered by rights: for the product itself; people get `visible_subgraph`. The graph's attribute `is_cut`
    says that there is more than `limit`."""
    node = Node.objects.filter(kind=ref.kind, uuid=ref.uuid).first()
    if node is None:
        return nx.DiGraph(is_cut=False)
    walks = {each: reachable(node.pk, each, limit=limit + 1) for each in _WAYS if direction in (each, "both")}
    found = {pk for walk in walks.values() for pk in walk}
    whole = nx.DiGraph(is_cut=False)
    whole.add_nodes_from(found)
    edges = Edge.objects.filter(source_id__in=found, target_id__in=found)
    for source, target, relation, run in edges.values_list("source_id", "target_id", "relation", "run"):
        whole.add_edge(source, target, relation=relation, run=run)
    kept: set[int] = set()
    for each, walk in walks.items():
        steps = whole if each == "down" else whole.reverse(copy=False)
        near = nx.single_source_shortest_path_length(steps, node.pk, cutoff=depth)
        within = [pk for pk in walk if pk in near]
        whole.graph["is_cut"] |= len(within) > limit
        kept.update(within[:limit])
    refs = {row.pk: Ref(row.kind, row.uuid) for row in Node.objects.filter(pk__in=kept)}
    return nx.relabel_nodes(whole.subgraph(kept), refs)


def edges_at(refs: Collection[Ref]) -> list[tuple[Ref, Ref, str]]:
    """The edges from and to some things, each once, in the order they were recorded. Not filtered by rights. Two queries for 500."""
    found: dict[int, tuple[Ref, Ref, str]] = {}
    listed = sorted(refs, key=lambda ref: (ref.kind, ref.uuid))
    for start in range(0, len(listed), 500):
        batch = set(listed[start : start + 500])
        rows = Node.objects.filter(uuid__in=[ref.uuid for ref in batch])
        keys = [row.pk for row in rows if Ref(row.kind, row.uuid) in batch]
        edges = Edge.objects.filter(Q(source__in=keys) | Q(target__in=keys)).select_related("source", "target")
        for edge in edges:
            ends = (Ref(edge.source.kind, edge.source.uuid), Ref(edge.target.kind, edge.target.uuid))
            found[edge.pk] = (*ends, edge.relation)
    return [found[key] for key in sorted(found)]


def edges_into(refs: Collection[Ref], *, relations_but: Collection[str] = ()) -> list[tuple[Ref, Ref, str]]:
    """The edges that end at some things, without those of the relations `relations_but`. Not filtered by rights. One query for 500."""
    return _edges_at("target", refs, relations_but)


def edges_from(refs: Collection[Ref], *, relations_but: Collection[str] = ()) -> list[tuple[Ref, Ref, str]]:
    """The edges that start at some things, without those of the relations `relations_but`. Not filtered by rights. One query for 500."""
    return _edges_at("source", refs, relations_but)


def _edges_at(side: str, refs: Collection[Ref], relations_but: Collection[str]) -> list[tuple[Ref, Ref, str]]:
    found: list[tuple[Ref, Ref, str]] = []
    listed = sorted(refs, key=lambda ref: (ref.kind, ref.uuid))
    for start in range(0, len(listed), 500):
        batch = set(listed[start : start + 500])
        edges = (
            Edge.objects.filter(**{f"{side}__uuid__in": [ref.uuid for ref in batch]})
            .exclude(relation__in=list(relations_but))
            .select_related("source", "target")
            .order_by("pk")
        )
        for edge in edges:
            ends = {
                name: Ref(node.kind, node.uuid) for name, node in (("source", edge.source), ("target", edge.target))
            }
            # another kind may have the same uuid
            if ends[side] in batch:
                found.append((ends["source"], ends["target"], edge.relation))
    return found


def ancestors(ref: Ref) -> set[Ref]:
    """Everything that went into `ref`, not filtered by rights."""
    graph = subgraph(ref, direction="up")
    return nx.ancestors(graph, ref) if ref in graph else set()


def descendants(ref: Ref) -> set[Ref]:
    """Everything that `ref` went into, not filtered by rights."""
    graph = subgraph(ref, direction="down")
    return nx.descendants(graph, ref) if ref in graph else set()


def visible_subgraph(
    actor: Actor, ref: Ref, *, direction: Direction = "both", depth: int = 10, limit: int = 200
) -> VisibleGraph:
    """`subgraph` for a person: the nodes that `actor` may see with title and address, the others as private nodes without kind,
    uuid or relation, so that the shape stays whole and nothing is told. The caller has checked the right to see `ref`. A fixed
    number of queries for each kind of node."""
    graph = subgraph(ref, direction=direction, depth=depth, limit=limit)
    if ref not in graph:
        graph.add_node(ref)
    wanted: dict[str, set[UUID]] = defaultdict(set)
    for node in graph.nodes:
        wanted[node.kind].add(node.uuid)
    seen = cards(actor, wanted)
    keys = {node: f"n{index}" for index, node in enumerate(_in_order(graph))}
    nodes = []
    for node, key in keys.items():
        card = seen.get((node.kind, node.uuid))
        if card is None:
            nodes.append(GraphNode(key, "private", None, "Private node", "", "", is_private=True))
        else:
            nodes.append(GraphNode(key, node.kind, node.uuid, card.title, card.url, card.detail, is_private=False))
    private = {node.key for node in nodes if node.is_private}
    edges = [
        GraphEdge(
            keys[source],
            keys[target],
            "" if {keys[source], keys[target]} & private else data["relation"].replace("_", " "),
        )
        for source, target, data in graph.edges(data=True)
    ]
    return VisibleGraph(keys[ref], nodes, edges, len(private), graph.graph["is_cut"])


def _in_order(graph: nx.DiGraph) -> list[Ref]:
    """Sources first, so that a list reads as the graph does; the recording of edges allows no cycle of facts, but a fork that is
    merged back could make one, and then any stable order does."""
    if nx.is_directed_acyclic_graph(graph):
        return list(nx.lexicographical_topological_sort(graph, key=lambda node: (node.kind, str(node.uuid))))
    return sorted(graph.nodes, key=lambda node: (node.kind, str(node.uuid)))
