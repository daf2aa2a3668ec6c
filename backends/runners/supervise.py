"""The small program that owns one job: `python -m backends.runners.supervise FOLDER`.

It leaves the session of whoever started it, takes the lock of the run, starts the job at most once, keeps its log, enforces its limits,
and writes down how it ended. When the supervisor dies the job dies with it, and the run is lost; when the worker dies nothing happens.
"""

import contextlib
import ctypes
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from backends.contracts.runners import EndReason
from backends.runners import cgroups, notes
from backends.runners.sandbox import TAG

_PR_SET_PDEATHSIG = 1
_GRACE_S = 2.0
"""Between SIGTERM and SIGKILL when a run is stopped; `stop` promises 5 seconds in all."""
_LOOK_S = 0.2
_MEASURE_DISK_S = 3.0


def main(folder: Path) -> int:
    """Fork away, and return once the child holds the run (or has found that there is nothing to do)."""
    readable, writable = os.pipe()
    if os.fork():
        os.close(writable)
        os.read(readable, 1)
        return 0
    os.close(readable)
    os.setsid()
    if not notes.take_lock(folder / notes.LOCK) or (folder / notes.STATUS).exists():
        return 0  # another supervisor has it, or had it: the same key never starts two
    run = notes.read(folder / notes.RUN)
    if run is None:
        return 0
    if (folder / notes.STOP).exists():
        notes.write(folder / notes.STATUS, {"state": "exited", "reason": EndReason.STOPPED})
        return 0
    # written before the start: whatever happens from here on, nobody starts this key again
    notes.write(folder / notes.STATUS, {"state": "started", "started_at": time.time()})
    os.close(writable)
    Supervisor(folder, run).supervise()
    return 0


