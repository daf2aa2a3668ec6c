"""The graph: recorded once, cut out by the database, shown only as far as its reader may see."""

from uuid import UUID

import networkx as nx
import pytest
from django.db import IntegrityError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import actors
from common.errors import Invalid
from common.ids import new_uuid
from lineage.models import Edge, Node
from lineage.queries import ancestors, descendants, reachable, subgraph, visible_subgraph
from lineage.services.record import Ref, record_edge, record_run
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db


def ref(number: int) -> Ref:
    return Ref("version", UUID(int=number))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.tuples(st.integers(1, 12), st.integers(1, 12)).filter(lambda pair: pair[0] < pair[1]), max_size=30))
def test_the_database_finds_what_networkx_finds(edges) -> None:
    with transaction.atomic():
        base = new_uuid().int >> 8 << 8
        for source, target in edges:
            record_edge(ref(base + source), ref(base + target), "made")
        graph = nx.DiGraph(edges)
        for node in graph.nodes:
            assert {each.uuid.int - base for each in ancestors(ref(base + node))} == nx.ancestors(graph, node)
            assert {each.uuid.int - base for each in descendants(ref(base + node))} == nx.descendants(graph, node)
        transaction.set_rollback(True)


def test_an_edge_is_recorded_once_and_kept_for_ever() -> None:
    first = record_edge(ref(1), ref(2), "trained")
    assert record_edge(ref(1), ref(2), "trained").pk == first.pk
    assert record_edge(ref(1), ref(2), "evaluated").pk != first.pk
    with pytest.raises(Invalid):
        record_edge(ref(1), ref(1), "loop")
    for attempt in (lambda: Edge.objects.all().delete(), lambda: Node.objects.update(kind="other")):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            attempt()
    assert (Node.objects.count(), Edge.objects.count()) == (2, 2)


def test_depth_and_limit_bound_a_walk_and_say_so() -> None:
    for number in range(1, 30):
        record_edge(ref(number), ref(number + 1), "next")
    start = Node.objects.get(uuid=ref(1).uuid)
    chain = [Node.objects.get(uuid=ref(number).uuid).pk for number in range(1, 31)]
    assert reachable(start.pk, "down", limit=7) == chain[:7]
    assert reachable(chain[10], "up") == chain[10::-1]
    assert set(subgraph(ref(10), depth=5)) == {ref(number) for number in range(5, 16)}
    assert subgraph(ref(10), depth=5).graph["is_cut"] is False
    cut = subgraph(ref(1), direction="down", limit=10)
    assert (len(cut), cut.graph["is_cut"]) == (10, True)
    assert subgraph(ref(1), direction="down").graph["is_cut"] is False
    assert len(subgraph(ref(15), direction="up")) == 15


def test_a_cycle_ends() -> None:
    for source, target in ((1, 2), (2, 3), (3, 1)):
        record_edge(ref(source), ref(target), "merged")
    assert descendants(ref(1)) == {ref(2), ref(3)}
    assert len(visible_subgraph(actors.anonymous(), ref(1)).nodes) == 3


def test_siblings_are_not_part_of_the_graph_of_one() -> None:
    record_run([ref(1)], Ref("job", UUID(int=50)), [ref(2)])
    record_run([ref(1)], Ref("job", UUID(int=51)), [ref(3)])
    assert ref(3) not in subgraph(ref(2)).nodes
    assert ref(1) in subgraph(ref(2)).nodes


def test_what_one_may_not_see_is_counted_and_not_told(django_assert_max_num_queries) -> None:
    alice, bob = actor_of(make_user("alice")), actor_of(make_user("bob"))
    versions = {}
    for actor, name, visibility in (
        (alice, "secret", "private"),
        (alice, "shown", "public"),
        (bob, "product", "public"),
    ):
        repo = make_repo(actor, name, visibility=visibility)
        commit(actor, repo, add("file", name))
        versions[name] = publish_version(actor, repo, "main", name="1.0")
    refs = {name: Ref("version", version.uuid) for name, version in versions.items()}
    record_edge(refs["secret"], refs["product"], "derived")
    record_edge(refs["shown"], refs["product"], "derived")
    with django_assert_max_num_queries(10):
        graph = visible_subgraph(bob, refs["product"])
    titles = sorted(node.title for node in graph.nodes)
    assert titles == ["Private node", "alice/shown 1.0", "bob/product 1.0"]
    assert graph.private_count == 1
    (hidden,) = [node for node in graph.nodes if node.is_private]
    assert (hidden.kind, hidden.uuid, hidden.url) == ("private", None, "")
    assert {(edge.relation == "") for edge in graph.edges if hidden.key in (edge.source, edge.target)} == {True}
    assert "secret" not in str(graph)
    assert str(versions["secret"].uuid) not in str(graph)
    assert visible_subgraph(alice, refs["product"]).private_count == 0


@pytest.mark.parametrize(("direction", "expected"), [("down", {1, 2, 3, 4, 9}), ("up", {1, 5})])
def test_the_nearest_come_first_although_longer_ways_lead_there_too(direction, expected) -> None:
    for source, target in ((1, 2), (2, 3), (3, 4), (1, 9), (4, 9), (5, 1)):
        record_edge(ref(source), ref(target), "next")
    assert set(subgraph(ref(1), direction=direction)) == {ref(number) for number in expected}
    nearest = subgraph(ref(1), direction="down", limit=3)
    assert (set(nearest), nearest.graph["is_cut"]) == ({ref(1), ref(2), ref(9)}, True)
    assert set(subgraph(ref(1), direction="down", depth=1)) == {ref(1), ref(2), ref(9)}


def test_a_thing_that_nobody_recorded_has_an_empty_graph() -> None:
    assert len(subgraph(ref(404))) == 0
    assert ancestors(ref(404)) == descendants(ref(404)) == set()
