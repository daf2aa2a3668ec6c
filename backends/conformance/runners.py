"""What every runner must do. Subclass `RunnerConformance`, give the fixture `runner`, and say how an action is written as a spec."""

import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.contracts.runners import Capability, EndReason, Limits, Runner, RunSpec, RunState, RunStatus
from backends.errors import Rejected

MIB = 1024**2

ACTIONS = {
    "succeed": "pass",
    "fail": "raise SystemExit(3)",
    "speak": "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True)",
    "count": "open('count', 'a').write('x')",
    "wait": "import time; open('begun', 'w').close(); time.sleep(600)",
}
"""What a test asks of a program; a real runner gets it as Python source."""


class RunnerConformance:
    """The promises of `backends.contracts.runners`. Tests of a capability that is not declared are skipped, and say so."""

    @pytest.fixture
    def runner(self) -> Iterator[Runner]:
        raise NotImplementedError("give the runner under test")

    @pytest.fixture
    def work(self, tmp_path: Path) -> Path:
        folder = tmp_path / "job"
        folder.mkdir()
        return folder

    def spec(self, work: Path, action: str, **changes: object) -> RunSpec:
        """`action` (a key of ACTIONS, or Python source) as a program; a fake answers to the keys only."""
        return RunSpec(argv=(sys.executable, "-c", ACTIONS.get(action, action)), workdir=work, **changes)  # type: ignore[arg-type]

    def restarted(self, runner: Runner) -> Runner:
        """The same runner as another process would find it. Only asked of runners that survive their worker."""
        raise NotImplementedError

    def test_a_program_runs_to_its_end(self, runner: Runner, work: Path) -> None:
        handle = runner.start(self.spec(work, "succeed"), key="a-1")
        status = ended(runner, handle)
        assert (status.state, status.exit_code, status.reason) == (RunState.EXITED, 0, None)

    def test_a_failed_program_keeps_its_exit_code(self, runner: Runner, work: Path) -> None:
        status = ended(runner, runner.start(self.spec(work, "fail"), key="a"))
        assert (status.exit_code, status.reason) == (3, None)

    def test_the_log_is_read_from_any_offset(self, runner: Runner, work: Path) -> None:
        handle = runner.start(self.spec(work, "speak"), key="a")
        ended(runner, handle)
        assert runner.read_log(handle) == b"one\ntwo\n"
        assert runner.read_log(handle, offset=4) == b"two\n"
        assert runner.read_log(handle, offset=2, limit=3) == b"e\nt"
        assert runner.read_log(handle, offset=8) == b""
        assert runner.read_log("unknown") == b""

    def test_one_key_starts_one_program(self, runner: Runner, work: Path) -> None:
        spec = self.spec(work, "count")
        with ThreadPoolExecutor(4) as pool:
            handles = set(pool.map(lambda _: runner.start(spec, key="same"), range(4)))
        (handle,) = handles
        ended(runner, handle)
        assert runner.start(spec, key="same") == handle
        assert ended(runner, handle).exit_code == 0
        assert (work / "count").read_text() == "x"

    def test_two_keys_start_two_programs(self, runner: Runner, work: Path) -> None:
        for key in ("one", "two"):
            ended(runner, runner.start(self.spec(work, "count"), key=key))
        assert (work / "count").read_text() == "xx"

    def test_an_unknown_handle_is_lost(self, runner: Runner) -> None:
        assert runner.poll("never-started").state is RunState.LOST

    def test_a_running_program_says_so_and_stops_within_five_seconds(self, runner: Runner, work: Path) -> None:
        handle = begun(runner, self.spec(work, "wait"), work, key="a")
        assert runner.poll(handle).state is RunState.RUNNING
        began = time.monotonic()
        runner.stop(handle)
        assert time.monotonic() - began < 5
        status = runner.poll(handle)
        assert (status.state, status.reason) == (RunState.EXITED, EndReason.STOPPED)
        runner.stop(handle)

    def test_a_stopped_key_never_starts(self, runner: Runner, work: Path) -> None:
        runner.stop("early")
        handle = runner.start(self.spec(work, "count"), key="early")
        status = ended(runner, handle)
        assert (status.state, status.reason) == (RunState.EXITED, EndReason.STOPPED)
        assert not (work / "count").exists()

    def test_a_cleaned_run_is_forgotten_and_its_work_stays(self, runner: Runner, work: Path) -> None:
        handle = runner.start(self.spec(work, "count"), key="a")
        ended(runner, handle)
        runner.clean(handle)
        runner.clean(handle)
        assert runner.poll(handle).state is RunState.LOST
        assert runner.read_log(handle) == b""
        assert (work / "count").read_text() == "x"

    def test_cleaning_stops_what_still_runs(self, runner: Runner, work: Path) -> None:
        handle = begun(runner, self.spec(work, "wait"), work, key="a")
        runner.clean(handle)
        assert runner.poll(handle).state is RunState.LOST

    @pytest.mark.parametrize("key", ["", "..", "a/b", "a b", "a\n", "é", "x" * 65])
    def test_a_hostile_key_is_refused(self, runner: Runner, work: Path, key: str) -> None:
        with pytest.raises(Rejected):
            runner.start(self.spec(work, "count"), key=key)
        for act in (runner.poll, runner.read_log, runner.stop, runner.clean):
            with pytest.raises(Rejected):
                act(key)
        assert list(work.iterdir()) == []

    def test_another_process_finds_the_run_by_its_key(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.SURVIVES_WORKER)
        handle = begun(runner, self.spec(work, "wait"), work, key="a")
        other = self.restarted(runner)
        assert other.poll(handle).state is RunState.RUNNING
        assert other.start(self.spec(work, "count"), key="a") == handle
        other.stop(handle)
        assert runner.poll(handle).reason is EndReason.STOPPED
        assert not (work / "count").exists()

    def test_the_network_is_unreachable(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.ISOLATES)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            program = (
                "import socket, json\n"
                "def reach(*address):\n"
                "    try:\n"
                "        socket.create_connection(address, 2).close()\n"
                "    except OSError:\n"
                "        return False\n"
                "    return True\n"
                f"json.dump([reach('127.0.0.1', {port}), reach('198.51.100.1', 80), reach('example.org', 80)], open('reached', 'w'))\n"
            )
            assert self._run(runner, work, program).exit_code == 0
        assert json.loads((work / "reached").read_text()) == [False, False, False]

    def test_no_file_outside_can_be_read_or_written(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.ISOLATES)
        secret = work.parent / "elsewhere" / "secret"
        secret.parent.mkdir()
        secret.write_text("secret")
        (work / "given").write_text("input")
        (work / "link").symlink_to(secret)
        program = (
            "import json, os\n"
            "def can(path, mode):\n"
            "    try:\n"
            "        open(path, mode).close()\n"
            "    except OSError:\n"
            "        return False\n"
            "    return True\n"
            f"reads = [{str(secret)!r}, 'link', '/etc/shadow', '/etc/passwd', {str(Path.home() / '.profile')!r}, '/proc/1/root/etc/passwd']\n"
            "writes = ['given', '/usr/x', '/x', '/etc/x', '/dev/x', '/proc/sys/kernel/core_pattern', '/proc/self/oom_score_adj']\n"
            "seen = {'read': [p for p in reads if can(p, 'r')], 'written': [p for p in writes if can(p, 'a')], 'input': open('given').read()}\n"
            "open('/tmp/scratch', 'w').write('x')\n"
            "json.dump(seen, open('seen', 'w'))\n"
        )
        assert self._run(runner, work, program, read_only_paths=(work / "given",)).exit_code == 0
        assert json.loads((work / "seen").read_text()) == {"read": [], "written": [], "input": "input"}
        assert (work / "given").read_text() == "input"
        assert not Path("/tmp/scratch").exists()

    def test_it_sees_no_process_but_its_own_and_has_no_power(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.ISOLATES)
        program = (
            "import json, os, ctypes\n"
            "status = dict(line.split(':\\t') for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)\n"
            "pids = [int(name) for name in os.listdir('/proc') if name.isdigit()]\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "powers = [status[n].strip() for n in ('CapEff', 'CapPrm', 'CapBnd')]\n"
            "seen = {'uid': os.getuid(), 'most': max(pids) < 10, 'powers': powers, 'new': status['NoNewPrivs'].strip(),\n"
            "        'unshare': libc.unshare(0x10000000)}\n"
            "json.dump(seen, open('seen', 'w'))\n"
        )
        assert self._run(runner, work, program).exit_code == 0
        none = "0" * 16
        assert json.loads((work / "seen").read_text()) == {
            "uid": 65534,
            "most": True,
            "powers": [none] * 3,
            "new": "1",
            "unshare": -1,
        }

    def test_the_environment_holds_nothing_of_ours(
        self, runner: Runner, work: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        require(runner, Capability.ISOLATES)
        monkeypatch.setenv("SECRET_KEY", "of-the-site")
        program = "import json, os; json.dump(dict(os.environ), open('seen', 'w'))"
        limits = Limits(threads=3)
        assert self._run(runner, work, program, limits=limits, environment={"GIVEN": "1"}).exit_code == 0
        seen = json.loads((work / "seen").read_text())
        assert "of-the-site" not in seen.values()
        assert (seen["GIVEN"], seen["OMP_NUM_THREADS"], seen["HOME"]) == ("1", "3", "/tmp")
        assert not [name for name in seen if "KEY" in name or "TOKEN" in name or "DATABASE" in name]

    def test_memory_over_the_limit_ends_the_run(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.LIMITS)
        program = "held = bytearray(600 * 1024**2)\nopen('survived', 'w').close()"
        status = self._run(runner, work, program, limits=Limits(memory_bytes=200 * MIB))
        # killed by the kernel where the whole run is limited, MemoryError where each process is
        assert (status.exit_code, status.reason) in {(137, EndReason.MEMORY), (1, None)}
        assert not (work / "survived").exists()

    def test_wall_time_over_the_limit_ends_the_run(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.LIMITS)
        status = self._run(runner, work, "wait", limits=Limits(wall_s=1))
        assert status.reason is EndReason.WALL_TIME
        assert 1 <= status.wall_s < 4

    def test_cpu_time_over_the_limit_ends_the_run(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.LIMITS)
        status = self._run(runner, work, "while True: pass", limits=Limits(cpu_s=1))
        assert status.reason is EndReason.CPU_TIME
        assert 0.9 <= status.cpu_s < 3

    def test_a_file_over_the_limit_cannot_be_written(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.LIMITS)
        program = "import sys\ntry: open('big', 'wb').write(b'x' * 3 * 1024**2)\nexcept OSError as error: sys.exit(error.errno)"
        assert self._run(runner, work, program, limits=Limits(disk_bytes=2 * MIB)).exit_code == 27  # EFBIG
        assert (work / "big").stat().st_size <= 2 * MIB

    def test_a_flood_of_output_is_cut_and_hurts_nobody(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.LIMITS)
        program = "for _ in range(2000): print('spam' * 1000)"
        handle = runner.start(self.spec(work, program, limits=Limits(log_bytes=10_000)), key="a")
        assert ended(runner, handle).exit_code == 0
        log = runner.read_log(handle)
        assert 10_000 <= len(log) < 10_200
        assert b"has reached its limit" in log

    def test_everything_the_program_started_ends_with_it(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.LIMITS)
        program = (
            "import subprocess, sys, time\n"
            "for _ in range(3):\n"
            "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
            "open('begun', 'w').close()\n"
            "time.sleep(600)\n"
        )
        handle = begun(runner, self.spec(work, program), work, key=f"tree-{secrets.token_hex(8)}")
        assert processes_of(handle) != []
        runner.stop(handle)
        assert processes_of(handle) == []

    def test_the_program_survives_the_death_of_its_worker(self, runner: Runner, work: Path) -> None:
        require(runner, Capability.SURVIVES_WORKER)
        program = "import time\nopen('begun', 'w').close()\nwhile not __import__('os').path.exists('go'): time.sleep(0.02)\nprint('done')"
        spec = self.spec(work, program)
        worker = os.fork()
        if worker == 0:
            try:
                runner.start(spec, key="a")
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                os._exit(1)
        os.waitpid(worker, 0)
        wait_for((work / "begun").exists)
        other = self.restarted(runner)
        assert other.poll("a").state is RunState.RUNNING
        (work / "go").touch()
        assert ended(other, "a").exit_code == 0
        assert other.read_log("a") == b"done\n"

    def _run(self, runner: Runner, work: Path, program: str, **changes: object) -> RunStatus:
        """Run to the end; a failure that the test did not expect shows the program's own words."""
        handle = runner.start(self.spec(work, program, **changes), key="a")
        status = ended(runner, handle)
        sys.stdout.write(runner.read_log(handle).decode())
        return status


def require(runner: Runner, capability: Capability) -> None:
    if capability not in runner.capabilities:
        pytest.skip(f"{type(runner).__name__} does not offer {capability} here")


def wait_for(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    """Poll a real process until something holds; fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ended(runner: Runner, handle: str) -> RunStatus:
    """The status of a run once it runs no more."""
    wait_for(lambda: runner.poll(handle).state is not RunState.RUNNING)
    return runner.poll(handle)


def begun(runner: Runner, spec: RunSpec, work: Path, *, key: str) -> str:
    """Start and wait until the program has made the file `begun`."""
    handle = runner.start(spec, key=key)
    wait_for((work / "begun").exists)
    return handle


def processes_of(key: str) -> list[int]:
    """Processes of this machine marked as belonging to the run of this key, by a variable of their environment that holds it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if any(key.encode() in part for part in (folder / "environ").read_bytes().split(b"\0")):
                    found.append(int(folder.name))
    return found
