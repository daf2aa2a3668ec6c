"""One process that starts the others, writes down what they say, starts again what has ended, and ends them all together."""

import ctypes
import http.client
import json
import logging.handlers
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 10
"""How long a part may take to end before it is killed: above gunicorn's own grace of 8 s."""
_LOG_BYTES = 20 * 1024**2
_STEADY_S = 60
"""A part that ran this long is healthy again: its next end is restarted at once."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """`name` as in the log; `argv` what to run; `probe_url` answers 200 when the part is up ("" when nothing listens)."""

    name: str
    argv: Sequence[str]
    probe_url: str = ""


class PartFailed(Exception):
    """A part cannot be started; the message tells which, and what it said."""


class _Running:
    """One part and the process that is running it now."""

    def __init__(self, part: Part, environment: Mapping[str, str], folder: Path, say: Say) -> None:
        self.part = part
        self.environment = environment
        self.say = say
        self.log_path = folder / f"{part.name}.log"
        self._log = logging.handlers.RotatingFileHandler(self.log_path, maxBytes=_LOG_BYTES, backupCount=3)
        self.ends_in_a_row = 0
        self.again_at = 0.0
        self.last_line = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0

    def start(self) -> None:
        """Must be called on the main thread: the parent-death signal belongs to the thread that starts the process."""
        self.process = subprocess.Popen(
            [*_tied_to_us(), *self.part.argv],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal reaches us alone; we then end the parts in order.
            start_new_session=True,
        )
        self.started_at = time.monotonic()
        threading.Thread(target=self._write_down, args=(self.process,), daemon=True).start()

    def _write_down(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                self.last_line = line
                self._log.emit(logging.LogRecord(self.part.name, logging.INFO, "", 0, line, None, None))
                if short := _worth_saying(line):
                    self.say(f"{self.part.name}: {short}")

    def note_end(self, code: int) -> None:
        """Plan the next start: at once, then after 1, 2, 4 … 30 seconds."""
        steady = time.monotonic() - self.started_at > _STEADY_S
        self.ends_in_a_row = 0 if steady else self.ends_in_a_row + 1
        wait_s = min(30.0, 2.0 ** (self.ends_in_a_row - 1)) if self.ends_in_a_row else 0.0
        self.again_at = time.monotonic() + wait_s
        self.process = None
        self.say(f"{self.part.name} ended with code {code}; starting again in {wait_s:.0f} s (see {self.log_path})")

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class Supervisor:
    """`environment` is what the parts see; `folder` takes one log file per part; `say` prints one line for the operator."""

    def __init__(self, parts: Sequence[Part], *, environment: Mapping[str, str], folder: Path, say: Say) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.running = [_Running(part, environment, folder, say) for part in parts]
        self.say = say
        self.stopping = threading.Event()
        if sys.platform == "linux":
            # Programs of jobs outlive their worker on purpose; adopted by us, they end with the site.
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self) -> None:
        for running in self.running:
            running.start()

    def await_ready(self, limit_s: float = 120) -> None:
        """Return when every part that has a probe answers it. Raises PartFailed when one keeps ending or the time is over."""
        deadline = time.monotonic() + limit_s
        waiting = [running for running in self.running if running.part.probe_url]
        while waiting and not self.stopping.is_set():
            self.tend()
            waiting = [running for running in waiting if not _answers(running.part.probe_url)]
            for running in self.running:
                if running.ends_in_a_row >= 3:
                    raise PartFailed(
                        f"{running.part.name} does not start: {running.last_line} (see {running.log_path})"
                    )
            if waiting and time.monotonic() > deadline:
                names = ", ".join(running.part.name for running in waiting)
                raise PartFailed(f"{names} did not answer within {limit_s:.0f} s (see {waiting[0].log_path})")
            self.stopping.wait(0.1)

    def tend(self) -> None:
        """Start again what has ended and is due; bury adopted processes that have ended."""
        for running in self.running:
            if running.process is not None and (code := running.process.poll()) is not None:
                running.note_end(code)
            if running.process is None and time.monotonic() >= running.again_at:
                running.start()
        self._bury_adopted()

    def watch(self) -> None:
        """Tend the parts until `stopping` is set."""
        while not self.stopping.wait(0.5):
            self.tend()

    def stop(self) -> None:
        """End every part, then whatever they left behind. Nothing of ours is alive afterwards."""
        self.stopping.set()
        # The site first, so that no new work comes in; all of them at once after that.
        for running in self.running:
            running.signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and any(_is_alive(running) for running in self.running):
            time.sleep(0.05)
        for running in self.running:
            running.signal(signal.SIGKILL)
            if running.process is not None:
                running.process.wait()
        for number, limit_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            self._end_adopted(number, limit_s)

    def _own_pids(self) -> set[int]:
        return {running.process.pid for running in self.running if running.process is not None}

    def _bury_adopted(self) -> None:
        own = self._own_pids()
        for pid in _children():
            if pid not in own:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    continue

    def _end_adopted(self, number: int, limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while (left := _children()) and time.monotonic() < deadline:
            for pid in left:
                try:
                    os.kill(pid, number)
                    os.waitpid(pid, os.WNOHANG)
                except (ProcessLookupError, ChildProcessError):
                    continue
            time.sleep(0.05)


def _is_alive(running: _Running) -> bool:
    return running.process is not None and running.process.poll() is None


def _tied_to_us() -> list[str]:
    """The prefix that makes a process end when we are killed without a chance to end it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _children() -> set[int]:
    """Process ids whose parent we are, adopted ones included (Linux; empty elsewhere)."""
    found: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in listing.read_text().split())
        except OSError:
            continue
    return found


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, http.client.HTTPException):
        # No answer, or not one of a server: a connection to a port of the ephemeral range that nobody listens on yet can meet
        # itself, and then reads its own request.
        return False


def _worth_saying(line: str) -> str:
    """What of a log line the operator should see at once: warnings and errors, without their stack."""
    if not line.startswith("{"):
        return ""
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    if event.get("level") not in {"warning", "error", "critical"}:
        return ""
    return str(event.get("event", ""))[:200]
