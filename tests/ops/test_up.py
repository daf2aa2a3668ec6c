"""`manage.py up` as an operator meets it: real processes on free ports."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.site import ROOT, LiveSite, started_site, stop

pytestmark = pytest.mark.xdist_group("live")


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def children(pid: int) -> set[int]:
    return {
        int(child) for listing in Path(f"/proc/{pid}/task").glob("*/children") for child in listing.read_text().split()
    }


def descendants(pid: int) -> set[int]:
    found, waiting = set(), [pid]
    while waiting:
        below = children(waiting.pop())
        found |= below
        waiting += below
    return found


def alive(pids: set[int]) -> set[int]:
    return {
        pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()
    }


def await_true(condition, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def test_a_running_site_tells_its_health(live_site: LiveSite) -> None:
    status, headers, body = get(f"{live_site.url}/-/health")
    answer = json.loads(body)
    assert (status, answer["checks"]["database"]["ok"], answer["checks"]["storage"]["ok"]) == (200, True, True)
    assert headers["X-Request-Id"]


def test_the_id_of_the_client_is_echoed_and_logged(live_site: LiveSite) -> None:
    _, headers, _ = get(f"{live_site.url}/no-such-place", **{"X-Amzn-Trace-Id": "trace-of-a-client"})
    assert headers["X-Request-Id"] == "trace-of-a-client"
    events = [json.loads(line) for line in live_site.log("web").splitlines() if "trace-of-a-client" in line]
    assert [(event["path"], event["status"]) for event in events] == [("/no-such-place", 404)]


def test_an_id_that_could_forge_a_line_is_replaced(live_site: LiveSite) -> None:
    _, headers, _ = get(f"{live_site.url}/no-such-place", **{"X-Request-Id": "a b"})
    assert headers["X-Request-Id"] != "a b"


def test_metrics_count_over_all_web_processes(live_site: LiveSite) -> None:
    def counted() -> float:
        _, _, body = get(f"{live_site.url}/-/metrics")
        lines = [line for line in body.decode().splitlines() if line.startswith("mercato_requests_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = counted()
    for _ in range(12):
        get(f"{live_site.url}/no-such-place")
    assert counted() == before + 12


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("text/plain", "text/plain"), ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text")],
)
def test_metrics_speak_the_format_asked_for(live_site: LiveSite, accept: str, expected: str) -> None:
    _, headers, _ = get(f"{live_site.url}/-/metrics", Accept=accept)
    assert headers["Content-Type"].startswith(expected)


def test_a_port_in_use_is_said_in_a_sentence(live_site: LiveSite, tmp_path: Path) -> None:
    port = live_site.url.rpartition(":")[2]
    done = up(live_site, tmp_path, port)
    assert done.returncode == 2
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_site_on_the_same_folder_is_refused(live_site: LiveSite) -> None:
    done = up(live_site, live_site.data, str(free_port(2)))
    assert done.returncode == 2
    assert "already running on the data folder" in done.stderr


def up(site: LiveSite, data: Path, port: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "up", "--data", str(data), "--port", port, "--no-demo"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=site.environment,
    )  # fmt: skip


def test_parts_come_back_stopping_leaves_nothing_and_a_second_start_finds_everything(tmp_path: Path) -> None:
    """One story, because each start of a whole site takes seconds."""
    with started_site(tmp_path / "data") as site:
        site.manage("create_user", "ada", "--email", "ada@example.org", "--password", "a-long-enough-one")
        (master,) = [
            pid for pid in children(site.process.pid) if "gunicorn" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        os.kill(master, signal.SIGKILL)
        await_true(lambda: any("web ended with code -9" in line for line in site.output))
        await_true(lambda: _answers(site.url))

        processes = descendants(site.process.pid)
        assert len(processes) >= 5
        assert stop(site.process) == 0
        await_true(lambda: not alive(processes))
        site.reader.join(10)
        assert list(site.output)[-1] == "Stopped.\n"

    with started_site(tmp_path / "data") as again:
        with pytest.raises(AssertionError, match="taken"):
            again.manage("create_user", "ada", "--email", "other@example.org", "--password", "a-long-enough-one")
        processes = descendants(again.process.pid)
        again.process.kill()
        again.process.wait(10)
        await_true(lambda: not alive(processes))


def _answers(url: str) -> bool:
    try:
        return get(f"{url}/-/health")[0] == 200
    except OSError:
        return False
