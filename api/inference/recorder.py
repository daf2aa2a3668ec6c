"""From the spool to the usage table. Runs as a process of its own: building rows would hold the interpreter lock for
milliseconds at a time, and every call would wait for it.

Exactly once: a record is keyed by its request's id, so a file may be ingested again after a crash at any point; it is removed
only after its records are committed. A dead process's hold on budgets is given back only after its last file is in."""

import fcntl
import os
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection

from api.inference import spool
from api.inference.database import with_connection
from api.inference.spool import Call, Segment
from common.errors import DomainError
from metering.meters import Meter
from metering.queries import weights_of
from metering.services import budgets, usage
from metering.services.usage import Usage

log = structlog.get_logger(__name__)

PAUSE_S = 0.4
SOURCE = "inference"
REJECTED = ".rejected"
_DRAFT_LIFE_S = 3600


class Recorder:
    """Ingests every owner's files under `root`; one at a time does it, whoever holds `root/.recorder`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def run(self, ended: threading.Event) -> None:
        """Until `ended`, and then once more, for what the process that has just ended left behind."""
        descriptor = os.open(self.root / ".recorder", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        is_mine = False
        while True:
            is_last = ended.wait(PAUSE_S)
            if not is_mine:
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    is_mine = True
                    spool.sweep_drafts(self.root, older_than_s=_DRAFT_LIFE_S)
            if is_mine:
                self._attempt()
            if is_last:
                connection.close()
                return

    def _attempt(self) -> None:
        try:
            with_connection(self.record_all)
        except DomainError as error:
            # the database is away or busy: the files wait, and nothing is lost
            log.warning("served calls wait to be recorded", problem=str(error))
        except Exception:  # tried again at the next round; what is lasting shows in the log
            log.exception("recording served calls failed")

    def record_all(self) -> int:
        """Everything that is complete now; returns how many calls were new. Raises DomainError and database errors, after which
        it can be called again."""
        backlog = spool.backlog(self.root)
        new = 0
        for segment in backlog.segments:
            new += self._record(segment)
        for owner in backlog.dead:
            budgets.release(owner)
            spool.remove(self.root, owner)
        return new

    def _record(self, segment: Segment) -> int:
        calls = segment.calls()
        try:
            new = usage.record_many(_usages(calls), owner=segment.owner)
        except ObjectDoesNotExist:
            # a budget is gone: the database was put back to an older state. Kept aside for the operator.
            kept = self.root / f"{segment.owner}-{segment.path.stem}{REJECTED}"
            segment.path.rename(kept)
            log.exception(
                "served calls name a budget that does not exist: kept aside", file=str(kept), calls=len(calls)
            )
            return 0
        segment.path.unlink()
        return new


def _usages(calls: list[Call]) -> list[Usage]:
    """The calls, and for each what it counts for in caps: an event of its own beside it, by the budget of the cap's month. A second
    reading of the file finds the same."""
    if all(call.budget_id >= 0 for call in calls):
        return [_usage(call) for call in calls]
    drawn_from = {call.request: call.budget_id for call in calls if call.budget_id >= 0}
    weights = weights_of(abs(call.budget_id) for call in calls if call.budget_id)
    found = []
    for call in calls:
        if call.budget_id >= 0:
            found.append(_usage(call))
        elif (known := weights.get(-call.budget_id)) is not None:
            _, price_micro = weights.get(drawn_from.get(call.request, 0), (None, 0))
            quantity = price_micro * call.units if known[0] == Meter.CAPPED_SPENDING else 1
            found.append(
                replace(
                    _usage(call),
                    meter=known[0],
                    budget=-call.budget_id,
                    quantity=quantity,
                    units=quantity,
                    source_id=f"{call.request}:{-call.budget_id}",
                )
            )
    return found


def _usage(call: Call) -> Usage:
    return Usage(
        meter=Meter.INFERENCE_CALLS,
        source=SOURCE,
        source_id=str(call.request),
        quantity=1,
        subject=call.endpoint,
        occurred_at=datetime.fromtimestamp(call.at_us / 1_000_000, UTC),
        payer=call.payer,
        budget=call.budget_id or None,
        units=call.units,
        version=call.version,
        detail={"token": str(call.token)},
    )
