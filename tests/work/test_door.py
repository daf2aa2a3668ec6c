"""What `enqueue` promises to those who ask for work."""

from datetime import timedelta
from uuid import UUID

import pytest
import structlog
from django.db import transaction

from common import clock
from tests.work import playground
from work import claims
from work.door import current_task, enqueue, require_lease, task
from work.loops import QUEUES, run_due
from work.models import Task
from work.states import TaskState

pytestmark = pytest.mark.django_db


def test_a_row_is_there_only_if_the_fact_is():
    def ask_and_fail():
        with transaction.atomic():
            enqueue("tests.see", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        ask_and_fail()
    assert Task.objects.count() == 0
    with transaction.atomic():
        enqueue("tests.see", 1)
    assert run_due() == 1
    assert playground.seen == [{"value": 1}]


def test_uuids_travel_as_text_and_objects_are_refused():
    row = enqueue("tests.see", UUID(int=7))
    assert row.args == ["00000000-0000-0000-0000-000000000007"]
    with pytest.raises(TypeError, match="identifiers"):
        enqueue("tests.see", {"a": 1})  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        enqueue("tests.nobody_declared_this")
    assert Task.objects.count() == 1


def test_two_tasks_cannot_share_a_name():
    with pytest.raises(ValueError, match="two tasks"):

        @task("tests.see")
        def another() -> None: ...


def test_a_delayed_row_waits_for_its_time():
    enqueue("tests.see", 1, delay_s=60)
    assert run_due() == 0
    with clock.travel(timedelta(seconds=61)):
        assert run_due() == 1


def test_a_second_request_with_the_key_of_a_waiting_row_finds_it_and_brings_it_forward():
    first = enqueue("tests.see", 1, key="k", delay_s=60)
    second = enqueue("tests.see", 1, key="k")
    later = enqueue("tests.see", 1, key="k", delay_s=600)
    assert first.pk == second.pk == later.pk
    assert run_due() == 1
    assert Task.objects.count() == 1


def test_the_key_belongs_to_one_task_name():
    assert enqueue("tests.see", 1, key="k").pk != enqueue("tests.note", "x", key="k").pk


def test_a_ring_during_the_run_makes_it_run_once_more():
    row = enqueue("tests.see", 1, key="k")
    (claimed,) = claims.claim(QUEUES, "me")
    assert enqueue("tests.see", 1, key="k").pk == row.pk
    assert enqueue("tests.see", 1, key="k").pk == row.pk
    assert claims.finish(claimed)
    row.refresh_from_db()
    assert (row.state, row.attempts, row.finished_at) == (TaskState.QUEUED, 0, None)
    assert run_due() == 1
    row.refresh_from_db()
    assert (row.state, Task.objects.count()) == (TaskState.DONE, 1)


def test_after_a_row_is_done_its_key_is_free():
    first = enqueue("tests.see", 1, key="k")
    assert run_due() == 1
    second = enqueue("tests.see", 1, key="k")
    assert second.pk != first.pk
    assert run_due() == 1


def test_a_task_that_enqueues_its_own_key_polls_on_one_row():
    enqueue("tests.poll", "p", 3, key="p")
    assert run_due() == 1
    for seconds in (6, 12):
        with clock.travel(timedelta(seconds=seconds)):
            assert run_due() == 1
    with clock.travel(timedelta(hours=1)):
        assert run_due() == 0
    assert len(playground.seen) == 3
    assert Task.objects.get().state == TaskState.DONE


def test_the_request_id_goes_along_and_nothing_else():
    with structlog.contextvars.bound_contextvars(request_id="r-1", actor="ada", password="secret"):
        row = enqueue("tests.see", 1)
    row.refresh_from_db()
    assert row.context == {"request_id": "r-1", "actor": "ada"}


def test_outside_of_tasks_there_is_no_lease_to_lose():
    assert current_task() is None
    require_lease()
