"""A process that is killed at any step of a payment, a refund or a dispute: whoever goes on finds nobody who paid without access, nobody
with access who has not paid, and money that moved once."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import process_environment
from tests.support.payment_kill_points import STEPS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_step_a_payment_ends_as_if_nothing_had_been(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.payment_kill_points"],
        cwd=ROOT, env=process_environment(tmp_path), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [case["step"] for case in cases] == list(STEPS)
    for case in cases:
        assert case["killed"] == signal.SIGKILL, case
        assert case["state"] == case["wanted"], case
        assert case["paid"] == 1, case
        assert case["returned"] == (1999 if case["wanted"] == "refunded" else 0), case
        assert case["open"] == int(case["wanted"] == "fulfilled"), case
        assert case["sound"], case
    kept = sum(case["wanted"] == "fulfilled" for case in cases)
    money = cases[-1]["money"]
    assert (money["earned"], money["fees"], money.get("disputed")) == (1799 * kept, 200 * kept, None)
