"""A control group of the Linux kernel for one run: limits and figures over a whole tree of processes. None where we may not make one."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PARENT = "mercato"
_V1_CONTROLLERS = ("memory", "pids", "cpuacct")


@dataclass(frozen=True)
class Cgroup:
    """One group: a single folder under version 2, a folder per controller under version 1."""

    memory: Path
    pids: Path
    cpu: Path
    is_v2: bool

    @property
    def folders(self) -> set[Path]:
        return {self.memory, self.pids, self.cpu}

    def join(self) -> None:
        """Move the calling process in; what it starts afterwards is in too."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def cpu_s(self) -> float:
        if self.is_v2:
            return _keyed(self.cpu / "cpu.stat", "usage_usec") / 1e6
        return _number(self.cpu / "cpuacct.usage") / 1e9

    def peak_memory_bytes(self) -> int:
        return _number(self.memory / ("memory.peak" if self.is_v2 else "memory.max_usage_in_bytes"))

    def has_run_out_of_memory(self) -> bool:
        return _keyed(self.memory / ("memory.events" if self.is_v2 else "memory.oom_control"), "oom_kill") > 0

    def remove(self) -> None:
        """Kill what is left inside and remove the group. Gone is success."""
        deadline = time.monotonic() + 2
        for folder in self.folders:
            while folder.exists():
                with contextlib.suppress(OSError):
                    for pid in (folder / "cgroup.procs").read_text().split():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), 9)
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    break
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)


def group_of(name: str) -> Cgroup:
    """The group called `name`, whether it exists or not."""
    if (ROOT / "cgroup.controllers").exists():
        folder = ROOT / _PARENT / name
        return Cgroup(folder, folder, folder, is_v2=True)
    memory, pids, cpu = (ROOT / controller / _PARENT / name for controller in _V1_CONTROLLERS)
    return Cgroup(memory, pids, cpu, is_v2=False)


def create(name: str, *, memory_bytes: int, processes: int) -> Cgroup | None:
    """Make and limit the group `name`. None when this machine does not let us (not root, no delegation, controllers missing)."""
    group = group_of(name)
    try:
        if group.is_v2:
            # works in the root group, which alone may hold processes and pass controllers on
            for folder in (ROOT, ROOT / _PARENT):
                folder.mkdir(exist_ok=True)
                (folder / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        for folder in group.folders:
            folder.mkdir(parents=True, exist_ok=True)
        if group.is_v2:
            (group.memory / "memory.max").write_text(str(memory_bytes))
            with contextlib.suppress(OSError):  # absent without swap
                (group.memory / "memory.swap.max").write_text("0")
        else:
            (group.memory / "memory.limit_in_bytes").write_text(str(memory_bytes))
            with contextlib.suppress(OSError):  # absent without swap accounting
                (group.memory / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))
        (group.pids / "pids.max").write_text(str(processes))
    except OSError:
        group.remove()
        return None
    return group


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _keyed(path: Path, key: str) -> int:
    """The value behind `key` in a file of `key value` lines; 0 when there is none."""
    try:
        return next((int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(f"{key} ")), 0)
    except OSError:
        return 0
