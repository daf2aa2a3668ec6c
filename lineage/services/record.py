"""Recording lineage, in the transaction of the fact that made it."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from common.errors import Invalid
from lineage.models import Edge, Node


@dataclass(frozen=True, slots=True)
class Ref:
    """A thing by kind and uuid: `version`, `build`, `job`, `endpoint`, `listing`, `order`."""

    kind: str
    uuid: UUID


def record_node(ref: Ref) -> Node:
    """The node of `ref`, made if need be. Safe to repeat."""
    return Node.objects.get_or_create(kind=ref.kind, uuid=ref.uuid)[0]


def record_edge(source: Ref, target: Ref, relation: str, *, run: UUID | None = None) -> Edge:
    """Note that `source` went into `target`. Safe to repeat: the same two with the same relation are one edge. Raises Invalid for
    an edge from a thing to itself."""
    if source == target:
        raise Invalid("A thing can't come from itself.")
    edge, _ = Edge.objects.get_or_create(
        source=record_node(source), target=record_node(target), relation=relation, defaults={"run": run}
    )
    return edge


def record_run(inputs: Iterable[Ref], run: Ref, outputs: Iterable[Ref]) -> None:
    """Note a job with what went in and what came out: input → job → output. Safe to repeat."""
    for each in inputs:
        record_edge(each, run, "input", run=run.uuid)
    for each in outputs:
        record_edge(run, each, "output", run=run.uuid)
