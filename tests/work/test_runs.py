"""How a run may end, and what is written about it."""

import threading
import time
from datetime import timedelta

import pytest
import structlog
from django.db import connection, transaction
from prometheus_client import REGISTRY

from common import clock
from tests.work import playground
from work import claims
from work.door import KINDS, TaskKind, current_task, enqueue, require_lease
from work.errors import LeaseLost
from work.heartbeats import Heart
from work.loops import QUEUES, run_due, run_worker, see_through
from work.models import Task
from work.running import Outcome, perform
from work.states import TaskState


def _runs(task, outcome):
    return REGISTRY.get_sample_value("mercato_task_runs_total", {"task": task, "outcome": outcome}) or 0


def _state():
    row = Task.objects.get()
    return row.state, row.attempts, row.error


@pytest.mark.django_db
def test_an_expected_refusal_is_final_and_no_surprise():
    before = _runs("tests.forbidden", "refused")
    enqueue("tests.forbidden")
    assert run_due() == 1
    assert _state() == (TaskState.FAILED, 1, "forbidden: Not yours.")
    assert _runs("tests.forbidden", "refused") == before + 1


@pytest.mark.django_db
def test_not_now_is_repeated_after_the_pause_that_the_error_asks_for():
    enqueue("tests.busy", 100)
    assert run_due() == 1
    assert _state() == (TaskState.QUEUED, 1, "busy: No room.")
    assert 99 < (Task.objects.get().run_at - clock.now()).total_seconds() <= 100
    for minutes in (3, 6):
        with clock.travel(timedelta(minutes=minutes)):
            assert run_due() == 1
    assert _state() == (TaskState.PARKED, 3, "busy: No room.")


@pytest.mark.django_db
def test_a_surprise_is_written_down_repeated_and_raised_to_who_asked():
    enqueue("tests.crash")
    with pytest.raises(RuntimeError, match="nobody expected this"):
        run_due()
    assert _state() == (TaskState.QUEUED, 1, "RuntimeError: nobody expected this")
    with clock.travel(timedelta(minutes=3)):
        assert run_due(raise_surprises=False) == 1
    with clock.travel(timedelta(minutes=6)):
        assert run_due(raise_surprises=False) == 1
    assert _state() == (TaskState.PARKED, 3, "RuntimeError: nobody expected this")


@pytest.mark.django_db
def test_a_task_that_this_version_does_not_know_waits_for_a_worker_that_does():
    row = Task.objects.create(name="tests.of_the_future", queue="cpu", max_attempts=5)
    (claimed,) = claims.claim(QUEUES, "me")
    assert perform(claimed, None) == Outcome.CRASHED
    row.refresh_from_db()
    assert (row.state, row.error) == (TaskState.QUEUED, "This worker does not know the task tests.of_the_future.")


@pytest.mark.django_db
def test_a_run_knows_its_claim_and_logs_under_the_request_that_asked(monkeypatch):
    found = {}

    def look():
        found["running"] = current_task()
        found["context"] = structlog.contextvars.get_contextvars()

    monkeypatch.setitem(KINDS, "tests.see", TaskKind(**{**vars(KINDS["tests.see"]), "function": look}))
    with structlog.contextvars.bound_contextvars(request_id="r-2"):
        row = enqueue("tests.see")
    assert run_due() == 1
    assert (found["running"].task_id, found["running"].fence, found["running"].attempt) == (row.pk, 1, 1)
    assert found["context"] == {"request_id": "r-2", "task": "tests.see", "task_uuid": str(row.uuid)}
    assert current_task() is None


@pytest.mark.django_db
def test_an_effect_after_the_lease_was_lost_is_refused(monkeypatch):
    ran = []

    def overtaken():
        if current_task().fence == 1:
            Task.objects.update(lease_until=clock.now() - timedelta(seconds=1))
            claims.sweep()
            claims.claim(QUEUES, "heir")
        require_lease()
        ran.append("effect")

    monkeypatch.setitem(KINDS, "tests.see", TaskKind(**{**vars(KINDS["tests.see"]), "function": overtaken}))
    enqueue("tests.see")
    (row,) = claims.claim(QUEUES, "zombie")
    assert perform(row, None) == Outcome.LOST
    assert ran == []
    row = Task.objects.get()
    assert (row.state, row.lease_owner, row.fence) == (TaskState.LEASED, "heir", 2)


