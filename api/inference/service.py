"""The inference process as a whole: what is started, what runs beside the calls, and how it ends."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from accounts import actors
from accounts.credentials import Credential
from api.inference.bodies import Waiting
from api.inference.database import BROKEN, DatabaseThread
from api.inference.engine import Engine, LoadedModel
from api.inference.limits import RateLimiter
from api.inference.purse import Purse
from api.inference.rights import Rights
from api.inference.spool import Spool
from api.inference.statistics import Statistics
from backends.contracts.stores import Reader
from common.errors import Busy, Conflict, DomainError, Invalid, NotFound, Unavailable
from compute.endpoint_queries import open_model
from compute.endpoint_serving import Seat, ServedEndpoint, ServingTable
from compute.endpoint_states import EndpointState
from compute.services import endpoints
from metering.services import budgets

log = structlog.get_logger(__name__)

ROTATE_S = 0.5
"""How long a record stays in an open file: with the recorder's pause, usage is seen about a second after the call."""
RECORDER_LIMIT_S = 6
"""How long the recorder may take to ingest the rest at shutdown; what it does not manage, its next life will."""
_SEATS_LIMIT = 50_000


class Service:
    """One per process, made on its event loop."""

    def __init__(self) -> None:
        self.spool = Spool(settings.DATA / "inference-spool")
        self.engine = Engine(settings.DATA / "inference-models", settings.INFERENCE_MEMORY_BYTES)
        self.statistics = Statistics()
        self.limiter = RateLimiter(settings.INFERENCE_CALLS_PER_S)
        self.waiting = Waiting()
        self.rights = Rights(self._adopt)
        self.database = DatabaseThread()
        self.purse = Purse(self._hold, self._release)
        self._seats: dict[tuple[UUID, int], tuple[Seat, ...] | DomainError] = {}
        self._seats_of: ServingTable = self.rights.table
        self._deployments: dict[UUID, asyncio.Task[None]] = {}
        self._recorder: subprocess.Popen[bytes] | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ready when the first table is there, or after it has become clear that the database is away."""
        # before the first call, so that a process that ends early has its calls recorded all the same
        self._keep_recorder()
        self.rights.start()
        self._ticker = asyncio.create_task(self._tick_for_ever())
        try:
            await self.rights.current()
        except Unavailable:
            log.warning("started without a database: calls are refused until it answers")
        log.info("inference is ready", spool=self.spool.owner)

    async def stop(self) -> None:
        """Give back what is held, put every record on the disk and have it ingested."""
        if self._ticker is not None:
            self._ticker.cancel()
        for task in self._deployments.values():
            task.cancel()
        self.rights.close()
        await self.purse.close()
        await asyncio.to_thread(self.database.close)
        self.engine.close()
        self.spool.close()
        if self._recorder is not None:
            assert self._recorder.stdin is not None
            self._recorder.stdin.close()
            try:
                await asyncio.to_thread(self._recorder.wait, RECORDER_LIMIT_S)
            except subprocess.TimeoutExpired:
                log.warning("the recorder is still busy; it goes on by itself")
        log.info("inference has ended")

    def seats(self, table: ServingTable, credential: Credential, endpoint: ServedEndpoint) -> tuple[Seat, ...]:
        """`ServingTable.seats`, remembered for as long as the table stands. Raises what that raises."""
        if table is not self._seats_of or len(self._seats) > _SEATS_LIMIT:
            self._seats = {}
            self._seats_of = table
        key = (credential.uuid, endpoint.pk)
        found = self._seats.get(key)
        if found is None:
            try:
                found = table.seats(credential, endpoint)
            except DomainError as error:
                found = error
            self._seats[key] = found
        if isinstance(found, DomainError):
            raise found.with_traceback(None)
        return found

    def refuse_held_back(self, endpoint: ServedEndpoint) -> None:
        """Raises Conflict when the model's file is under quarantine or its version was recalled."""
        if endpoint.is_recalled:
            raise Conflict("The version of this model was recalled, so it is not served.", code="recalled")
        if endpoint.is_held_back:
            raise Conflict("The file of this model is under quarantine, so it is not served.", code="quarantined")

    async def loaded(self, endpoint: ServedEndpoint) -> LoadedModel:
        """The endpoint's model, loaded now if need be. Raises Busy while it is first deployed, Conflict when it is stopped or has
        failed, and what `Engine.load` raises."""
        self.refuse_held_back(endpoint)
        if not endpoint.is_serving:
            if endpoint.state == EndpointState.DEPLOYING:
                raise Busy("This model is being deployed.", retry_after_s=2)
            raise Conflict(f"This model is not served at present ({endpoint.state}): its owner can start it again.")
        assert endpoint.version_uuid is not None
        source = partial(_open, endpoint.version_uuid, endpoint.build_uuid, endpoint.digest)
        return await self.engine.load(endpoint.digest, endpoint.size_bytes, source)

    def _adopt(self, table: ServingTable) -> None:
        """A new table: budgets may have been filled, endpoints may wait to be loaded."""
        self.purse.forget_spent()
        self._deploy_waiting(table)
        # what is held back is given up at once, unless another endpoint may still serve the same file
        known = {each.digest for each in table.by_slug.values() if not each.is_held_back}
        known |= {each.next_digest for each in table.by_slug.values()}
        self.engine.keep_only(known)

    def _deploy_waiting(self, table: ServingTable) -> None:
        for endpoint in table.by_slug.values():
            if endpoint.is_loading and endpoint.uuid not in self._deployments:
                task = asyncio.create_task(self._deploy(endpoint))
                self._deployments[endpoint.uuid] = task
                task.add_done_callback(partial(self._deployed, endpoint.uuid))

    def _deployed(self, uuid: UUID, _task: asyncio.Task[None]) -> None:
        self._deployments.pop(uuid, None)

    async def _deploy(self, endpoint: ServedEndpoint) -> None:
        """Load what the endpoint waits for and report. What is passing (a scan, the store, the database) is tried again at a
        later tick; what is lasting is reported as failed."""
        assert endpoint.next_version_uuid is not None
        actor = actors.system("inference")
        source = partial(_open, endpoint.next_version_uuid, endpoint.next_build_uuid, endpoint.next_digest)
        try:
            loaded = await self.engine.load(endpoint.next_digest, endpoint.next_size_bytes, source)
            spec = loaded.model.spec
            await self.database.run(
                endpoints.report_loaded,
                actor,
                endpoint.uuid,
                endpoint.next_digest,
                inputs=[each.as_json() for each in spec.inputs],
                outputs=[each.as_json() for each in spec.outputs],
            )
        except (Invalid, NotFound) as error:
            log.warning("a model cannot be deployed", endpoint=endpoint.slug, problem=error.message)
            try:
                await self.database.run(
                    endpoints.report_failed, actor, endpoint.uuid, endpoint.next_digest, error.message
                )
            except DomainError:
                pass  # the database is away: the whole deployment is tried again
        except DomainError as error:
            log.info("a deployment waits", endpoint=endpoint.slug, problem=error.message)
        except Exception:  # a deployment must not take its siblings with it
            log.exception("a deployment failed", endpoint=endpoint.slug)

    async def _tick_for_ever(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(ROTATE_S)
            rounds += 1
            try:
                self.spool.rotate()
                if rounds % 2 == 0:
                    self.purse.tick()
                    self._deploy_waiting(self.rights.table)
                    self._keep_recorder()
            except Exception:  # the next round may do better, and calls do not depend on this one
                log.exception("a tick failed")

    def _keep_recorder(self) -> None:
        if self._recorder is not None:
            if self._recorder.poll() is None:
                return
            log.warning("the recorder has ended: starting another", status=self._recorder.returncode)
        manage = str(settings.BASE_DIR / "manage.py")
        self._recorder = subprocess.Popen([sys.executable, manage, "record_calls"], stdin=subprocess.PIPE)

    async def _hold(self, budget_pk: int, amount: int) -> int:
        return await self.database.run(budgets.hold, budget_pk, self.spool.owner, amount)

    async def _release(self, budget_pk: int, amount: int) -> None:
        await self.database.run(budgets.give_back, budget_pk, self.spool.owner, amount)


@contextmanager
def _open(version_uuid: UUID, build_uuid: UUID | None, digest: str) -> Iterator[Reader]:
    """`open_model`, on the loading thread's own connection."""
    try:
        connection.close_if_unusable_or_obsolete()
        with open_model(version_uuid, build_uuid, digest) as reader:
            yield reader
    except BROKEN as error:
        connection.close()
        raise Unavailable("The database of this site does not answer: try again in a moment.") from error
