"""The bubblewrap command line around one program, and what this machine can isolate at all."""

import functools
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import backends
import common
from backends.contracts.runners import RunSpec
from backends.runners import cgroups

TAG = "MERCATO_RUN"
"""Environment variable that marks every process of a run with its name, so that all of them can be found again."""
SOURCES = tuple(Path(module.__file__ or "").resolve().parent for module in (backends, common))
"""The packages of ours that programs may import; the rest of the product is not in the sandbox."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
_SHARED_MEMORY_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class SandboxLevel:
    """What the process runner can do on this machine."""

    is_isolated: bool
    """True: foreign code may run. False: only our own programs, with limits."""
    has_cgroups: bool
    sentence: str
    """For the site and the doctor."""


@functools.cache
def sandbox_level() -> SandboxLevel:
    """Try it once: start a program in the sandbox, make a control group. Takes some 30 ms; the answer is kept."""
    probe = cgroups.create(f"probe-{secrets.token_hex(16)}", memory_bytes=64 * 1024**2, processes=8)
    if probe is not None:
        probe.remove()
    bounds = (
        "Memory and processes are limited for each job as a whole (control groups)."
        if probe is not None
        else "Memory is limited per process only, because this machine does not let us make control groups."
    )
    found = shutil.which("bwrap")
    if found is None:
        missing = "bubblewrap is not installed"
    else:
        tried = subprocess.run(
            [*_walls(found), "--tmpfs", "/tmp", *_interpreter(), "--", sys.executable, "-S", "-c", ""],  # noqa: S108  inside the sandbox
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={},
        )
        missing = f"bubblewrap does not work here ({tried.stderr.strip()[:200]})" if tried.returncode else ""
    if missing:
        text = f"Jobs are not isolated: {missing}. Our own programs run with limits only; jobs with foreign code are refused. {bounds}"
        return SandboxLevel(is_isolated=False, has_cgroups=probe is not None, sentence=text)
    text = f"Jobs run isolated (bubblewrap): no network, a read-only system, no file but their own. {bounds}"
    return SandboxLevel(is_isolated=True, has_cgroups=probe is not None, sentence=text)


def command(spec: RunSpec, *, temporary: Path, environment: Mapping[str, str]) -> list[str]:
    """The argument list that runs `spec` isolated: the job folder read-write at its own place, `read_only_paths` over it, the
    interpreter and our `backends` read-only, `temporary` as /tmp, and `environment` as the whole environment."""
    found = shutil.which("bwrap") or "bwrap"
    arguments = [*_walls(found), "--bind", str(temporary), "/tmp"]  # noqa: S108  inside the sandbox
    arguments += _interpreter()
    for path in SOURCES:
        arguments += ["--ro-bind", str(path), str(path)]
    arguments += ["--bind", str(spec.workdir), str(spec.workdir)]
    for path in spec.read_only_paths:
        arguments += ["--ro-bind", str(path), str(path)]
    arguments += ["--remount-ro", "/", "--chdir", str(spec.workdir), "--clearenv"]
    for name, value in environment.items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--", *spec.argv]


def _walls(bwrap: str) -> list[str]:
    """Everything that is the same for all programs, but /tmp.

    /proc is made read-only as a whole: under a worker that is root, bubblewrap leaves files such as /proc/sys/kernel/core_pattern
    writable, because it asks for the permission of their folder only.
    """
    arguments = [bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"]
    arguments += ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "job"]
    for place in _SYSTEM:
        if Path(place).is_symlink():
            arguments += ["--symlink", str(Path(place).readlink()), place]
        else:
            arguments += ["--ro-bind-try", place, place]
    arguments += ["--proc", "/proc", "--remount-ro", "/proc"]
    arguments += ["--dev", "/dev", "--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    return arguments


def _interpreter() -> list[str]:
    """What shows Python itself in the sandbox, where it lies outside of the system: the virtual environment, the installation it
    was made from, and the links that lead from the one to the other."""
    wanted = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parent.parent}
    folders = [*map(Path, _SYSTEM), *sorted(path for path in wanted if not path.is_relative_to("/usr"))]
    arguments: list[str] = []
    for path in folders[len(_SYSTEM) :]:
        arguments += ["--ro-bind", str(path), str(path)]
    link = Path(sys.executable)
    while link.is_symlink():
        if not any(link.is_relative_to(folder) for folder in folders):
            arguments += ["--symlink", str(link.readlink()), str(link)]
        link = link.parent / link.readlink()
    return arguments