class Supervisor:
    """One run from its start to its end."""

    def __init__(self, folder: Path, run: dict[str, Any]) -> None:
        self.folder = folder
        self.run = run
        self.limits: dict[str, int] = run["limits"]
        self.started = time.monotonic()
        self.group = _group(run) if run["has_group"] else None
        self.disk_at_start = self._disk_bytes()
        self.reason: EndReason | None = None
        self.signalled_at: float | None = None
        self.logged = 0
        self.is_stopping = False

    def supervise(self) -> None:
        signal.signal(signal.SIGTERM, self._on_stop)
        try:
            child = self._start()
        except (OSError, subprocess.SubprocessError) as error:
            (self.folder / notes.LOG).write_text(f"the program could not be started: {error}\n")
            self._write_end(None, EndReason.NOT_STARTED, 0.0, 0)
            return
        assert child.stdout is not None
        exit_code, used = self._watch(child.pid, child.stdout.fileno())
        child.returncode = exit_code  # reaped by wait4 already
        notes.kill_tagged(f"{TAG}={self.run['name']}")
        self._drain(child.stdout.fileno())
        cpu_s, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
        if self.group:
            cpu_s, peak = max(cpu_s, self.group.cpu_s()), self.group.peak_memory_bytes() or peak
            if self.group.has_run_out_of_memory():
                self.reason = self.reason or EndReason.MEMORY
        if exit_code == 128 + signal.SIGXCPU:
            self.reason = self.reason or EndReason.CPU_TIME
        self._write_end(exit_code, self.reason, cpu_s, peak)

    def _start(self) -> "subprocess.Popen[bytes]":
        limits, group = self.limits, self.group

        def confine() -> None:
            """In the child, before the program: join the group, take the limits, die with the supervisor."""
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if group:
                group.join()
            else:
                # data, not address space: libraries map far more than they use
                _limit(resource.RLIMIT_DATA, limits["memory_bytes"])
                if os.getuid():
                    _limit(resource.RLIMIT_NPROC, limits["processes"] + _threads_of(os.getuid()))
            _limit(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1)
            _limit(resource.RLIMIT_FSIZE, limits["disk_bytes"])
            _limit(resource.RLIMIT_NOFILE, limits["open_files"])
            _limit(resource.RLIMIT_CORE, 0)

        return subprocess.Popen(
            self.run["command"],
            cwd=self.run["workdir"],
            env=self.run["environment"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=confine,  # noqa: PLW1509  this program has one thread
        )

    def _watch(self, pid: int, pipe: int) -> tuple[int, resource.struct_rusage]:
        """Keep the log and the limits until the program ends; returns its exit code (128 + n after signal n) and its usage."""
        ended = os.pidfd_open(pid)
        waiting = [ended, pipe]
        measured = time.monotonic()
        with (self.folder / notes.LOG).open("ab", buffering=0) as log:
            while True:
                readable, _, _ = select.select(waiting, [], [], _LOOK_S)
                if pipe in readable and not self._copy(pipe, log):
                    waiting.remove(pipe)
                if ended in readable:
                    os.close(ended)
                    _, status, used = os.wait4(pid, 0)
                    return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)), used
                now = time.monotonic()
                if self.reason is None:
                    self.reason = self._limit_reached(now, measure_disk=now - measured > _MEASURE_DISK_S)
                    if now - measured > _MEASURE_DISK_S:
                        measured = now
                if self.reason is not None:
                    self._end(pid, now)

    def _limit_reached(self, now: float, *, measure_disk: bool) -> EndReason | None:
        if self.is_stopping or (self.folder / notes.STOP).exists():
            return EndReason.STOPPED
        if now - self.started > self.limits["wall_s"]:
            return EndReason.WALL_TIME
        if self.group and self.group.cpu_s() > self.limits["cpu_s"]:
            return EndReason.CPU_TIME
        if measure_disk and self._disk_bytes() - self.disk_at_start > self.limits["disk_bytes"]:
            return EndReason.DISK
        return None

    def _disk_bytes(self) -> int:
        return _disk_bytes(self.run["workdir"], self.folder / notes.TEMPORARY)

    def _end(self, pid: int, now: float) -> None:
        """Ask first, then kill. Only a stopped run is asked: one over its limit has had its time."""
        if self.signalled_at is None and self.reason is EndReason.STOPPED:
            self.signalled_at = now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        elif self.signalled_at is None or now - self.signalled_at > _GRACE_S:
            self.signalled_at = now
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            notes.kill_tagged(f"{TAG}={self.run['name']}")

    def _copy(self, pipe: int, log: Any) -> bool:
        """Move what has come from the pipe to the log, up to its limit; False at the end of the pipe."""
        data = os.read(pipe, 65536)
        room = self.limits["log_bytes"] - self.logged
        if room > 0 and data:
            log.write(data[:room])
            if len(data) >= room:
                log.write(b"\n[the log ends here: it has reached its limit]\n")
        self.logged += len(data)
        return bool(data)

    def _drain(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        with (self.folder / notes.LOG).open("ab", buffering=0) as log, contextlib.suppress(BlockingIOError):
            while self._copy(pipe, log):
                pass

    def _write_end(self, exit_code: int | None, reason: EndReason | None, cpu_s: float, peak: int) -> None:
        if self.group:
            self.group.remove()
        shutil.rmtree(self.folder / notes.TEMPORARY, ignore_errors=True)
        end = {"state": "exited", "exit_code": exit_code, "reason": reason, "cpu_s": round(cpu_s, 3)}
        end |= {"peak_memory_bytes": peak, "wall_s": round(time.monotonic() - self.started, 3)}
        notes.write(self.folder / notes.STATUS, end)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True


def _group(run: dict[str, Any]) -> cgroups.Cgroup | None:
    return cgroups.create(run["name"], memory_bytes=run["limits"]["memory_bytes"], processes=run["limits"]["processes"])


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Lower one limit, never beyond what we have ourselves."""
    _, ceiling = resource.getrlimit(kind)
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(kind, (soft, hard))


def _threads_of(uid: int) -> int:
    """Processes and threads that `uid` has now: the kernel counts them all against the limit on processes."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == uid:
                    count += sum(1 for _ in (folder / "task").iterdir())
    return count


def _disk_bytes(*folders: str | Path) -> int:
    """Bytes allocated below `folders`, links not followed."""
    total = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    total += (Path(place) / name).lstat().st_blocks * 512
    return total


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
