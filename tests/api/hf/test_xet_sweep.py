"""Uploads that nobody finishes do not stay on the disk."""

import os
import time
from pathlib import Path

import pytest

from api.hf.xet.spool import STILL_S, SWEEP_EVERY_S, Session, spool_folder, sweep, sweep_if_due
from api.tasks import sweep_xet_spool
from tests.api.hf.xet_writer import STORED, chunk
from work.door import KINDS
from work.loops import run_due
from work.models import Schedule, Task
from work.schedules import DECLARED, start_due, write_declared

NAME = "a" * 64


def session(name: str, *, age_s: float = 0) -> Path:
    body = chunk(b"abc", STORED)
    Session(spool_folder(), "owner", name).receive_xorb(NAME, [body], len(body))
    (folder,) = [path for path in spool_folder().iterdir() if not (path / "seen").exists()]
    (folder / "seen").touch()
    os.utime(folder, (time.time() - age_s,) * 2)
    return folder


def test_what_is_still_goes_and_what_moves_stays() -> None:
    old, young = session("old", age_s=STILL_S + 60), session("young", age_s=STILL_S - 60)
    assert sweep(spool_folder()) == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert sweep(spool_folder()) == 0
    assert sweep(spool_folder() / "missing") == 0


def test_an_upload_at_work_is_not_still() -> None:
    old = session("old", age_s=STILL_S + 60)
    Session(spool_folder(), "owner", "old").touch()
    assert sweep(spool_folder()) == 0
    assert old.exists()


def test_a_web_process_sweeps_now_and_then_only() -> None:
    session("one", age_s=STILL_S + 60)
    assert sweep_if_due(spool_folder()) == 1
    session("two", age_s=STILL_S + 60)
    assert sweep_if_due(spool_folder()) == 0
    os.utime(spool_folder().with_name("xet.swept"), (time.time() - SWEEP_EVERY_S - 1,) * 2)
    assert sweep_if_due(spool_folder()) == 1


@pytest.mark.django_db(transaction=True)
def test_the_scheduler_has_it_done() -> None:
    assert DECLARED["api.sweep_xet_spool"].every_s == SWEEP_EVERY_S
    assert KINDS["api.sweep_xet_spool"].function is sweep_xet_spool
    old = session("old", age_s=STILL_S + 60)
    write_declared()
    Schedule.objects.filter(name="api.sweep_xet_spool").update(next_at="2020-01-01T00:00:00Z")
    assert start_due() >= 1
    assert Task.objects.filter(name="api.sweep_xet_spool").count() == 1
    run_due()
    assert not old.exists()