@pytest.mark.django_db(transaction=True)
def test_a_run_over_its_limit_is_broken_off_even_if_it_swallows_every_exception():
    enqueue("tests.endless")
    (row,) = claims.claim(QUEUES, "me")
    began = time.monotonic()
    assert perform(row, Heart()) == Outcome.TIMED_OUT
    assert 0.25 < time.monotonic() - began < 5
    assert playground.seen == []
    assert _state() == (TaskState.QUEUED, 1, "It ran longer than 0.3 s.")


@pytest.mark.django_db(transaction=True)
def test_a_run_over_its_limit_leaves_no_transaction_behind(monkeypatch):
    def wait():
        with transaction.atomic():
            Task.objects.update(lease_owner="half-way")
            while True:
                time.sleep(0.01)

    kind = {**vars(KINDS["tests.see"]), "function": wait, "limit_s": 0.3}
    monkeypatch.setitem(KINDS, "tests.see", TaskKind(**kind))
    enqueue("tests.see")
    (row,) = claims.claim(QUEUES, "me")
    assert perform(row, Heart()) == Outcome.TIMED_OUT
    assert not connection.in_atomic_block
    row = Task.objects.get()
    assert (row.state, row.lease_owner) == (TaskState.QUEUED, "me")


@pytest.mark.django_db(transaction=True)
def test_a_beating_heart_keeps_a_run_that_is_longer_than_its_lease():
    enqueue("tests.slow_effect", "x", 1.5)
    playground.create_effects()
    try:
        (row,) = claims.claim(QUEUES, "me", lease_s=0.6)

        def run():
            perform(row, Heart(lease_s=0.6))
            connection.close()

        running = threading.Thread(target=run)
        running.start()
        while running.is_alive():
            assert claims.sweep() == 0
            running.join(0.05)
        assert [(label, fence) for label, fence, _ in playground.effects("applied")] == [("x", 1)]
        assert Task.objects.get().state == TaskState.DONE
    finally:
        playground.drop_effects()


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_told_to_stop_finishes_what_runs_and_takes_nothing_new():
    enqueue("tests.meet")
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(QUEUES, stop), kwargs={"concurrency": 1})
    worker.start()
    assert playground.began.wait(10)
    enqueue("tests.see", 1)
    stop.set()
    worker.join(0.3)
    assert worker.is_alive()
    playground.go_on.set()
    worker.join(10)
    assert not worker.is_alive()
    assert list(Task.objects.order_by("pk").values_list("name", "state")) == [
        ("tests.meet", TaskState.DONE),
        ("tests.see", TaskState.QUEUED),
    ]


def test_an_error_class_of_a_lost_lease_needs_no_arguments():
    assert LeaseLost().status == 409


@pytest.mark.django_db
def test_who_waits_for_a_row_runs_it_or_leaves_it_to_its_time():
    see_through("tests.note", "nobody asked")
    enqueue("tests.see", key="mine")
    enqueue("tests.see", key="other")
    see_through("tests.see", "mine")
    assert dict(Task.objects.values_list("key", "state")) == {"mine": TaskState.DONE, "other": TaskState.QUEUED}
    enqueue("tests.busy", 100, key="busy")
    see_through("tests.busy", "busy")
    assert Task.objects.get(key="busy").attempts == 1


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_row_that_a_worker_has_runs_nothing_beside_it():
    enqueue("tests.see", key="mine")
    (row,) = claims.claim(QUEUES, "a worker")
    asked, ended = threading.Event(), threading.Event()

    def wait():
        asked.set()
        see_through("tests.see", "mine")
        ended.set()
        connection.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert asked.wait(5)
    assert not ended.wait(0.5)
    assert claims.finish(row)
    assert ended.wait(5)
    waiting.join()
    assert _state() == (TaskState.DONE, 1, "")
