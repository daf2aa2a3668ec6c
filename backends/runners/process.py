"""Jobs as processes of this machine: sandboxed where bubblewrap works, with limits everywhere.

Each run has a folder under `root` named by its key, with the supervisor's notes. All processes that use one `root` are on one machine.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from backends.contracts.runners import Capability, EndReason, Runner, RunSpec, RunState, RunStatus
from backends.errors import ConfigError, NoCapacity, Rejected, Transient
from backends.runners import cgroups, notes, sandbox

KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_START_S = 30
_STOP_S = 4.0


class ProcessRunner(Runner):
    """One supervisor process per run, in a session of its own. The handle is the key."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"the folder of the process runner {root} cannot be made: {error.strerror}") from error

    @property
    def capabilities(self) -> frozenset[Capability]:  # type: ignore[override]  # what it can do depends on the machine
        always = frozenset({Capability.SURVIVES_WORKER, Capability.LIMITS})
        return always | {Capability.ISOLATES} if sandbox.sandbox_level().is_isolated else always

    def start(self, spec: RunSpec, *, key: str) -> str:
        folder = self._folder(key)
        if (folder / notes.STATUS).exists():
            return key
        level = sandbox.sandbox_level()
        if spec.is_foreign and not level.is_isolated:
            raise Rejected(f"This job contains code that is not ours. {level.sentence}")
        self._write_run(folder, spec, key, level)
        try:
            # it forks away by itself and this returns when the run is under its lock: nothing of it stays our child
            done = subprocess.run(
                [sys.executable, "-P", "-s", "-m", "backends.runners.supervise", str(folder)],
                env={"PATH": os.defpath, "PYTHONPATH": str(sandbox.SOURCES[0].parent)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                timeout=_START_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Transient("the supervisor of the job does not start: the machine is overloaded") from error
        except OSError as error:
            raise _clear(error) from error
        if done.returncode:
            raise Transient(f"the supervisor of the job failed with exit code {done.returncode}")
        return key

    def poll(self, handle: str) -> RunStatus:
        folder = self._folder(handle)
        for _ in range(2):
            # in this order: a run that ends between the two looks shows as ended the second time, never as lost
            is_alive = notes.lock_holder(folder / notes.LOCK) is not None
            found = notes.read(folder / notes.STATUS)
            if found and found["state"] == "exited":
                return RunStatus(
                    RunState.EXITED,
                    exit_code=found.get("exit_code"),
                    reason=EndReason(found["reason"]) if found.get("reason") else None,
                    cpu_s=found.get("cpu_s", 0.0),
                    peak_memory_bytes=found.get("peak_memory_bytes", 0),
                    wall_s=found.get("wall_s", 0.0),
                )
            if is_alive:
                wall_s = max(time.time() - found["started_at"], 0.0) if found else 0.0
                return RunStatus(
                    RunState.RUNNING, wall_s=wall_s, cpu_s=round(cgroups.group_of(self._name(handle)).cpu_s(), 3)
                )
        return RunStatus(RunState.LOST)

    def read_log(self, handle: str, offset: int = 0, limit: int = 65536) -> bytes:
        try:
            with (self._folder(handle) / notes.LOG).open("rb") as log:
                log.seek(max(offset, 0))
                return log.read(max(limit, 0))
        except FileNotFoundError:
            return b""

    def stop(self, handle: str) -> None:
        folder = self._folder(handle)
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            (folder / notes.STOP).touch()
        except OSError as error:
            raise _clear(error) from error
        deadline = time.monotonic() + _STOP_S
        while (pid := notes.lock_holder(folder / notes.LOCK)) is not None:
            if time.monotonic() > deadline:
                # the lock tells who it is, so this is never a stranger with a recycled number
                _kill(pid, signal.SIGKILL)
            else:
                _kill(pid, signal.SIGTERM)
            time.sleep(0.05)
            if time.monotonic() > deadline + 1:
                raise Transient("the job does not stop: ask again")
        # after a supervisor that was killed: nothing of the run may stay
        notes.kill_tagged(f"{sandbox.TAG}={self._name(handle)}")
        cgroups.group_of(self._name(handle)).remove()

    def clean(self, handle: str) -> None:
        folder = self._folder(handle)
        if not folder.exists():
            return
        self.stop(handle)
        shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, key: str) -> Path:
        if not KEY.fullmatch(key):
            raise Rejected(f"not a key of a run: {key[:80]!r}")
        return self.root / key

    def _name(self, key: str) -> str:
        """What the machine knows the run by: two installations may use the same key."""
        return f"{key}-{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]}"

    def _write_run(self, folder: Path, spec: RunSpec, key: str, level: sandbox.SandboxLevel) -> None:
        workdir = spec.workdir
        if not workdir.is_absolute() or not workdir.is_dir():
            raise Rejected(f"the work folder of the job is not there: {workdir}")
        temporary = folder / notes.TEMPORARY
        place = "/tmp" if level.is_isolated else str(temporary)  # noqa: S108  inside the sandbox
        environment = _environment(spec, self._name(key), place)
        isolated = sandbox.command(spec, temporary=temporary, environment=environment) if level.is_isolated else None
        run = {
            "name": self._name(key),
            "command": isolated or list(spec.argv),
            "workdir": str(workdir),
            "environment": {"PATH": os.defpath, sandbox.TAG: self._name(key)} if isolated else environment,
            "has_group": level.has_cgroups,
            "limits": dataclasses.asdict(spec.limits),
        }
        try:
            folder.mkdir(exist_ok=True, mode=0o700)
            temporary.mkdir(exist_ok=True)
            notes.write(folder / notes.RUN, run)
        except OSError as error:
            raise _clear(error) from error


def _environment(spec: RunSpec, name: str, temporary: str) -> dict[str, str]:
    threads = str(spec.limits.threads)
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": temporary,
        "TMPDIR": temporary,
        "USER": "job",
        "LOGNAME": "job",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(sandbox.SOURCES[0].parent),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOKY_MAX_CPU_COUNT": threads,
        **{f"{library}_NUM_THREADS": threads for library in libraries},
        **spec.environment,
        sandbox.TAG: name,
    }


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _clear(error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return NoCapacity("there is no disk space for another job")
    if error.errno in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}:
        return NoCapacity(f"this machine cannot start another process now: {error.strerror}")
    return ConfigError(f"the process runner cannot work in its folder: {error}")
