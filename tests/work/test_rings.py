"""Rings of a real broker: they bring work to a worker at once, and nothing depends on any one of them."""

import signal
import socket
import time
from urllib.parse import urlsplit

import pytest
from django.db import connection, transaction
from kombu import Connection, Queue

from tests.work import playground
from tests.work.processes import started, until
from work import rings
from work.door import enqueue
from work.models import Task
from work.rings import ring_due
from work.states import TaskState

# One process: the queues of a broker have fixed names, so two of these tests would hear each other.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("broker")]

_BROKERS = {"redis": "redis://127.0.0.1:6379/13", "amqp": "amqp://guest:guest@127.0.0.1:5672//"}


def _answers(url):
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((parts.hostname, parts.port)) == 0


@pytest.fixture(autouse=True)
def _effects():
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {playground.EFFECTS}")
    playground.create_effects()
    yield
    playground.drop_effects()


@pytest.fixture
def point_at(settings, monkeypatch):
    """Makes `enqueue` ring at a broker's address."""

    def point(url):
        settings.BROKER_URL = url
        app = rings.Celery("mercato-test", set_as_current=False, fixups=[])
        app.add_defaults(rings._options)
        monkeypatch.setattr(rings, "app", app)

    yield point
    rings._sender.flush()
    rings.app.close()


@pytest.fixture(params=_BROKERS)
def broker(request, point_at):
    url = _BROKERS[request.param]
    if not _answers(url):
        pytest.skip(f"needs a {request.param} server at {urlsplit(url).netloc}")
    with Connection(url) as wire:
        _queue(wire).purge()
    point_at(url)
    return url


def _queue(wire):
    queue = Queue("cpu", durable=True, channel=wire.default_channel)
    queue.declare()
    return queue


def _waiting_rings(url):
    with Connection(url) as wire:
        return _queue(wire).queue_declare().message_count


def _heard(url, count):
    """The broker has all `count` of them: it counts what was published without a confirmation a moment later."""
    until(lambda: _waiting_rings(url) == count, limit_s=10)


def _all_done():
    # schedulers of the test also start what other apps have declared
    return not Task.objects.filter(name__startswith="tests.").exclude(state=TaskState.DONE).exists()


def _noted():
    return [label for label, _, _ in playground.effects("noted")]


def test_a_ring_brings_the_row_to_a_worker_at_once(broker, data_folder):
    with started(data_folder, "worker", "--concurrency", "2", broker_url=broker) as worker:
        enqueue("tests.note", "first")
        until(lambda: _noted() == ["first"])
        # It hears us now. Ten seconds is what a row that nobody rang for would wait.
        began = time.monotonic()
        for number in range(20):
            enqueue("tests.note", f"note-{number:02}")
        until(lambda: len(_noted()) == 21)
        assert time.monotonic() - began < 9
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    assert set(Task.objects.values_list("state", "attempts")) == {(TaskState.DONE, 1)}
    # One ring brings several rows: at the end two are in hand and two fetched ahead at most, and these may go back.
    assert _waiting_rings(broker) <= 4


def test_a_ring_is_sent_when_the_fact_is_committed_and_only_then(broker):
    with transaction.atomic():
        enqueue("tests.note", "kept")
        rings._sender.flush()
        assert _waiting_rings(broker) == 0
    rings._sender.flush()
    _heard(broker, 1)
    enqueue("tests.note", "later", delay_s=60)
    rings._sender.flush()
    _heard(broker, 1)


def test_doubled_rings_change_nothing(broker, data_folder):
    rows = [enqueue("tests.slow_effect", f"job-{number}", 0.2) for number in range(4)]
    for _ in range(4):
        for row in reversed(rows):
            rings._sender.put(row.pk, "cpu")
    rings._sender.flush()
    _heard(broker, 20)
    with started(data_folder, "worker", "--concurrency", "3", broker_url=broker):
        until(lambda: _waiting_rings(broker) == 0 and _all_done())
    labels = [f"job-{number}" for number in range(4)]
    assert [label for label, _, _ in playground.effects("began")] == labels
    assert [label for label, _, _ in playground.effects("counted")] == labels


def test_lost_rings_are_repeated_by_the_sweep(broker, data_folder):
    enqueue("tests.note", "x")
    rings._sender.flush()
    with Connection(broker) as wire:
        assert _queue(wire).purge() == 1
    assert ring_due() == 1
    assert ring_due() == 0
    rings._sender.flush()
    _heard(broker, 1)
    with started(data_folder, "worker", broker_url=broker):
        until(lambda: _noted() == ["x"])


def test_kill_9_of_a_ringed_worker_loses_nothing(broker, data_folder):
    for number in range(4):
        enqueue("tests.slow_effect", f"job-{number}", 1.0)
    command = ("worker", "--concurrency", "2", "--lease", "1.5")
    with started(data_folder, *command, broker_url=broker) as victim:
        until(lambda: len(playground.effects("began")) >= 2)
        victim.kill()
        victim.wait(10)
    with started(data_folder, *command, broker_url=broker), started(data_folder, "scheduler", broker_url=broker):
        until(_all_done)
    labels = [f"job-{number}" for number in range(4)]
    assert [label for label, _, _ in playground.effects("counted")] == labels


def test_without_its_broker_the_site_takes_requests_at_once_and_the_worker_finds_the_rows(point_at, data_folder):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{closed.getsockname()[1]}/0"
        point_at(url)
        began = time.monotonic()
        for number in range(50):
            enqueue("tests.note", f"note-{number:02}")
        assert time.monotonic() - began < 5
        assert Task.objects.filter(state=TaskState.QUEUED).count() == 50
        with started(data_folder, "worker", "--concurrency", "2", broker_url=url):
            until(lambda: Task.objects.filter(state=TaskState.DONE).count() == 50)
    assert len(_noted()) == 50
    assert set(Task.objects.values_list("state", "attempts")) == {(TaskState.DONE, 1)}
