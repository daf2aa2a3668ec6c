"""The serving table, kept up to date by a thread that asks the database for one number a few times a second.

A change of rights is seen within LOOK_S and the time of building the table, well below a second. When the database does not
answer, the last table serves for STALE_LIMIT_S, then nothing is served: what cannot be checked is not allowed. A process that
was frozen does not trust the table it wakes up with: its first calls wait for a fresh look."""

import asyncio
import threading
import time
from collections.abc import Callable

import structlog
from django.db import connection

from api.inference.database import with_connection
from common.errors import DomainError, Unavailable
from compute.endpoint_serving import ServingTable, access_version, serving_table

log = structlog.get_logger(__name__)

LOOK_S = 0.25
PAUSE_S = 0.02
FRESH_S = 1.0
"""Older than this, a table is used only when the database is known to be away."""
WAIT_S = 2.0
STALE_LIMIT_S = 30.0
REBUILD_S = 60.0
"""The table is built anew this often even when the number stands still: some rows change without a service, by an
administrator's hand."""


class Rights:
    """`on_change` is called on the event loop with each new table."""

    def __init__(self, on_change: Callable[[ServingTable], None]) -> None:
        self.table = ServingTable(-1)
        self.problem = ""
        self._on_change = on_change
        self._looked_at = float("-inf")
        self._built_at = float("-inf")
        self._closing = threading.Event()
        self._looked = asyncio.Event()
        self._hurry = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="inference-rights", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def age_s(self) -> float:
        """Since the database was last asked with success."""
        return time.monotonic() - self._looked_at

    def fresh(self) -> ServingTable | None:
        """The table, if no look is overdue."""
        return self.table if time.monotonic() - self._looked_at < FRESH_S else None

    async def current(self) -> ServingTable:
        """The table, after waiting for an overdue look. Raises Unavailable when it is too old to be trusted."""
        if not self.problem and self.age_s >= FRESH_S:
            self._looked.clear()
            try:
                await asyncio.wait_for(self._looked.wait(), WAIT_S)
            except TimeoutError:
                pass  # the age decides
        if self.age_s > STALE_LIMIT_S:
            raise Unavailable("This site cannot check access at the moment: its database does not answer.")
        return self.table

    async def newer(self) -> ServingTable:
        """The table as it is from this moment on, for a caller that the present one refuses: whoever has just made a token or a
        purchase is not told that there is none. Waits for one look, which is made at once; many callers share it."""
        asked_at = time.monotonic()
        while self._looked_at < asked_at and not self.problem and time.monotonic() - asked_at < WAIT_S:
            self._looked.clear()
            self._hurry.set()
            try:
                await asyncio.wait_for(self._looked.wait(), WAIT_S)
            except TimeoutError:
                break  # the age decides
        return await self.current()

    def close(self) -> None:
        self._closing.set()
        self._hurry.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            self._look_for_ever()
        finally:
            connection.close()  # that of this thread

    def _look_for_ever(self) -> None:
        while not self._closing.is_set():
            began = time.monotonic()
            try:
                changed = with_connection(self._look)
            except DomainError as error:
                if not self.problem:
                    log.warning("rights cannot be checked", problem=str(error.__cause__))
                self.problem = str(error)
            except Exception:  # the thread must outlive whatever a row may hold
                log.exception("building the serving table failed")
                self.problem = "the serving table cannot be built"
            else:
                if self.problem:
                    log.info("rights can be checked again")
                self.problem = ""
                # the moment before the question was asked: later changes are not in the answer
                self._looked_at = began
                self._tell(changed)
            self._hurry.wait(LOOK_S)
            self._hurry.clear()
            # however many are refused, the database is asked at most so often
            self._closing.wait(PAUSE_S)

    def _look(self) -> ServingTable | None:
        if access_version() == self.table.version and time.monotonic() - self._built_at < REBUILD_S:
            return None
        began = time.monotonic()
        table = serving_table()
        self._built_at = time.monotonic()
        self.table = table
        log.debug("serving table built", version=table.version, ms=round((self._built_at - began) * 1000, 1))
        return table

    def _tell(self, changed: ServingTable | None) -> None:
        if self._closing.is_set():
            return
        try:
            self._loop.call_soon_threadsafe(self._looked.set)
            if changed is not None:
                self._loop.call_soon_threadsafe(self._on_change, changed)
        except RuntimeError:
            pass  # the loop has been closed between the two lines above
