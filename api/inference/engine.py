"""The models this process keeps loaded, and the runs made on them. Everything here is called from the event loop.

Short runs are made where they are asked for; a long one goes to the one running thread, together with whatever is waiting for
the same model by then, if the model may be batched: nothing ever waits for a batch to fill. One thread, because two runs at a
time on this process's core only get in each other's way; a second process is the way to a second core."""

import asyncio
import hashlib
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
import structlog

from backends.contracts.stores import Reader
from backends.engines.onnx import Array, Feeds, OnnxModel, RunFailed, Timing
from backends.errors import Rejected
from common.errors import Busy, DomainError, Invalid, Unavailable

log = structlog.get_logger(__name__)

RUN_LIMIT_S = 30
WARM_UP_LIMIT_S = 10
BATCH_LIMIT_S = 0.02
"""Estimated time of one batch: what a call may at most wait for its companions' sake."""
QUEUE_LIMIT = 256
"""Calls waiting for one model; more are turned away at once."""
FAILURE_MEMORY_S = 15
"""For so long a model that could not be loaded is not tried again."""
INLINE_FACTOR = 4
"""A quick model runs in place up to this many times its warm-up input (then at most 0.8 ms)."""

Source = Callable[[], AbstractContextManager[Reader]]


class TooSlow(DomainError):
    """The model did not answer in time."""

    status = 504
    default_code = "too_slow"


@dataclass(slots=True)
class Answer:
    """The arrays, and where the time went."""

    arrays: list[Array]
    queue_ns: int
    infer_ns: int
    own_ns: int
    """Its part of `infer_ns` by its rows, when several shared the run."""
    is_first: bool
    """Whether this call stands for the execution, when several shared one."""


@dataclass(slots=True)
class _Job:
    feeds: Feeds
    outputs: tuple[str, ...]
    alike: tuple[object, ...]
    rows: int
    done: asyncio.Future[Answer]
    asked_ns: int


@dataclass(slots=True)
class LoadedModel:
    """One model with its measurements and its queue."""

    digest: str
    model: OnnxModel
    timing: Timing
    waiting: deque[_Job] = field(default_factory=deque)

    def is_short(self, feeds: Feeds) -> bool:
        if not self.timing.is_quick:
            return False
        elements = 0
        for array in feeds.values():
            elements += array.size
        return elements <= self.timing.unit_elements * INLINE_FACTOR


