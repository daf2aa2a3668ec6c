"""Jobs and endpoints obey a quarantine."""

import pytest

from accounts import actors
from backends.runners.fake import FakeRunner
from common.errors import Invalid
from compute.endpoint_serving import serving_table
from compute.services import endpoints, lifecycle
from compute.states import JobState
from registry import queries
from registry.errors import Quarantined
from registry.services import quarantine
from registry.states import Origin
from tests.factories.endpoints import make_endpoint
from tests.factories.jobs import make_dataset, make_person, submit_training
from tests.support.onnx_models import mlp

pytestmark = pytest.mark.django_db

SYSTEM = actors.system("tests")


def hold(version, path):
    return quarantine.hold_back(SYSTEM, queries.blob_of(queries.entry_at(version.commit, path)), "a worm", Origin.STAFF)


@pytest.fixture
def ada():
    return make_person("ada")


@pytest.fixture
def runner(monkeypatch):
    fake = FakeRunner(lambda run: 0)
    for module in ("compute.services.lifecycle", "compute.queries"):
        monkeypatch.setattr(f"{module}.job_runner", lambda: fake)
    return fake


def advance_to(job, *states):
    for _ in range(200):
        job.refresh_from_db()
        if job.state in states:
            return job
        lifecycle.advance(job.pk)
    raise AssertionError(job.state)


def test_no_job_takes_what_is_held_back(ada, runner):
    dataset = make_dataset(ada)
    hold(dataset, "data.csv")
    with pytest.raises(Invalid) as refused:
        submit_training(ada, dataset)
    assert "under quarantine" in str(refused.value.fields)


def test_a_job_that_waits_fails_and_one_that_runs_is_stopped(ada, runner):
    dataset = make_dataset(ada)
    running = submit_training(ada, dataset)
    waiting = submit_training(ada, dataset, target={"kind": "model", "name": "second"})
    advance_to(running, JobState.RUNNING)
    row = hold(dataset, "data.csv")
    for job in (waiting, running):
        advance_to(job, JobState.FAILED)
        assert "quarantine" in job.problem
    quarantine.release(SYSTEM, row.uuid, "harmless")
    advance_to(submit_training(ada, dataset, target={"kind": "model", "name": "third"}), JobState.RUNNING)


def test_an_endpoint_is_marked_in_the_next_table_and_none_is_deployed(ada):
    endpoint = make_endpoint(ada, "wise", mlp())
    endpoints.report_loaded(SYSTEM, endpoint.uuid, endpoint.next_digest, inputs=[], outputs=[])
    endpoint.refresh_from_db()
    before = serving_table()
    assert [each.is_held_back for each in before.by_slug.values()] == [False]
    row = hold(queries.version_by_uuid(endpoint.version_uuid), "model.onnx")
    after = serving_table()
    assert [each.is_held_back for each in after.by_slug.values()] == [True]
    assert after.version > before.version
    with pytest.raises(Quarantined):
        endpoints.deploy(ada, namespace="ada", name="again", version_uuid=endpoint.version_uuid)
    quarantine.release(SYSTEM, row.uuid, "harmless")
    assert [each.is_held_back for each in serving_table().by_slug.values()] == [False]
