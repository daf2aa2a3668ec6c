"""Workers and schedulers that are killed, stopped, doubled: nothing is lost and nothing is done twice."""

import signal
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection

from common.clock import now
from tests.work import playground
from tests.work.processes import started, until
from work.door import enqueue
from work.models import Schedule, Task
from work.states import TaskState

pytestmark = pytest.mark.django_db(transaction=True)
_WORKER = ("worker", "--queues", "cpu", "--lease", "1.5")


@pytest.fixture(autouse=True)
def _effects():
    # left over only if an earlier run was killed half-way (PostgreSQL keeps it)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {playground.EFFECTS}")
    playground.create_effects()
    yield
    playground.drop_effects()


def _all_done():
    return not Task.objects.exclude(state=TaskState.DONE).exists()


def _labels(deed):
    return [label for label, _, _ in playground.effects(deed)]


def test_kill_9_with_tasks_running_loses_nothing_and_doubles_nothing(data_folder):
    labels = [f"job-{number:02}" for number in range(8)]
    for label in labels:
        enqueue("tests.slow_effect", label, 0.5)
    with started(data_folder, *_WORKER, "--concurrency", "4") as victim:
        until(lambda: len(_labels("began")) >= 4)
        victim.kill()
        victim.wait(10)
    was_done = set(_labels("applied"))
    assert len(was_done) < 8
    with started(data_folder, *_WORKER, "--concurrency", "4"):
        until(_all_done)
    assert _labels("applied") == labels
    assert _labels("counted") == labels
    starts = Counter(_labels("began"))
    assert set(starts) == set(labels)
    assert max(starts.values()) == 2


def test_a_worker_stopped_beyond_its_lease_writes_nothing_when_it_wakes(data_folder):
    enqueue("tests.slow_effect", "job", 1.0)
    with started(data_folder, *_WORKER, "--concurrency", "1") as zombie:
        until(lambda: _labels("began") == ["job"])
        zombie.send_signal(signal.SIGSTOP)
        with started(data_folder, *_WORKER, "--concurrency", "1") as heir:
            until(_all_done)
            zombie.send_signal(signal.SIGCONT)
            # proof that the zombie is at work again and past its old task
            enqueue("tests.note", "afterwards")
            heir.send_signal(signal.SIGTERM)
            assert heir.wait(15) == 0
            until(_all_done)
            enqueue("tests.note", "by the zombie")
            until(_all_done)
        assert [(label, fence, pid) for label, fence, pid in playground.effects("applied")] == [("job", 2, heir.pid)]
        assert _labels("counted") == ["job"]
        assert ("by the zombie", 1, zombie.pid) in playground.effects("noted")


def test_a_task_that_kills_its_worker_is_parked_and_others_go_on(data_folder):
    enqueue("tests.kill_worker", "poison")
    for expected in (1, 2):
        with started(data_folder, *_WORKER, "--concurrency", "1") as worker:
            assert worker.wait(30) == 9
        assert len(_labels("began")) == expected
    enqueue("tests.note", "fine")
    with started(data_folder, *_WORKER, "--concurrency", "1"):
        until(lambda: not Task.objects.filter(state__in=("queued", "leased")).exists())
    assert dict(Task.objects.values_list("name", "state")) == {
        "tests.kill_worker": TaskState.PARKED,
        "tests.note": TaskState.DONE,
    }


def test_sigterm_lets_the_running_task_end(data_folder):
    enqueue("tests.slow_effect", "job", 1.0)
    with started(data_folder, *_WORKER, "--concurrency", "1") as worker:
        until(lambda: _labels("began") == ["job"])
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0
    assert _labels("applied") == ["job"]
    assert _all_done()


def test_two_scheduler_processes_start_a_missed_period_once(data_folder):
    with started(data_folder, "scheduler"), started(data_folder, "scheduler"):
        row = until(lambda: Schedule.objects.filter(name="forget finished tasks").first())
        Task.objects.all().delete()
        Schedule.objects.filter(pk=row.pk).update(next_at=now() - timedelta(hours=30))
        until(lambda: Schedule.objects.filter(pk=row.pk, next_at__gt=now()).exists())
        lapsed = Task.objects.create(
            name="tests.note", args=["x"], queue="gpu", max_attempts=5, state="leased", lease_until=now(), attempts=1
        )
        until(lambda: Task.objects.filter(pk=lapsed.pk, state="queued").exists())
    assert Task.objects.filter(name="work.forget_finished").count() == 1
