"""Counting what a page or an endpoint asks the database."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.test.utils import CaptureQueriesContext

BOOKKEEPING = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT", "BEGIN", "COMMIT")


@contextmanager
def exactly(count: int) -> Iterator[CaptureQueriesContext]:
    """The block makes exactly `count` queries, transaction bookkeeping aside. The failure shows each of them.

        with exactly(5):
            client.get("/models")

    A number that rises with the rows is the mistake this finds: call it once with one row and once with ten."""
    with CaptureQueriesContext(connection) as captured:
        yield captured
    asked = [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(BOOKKEEPING)]
    shown = "\n".join(f"{number:3}. {sql[:400]}" for number, sql in enumerate(asked, 1))
    assert len(asked) == count, f"{len(asked)} queries, {count} expected:\n{shown}"


def count_of(captured: CaptureQueriesContext) -> int:
    return sum(not query["sql"].startswith(BOOKKEEPING) for query in captured.captured_queries)
