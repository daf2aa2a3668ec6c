"""A real site for tests: `manage.py up` in a process of its own, as an operator starts it."""

import contextlib
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from config.management.commands.up import environment_for
from tests.support.databases import remembered_postgres, remembered_sqlite
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
START_LIMIT_S = 180
"""Measured 8 s alone on two cores; the rest is for a machine busy with other tests."""


class CommandFailed(AssertionError):
    """A management command ended with an error; the text is what it said."""


@dataclass
class LiveSite:
    """`url` the site, `inference_url` the inference process, `data` the folder, `process` the supervisor."""

    url: str
    inference_url: str
    data: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]
    output: deque[str]
    reader: threading.Thread | None = None
    _tokens: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)
    _users: set[str] = field(default_factory=set)

    def manage(self, *args: object) -> dict:
        """Run one operator command against this site; the JSON object it printed. Raises CommandFailed with its error."""
        done = subprocess.run(
            [sys.executable, "manage.py", *map(str, args)],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise CommandFailed(f"{' '.join(map(str, args))} -> {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def user(self, name: str) -> str:
        """Make sure that the user exists (password `<name>-password-1`); the name."""
        if name not in self._users:
            self.manage(
                "create_user", name, "--email", f"{name}@example.org", "--password", f"{name}-password-1"
            )  # fmt: skip
            self._users.add(name)
        return name

    def token(self, user: str, scopes: tuple[str, ...] = ("*",)) -> str:
        """A token of `user` with `scopes`; the user is made when missing. The same arguments give the same token."""
        key = (user, tuple(scopes))
        if key not in self._tokens:
            self.user(user)
            flags = [part for scope in scopes for part in ("--scope", scope)]
            self._tokens[key] = self.manage("create_token", user, "--name", f"test {len(self._tokens)}", *flags)[
                "token"
            ]
        return self._tokens[key]

    def log(self, part: str) -> str:
        """What `part` (web, worker, scheduler, inference) has written so far."""
        return (self.data / "log" / f"{part}.log").read_text()


@contextlib.contextmanager
def started_site(data: Path, *options: str, extra: Mapping[str, str] | None = None) -> Iterator[LiveSite]:
    """`manage.py up` on `data` with `options` (without a demonstration), ended by SIGTERM afterwards; its own PostgreSQL
    database when this run uses PostgreSQL."""
    port = free_port(2)  # inference takes the next one
    _copy_migrated_database(data)
    with _own_database() as database:
        kept = {
            key: value for key, value in os.environ.items() if key not in {"DJANGO_SETTINGS_MODULE", "DATABASE_URL"}
        }
        environment = (
            kept | environment_for(data, "127.0.0.1", port) | {"OMP_NUM_THREADS": "1"} | database | dict(extra or {})
        )
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--data", str(data), "--port", str(port), "--no-demo", *options],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        site = LiveSite(
            f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", data, environment, process, deque(maxlen=400)
        )
        try:
            _await_ready(site)
            yield site
        finally:
            stop(process)
            if site.reader:
                site.reader.join(10)


def _copy_migrated_database(data: Path) -> None:
    """Spare a new site on SQLite the migrations, when this process has a migrated database to copy; they take seconds."""
    target = data / "mercato.sqlite3"
    if (copy := remembered_sqlite()) is None or target.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    new = sqlite3.connect(target)
    copy.backup(new)
    new.close()


def stop(process: subprocess.Popen[str]) -> int:
    """End the supervisor as an operator does; its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def _await_ready(site: LiveSite) -> None:
    ready = threading.Event()

    def read() -> None:
        for line in site.process.stdout or ():
            site.output.append(line)
            if line.startswith("ready "):
                ready.set()
        if site.process.stdout:
            site.process.stdout.close()
        ready.set()

    site.reader = threading.Thread(target=read, daemon=True)
    site.reader.start()
    if not ready.wait(START_LIMIT_S) or not any(line.startswith("ready ") for line in site.output):
        logs = "".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in (site.data / "log").glob("*.log"))
        raise AssertionError(f"the site did not start:\n{''.join(site.output)}\n{logs}")


@contextlib.contextmanager
def _own_database() -> Iterator[dict[str, str]]:
    """The environment that names a fresh PostgreSQL database, or nothing when this run uses SQLite."""
    url = os.environ.get("DATABASE_URL", "")
    if not url.startswith("postgres"):
        yield {}
        return
    name = f"mercato_live_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as admin:
        template = remembered_postgres()
        admin.execute(f"CREATE DATABASE {name}" + (f' TEMPLATE "{template}"' if template else ""))
    try:
        yield {"DATABASE_URL": urlunsplit(urlsplit(url)._replace(path=f"/{name}"))}
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
