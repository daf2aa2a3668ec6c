"""Who may work on a row, and until when."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from common import clock
from common.errors import Conflict
from tests.work import playground  # noqa: F401 - registers the tasks
from work import claims
from work.door import enqueue
from work.loops import QUEUES, run_due
from work.models import Task
from work.queries import Backlog, backlogs, parked_count
from work.states import TaskState


def _in_threads(count, function):
    """Run `function(number)` on `count` threads at once, each with its own database connection."""

    def call(number):
        try:
            return function(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


@pytest.mark.django_db
def test_the_longest_due_row_of_the_asked_queues_comes_first():
    late = enqueue("tests.see", 1, queue="slow")
    with clock.travel(timedelta(seconds=-100)):
        early = enqueue("tests.see", 2, queue="gpu")
        enqueue("tests.see", 3, queue="cpu")
    taken = claims.claim(["gpu", "slow"], "me", limit=5)
    assert [row.pk for row in taken] == [early.pk, late.pk]
    assert [(row.state, row.fence, row.attempts, row.lease_owner) for row in taken] == [("leased", 1, 1, "me")] * 2
    assert claims.claim(["gpu", "slow"], "me") == []


@pytest.mark.django_db
def test_one_ring_takes_one_row_once():
    row = enqueue("tests.see", 1)
    taken = claims.claim_one(row.pk, "me")
    assert taken is not None
    assert taken.pk == row.pk
    assert claims.claim_one(row.pk, "you") is None
    assert claims.claim_one(enqueue("tests.see", 2, delay_s=5).pk, "you") is None


@pytest.mark.django_db
def test_who_lost_the_lease_can_write_nothing_any_more():
    enqueue("tests.see", 1)
    (zombie,) = claims.claim(QUEUES, "zombie", lease_s=10)
    with clock.travel(timedelta(seconds=11)):
        assert claims.sweep() == 1
        (heir,) = claims.claim(QUEUES, "heir", lease_s=10)
        assert heir.fence == zombie.fence + 1
        assert claims.heartbeat({zombie.pk: zombie.fence}) == {zombie.pk}
        assert not claims.finish(zombie)
        assert claims.fail(zombie, "late", will_repeat=True) is None
        row = Task.objects.get()
        assert (row.state, row.lease_owner, row.fence, row.error) == ("leased", "heir", heir.fence, "")
        assert claims.finish(heir)
        assert not claims.finish(heir)


@pytest.mark.django_db
def test_a_heartbeat_keeps_the_lease():
    enqueue("tests.see", 1)
    (row,) = claims.claim(QUEUES, "me", lease_s=10)
    with clock.travel(timedelta(seconds=9)):
        assert claims.heartbeat({row.pk: row.fence}, lease_s=10) == set()
    with clock.travel(timedelta(seconds=15)):
        assert claims.sweep() == 0
    with clock.travel(timedelta(seconds=20)):
        assert claims.sweep() == 1


@pytest.mark.django_db
def test_pauses_double_and_the_last_attempt_parks():
    row = enqueue("tests.busy", 0)
    for attempt, pause_s in ((1, 2), (2, 4)):
        (claimed,) = claims.claim(QUEUES, "me")
        assert claims.fail(claimed, "no", will_repeat=True) == TaskState.QUEUED
        row.refresh_from_db()
        assert row.attempts == attempt
        assert 0.8 * pause_s - 0.5 < (row.run_at - clock.now()).total_seconds() < 1.2 * pause_s
        Task.objects.update(run_at=clock.now())
    (claimed,) = claims.claim(QUEUES, "me")
    assert claims.fail(claimed, "no", will_repeat=True) == TaskState.PARKED
    row.refresh_from_db()
    assert (row.attempts, row.error) == (3, "no")
    assert row.finished_at is not None
    assert parked_count() == 1


@pytest.mark.django_db
def test_a_refused_row_is_failed_at_once_unless_it_was_rung_meanwhile():
    enqueue("tests.see", 1, key="k")
    (row,) = claims.claim(QUEUES, "me")
    enqueue("tests.see", 1, key="k")
    assert claims.fail(row, "not allowed", will_repeat=False) == TaskState.QUEUED
    (row,) = claims.claim(QUEUES, "me")
    assert claims.fail(row, "not allowed", will_repeat=False) == TaskState.FAILED


@pytest.mark.django_db
def test_a_row_that_stops_its_worker_every_time_is_parked():
    enqueue("tests.kill_worker", "x")
    for attempt in (1, 2):
        (row,) = claims.claim(QUEUES, "me", lease_s=10)
        assert row.attempts == attempt
        Task.objects.update(lease_until=clock.now() - timedelta(seconds=1))
        assert claims.sweep() == 1
    row = Task.objects.get()
    assert (row.state, row.error) == (TaskState.PARKED, "Its worker stopped answering on every attempt.")
    assert claims.sweep() == 0


@pytest.mark.django_db
def test_staff_queue_a_parked_row_again_but_not_a_running_one():
    row = enqueue("tests.see", 1, key="k")
    with pytest.raises(Conflict):
        claims.queue_again(row.pk)
    (claimed,) = claims.claim(QUEUES, "me")
    claims.fail(claimed, "no", will_repeat=False)
    other = enqueue("tests.see", 1, key="k")
    with pytest.raises(Conflict, match="already"):
        claims.queue_again(row.pk)
    assert Task.objects.get(pk=row.pk).state == TaskState.FAILED
    Task.objects.filter(pk=other.pk).delete()
    assert claims.queue_again(row.pk).attempts == 0
    assert run_due() == 1


@pytest.mark.django_db
def test_the_database_refuses_two_live_rows_of_one_key_and_a_lease_without_end():
    row = enqueue("tests.see", 1, key="k")
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.create(name="tests.see", key="k", queue="cpu", max_attempts=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(pk=row.pk).update(state=TaskState.LEASED)


@pytest.mark.django_db
def test_finished_rows_are_forgotten_after_their_time():
    for age_days, state in ((8, "done"), (6, "done"), (60, "parked"), (80, "failed")):
        at = clock.now() - timedelta(days=age_days)
        Task.objects.create(name="tests.see", queue="cpu", max_attempts=1, state=state, finished_at=at, args=[age_days])
    Task.objects.create(name="tests.see", queue="cpu", max_attempts=1, args=["waiting"])
    assert claims.forget_finished(clock.now() - timedelta(days=7)) == 2
    assert {row.args[0] for row in Task.objects.all()} == {6, 60, "waiting"}


@pytest.mark.django_db
def test_the_backlog_counts_by_queue():
    with clock.travel(timedelta(seconds=-50)):
        enqueue("tests.see", 1, queue="gpu")
    enqueue("tests.see", 1, queue="gpu", delay_s=60)
    enqueue("tests.see", 1)
    claims.claim(["cpu"], "me")
    cpu, gpu = backlogs()
    assert cpu == Backlog("cpu", 0, 1, 0.0)
    assert (gpu.queue, gpu.waiting, gpu.running) == ("gpu", 1, 0)
    assert 50 <= gpu.oldest_s < 60


@pytest.mark.django_db(transaction=True)
def test_many_workers_take_every_row_exactly_once():
    Task.objects.bulk_create(
        Task(name="tests.see", queue="cpu", max_attempts=1, args=[number]) for number in range(200)
    )

    def take_all(number):
        taken = []
        while rows := claims.claim(QUEUES, f"worker-{number}", limit=3):
            assert len(rows) <= 3
            taken += [row.args[0] for row in rows]
        return taken

    taken = [number for part in _in_threads(8, take_all) for number in part]
    assert sorted(taken) == list(range(200))
    assert set(Task.objects.values_list("fence", "attempts")) == {(1, 1)}


@pytest.mark.django_db(transaction=True)
def test_one_key_asked_for_by_many_at_once_is_one_row():
    rows = _in_threads(8, lambda _: enqueue("tests.see", 1, key="same").pk)
    assert len(set(rows)) == 1
    assert Task.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_a_worker_cannot_start_a_row_before_the_facts_of_its_second_request_can_be_seen():
    enqueue("tests.see", 1, key="k")
    with transaction.atomic():
        enqueue("tests.see", 1, key="k")
        assert _in_threads(1, lambda _: claims.claim(QUEUES, "eager")) == [[]]
    assert len(claims.claim(QUEUES, "patient")) == 1
