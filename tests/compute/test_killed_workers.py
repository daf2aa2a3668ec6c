"""Real workers, real programs in the sandbox, and kill -9: nothing is lost and nothing is doubled."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import remembered_sqlite

pytestmark = pytest.mark.xdist_group("killed-workers")  # they share the migrated database

ROOT = Path(__file__).resolve().parents[2]
LEASE_S = 1.0


class Installation:
    """A data folder with its own database, and the one worker that is alive on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.database = data / "mercato.sqlite3"
        kept = {
            name: value
            for name, value in os.environ.items()  # noqa: TID251  handed on to the processes of the installation
            if name not in {"DATABASE_URL", "BROKER_URL", "STORAGE_URL", "DJANGO_SETTINGS_MODULE"}
        }
        self.environment = {**kept, "MERCATO_DATA": str(data), "JOB_SLOTS": "2"}
        self.worker: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_worker(self) -> None:
        with (self.data / "worker.log").open("ab") as log:
            command = [
                sys.executable,
                "manage.py",
                "worker",
                "--skip-checks",
                "--lease",
                str(LEASE_S),
                "--concurrency",
                "2",
            ]
            self.worker = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def signal_worker(self, number: int) -> None:
        assert self.worker is not None
        os.killpg(self.worker.pid, number)

    def kill_worker(self) -> None:
        if self.worker is not None:
            with contextlib.suppress(ProcessLookupError):
                self.signal_worker(signal.SIGKILL)
            self.worker.wait()
            self.worker = None

    def states(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20)) as database:
            return [state for (state,) in database.execute("SELECT state FROM compute_job ORDER BY id")]

    def is_writable(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.database, timeout=0.2, isolation_level=None)) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
                database.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        return True

    def wait_for_state(self, wanted: set[str], limit_s: float = 90) -> list[str]:
        """Until some job is in one of the states."""
        end = time.monotonic() + limit_s
        while not wanted & set(self.states()):
            assert time.monotonic() < end, f"{self.states()}\n{(self.data / 'worker.log').read_text()[-3000:]}"
            time.sleep(0.01)
        return self.states()

    def wait_for_end(self, limit_s: float = 120) -> dict:
        end = time.monotonic() + limit_s
        while set(self.states()) - {"succeeded", "failed", "cancelled"}:
            assert time.monotonic() < end, f"{self.states()}\n{(self.data / 'worker.log').read_text()[-3000:]}"
            time.sleep(0.05)
        while (report := json.loads(self.run("-m", "tests.compute.driver", "report")))["unfinished_tasks"]:
            assert time.monotonic() < end, report["unfinished_tasks"]
        return report["jobs"]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_setup) -> Path:
    """A migrated database, to be copied."""
    made = Installation(tmp_path_factory.mktemp("migrated"))
    if (kept := remembered_sqlite()) is None:
        made.run("manage.py", "migrate", "--verbosity", "0", "--skip-checks")
    else:
        with contextlib.closing(sqlite3.connect(made.database)) as copy:
            kept.backup(copy)
    return made.database


@pytest.fixture
def installation(tmp_path: Path, migrated: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    with (
        contextlib.closing(sqlite3.connect(migrated)) as source,
        contextlib.closing(sqlite3.connect(made.database)) as copy,
    ):
        source.backup(copy)
    yield made
    made.kill_worker()


SUCCEEDED = {
    "state": "succeeded",
    "problem": "",
    "attempts": ["succeeded"],
    "versions": 1,
    "commits": 2,
    "edges": 2,
    "has_metrics": True,
}


def check_success(jobs: dict) -> None:
    for job in jobs.values():
        events, usage, _ = job.pop("events"), job.pop("usage"), job.pop("attempt_uuids")
        assert job == SUCCEEDED, events
        assert len(events) == len(set(events)) == 5
        assert len(usage) == 1
        assert 1 <= usage[0] < 60


def test_workers_killed_at_every_stage_lose_nothing_and_double_nothing(installation: Installation) -> None:
    installation.run("-m", "tests.compute.driver", "submit", "2")
    for stage in ({"starting"}, {"running"}, {"collecting", "succeeded"}):
        installation.start_worker()
        installation.wait_for_state(stage)
        installation.kill_worker()
    installation.start_worker()
    jobs = installation.wait_for_end()
    left = {path.name for folder in ("jobs", "runs") for path in (installation.data / folder).iterdir()}
    assert left & {uuid for job in jobs.values() for uuid in job["attempt_uuids"]} == set()
    check_success(jobs)


def test_a_worker_that_sleeps_beyond_its_lease_writes_nothing_when_it_wakes(installation: Installation) -> None:
    installation.run("-m", "tests.compute.driver", "submit", "1")
    installation.start_worker()
    installation.wait_for_state({"running"})
    installation.signal_worker(signal.SIGSTOP)
    while not installation.is_writable():  # it fell asleep holding SQLite's one lock: nobody could go on
        installation.signal_worker(signal.SIGCONT)
        installation.signal_worker(signal.SIGSTOP)
    sleeper = installation.worker
    installation.start_worker()
    jobs = installation.wait_for_end()
    assert sleeper is not None
    os.killpg(sleeper.pid, signal.SIGCONT)
    time.sleep(1)  # time for it to do harm
    assert json.loads(installation.run("-m", "tests.compute.driver", "report"))["jobs"] == jobs
    os.killpg(sleeper.pid, signal.SIGKILL)
    sleeper.wait()
    check_success(jobs)
