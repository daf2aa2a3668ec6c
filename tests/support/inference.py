"""A real inference process for tests, on the test's own database and data folder."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from django.db import connection
from django.test import override_settings
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import HTTPError

from tests.support.ports import free_port
from tests.support.site import ROOT

LIMIT_S = 60


def database_url() -> str:
    """The URL of the database that this test uses."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite://{quote(str(settings['NAME']))}"
    user, password = quote(settings["USER"]), quote(settings["PASSWORD"])
    return f"postgres://{user}:{password}@{settings['HOST']}:{settings['PORT'] or 5432}/{settings['NAME']}"


def eventually(check: Callable[[], Any], *, limit_s: float = LIMIT_S, what: str = "") -> Any:
    """What `check` returns as soon as it is true. Fails after `limit_s`."""
    until = time.monotonic() + limit_s
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {limit_s} s: {what or check}")
        time.sleep(0.02)


@dataclass
class Inference:
    """`data` is the folder it runs on. Make content inside `with inference.content():`."""

    data: Path
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def spool(self) -> Path:
        return self.data / "inference-spool"

    @contextlib.contextmanager
    def content(self) -> Iterator[None]:
        """The settings under which services write where the process reads."""
        with override_settings(DATA=self.data, STORAGE_URL=f"file://{self.data / 'blobs'}"):
            yield

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "STORAGE_URL"}}
        return kept | {
            "DJANGO_SETTINGS_MODULE": "config.settings.dev",
            "MERCATO_DATA": str(self.data),
            "DATABASE_URL": database_url(),
            "PUBLIC_URL": "http://127.0.0.1:8000",
            "OMP_NUM_THREADS": "1",
            **self.extra,
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        if not self.port:
            self.port = free_port()
        with (self.data / "inference.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "inference", "--port", str(self.port)],
                cwd=ROOT, env=self._environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        eventually(lambda: self._answers() or self._must_live(), what="inference answers")

    @contextlib.contextmanager
    def nursery(self) -> Iterator[Callable[[], int]]:
        """A function that starts another inference process within milliseconds, once this one has ended; it returns the process
        id and does not wait for the first answer."""
        with (self.data / "inference.log").open("ab") as log:
            parent = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery", str(self.port)],
                cwd=ROOT, env=self._environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

        def start() -> int:
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.write("\n")
            parent.stdin.flush()
            return int(parent.stdout.readline())

        try:
            yield start
        finally:
            # its pipes are not read to their ends: recorders of killed processes hold them for a while
            assert parent.stdin is not None
            assert parent.stdout is not None
            parent.stdin.close()
            parent.wait(30)
            parent.stdout.close()

    def _must_live(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"inference has ended:\n{self.log()[-3000:]}")
        return False

    def _answers(self) -> bool:
        try:
            return self.request("GET", "/v2/health/ready").status == 200
        except HTTPError:
            return False

    def log(self) -> str:
        return (self.data / "inference.log").read_text()

    def kill(self) -> None:
        """As the kernel does when memory runs out: no chance to say anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As the supervisor does; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def recorders(self) -> list[psutil.Process]:
        """Recorders that work on this data folder, orphans of killed processes included."""
        found = []
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if "record_calls" in each.cmdline() and each.environ().get("MERCATO_DATA") == str(self.data):
                    found.append(each)
        return found

    def end(self) -> None:
        """Stop it and wait for its recorder, so that nobody holds the database."""
        if self.process is not None:
            self.stop()
        eventually(lambda: not self.recorders(), limit_s=30, what="recorders end")

    def request(self, method: str, path: str, body: bytes | None = None, *, token: str = "", **headers: str) -> Any:
        """One request over a connection of its own; names of headers with `_` for `-`. The answer has status, headers, data."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["authorization"] = f"Bearer {token}"
        with HTTPConnectionPool("127.0.0.1", self.port, timeout=30, retries=False) as pool:
            return pool.request(method, path, body=body, headers=sent)

    def is_serving(self, slug: str, token: str) -> bool:
        return self.request("GET", f"/v2/models/{slug}/ready", token=token).status == 200

    def await_serving(self, slug: str, token: str) -> None:
        eventually(lambda: self.is_serving(slug, token), limit_s=30, what=f"{slug} is ready")
