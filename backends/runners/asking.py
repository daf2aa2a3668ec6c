"""Asking a program of ours that reads hostile bytes, through a runner: the caller parses nothing but the answer."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.contracts.runners import Runner, RunSpec, RunState

_LONGEST_ANSWER = 64 * 1024**2
_LOOK_S = 1.0


def ask(runner: Runner, spec: RunSpec, *, key: str, keep_going: Callable[[], None] = lambda: None) -> Any:
    """Run the program and wait for it; what it left in `result.json` of its folder, None when it did not end well or that is not a
    plain file of JSON. The same key runs once. `keep_going` is called once a second and may raise to give up: the program is then
    stopped by whoever cleans the runner. Raises what `Runner.start` raises. Takes up to the wall time of the spec."""
    handle = runner.start(spec, key=key)
    looked = time.monotonic()
    deadline = looked + spec.limits.wall_s + 10
    while runner.poll(handle).state is RunState.RUNNING and time.monotonic() < deadline:
        time.sleep(0.05)
        if time.monotonic() - looked >= _LOOK_S:
            keep_going()
            looked = time.monotonic()
    status = runner.poll(handle)
    answer = _read(spec.workdir / "result.json") if status.state is RunState.EXITED and status.exit_code == 0 else None
    runner.clean(handle)
    return answer


def _read(path: Path) -> Any:
    """The program may have been taken over by what it read: no link is followed, nothing is waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        try:
            return json.loads(stream.read(_LONGEST_ANSWER))
        except (ValueError, RecursionError, OSError):
            return None
