"""Ancestors and descendants through our query against the database's own recursive query, at 1,000,000 nodes.

    python bench/lineage_graph.py [--nodes 1000000] [--repeat 20]

On SQLite in a temporary folder; on a scratch database beside DATABASE_URL's where that is set. The graph is a forest of
families whose sizes follow a power law; a node has one or two parents among the older ones of its family. *whole*: every node
that can be reached; *page*: the nearest 1,000, as a page asks for them. The bare query is the textbook one (UNION on the
node's number, LIMIT on the page), run on a plain cursor. The ratio is ours over the bare query: below 1 is faster.
"""

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

import django

from bench.listing_search import scratch_database

_BARE = """
WITH RECURSIVE walk(id) AS (
    SELECT {start} UNION SELECT edge.{far} FROM walk JOIN lineage_edge edge ON edge.{near} = walk.id
) SELECT id FROM walk {limit}
"""
_LARGEST_SHARE = 0.11
"""Of all nodes, in the largest family: 109,000 of a million."""
_PAGE = 1000


def families(nodes: int, rng: random.Random) -> Iterator[tuple[int, int]]:
    """(number of the first node, size) of each family; sizes sum to `nodes`."""
    first, wanted = 1, [int(nodes * _LARGEST_SHARE), 1000, 10]
    while first <= nodes:
        size = wanted.pop(0) if wanted else min(int(rng.paretovariate(0.8)) + 1, nodes // 20)
        size = max(1, min(size, nodes - first + 1))
        yield first, size
        first += size


def edges(sizes: list[tuple[int, int]], rng: random.Random) -> Iterator[tuple[int, int]]:
    """(source, target), each pair once."""
    for first, size in sizes:
        for node in range(first + 1, first + size):
            parents = (
                {rng.randrange(first, node), rng.randrange(first, node)}
                if rng.random() < 0.7
                else {rng.randrange(first, node)}
            )
            yield from ((parent, node) for parent in parents)


def fill(nodes: int) -> list[tuple[int, int]]:
    """Write the graph past the services, in bulk. Returns the families."""
    from django.db import connection, transaction  # noqa: PLC0415 - after django.setup()

    rng = random.Random(1)
    sizes = list(families(nodes, rng))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            with cursor.copy("COPY lineage_node (id, kind, uuid, created_at) FROM STDIN") as copy:
                for number in range(1, nodes + 1):
                    copy.write_row((number, "version", UUID(int=number), at))
            with cursor.copy("COPY lineage_edge (source_id, target_id, relation, created_at) FROM STDIN") as copy:
                for source, target in edges(sizes, rng):
                    copy.write_row((source, target, "made", at))
            cursor.execute("ANALYZE")
        return sizes
    text = at.isoformat(sep=" ").removesuffix("+00:00")
    with transaction.atomic(), connection.cursor() as cursor:
        raw = cursor.connection.cursor()
        raw.executemany(
            "INSERT INTO lineage_node (id, kind, uuid, created_at) VALUES (?, 'version', ?, ?)",
            ((number, f"{number:032x}", text) for number in range(1, nodes + 1)),
        )
        raw.executemany(
            "INSERT INTO lineage_edge (source_id, target_id, relation, created_at) VALUES (?, ?, 'made', ?)",
            ((source, target, text) for source, target in edges(sizes, rng)),
        )
        cursor.execute("ANALYZE")
    return sizes


def bare(direction: str, node: int, limit: int | None) -> Callable[[], int]:
    from django.db import connection  # noqa: PLC0415

    near, far = ("target_id", "source_id") if direction == "up" else ("source_id", "target_id")
    start = f"CAST({node} AS bigint)" if connection.vendor == "postgresql" else str(node)
    statement = _BARE.format(start=start, near=near, far=far, limit=f"LIMIT {limit}" if limit else "")

    def run() -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return len(cursor.fetchall())

    return run


def through_us(direction: str, node: int, limit: int) -> Callable[[], int]:
    from lineage.queries import reachable  # noqa: PLC0415

    return lambda: len(reachable(node, direction, limit=limit))


def in_turns(deeds: tuple[Callable[[], object], ...], repeat: int) -> list[float]:
    """p50 of each in milliseconds; they take turns, so that a busy machine hurts them alike."""
    took: list[list[float]] = [[] for _ in deeds]
    for _ in range(repeat):
        for deed, times in zip(deeds, took, strict=True):
            began = time.perf_counter()
            deed()
            times.append((time.perf_counter() - began) * 1000)
    return [statistics.median(times) for times in took]


def measure(sizes: list[tuple[int, int]], repeat: int) -> None:
    print(f"{'direction':9} {'reached':>8} {'what':6} {'ours p50 ms':>12} {'bare p50 ms':>12} {'ratio':>7}")
    for first, size in sizes[2::-1]:
        for direction, node in (("down", first), ("up", first + size - 1)):
            whole = bare(direction, node, None)()
            for what, limit in (("page", _PAGE), ("whole", None)):
                theirs = bare(direction, node, limit)
                ours = through_us(direction, node, limit or whole)
                assert ours() == theirs() == min(whole, limit or whole)
                times = max(3, min(repeat, math.ceil(200_000 * repeat / 20 / whole)))
                mine, bares = in_turns((ours, theirs), times)
                print(f"{direction:9} {whole:8,} {what:6} {mine:12.3f} {bares:12.3f} {mine / bares:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    with scratch_database():
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415
        from django.db import connection  # noqa: PLC0415

        call_command("migrate", "lineage", verbosity=0)
        began = time.perf_counter()
        sizes = fill(options.nodes)
        print(f"{connection.vendor}, {options.nodes:,} nodes, filled in {time.perf_counter() - began:.0f} s")
        measure(sizes, options.repeat)
        connection.close()


if __name__ == "__main__":
    main()
