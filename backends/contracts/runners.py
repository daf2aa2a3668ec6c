"""A runner keeps one program going, somewhere, for one key. The one truth: the same key never starts two programs."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

GIB = 1024**3


class Capability(enum.StrEnum):
    """What a runner may offer beyond the contract; what is missing skips its conformance tests, and the skip says so."""

    SURVIVES_WORKER = "survives-worker"
    """The program goes on when the process that started it is killed; another process finds it by its handle."""
    ISOLATES = "isolates"
    """No network, no file outside what is given, no environment of ours: fit for foreign code."""
    LIMITS = "limits"
    """Memory, CPU and wall time, disk and processes are bounded."""


class RunState(enum.StrEnum):
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"
    """It was never started, or vanished without telling how it ended."""


class EndReason(enum.StrEnum):
    """Why a program ended, when not of its own accord."""

    STOPPED = "stopped"
    MEMORY = "memory"
    CPU_TIME = "cpu-time"
    WALL_TIME = "wall-time"
    DISK = "disk"
    NOT_STARTED = "not-started"
    """The machine could not start it (program or folder missing)."""


@dataclass(frozen=True)
class Limits:
    """What one run may use. Each is enforced on the whole run, children included, where the machine allows it."""

    memory_bytes: int = 2 * GIB
    cpu_s: int = 3600
    wall_s: int = 3600
    disk_bytes: int = 8 * GIB
    """What the run adds to its work folder and its temporary folder together; no single file may be larger either."""
    processes: int = 128
    """Processes and threads."""
    threads: int = 1
    """How many threads numerical libraries are told to use."""
    open_files: int = 1024
    log_bytes: int = 16 * 1024**2
    """The log is cut here; the program goes on."""


@dataclass(frozen=True)
class RunSpec:
    """One program to run."""

    argv: tuple[str, ...]
    workdir: Path
    """Absolute; the program's current folder and the only place where what it writes is kept."""
    limits: Limits = Limits()
    is_foreign: bool = False
    """True when any of the code comes from a user: refused by a runner that does not isolate."""
    read_only_paths: tuple[Path, ...] = ()
    """Absolute files and folders the program may read: its source, and parts of `workdir` it must not change."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the runner's own short list; never a secret."""


@dataclass(frozen=True)
class RunStatus:
    """How a run stands. The figures are final when it has exited."""

    state: RunState
    exit_code: int | None = None
    """0 is success; 128 + n after signal n; None while running, lost, or when it was not started."""
    reason: EndReason | None = None
    """None: it ended of its own accord."""
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    wall_s: float = 0.0


class Runner(ABC):
    """Runs programs. Methods answer within seconds; none waits for a program to end. Every method raises `Rejected` for a key or
    handle that is not letters, digits, `-` and `_` (≤ 64), and `Transient` for a passing fault."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
    def start(self, spec: RunSpec, *, key: str) -> str:
        """Start the program and return its handle, which follows from `key` alone. Repeated, also from another process, beside
        itself or after the program has ended, it starts nothing and returns the same handle. After `stop` it starts nothing.
        Raises `Rejected` for a spec that cannot be run here (foreign code without isolation), `NoCapacity` when there is no room
        now; nothing has started then."""

    @abstractmethod
    def poll(self, handle: str) -> RunStatus:
        """How it stands now. A handle never seen, cleaned, or whose machine forgot it: `lost`."""

    @abstractmethod
    def read_log(self, handle: str, offset: int = 0, limit: int = 65536) -> bytes:
        """Up to `limit` bytes of what the program wrote to stdout and stderr, from `offset` bytes on; empty at the end or when gone."""

    @abstractmethod
    def stop(self, handle: str) -> None:
        """End the program and everything it started, within 5 seconds. Ended, gone or never started is success, and it will not
        start any more: a `start` that comes late does nothing."""

    @abstractmethod
    def clean(self, handle: str) -> None:
        """Forget an ended run: its log and its notes. Stops it first when it still runs. Gone is success. The work folder stays."""
