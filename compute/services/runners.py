"""The configured runner, one instance a process; and what a job may use on it."""

import functools
from pathlib import Path

from django.conf import settings

from backends import catalogue
from backends.contracts.runners import GIB, EndReason, Limits, Runner

LIMITS = Limits(memory_bytes=4 * GIB, cpu_s=4 * 3600, wall_s=4 * 3600, disk_bytes=20 * GIB)
"""Of every job. One numeric thread: measured, two on a busy machine make a small network slower, not faster."""

REASONS = {
    EndReason.MEMORY: f"The program needed more than {LIMITS.memory_bytes // GIB} GiB of memory.",
    EndReason.CPU_TIME: f"The program used more than {LIMITS.cpu_s // 3600} hours of processor time.",
    EndReason.WALL_TIME: f"The program ran for more than {LIMITS.wall_s // 3600} hours.",
    EndReason.DISK: f"The program wrote more than {LIMITS.disk_bytes // GIB} GiB.",
    EndReason.NOT_STARTED: "The program could not be started.",
    EndReason.STOPPED: "The program was stopped from outside.",
}


def job_runner() -> Runner:
    """The runner that JOB_RUNNER names; the process runner keeps its notes in `runs/` of the data folder."""
    return _runner(settings.JOB_RUNNER, str(Path(settings.DATA) / "runs"))


@functools.cache
def _runner(name: str, root: str) -> Runner:
    runner: Runner = catalogue.load("runners", name, **({"root": root} if name == "process" else {}))
    return runner
