"""A process that is killed at any step of a commit leaves the whole commit or nothing of it, and whoever repeats it finds it whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import process_environment
from tests.support.kill_points import CASES, CONTENT

ROOT = Path(__file__).resolve().parents[2]
LAST = "it is committed, the answer is not sent"


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_step_a_commit_is_whole_or_not_there(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.kill_points"],
        cwd=ROOT, env=process_environment(tmp_path), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    *cases, end = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(case["way"], case["step"]) for case in cases] == CASES
    for case in cases:
        assert case["killed"] == signal.SIGKILL, case
        is_done = case["step"] == LAST
        assert (case["old"], case["new"]) == (not is_done, is_done), case
        # the line of history and the trail tell of one commit, or of none
        assert (case["commits"], case["audited"]) == (int(is_done), int(is_done)), case
        assert set(case["fsck"]) <= {"extra"}, case
        assert (case["repeated"], case["commits_at_last"]) == (True, 1), case
    # a card and a file of each case, and .gitattributes: nothing else has stayed
    blobs = len(cases) * len(CONTENT) + 1
    assert end == {"left_over": [], "drafts": 0, "fsck": {}, "whole": True, "blobs": blobs}
