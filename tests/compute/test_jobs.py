"""The life of a job, with a runner that runs functions instead of programs."""

import json
import os
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from accounts.models import User
from backends.contracts.runners import RunSpec
from backends.errors import ConfigError, NoCapacity, Rejected, Transient
from backends.runners.fake import FakeRun, FakeRunner
from common import clock
from common.errors import Conflict, Forbidden, Invalid, NotFound
from common.ids import new_uuid
from compute import queries
from compute.models import Artifact, Job
from compute.policies import visible_jobs
from compute.services import jobs, lifecycle, steps, workplace
from compute.states import ENDED, JOBS, JobState
from lineage.models import Edge
from metering.models import UsageRecord
from registry.models import Commit, Version
from registry.queries import all_files, blob_of, read_text
from registry.services import storage
from tests.factories.jobs import TABLE, make_dataset, make_person, submit_training
from work.loops import run_due
from work.models import Task

pytestmark = pytest.mark.django_db

RESULT = {
    "metrics": {
        "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 20, "dataset": "ada/numbers@1.0", "split": "test"}
    },
    "signature": {"task": "tabular-classification", "inputs": [], "outputs": []},
    "environment": {"python": "3.11", "packages": {}},
    "summary": "Accuracy 0.90 on 20 held-out rows.",
}


