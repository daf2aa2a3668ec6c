"""A runner for tests: the program is a Python function in a thread of this process. It isolates nothing and limits nothing."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backends.contracts.runners import EndReason, Runner, RunSpec, RunState, RunStatus
from backends.errors import Rejected
from backends.runners.process import KEY


@dataclass
class FakeRun:
    """One run, as its function sees it."""

    spec: RunSpec
    stopped: threading.Event = field(default_factory=threading.Event)
    log: bytes = b""
    exit_code: int | None = None
    wall_s: float = 0.0

    def print(self, text: str) -> None:
        self.log += text.encode()


Program = Callable[[FakeRun], int]


def succeed(_run: FakeRun) -> int:
    return 0


class FakeRunner(Runner):
    """Runs `program` for every spec; it returns the exit code, and watches `run.stopped` if it takes long. `cpu_s` is what each run
    reports as its CPU time."""

    def __init__(self, program: Program = succeed, cpu_s: float = 1.5) -> None:
        self.program = program
        self.cpu_s = cpu_s
        self.starts: list[str] = []
        """Keys in the order in which programs really started."""
        self._runs: dict[str, FakeRun | None] = {}
        """None: stopped before it was started."""
        self._lost: set[str] = set()
        self._lock = threading.Lock()

    def start(self, spec: RunSpec, *, key: str) -> str:
        _check(key)
        with self._lock:
            if key in self._runs:
                return key
            run = self._runs[key] = FakeRun(spec)
            self.starts.append(key)
        threading.Thread(target=self._play, args=(run,), name=f"fake-run-{key}", daemon=True).start()
        return key

    def poll(self, handle: str) -> RunStatus:
        _check(handle)
        if handle not in self._runs or handle in self._lost:
            return RunStatus(RunState.LOST)
        run = self._runs[handle]
        if run is None:
            return RunStatus(RunState.EXITED, reason=EndReason.STOPPED)
        if run.exit_code is None:
            return RunStatus(RunState.RUNNING)
        reason = EndReason.STOPPED if run.stopped.is_set() else None
        return RunStatus(RunState.EXITED, run.exit_code, reason, self.cpu_s, 0, run.wall_s)

    def read_log(self, handle: str, offset: int = 0, limit: int = 65536) -> bytes:
        _check(handle)
        run = self._runs.get(handle)
        return run.log[max(offset, 0) :][: max(limit, 0)] if run else b""

    def stop(self, handle: str) -> None:
        _check(handle)
        with self._lock:
            run = self._runs.setdefault(handle, None)
        if run and run.exit_code is None:
            run.stopped.set()
            deadline = time.monotonic() + 5
            while run.exit_code is None and time.monotonic() < deadline:
                time.sleep(0.005)

    def clean(self, handle: str) -> None:
        if _check(handle) in self._runs:
            self.stop(handle)
            del self._runs[handle]

    def lose(self, handle: str) -> None:
        """For tests: end a run without a trace, as a machine that is switched off does. Its key still starts nothing."""
        self.stop(handle)
        self._lost.add(handle)

    def _play(self, run: FakeRun) -> None:
        began = time.monotonic()
        code = 1
        try:
            code = self.program(run)
        finally:
            run.wall_s = time.monotonic() - began
            run.exit_code = code


def _check(key: str) -> str:
    if not KEY.fullmatch(key):
        raise Rejected(f"not a key of a run: {key[:80]!r}")
    return key
