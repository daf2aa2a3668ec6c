"""What scans leave on the disk: nothing, also after their worker was killed."""

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from backends import catalogue
from backends.contracts.runners import RunSpec, RunState
from common.clock import now
from registry.models import BlobScan
from registry.services import scans
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo
from work.door import enqueue
from work.loops import run_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def version():
    alice = actor_of(make_user("alice"))
    made = commit(alice, make_repo(alice), add("data.csv", "a,b\n1,2\n"))
    return publish_version(alice, made.repo, made.oid, name="1.0")


def leftovers(data: Path) -> list[str]:
    return sorted(path.name for part in ("scans", "runs") for path in (data / part).iterdir())


def abandoned(data: Path, key: str, *, age: timedelta):
    """A scan whose worker was killed in the middle: its folder, copies of files, and a sandboxed run that goes on."""
    work = data / "scans" / key / "work"
    work.mkdir(parents=True)
    (work.parent / "copies").mkdir()
    (work.parent / "copies" / "0").write_bytes(b"x" * 1000)
    runner = catalogue.load("runners", "process", root=str(data / "runs"))
    runner.start(RunSpec((sys.executable, "-c", "import time; time.sleep(60)"), workdir=work), key=key)
    began = (now() - age).timestamp()
    os.utime(work.parent, (began, began))
    return runner


def test_a_scan_leaves_nothing_behind(version, data_folder):
    report = scans.scan_version(version.pk)
    assert (report.verdict, BlobScan.objects.count()) == ("data-only", 2)
    assert leftovers(data_folder) == []


def test_a_scan_whose_runner_fails_leaves_nothing_behind(version, data_folder, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError("no room")

    monkeypatch.setattr(scans, "scan_files", refuse)
    with pytest.raises(OSError, match="no room"):
        scans.scan_version(version.pk)
    assert leftovers(data_folder) == []
    assert BlobScan.objects.count() == 0


def test_what_a_killed_worker_left_is_swept_when_it_is_old(data_folder):
    runner = abandoned(data_folder, "scan-old", age=scans.KEEP + timedelta(minutes=1))
    abandoned(data_folder, "scan-young", age=scans.KEEP - timedelta(minutes=1))
    enqueue("registry.sweep_scans")
    run_due()
    assert runner.poll("scan-old").state is RunState.LOST
    assert runner.poll("scan-young").state is RunState.RUNNING
    assert leftovers(data_folder) == ["scan-young"] * 2
    runner.clean("scan-young")
    assert scans.sweep_scans() == 0


def test_a_run_that_was_swept_is_dead(data_folder):
    runner = abandoned(data_folder, "scan-old", age=2 * scans.KEEP)
    deadline = time.monotonic() + 30
    while runner.poll("scan-old").state is not RunState.RUNNING and time.monotonic() < deadline:
        time.sleep(0.02)
    assert scans.sweep_scans() == 1
    alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(data_folder).encode() in _read(path)]
    assert alive == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
