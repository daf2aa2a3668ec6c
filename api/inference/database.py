"""Database work beside the event loop: each thread has its own connection, and a broken one is dropped, not kept."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, connection

from common.errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")

BROKEN = (DatabaseError, InterfaceError)


def with_connection(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run `work` on this thread's connection. Raises Unavailable when the database does not answer."""
    try:
        connection.close_if_unusable_or_obsolete()
        return work(*args, **kwargs)
    except BROKEN as error:
        connection.close()
        raise Unavailable("The database of this site does not answer: try again in a moment.") from error


class DatabaseThread:
    """One thread for the writes that calls wait for now and then (a slice of a budget) and for reports."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "inference-db")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: with_connection(work, *args, **kwargs))

    def close(self) -> None:
        """Wait for what is in progress, then give the connection back."""
        # looked up there, not here: each thread has a connection of its own
        self._thread.submit(lambda: connection.close())  # noqa: PLW0108 - see above
        self._thread.shutdown(wait=True)