def train(run: FakeRun) -> int:
    """What a good program does."""
    folder = run.spec.workdir
    assert (folder / "inputs/data/data.csv").read_bytes() == TABLE
    run.print("reading\nfitting\n")
    lines = [
        {"at": "2026-01-01T00:00:00Z", "fraction": 0.5, "message": "Fitting"},
        {"fraction": 0.9, "message": "Almost"},
    ]
    (folder / "progress.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    points = [{"at": "x", "step": step, "name": "loss", "value": 1 / step} for step in range(1, 4)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    (folder / "outputs/model.onnx").write_bytes(b"\x08\x07model")
    (folder / "outputs/README.md").write_text("---\nlicense: mit\n---\n# Model\n")
    (folder / "outputs/evaluation").mkdir()
    (folder / "outputs/evaluation/predictions.csv").write_text("row,predicted\n")
    (folder / "result.json").write_text(json.dumps(RESULT))
    return 0


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> FakeRunner:
    fake = FakeRunner(train, cpu_s=2.25)
    for module in ("compute.services.lifecycle", "compute.queries"):
        monkeypatch.setattr(f"{module}.job_runner", lambda: fake)
    return fake


@pytest.fixture
def ada():
    return make_person("ada")


@pytest.fixture
def dataset(ada):
    return make_dataset(ada)


@pytest.fixture
def job(ada, dataset, runner) -> Job:
    return submit_training(ada, dataset)


def fresh(job: Job) -> Job:
    return Job.objects.select_related("namespace", "version").get(pk=job.pk)


def to_state(job: Job, state: JobState) -> Job:
    """Take steps until the job is in `state`."""
    for _ in range(200):
        job = fresh(job)
        if job.state == state:
            return job
        lifecycle.advance(job.pk)
    raise AssertionError(f"it never became {state}, it is {job.state}: {job.problem}")


def to_end(job: Job) -> Job:
    for _ in range(2000):
        job = fresh(job)
        if job.state in ENDED:
            return job
        lifecycle.advance(job.pk)
    raise AssertionError(f"it never ended, it is {job.state}")


def sentences(job: Job) -> list[str]:
    return [event.text for event in queries.job_events(job)]


def test_a_job_makes_one_version_with_everything_that_belongs_to_it(job, ada, dataset, runner) -> None:
    done = to_end(job)
    assert (done.state, done.problem, done.fraction) == (JobState.SUCCEEDED, "", 1.0)
    version = done.version
    assert (version.name, version.notes, version.created_by_id) == ("v1", RESULT["summary"], ada.user_id)
    assert (version.metrics, version.signature, version.environment) == tuple(
        RESULT[part] for part in ("metrics", "signature", "environment")
    )
    files = {entry.path: entry for entry in all_files(version.commit)}
    assert set(files) == {".gitattributes", "README.md", "evaluation/predictions.csv", "model.onnx"}
    assert [path for path, entry in files.items() if entry.sha256] == ["model.onnx"]
    assert storage.read_blob(blob_of(files["model.onnx"]), 100) == b"\x08\x07model"
    assert read_text(version.commit, "evaluation/predictions.csv") == "row,predicted\n"
    assert sentences(done) == [
        "Submitted by ada.",
        "Preparing the inputs.",
        "The program has started.",
        "The program has ended; storing the results.",
        "Succeeded: published v1.",
    ]
    edges = {(edge.source.uuid, edge.target.uuid, edge.relation) for edge in Edge.objects.filter(run=job.uuid)}
    assert edges == {(dataset.uuid, job.uuid, "input"), (job.uuid, version.uuid, "output")}
    (usage,) = UsageRecord.objects.all()
    attempt = done.attempts.get()
    assert (usage.meter, usage.source, usage.source_id, usage.quantity) == (
        "job_cpu_seconds",
        "job",
        str(attempt.uuid),
        3,
    )
    assert (usage.payer, usage.subject) == (done.namespace.uuid, done.uuid)
    assert queries.job_cost(done).cpu_s == 2.25
    assert runner.starts == [str(attempt.uuid)]


def test_log_curves_and_progress_outlive_the_machine(job, runner) -> None:
    done = to_end(job)
    attempt = done.attempts.get()
    lifecycle.clean(attempt.pk)
    assert not workplace.folder_of(attempt).exists()
    assert runner.read_log(attempt.handle) == b""
    page = queries.job_log(done, offset=8)
    assert (page.text, page.next_offset, page.is_final) == ("fitting\n", 16, True)
    assert queries.job_log(done, offset=16) == queries.LogPage(b"", 16, is_final=True)
    assert queries.job_metrics(done) == {"loss": [[1, 1.0], [2, 0.5], [3, 1 / 3]]}
    assert [artifact.path for artifact in queries.job_artifacts(done)] == [
        "README.md",
        "evaluation/predictions.csv",
        "model.onnx",
    ]


def test_a_running_job_tells_how_far_it_is(job, runner) -> None:
    def slow(run: FakeRun) -> int:
        run.print("working\n")
        (run.spec.workdir / "progress.jsonl").write_text(
            '{"fraction": 0.25, "message": "Epoch 1"}\n{"fraction": 0.5, "mess'
        )
        run.stopped.wait(30)
        return 1

    runner.program = slow
    running = to_state(job, JobState.RUNNING)
    attempt = running.attempts.get()
    for _ in range(1000):
        lifecycle.advance(job.pk)
        if fresh(job).message:
            break
    running = fresh(job)
    with clock.frozen(running.started_at + timedelta(seconds=30)):
        progress = queries.job_progress(running)
    assert (progress.fraction, progress.message, progress.elapsed_s, progress.left_s) == (0.25, "Epoch 1", 30.0, 90.0)
    page = queries.job_log(running)
    assert (page.data, page.is_final) == (b"working\n", False)
    runner.stop(attempt.handle)


def test_the_queue_alone_brings_a_job_to_its_end(job, runner, settings) -> None:
    with clock.travel(timedelta(0)):
        run_due()
    assert fresh(job).state in {JobState.RUNNING, JobState.COLLECTING}
    for minutes in range(1, 5):
        with clock.travel(timedelta(minutes=minutes)):
            run_due()
    done = fresh(job)
    assert done.state == JobState.SUCCEEDED
    assert not workplace.folder_of(done.attempts.get()).exists()


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.COLLECTING])
def test_every_step_taken_twice_is_taken_once(job, runner, state, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker reads the job, is overtaken by another that takes the whole step, and goes on."""
    stale = to_state(job, state)
    attempt = stale.attempts.filter(outcome="").first()
    if state is JobState.RUNNING:
        steps_before = stale.tick
        while fresh(job).state == JobState.RUNNING:
            lifecycle.advance(job.pk)
        assert fresh(job).tick > steps_before
    else:
        lifecycle.advance(job.pk)
    after = fresh(job)
    with pytest.raises(steps.Overtaken):
        lifecycle._STEPS[state](stale, attempt)
    assert (fresh(job).tick, fresh(job).state) == (after.tick, after.state)
    done = to_end(job)
    assert done.state == JobState.SUCCEEDED
    assert len(runner.starts) == done.attempts.count() == UsageRecord.objects.count() == 1
    assert Version.objects.filter(repo=done.target).count() == 1
    assert Commit.objects.filter(repo=done.target).count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_on_one_job_at_the_same_time_do_it_once(job, runner) -> None:
    together = threading.Barrier(2, timeout=60)

    def work() -> None:
        try:
            while not together.broken:
                together.wait()
                if fresh(job).state in ENDED:
                    together.abort()
                else:
                    lifecycle.advance(job.pk)
        except threading.BrokenBarrierError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = fresh(job)
    assert (done.state, done.problem) == (JobState.SUCCEEDED, "")
    assert len(runner.starts) == done.attempts.count() == UsageRecord.objects.count() == 1
    assert Version.objects.filter(repo=done.target).count() == 1
    assert Commit.objects.filter(repo=done.target).count() == 2
    assert len(sentences(done)) == 5
    assert Artifact.objects.count() == 3


def test_a_broken_runner_does_not_keep_a_job_from_ending(job, ada, runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ConfigError("the folder of the process runner cannot be made")

    to_state(job, JobState.RUNNING)
    monkeypatch.setattr(runner, "stop", broken)
    jobs.cancel(ada, job)
    done = to_end(job)
    assert (done.state, UsageRecord.objects.get().quantity) == (JobState.CANCELLED, 0)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.COLLECTING])
def test_cancelled_at_any_stage_nothing_is_published(job, ada, runner, state) -> None:
    if state is JobState.RUNNING:
        runner.program = lambda run: 1 if run.stopped.wait(30) else 0
    to_state(job, state)
    jobs.cancel(ada, job)
    jobs.cancel(ada, job)
    done = to_end(job)
    assert done.state == JobState.CANCELLED
    assert done.version is None
    assert Version.objects.filter(repo=done.target).count() == 0
    assert sum(text == "Cancelled by ada." for text in sentences(done)) == 1
    assert all(runner.poll(str(attempt.uuid)).state == "exited" for attempt in done.attempts.all())
    assert {attempt.outcome for attempt in done.attempts.all()} <= {"cancelled"}
    assert UsageRecord.objects.count() == done.attempts.count()
    # a start that comes late, from a worker that was asleep, does nothing
    for attempt in done.attempts.all():
        before = list(runner.starts)
        runner.start(RunSpec(argv=("x",), workdir=workplace.folder_of(attempt)), key=str(attempt.uuid))
        assert runner.starts == before


def test_a_wish_to_cancel_beats_a_result_that_is_being_written(
    job, ada, runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_state(job, JobState.COLLECTING)
    real = lifecycle.artifacts.collect

    def collect(*arguments: object) -> object:
        found = real(*arguments)
        jobs.cancel(ada, job)
        return found

    monkeypatch.setattr(lifecycle.artifacts, "collect", collect)
    lifecycle.advance(job.pk)
    assert fresh(job).state == JobState.CANCELLED
    assert Version.objects.filter(repo=job.target).count() == 0


def test_a_lost_program_is_tried_again_and_metered_apart(job, runner) -> None:
    runner.program = lambda run: 1 if run.stopped.wait(30) else 0
    running = to_state(job, JobState.RUNNING)
    first = running.attempts.get()
    runner.lose(first.handle)
    runner.program = train
    done = to_end(job)
    assert done.state == JobState.SUCCEEDED
    assert list(done.attempts.order_by("number").values_list("number", "outcome")) == [(1, "lost"), (2, "succeeded")]
    assert len(set(runner.starts)) == len(runner.starts) == 2
    assert Version.objects.filter(repo=done.target).count() == 1
    assert UsageRecord.objects.count() == 2


def test_a_program_that_is_lost_three_times_fails_the_job(job, runner) -> None:
    runner.program = lambda run: 1 if run.stopped.wait(30) else 0
    for _ in range(3):
        running = to_state(job, JobState.RUNNING)
        runner.lose(running.attempts.get(outcome="").handle)
        lifecycle.advance(job.pk)
    assert (fresh(job).state, fresh(job).problem) == (JobState.FAILED, "The machine lost the program 3 times.")
    assert fresh(job).attempts.count() == 3


def refuse(run: FakeRun) -> int:
    (run.spec.workdir / "error.json").write_text('{"message": "There is no column\\n called label."}')
    return 2


def link_out(run: FakeRun) -> int:
    train(run)
    (run.spec.workdir / "outputs/passwd").symlink_to("/etc/passwd")
    return 0


def linked_folder(run: FakeRun) -> int:
    train(run)
    (run.spec.workdir / "outputs/etc").symlink_to("/etc")
    return 0


def pipe(run: FakeRun) -> int:
    train(run)
    os.mkfifo(run.spec.workdir / "outputs/pipe")
    return 0


def linked_result(run: FakeRun) -> int:
    train(run)
    (run.spec.workdir / "result.json").unlink()
    (run.spec.workdir / "result.json").symlink_to("/etc/passwd")
    return 0


def write_result(text: str) -> Callable[[FakeRun], int]:
    def program(run: FakeRun) -> int:
        train(run)
        (run.spec.workdir / "result.json").write_text(text)
        return 0

    return program


def bad_name(run: FakeRun) -> int:
    train(run)
    (run.spec.workdir / "outputs/.git").mkdir()
    (run.spec.workdir / "outputs/.git/config").write_text("x")
    return 0


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (refuse, "There is no column called label."),
        (lambda run: 7, "The program failed with exit code 7."),
        (lambda run: 0, "The program ended without a result."),
        (write_result("{"), "The result of the program is not valid JSON."),
        (write_result('{"metrics": NaN}'), "The result of the program is not valid JSON."),
        (write_result("[" * 5000), "The result of the program is not valid JSON."),
        (write_result('{"metrics": [1]}'), "The result of the program is not in the agreed form."),
        (linked_result, "The program left something that is not a plain file: result.json."),
        (link_out, "The program left something that is not a plain file among its outputs."),
        (linked_folder, "The program left a link among its outputs."),
        (pipe, "The program left something that is not a plain file among its outputs."),
        (bad_name, "git keeps that name for itself"),
    ],
)
def test_a_program_that_misbehaves_fails_its_job_and_publishes_nothing(job, runner, program, problem) -> None:
    runner.program = program
    done = to_end(job)
    assert done.state == JobState.FAILED
    assert problem in done.problem
    assert Version.objects.filter(repo=done.target).count() == 0
    assert Commit.objects.filter(repo=done.target).count() == 1
    assert (done.attempts.get().outcome, UsageRecord.objects.count()) == ("failed", 1)


def test_a_failed_job_can_be_tried_again(job, ada, runner) -> None:
    runner.program = refuse
    failed = to_end(job)
    runner.program = train
    again = jobs.retry(ada, failed)
    assert (again.state, again.problem, again.finished_at) == (JobState.QUEUED, "", None)
    done = to_end(job)
    assert done.state == JobState.SUCCEEDED
    assert list(done.attempts.order_by("number").values_list("outcome", flat=True)) == ["failed", "succeeded"]
    with pytest.raises(Conflict):
        jobs.retry(ada, done)


def test_no_room_keeps_the_job_and_says_so(job, runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise NoCapacity("there is no disk space for another job")

    to_state(job, JobState.STARTING)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "start", full)
        lifecycle.advance(job.pk)
        lifecycle.advance(job.pk)
    waiting = fresh(job)
    assert (waiting.state, waiting.message) == (JobState.STARTING, "there is no disk space for another job")
    assert sentences(waiting).count("Waiting: there is no disk space for another job") == 1
    assert to_end(job).state == JobState.SUCCEEDED


def test_a_passing_fault_repeats_the_step_and_a_refusal_ends_the_job(
    job, runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_with(error: Exception) -> Callable[..., str]:
        def start(*_: object, **__: object) -> str:
            raise error

        return start

    starting = to_state(job, JobState.STARTING)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "start", fail_with(Transient("overloaded")))
        with pytest.raises(Exception, match="overloaded"):
            lifecycle.advance(job.pk)
        assert fresh(job).tick == starting.tick
        patch.setattr(runner, "start", fail_with(Rejected("bubblewrap is not installed")))
        lifecycle.advance(job.pk)
    assert (fresh(job).state, fresh(job).problem) == (JobState.FAILED, "bubblewrap is not installed")


def test_jobs_wait_for_a_place_and_take_turns(ada, dataset, runner, settings) -> None:
    settings.JOB_SLOTS = 1
    runner.program = lambda run: 1 if run.stopped.wait(30) else 0
    first, second, third = (submit_training(ada, dataset) for _ in range(3))
    to_state(first, JobState.RUNNING)
    eve = make_person("eve")
    other = submit_training(eve, make_dataset(eve))
    for waiting in (second, third, other):
        lifecycle.advance(waiting.pk)
        assert fresh(waiting).state == JobState.QUEUED
    # ada runs one already, so the one who came last is next
    assert steps.next_in_turn() == other
    jobs.cancel(ada, first)
    to_end(first)
    lifecycle.advance(other.pk)
    assert fresh(other).state == JobState.STARTING
    assert steps.next_in_turn() == second
    jobs.cancel(eve, other)
    to_end(other)


def test_the_sweep_asks_again_for_a_step_that_lost_its_task(job, runner) -> None:
    to_state(job, JobState.RUNNING)
    Task.objects.filter(key=f"job:{job.pk}").delete()
    assert steps.sweep() == 0
    with clock.travel(timedelta(seconds=90)):
        assert steps.sweep() == 1
        assert Task.objects.filter(key=f"job:{job.pk}", state="queued").count() == 1
        assert fresh(job).stalls == 1
        steps.sweep()
        assert fresh(job).stalls == 1
        run_due()
    assert fresh(job).stalls == 0


def test_a_job_that_kills_its_workers_is_given_up(job, runner) -> None:
    to_state(job, JobState.STARTING)
    Job.objects.filter(pk=job.pk).update(stalls=steps.MOST_STALLS)
    lifecycle.advance(job.pk)
    assert fresh(job).state == JobState.FAILED
    assert runner.starts == []


def test_submitting_twice_with_a_key_is_one_job(ada, dataset, runner) -> None:
    first = submit_training(ada, dataset, key="k-1")
    assert submit_training(ada, dataset, key="k-1").pk == first.pk
    assert submit_training(ada, dataset, key="k-2").pk != first.pk
    assert Job.objects.count() == 2


def test_a_named_version_is_published_under_its_name(ada, dataset, runner) -> None:
    done = to_end(submit_training(ada, dataset, version_name="2026-01"))
    assert done.version.name == "2026-01"
    with pytest.raises(Conflict):
        submit_training(ada, dataset, version_name="2026-01")
    assert to_end(submit_training(ada, dataset)).version.name == "v2"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipe": "no-such"}, "recipe"),
        ({"parameters": {}}, "target"),
        ({"parameters": {"target": "label", "colour": "red"}}, "colour"),
        ({"inputs": {}}, "data"),
        ({"inputs": {"data": "not-a-uuid"}}, "data"),
        ({"inputs": {"other": new_uuid()}}, "other"),
        ({"target": None}, "target"),
        ({"target": {"kind": "dataset", "name": "x"}}, "target"),
    ],
)
def test_a_wrong_request_names_its_field_and_makes_no_job(ada, dataset, runner, changes, field) -> None:
    with pytest.raises(Invalid) as caught:
        submit_training(ada, dataset, **changes)
    assert field in caught.value.fields.get("fields", caught.value.fields)
    assert Job.objects.count() == 0


def test_strangers_neither_see_nor_touch_a_job(job, ada, dataset, runner) -> None:
    eve = make_person("eve")
    assert list(visible_jobs(eve)) == []
    for act in (jobs.cancel, jobs.retry):
        with pytest.raises(NotFound):
            act(eve, job)
    with pytest.raises(Forbidden):
        submit_training(eve, make_dataset(eve), namespace="ada")
    with pytest.raises(NotFound):
        submit_training(eve, dataset)
    assert (Job.objects.count(), fresh(job).cancel_requested_at) == (1, None)


def test_someone_who_lost_the_right_to_write_publishes_nothing(job, ada, runner) -> None:
    to_state(job, JobState.COLLECTING)
    User.objects.filter(pk=ada.user_id).update(is_active=False)
    done = to_end(job)
    assert done.state == JobState.FAILED
    assert done.problem.startswith("The result could not be published")
    assert Commit.objects.filter(repo=done.target).count() == 1


def test_the_table_of_states_has_no_dead_end_but_success() -> None:
    assert set(JOBS.table) == set(JobState)
    assert JOBS.final == {JobState.SUCCEEDED}
    for state, following in JOBS.table.items():
        assert state not in following


def test_progress_curves_and_errors_of_a_hostile_program_are_read_with_distrust(tmp_path) -> None:
    lines = [
        '{"fraction": 7, "message": "over\\u0000\\ud800"}',
        "nonsense",
        '{"fraction": NaN, "message": "x"}',
        '{"fraction": "1"}',
    ]
    (tmp_path / "progress.jsonl").write_text(
        "\n".join([lines[0].replace("\\ud800", ""), *lines[1:], '{"fraction": 0.1'])
    )
    assert workplace.progress_of(tmp_path) is None
    (tmp_path / "progress.jsonl").write_text(
        '{"fraction": 7, "message": "over\\u200b\\nthe top"}\n' + "\n".join(lines[1:]) + "\n"
    )
    assert workplace.progress_of(tmp_path) == workplace.Progress(1.0, "over the top")
    (tmp_path / "metrics.jsonl").write_text(
        "".join(f'{{"name": "loss", "step": {n}, "value": {n}}}\n' for n in range(12_001))
    )
    series = workplace.series_of(tmp_path)["loss"]
    assert (len(series), series[0], series[-1]) == (4001, [0, 0], [12_000, 12_000])
    (tmp_path / "error.json").symlink_to("/etc/passwd")
    assert workplace.problem_of(tmp_path) == workplace.Problem()