class Engine:
    """`limit_bytes` bounds the estimated memory of all loaded models; the one unused for longest makes room."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._models: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._failed: dict[str, tuple[float, DomainError]] = {}
        self._loader = ThreadPoolExecutor(1, "model-load")
        self._runner = ThreadPoolExecutor(1, "model-run")
        self._turns: deque[LoadedModel] = deque()
        self._is_running = False

    @property
    def loaded(self) -> Iterable[str]:
        return self._models.keys()

    def get(self, digest: str) -> LoadedModel | None:
        """The model if it is loaded; counts as its use."""
        found = self._models.get(digest)
        if found is not None:
            self._models.move_to_end(digest)
        return found

    async def load(self, digest: str, size_bytes: int, source: Source) -> LoadedModel:
        """The model, loaded if need be: everybody who asks meanwhile waits for the one load. Raises Invalid for what cannot be
        served, Busy while its scan is pending, Unavailable when it does not fit or the store does not answer."""
        found = self.get(digest)
        if found is not None:
            return found
        failure = self._failed.get(digest)
        if failure is not None and time.monotonic() < failure[0]:
            raise failure[1].with_traceback(None)
        task = self._loading.get(digest)
        if task is None:
            task = asyncio.create_task(self._load(digest, size_bytes, source))
            self._loading[digest] = task
            task.add_done_callback(
                lambda done: (self._loading.pop(digest, None) and done.cancelled()) or done.exception()
            )
        return await asyncio.shield(task)

    async def _load(self, digest: str, size_bytes: int, source: Source) -> LoadedModel:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        try:
            if 2 * size_bytes > self.limit_bytes:
                raise Invalid("The model is larger than this site's inference process may load.")
            path = await loop.run_in_executor(self._loader, _fetch, self.folder, digest, source)
            try:
                model = await loop.run_in_executor(self._loader, OnnxModel, path)
            except Rejected as error:
                raise Invalid(f"The model cannot be served: {error}.") from error
            # on the running thread, so that what is measured is not disturbed by another run
            timing = await loop.run_in_executor(self._runner, lambda: model.warm_up(limit_s=WARM_UP_LIMIT_S))
        except DomainError as error:
            memory_s = error.retry_after_s if isinstance(error, Busy) else FAILURE_MEMORY_S
            self._failed[digest] = (time.monotonic() + memory_s, error)
            raise
        self._failed.pop(digest, None)
        loaded = LoadedModel(digest, model, timing)
        self._admit(loaded)
        log.info(
            "model loaded",
            digest=digest[:12],
            seconds=round(time.perf_counter() - began, 3),
            call_us=round(timing.unit_s * 1e6, 1),
            quick=timing.is_quick,
            batched=timing.can_batch,
        )
        return loaded

    def _load_ended(self, digest: str, task: asyncio.Task[LoadedModel]) -> None:
        self._loading.pop(digest, None)
        if not task.cancelled():
            # those who wait have got it; if nobody does any more, it is known in `_failed`
            task.exception()

    def _admit(self, loaded: LoadedModel) -> None:
        self._models[loaded.digest] = loaded
        self.used_bytes += loaded.model.memory_bytes
        while self.used_bytes > self.limit_bytes and len(self._models) > 1:
            # runs in progress keep their own reference: the memory goes when they end
            digest, evicted = self._models.popitem(last=False)
            self.used_bytes -= evicted.model.memory_bytes
            log.info("model evicted", digest=digest[:12])

    def keep_only(self, digests: set[str]) -> None:
        """Forget models that no endpoint names any more, in memory and on the disk."""
        for digest in [each for each in self._models if each not in digests]:
            self.used_bytes -= self._models.pop(digest).model.memory_bytes
        wanted = digests | self._loading.keys()
        for path in self.folder.glob("*.onnx"):
            if path.stem not in wanted:
                path.unlink(missing_ok=True)

    def run_here(self, loaded: LoadedModel, feeds: Feeds, outputs: tuple[str, ...]) -> Answer:
        """Run at once, on the loop: for what `is_short` says. Raises RunFailed."""
        began = time.perf_counter_ns()
        arrays = loaded.model.run(feeds, outputs)
        taken = time.perf_counter_ns() - began
        return Answer(arrays, 0, taken, taken, is_first=True)

    async def run(self, loaded: LoadedModel, feeds: Feeds, outputs: tuple[str, ...]) -> Answer:
        """Run on the running thread, in the order of arrival, models taking turns. Raises RunFailed, TooSlow; Busy when too many
        calls wait for this model."""
        if len(loaded.waiting) >= QUEUE_LIMIT:
            raise Busy("Too many calls are waiting for this model.", retry_after_s=1)
        first = next(iter(feeds.values()))
        job = _Job(
            feeds,
            outputs,
            (outputs, *(array.shape[1:] for array in feeds.values())),
            first.shape[0] if first.ndim else 1,
            asyncio.get_running_loop().create_future(),
            time.perf_counter_ns(),
        )
        if not loaded.waiting:
            self._turns.append(loaded)
        loaded.waiting.append(job)
        self._pump()
        return await job.done

    def _pump(self) -> None:
        while self._turns and not self._is_running:
            loaded = self._turns.popleft()
            batch = _next_batch(loaded)
            if loaded.waiting:
                self._turns.append(loaded)
            if batch:
                self._is_running = True
                self._start(loaded, batch)

    def _start(self, loaded: LoadedModel, batch: list[_Job]) -> None:
        loop = asyncio.get_running_loop()
        stop = ort.RunOptions()
        timer = loop.call_later(RUN_LIMIT_S, setattr, stop, "terminate", True)
        running = loop.run_in_executor(self._runner, _run_batch, loaded.model, batch, stop)

        def finished(done: asyncio.Future[list[Answer | Exception]]) -> None:
            timer.cancel()
            self._is_running = False
            # the next run begins before this one's answers are written: the thread is never idle for that
            self._pump()
            for job, outcome in zip(batch, done.result(), strict=True):
                if job.done.cancelled():
                    continue
                if isinstance(outcome, Answer):
                    job.done.set_result(outcome)
                elif stop.terminate:
                    job.done.set_exception(TooSlow(f"The model did not answer within {RUN_LIMIT_S} seconds."))
                else:
                    job.done.set_exception(outcome)

        running.add_done_callback(finished)

    def close(self) -> None:
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._runner.shutdown(wait=False, cancel_futures=True)


def _next_batch(loaded: LoadedModel) -> list[_Job]:
    """The longest waiting call, and those after it that may share its run."""
    batch: list[_Job] = []
    rows = 0
    room = max(1, int(BATCH_LIMIT_S / max(loaded.timing.unit_s, 1e-6)))
    while loaded.waiting:
        job = loaded.waiting[0]
        if job.done.cancelled():
            loaded.waiting.popleft()
            continue
        fits = not batch or (loaded.timing.can_batch and job.alike == batch[0].alike and rows + job.rows <= room)
        if not fits:
            break
        batch.append(loaded.waiting.popleft())
        rows += job.rows
    return batch


def _run_batch(model: OnnxModel, batch: list[_Job], stop: ort.RunOptions) -> list[Answer | Exception]:
    """Never raises. When a shared run fails, each call is run alone, so that nobody's input spoils another's answer."""
    began = time.perf_counter_ns()
    if len(batch) > 1:
        outputs = batch[0].outputs
        names = batch[0].feeds
        with suppress(RunFailed):
            joined = model.run(
                {name: np.concatenate([job.feeds[name] for job in batch]) for name in names}, outputs, stop
            )
            total = sum(job.rows for job in batch)
            if all(array.shape[0] == total for array in joined):
                return _shared(batch, joined, began)
    outcomes: list[Answer | Exception] = []
    for job in batch:
        alone = time.perf_counter_ns()
        try:
            arrays = model.run(job.feeds, job.outputs, stop)
        except RunFailed as error:
            outcomes.append(error)
        else:
            taken = time.perf_counter_ns() - alone
            outcomes.append(Answer(arrays, began - job.asked_ns, taken, taken, is_first=True))
    return outcomes


def _shared(batch: list[_Job], joined: list[Array], began: int) -> list[Answer | Exception]:
    taken = time.perf_counter_ns() - began
    outcomes: list[Answer | Exception] = []
    start = 0
    total = sum(job.rows for job in batch)
    for job in batch:
        rows = [array[start : start + job.rows] for array in joined]
        own = taken * job.rows // total
        outcomes.append(Answer(rows, began - job.asked_ns, taken, own, is_first=start == 0))
        start += job.rows
    return outcomes


def _fetch(folder: Path, digest: str, source: Source) -> Path:
    """The model's file on this machine's disk, its SHA-256 checked now; copied from the store when it is missing or damaged."""
    path = folder / f"{digest}.onnx"
    with suppress(FileNotFoundError):
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == digest:
                return path
        path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{digest}.{os.getpid()}.part"
    sha = hashlib.sha256()
    try:
        with source() as reader, draft.open("wb") as file:
            for chunk in reader:
                sha.update(chunk)
                file.write(chunk)
        if sha.hexdigest() != digest:
            raise Unavailable("The store gave other bytes than the model's.")
        draft.rename(path)
    except OSError as error:
        raise Unavailable("The model cannot be written to this machine's disk.") from error
    finally:
        draft.unlink(missing_ok=True)
    return path
