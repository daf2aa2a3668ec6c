"""The runners that ship, under the conformance suite, and what is particular to the process runner."""

import os
import secrets
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.conformance.runners import RunnerConformance, begun, ended, processes_of, wait_for
from backends.contracts.runners import Capability, EndReason, Limits, Runner, RunSpec, RunState
from backends.errors import Rejected
from backends.runners import cgroups, notes, sandbox
from backends.runners.fake import FakeRun, FakeRunner
from backends.runners.process import ProcessRunner


def _act(run: FakeRun) -> int:
    """The conformance actions as functions."""
    action = run.spec.argv[0]
    if action == "speak":
        run.print("one\ntwo\n")
    if action == "count":
        with (run.spec.workdir / "count").open("a") as out:
            out.write("x")
    if action == "wait":
        (run.spec.workdir / "begun").touch()
        run.stopped.wait(60)
    return 3 if action == "fail" else 0


class TestFake(RunnerConformance):
    @pytest.fixture
    def runner(self) -> FakeRunner:
        return FakeRunner(_act)

    def spec(self, work: Path, action: str, **changes: object) -> RunSpec:
        return RunSpec(argv=(action,), workdir=work, **changes)  # type: ignore[arg-type]


class _Process(RunnerConformance):
    def restarted(self, runner: Runner) -> ProcessRunner:
        assert isinstance(runner, ProcessRunner)
        return ProcessRunner(runner.root)


class TestProcess(_Process):
    @pytest.fixture
    def runner(self, tmp_path: Path) -> Iterator[ProcessRunner]:
        yield from _runner(tmp_path / "runs")


class TestProcessWithoutSandboxOrGroups(_Process):
    """A machine without bubblewrap and without control groups: what remains must still hold."""

    @pytest.fixture
    def runner(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessRunner]:
        monkeypatch.setattr(
            sandbox, "sandbox_level", lambda: sandbox.SandboxLevel(False, False, "Jobs are not isolated.")
        )
        yield from _runner(tmp_path / "runs")


def _runner(root: Path) -> Iterator[ProcessRunner]:
    runner = ProcessRunner(root)
    yield runner
    for folder in root.iterdir():
        runner.clean(folder.name)


@pytest.fixture
def process_runner(tmp_path: Path) -> Iterator[ProcessRunner]:
    yield from _runner(tmp_path / "runs")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "job").mkdir()
    return tmp_path / "job"


def _python(work: Path, source: str, **changes: object) -> RunSpec:
    return RunSpec(argv=(sys.executable, "-c", source), workdir=work, **changes)  # type: ignore[arg-type]


WAIT = "import time; open('begun', 'w').close(); time.sleep(600)"


def test_a_killed_supervisor_takes_the_program_with_it_and_the_run_is_lost(
    process_runner: ProcessRunner, work: Path
) -> None:
    handle = begun(process_runner, _python(work, WAIT), work, key=f"killed-{secrets.token_hex(8)}")
    supervisor = notes.lock_holder(process_runner.root / handle / notes.LOCK)
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: process_runner.poll(handle).state is RunState.LOST)
    process_runner.stop(handle)
    assert processes_of(handle) == []
    (work / "begun").unlink()
    process_runner.start(_python(work, WAIT), key=handle)
    assert process_runner.poll(handle).state is RunState.LOST
    assert not (work / "begun").exists()


def test_foreign_code_is_refused_without_isolation(
    process_runner: ProcessRunner, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    sandbox.sandbox_level.cache_clear()
    try:
        level = sandbox.sandbox_level()
        assert not level.is_isolated
        assert "bubblewrap is not installed" in level.sentence
        assert Capability.ISOLATES not in process_runner.capabilities
        with pytest.raises(Rejected, match="bubblewrap is not installed"):
            process_runner.start(_python(work, "open('ran', 'w')", is_foreign=True), key="foreign")
        assert (
            ended(process_runner, process_runner.start(_python(work, "open('ran-own', 'w')"), key="own")).exit_code == 0
        )
    finally:
        sandbox.sandbox_level.cache_clear()
    assert [path.name for path in work.iterdir()] == ["ran-own"]


def test_an_interpreter_behind_links_is_found(
    process_runner: ProcessRunner, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment whose `python` leads over a link elsewhere (alternatives, version managers) runs all the same."""
    first, second = tmp_path / "bin" / "python", tmp_path / "elsewhere" / "python3"
    for link, target in ((first, "../elsewhere/python3"), (second, sys.executable)):
        link.parent.mkdir()
        link.symlink_to(target)
    monkeypatch.setattr(sys, "executable", str(first))
    sandbox.sandbox_level.cache_clear()
    try:
        assert sandbox.sandbox_level().is_isolated == (shutil.which("bwrap") is not None)
        spec = _python(work, "open('ran', 'w')", is_foreign=shutil.which("bwrap") is not None)
        assert ended(process_runner, process_runner.start(spec, key="linked")).exit_code == 0
    finally:
        sandbox.sandbox_level.cache_clear()


def test_a_disk_hog_is_ended(process_runner: ProcessRunner, work: Path) -> None:
    source = "import time\nfor i in range(40):\n    open(f'f{i}', 'wb').write(b'x' * 2**20)\nopen('begun', 'w').close()\ntime.sleep(600)"
    handle = begun(process_runner, _python(work, source, limits=Limits(disk_bytes=8 * 2**20)), work, key="a")
    assert ended(process_runner, handle).reason is EndReason.DISK


def test_a_fork_bomb_stays_in_its_group(process_runner: ProcessRunner, work: Path) -> None:
    if not sandbox.sandbox_level().has_cgroups:
        pytest.skip("this machine does not let us make control groups")
    source = (
        "import os, sys, time\n"
        "made = 0\n"
        "try:\n"
        "    while made < 500:\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(600)\n"
        "        made += 1\n"
        "except OSError:\n"
        "    sys.stdout.write(str(made)); sys.stdout.flush()\n"
        "    os._exit(7)\n"
    )
    handle = process_runner.start(
        _python(work, source, limits=Limits(processes=20)), key=f"bomb-{secrets.token_hex(8)}"
    )
    assert ended(process_runner, handle).exit_code == 7
    assert 10 <= int(process_runner.read_log(handle)) < 20
    assert processes_of(handle) == []
    assert not any(folder.exists() for folder in cgroups.group_of(process_runner._name(handle)).folders)


def test_a_program_that_does_not_exist_has_ended_without_starting(process_runner: ProcessRunner, work: Path) -> None:
    status = ended(process_runner, process_runner.start(RunSpec(argv=("/no/such/program",), workdir=work), key="a"))
    assert status.state is RunState.EXITED
    assert status.exit_code != 0


def test_a_missing_work_folder_is_refused(process_runner: ProcessRunner, tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        process_runner.start(_python(tmp_path / "nowhere", "pass"), key="a")


def test_our_programs_are_importable_inside(process_runner: ProcessRunner, work: Path) -> None:
    source = "import backends.errors, numpy, onnxruntime, sys; print(numpy.ones(3).sum())"
    handle = process_runner.start(_python(work, source), key="a")
    assert ended(process_runner, handle).exit_code == 0
    assert process_runner.read_log(handle) == b"3.0\n"
