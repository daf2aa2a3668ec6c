"""A process that is killed at any step of a renewal: the next run collects each period once, and whoever has paid has access."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import process_environment
from tests.support.renewal_kill_points import CASES, ENDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_step_a_renewal_ends_as_if_nothing_had_been(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.renewal_kill_points"],
        cwd=ROOT, env=process_environment(tmp_path), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(case["way"], case["step"]) for case in cases] == CASES
    charges = 0
    for case in cases:
        charges += 2 if case["way"] == "card" else 0
        state, period = ENDS[case["way"]]
        assert case["killed"] == signal.SIGKILL, case
        assert (case["state"], case["period"], case["orders"]) == (state, period, period), case
        assert case["open"] == int(state != "suspended"), case
        assert (case["charges"], case["sound"]) == (charges, True), case
