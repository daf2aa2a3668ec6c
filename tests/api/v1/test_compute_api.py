"""Recipes, jobs and endpoints through the first-party API."""

import json
from types import SimpleNamespace

import pytest

from backends.runners.fake import FakeRun, FakeRunner
from compute.models import Endpoint, Job
from compute.services import endpoints, lifecycle
from compute.states import ENDED
from metering.meters import Meter
from metering.services.usage import Usage, record_many
from registry.models import Repo
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_token, make_user
from tests.factories.endpoints import make_model
from tests.factories.jobs import make_dataset
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

PARAMETERS = {"target": "label"}
NOWHERE = "0" * 8 + "-0000-0000-0000-" + "0" * 12


def train(run: FakeRun) -> int:
    run.print("reading\nfitting\n")
    folder = run.spec.workdir
    (folder / "metrics.jsonl").write_text(json.dumps({"at": "x", "step": 1, "name": "loss", "value": 0.25}) + "\n")
    (folder / "outputs/model.onnx").write_bytes(b"\x08\x07model")
    result = {"metrics": {"accuracy": {"value": 0.9}}, "signature": {}, "environment": {}, "summary": "Good."}
    (folder / "result.json").write_text(json.dumps(result))
    return 0


@pytest.fixture
def runner(monkeypatch) -> FakeRunner:
    fake = FakeRunner(train, cpu_s=2.25)
    for module in ("compute.services.lifecycle", "compute.queries"):
        monkeypatch.setattr(f"{module}.job_runner", lambda: fake)
    return fake


@pytest.fixture
def world(client, runner):
    """`lab` is ada's organisation with pia (publisher), mia (member), adam (admin); eve is a stranger. Ada has a dataset."""
    ada = make_user("ada")
    organization = make_organization("lab", ada, adam="admin", pia="publisher", mia="member")
    users = {row.user.username: row.user for row in organization.memberships.all()} | {"eve": make_user("eve")}
    callers = {name: Caller(client, make_token(user)) for name, user in users.items()}
    dataset = make_dataset(actor_of(ada))
    return SimpleNamespace(**callers, anybody=Caller(client), users=users, dataset=dataset, client=client)


def asked(world, **changes) -> dict:
    return {
        "namespace": "ada",
        "recipe": "tabular-train",
        "parameters": PARAMETERS,
        "inputs": {"data": str(world.dataset.uuid)},
        "target": {"kind": "model", "name": "net"},
        **changes,
    }


@pytest.fixture
def job(world) -> dict:
    made = world.ada.call("POST", "jobs", asked(world))
    assert made.status_code == 201, made.content
    return made.json()


def to_end(uuid: str) -> None:
    for _ in range(2000):
        row = Job.objects.get(uuid=uuid)
        if row.state in ENDED:
            return
        lifecycle.advance(row.pk)
    raise AssertionError(f"it never ended, it is {row.state}")


def test_recipes_say_what_they_take(world) -> None:
    found = {recipe["name"]: recipe for recipe in world.anybody.call("GET", "recipes").json()["items"]}
    assert set(found) == {
        "tabular-train",
        "image-train",
        "quantize-int8",
        "convert-onnx",
        "convert-openvino",
        "evaluate",
    }
    table = found["tabular-train"]
    assert [(each["name"], each["kind"], each["required"]) for each in table["inputs"]] == [("data", "dataset", True)]
    assert table["produces"] == "model"
    parameters = {each["name"]: each for each in table["parameters"]}
    assert (parameters["target"]["default"], parameters["test_fraction"]["low"]) == (None, 0.05)
    assert parameters["learner"]["choices"] == ["auto", "linear", "lightgbm"]


class TestJobs:
    def test_from_submission_to_a_version(self, world, job) -> None:
        assert (job["state"], job["target"], job["version"], job["fraction"]) == ("queued", "ada/net", None, 0.0)
        path = f"jobs/{job['uuid']}"
        waiting = world.ada.call("GET", f"{path}/log").json()
        assert waiting == {"text": "", "next_offset": 0, "is_final": False}
        to_end(job["uuid"])
        done = world.ada.call("GET", path).json()
        assert (done["state"], done["problem"], done["fraction"], done["cpu_s"]) == ("succeeded", "", 1.0, 2.25)
        assert [artifact["path"] for artifact in done["artifacts"]] == ["model.onnx"]
        assert [event["text"] for event in done["events"]][::4] == ["Submitted by ada.", "Succeeded: published v1."]
        [version] = world.ada.call("GET", "repos/model/ada/net/versions").json()["items"]
        assert (version["uuid"], version["metrics"]) == (done["version"], {"accuracy": {"value": 0.9}})
        log = world.ada.call("GET", f"{path}/log?offset=8").json()
        assert log == {"text": "fitting\n", "next_offset": 16, "is_final": True}
        assert world.ada.call("GET", f"{path}/metrics").json() == {"curves": {"loss": [[1, 0.25]]}}
        for bad in ("offset=-1", "offset=x", "offset=" + "9" * 16):
            assert world.ada.call("GET", f"{path}/log?{bad}").status_code == 400

    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({"parameters": {}}, {"target"}),
            (
                {"parameters": {"target": 5, "test_fraction": 0.9, "colour": "red"}},
                {"target", "test_fraction", "colour"},
            ),
            ({"parameters": {"target": "label", "learner": "magic"}}, {"learner"}),
            ({"parameters": {"target": "a\u0000b"}}, None),
            ({"recipe": "cook"}, {"recipe"}),
            ({"inputs": {}}, {"data"}),
            ({"inputs": {"data": "../../etc"}}, {"inputs.data"}),
            ({"target": None}, {"target"}),
            ({"target": {"kind": "dataset", "name": "net"}}, {"target"}),
            ({"target": {"kind": "model", "name": "../net"}}, {"name"}),
            ({"version_name": "a/../b"}, {"name"}),
            ({"memory": 1}, {"memory"}),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_is_made(self, world, change, fields) -> None:
        answer = world.ada.call("POST", "jobs", asked(world, **change))
        assert answer.status_code == 400, answer.content
        if fields is not None:
            assert set(answer.json()["fields"]) == fields
        assert (Job.objects.count(), Repo.objects.filter(kind="model").count()) == (0, 0)

    def test_extra_inputs_are_named(self, world) -> None:
        both = {"data": str(world.dataset.uuid), "more": str(world.dataset.uuid)}
        answer = world.ada.call("POST", "jobs", asked(world, inputs=both))
        assert (answer.status_code, answer.json()["fields"]) == (400, {"more": "This recipe has no such input."})

    def test_inputs_that_one_may_not_read_are_not_there(self, world) -> None:
        body = asked(world, namespace="eve")
        hidden = world.eve.call("POST", "jobs", body)
        missing = world.eve.call("POST", "jobs", body | {"inputs": {"data": NOWHERE}})
        assert (hidden.status_code, hidden.json()["code"]) == (missing.status_code, missing.json()["code"])
        assert hidden.status_code == 404
        assert (Job.objects.count(), Repo.objects.filter(kind="model").count()) == (0, 0)

    def test_only_those_with_the_right_to_run_submit(self, world) -> None:
        assert world.anybody.call("POST", "jobs", asked(world)).status_code == 401
        assert world.eve.call("POST", "jobs", asked(world)).status_code == 403
        assert world.mia.call("POST", "jobs", asked(world, namespace="lab")).status_code == 403
        reader = Caller(world.client, make_token(world.users["ada"], "repo:write"))
        assert reader.call("POST", "jobs", asked(world)).status_code == 403
        assert (Job.objects.count(), Repo.objects.filter(kind="model").count()) == (0, 0)

    def test_the_same_key_is_one_job_and_long_keys_are_not_mixed_up(self, world) -> None:
        def submit(key):
            return world.ada.call("POST", "jobs", asked(world), **{"Idempotency-Key": key}).json()["uuid"]

        long = "k" * 120
        uuids = [submit("a"), submit("a"), submit("b"), submit(f"{long}1"), submit(f"{long}2"), submit(f"{long}2")]
        assert [uuids.index(uuid) for uuid in uuids] == [0, 0, 2, 3, 4, 4]
        assert Job.objects.count() == 4

    def test_strangers_see_nothing_and_publishers_manage(self, world) -> None:
        body = asked(world, namespace="lab")
        uuid = world.ada.call("POST", "jobs", body).json()["uuid"]
        paths = ["", "/log", "/metrics"]
        for name in ("eve", "mia", "anybody"):
            caller = getattr(world, name)
            assert [caller.call("GET", f"jobs/{uuid}{path}").status_code for path in paths] == [404] * 3
            assert caller.call("POST", f"jobs/{uuid}/cancellation").status_code == 404
            assert caller.call("POST", f"jobs/{uuid}/retries").status_code == 404
        assert world.anybody.call("GET", "jobs").status_code == 401
        assert world.mia.call("GET", "jobs").json()["items"] == []
        assert Job.objects.get().state == "queued"
        assert [row["uuid"] for row in world.pia.call("GET", "jobs?namespace=LAB").json()["items"]] == [uuid]
        assert world.pia.call("GET", "jobs?namespace=ada").json()["items"] == []
        assert world.pia.call("POST", f"jobs/{uuid}/cancellation").json()["state"] == "cancelled"

    def test_cancelling_and_retrying(self, world, job) -> None:
        path = f"jobs/{job['uuid']}"
        early = world.ada.call("POST", f"{path}/retries")
        assert early.status_code == 409
        cancelled = [world.ada.call("POST", f"{path}/cancellation") for _ in range(2)]
        assert [(each.status_code, each.json()["state"]) for each in cancelled] == [(201, "cancelled")] * 2
        assert world.ada.call("POST", f"{path}/retries").json()["state"] == "queued"
        to_end(job["uuid"])
        assert world.ada.call("POST", f"{path}/cancellation").json()["state"] == "succeeded"
        assert world.ada.call("POST", f"{path}/retries").status_code == 409
        assert len(world.ada.call("GET", "repos/model/ada/net/versions").json()["items"]) == 1

    def test_a_retry_still_needs_the_input(self, world) -> None:
        shared = world.ada.call("PATCH", "repos/dataset/ada/numbers", {"visibility": "public"})
        assert shared.status_code == 200, shared.content
        uuid = world.eve.call("POST", "jobs", asked(world, namespace="eve")).json()["uuid"]
        world.eve.call("POST", f"jobs/{uuid}/cancellation")
        world.ada.call("PATCH", "repos/dataset/ada/numbers", {"visibility": "private"})
        assert world.eve.call("POST", f"jobs/{uuid}/retries").status_code == 404
        assert Job.objects.get().state == "cancelled"

    def test_pages_follow_each_other(self, world) -> None:
        made = [world.ada.call("POST", "jobs", asked(world)).json()["uuid"] for _ in range(3)]
        seen, path = [], "jobs?limit=2"
        while path:
            page = world.ada.call("GET", path).json()
            seen += [row["uuid"] for row in page["items"]]
            path = page["next"] and page["next"].split("/api/v1/")[1]
        assert seen == made[::-1]


class TestEndpoints:
    @pytest.fixture
    def version(self, world):
        return make_model(actor_of(world.users["ada"]), "net", b"\x08\x07model", namespace="lab")

    @pytest.fixture(autouse=True)
    def nothing_to_scan(self, monkeypatch) -> None:
        """These models are not models; what scanning says of them is tested elsewhere."""
        monkeypatch.setattr("tests.factories.endpoints.scans.scan_version", lambda _pk: None)

    def deployed(self, world, model, **changes):
        return world.ada.call(
            "POST", "endpoints", {"namespace": "lab", "name": "Net", "version": str(model.uuid), **changes}
        )

    def test_deploying_stopping_starting_and_deleting(self, world, version) -> None:
        made = self.deployed(world, version)
        assert made.status_code == 201, made.content
        body = made.json()
        assert (body["state"], body["slug"], body["visibility"]) == ("deploying", "lab-net", "private")
        assert body["infer_url"].endswith("/v2/models/lab-net/infer")
        row = Endpoint.objects.get()
        tensors = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        endpoints.report_loaded(SYSTEM, row.uuid, row.next_digest, inputs=tensors, outputs=[])
        ready = world.ada.call("GET", "endpoints/LAB/net").json()
        assert (ready["state"], ready["version"], ready["signature"]["inputs"]) == ("ready", str(version.uuid), tensors)
        path = "endpoints/lab/Net"
        states = [
            world.pia.call("PATCH", path, {"is_running": wanted}).json()["state"]
            for wanted in (False, False, True, True)
        ]
        assert states == ["stopped", "stopped", "deploying", "deploying"]
        assert world.pia.call("DELETE", path).status_code == 403
        assert [world.adam.call("DELETE", path).status_code for _ in range(2)] == [204, 404]
        assert self.deployed(world, version).json()["slug"].startswith("lab-net-")

    def test_the_same_key_deploys_once(self, world, version) -> None:
        body = {"namespace": "lab", "name": "net", "version": str(version.uuid)}
        answers = [world.ada.call("POST", "endpoints", body, **{"Idempotency-Key": "d1"}) for _ in range(2)]
        assert [each.status_code for each in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        assert world.ada.call("POST", "endpoints", body).status_code == 409
        assert Endpoint.objects.count() == 1

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": "../x"}, "name"),
            ({"slug": "A b"}, "slug"),
            ({"version": "x"}, "version"),
            ({"visibility": "secret"}, "visibility"),
        ],
    )
    def test_wrong_fields_are_named(self, world, version, change, field) -> None:
        answer = self.deployed(world, version, **change)
        assert (answer.status_code, set(answer.json()["fields"])) == (400, {field})
        assert Endpoint.objects.count() == 0

    def test_only_a_model_with_a_graph_is_deployed(self, world) -> None:
        answer = self.deployed(world, world.dataset)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert self.deployed(world, SimpleNamespace(uuid=NOWHERE)).status_code == 404
        assert Endpoint.objects.count() == 0

    def test_deploying_needs_the_right_to_run_and_to_read(self, world, version) -> None:
        body = {"namespace": "lab", "name": "net", "version": str(version.uuid)}
        assert world.anybody.call("POST", "endpoints", body).status_code == 401
        assert world.mia.call("POST", "endpoints", body).status_code == 403
        assert world.eve.call("POST", "endpoints", body | {"namespace": "eve"}).status_code == 404
        caller = Caller(world.client, make_token(world.users["ada"], "endpoint:use"))
        assert caller.call("POST", "endpoints", body).status_code == 403
        assert Endpoint.objects.count() == 0
        assert world.pia.call("POST", "endpoints", body).status_code == 201

    def test_strangers_learn_of_a_private_endpoint_nothing_and_change_a_public_one_never(self, world, version) -> None:
        self.deployed(world, version)
        path, outsiders = "endpoints/lab/Net", (world.eve, world.mia, world.anybody)
        deeds = [("GET", path), ("PATCH", path, {"is_running": False}), ("DELETE", path), ("GET", f"{path}/usage")]
        for caller in outsiders:
            assert [caller.call(*deed).status_code for deed in deeds] == [404] * 4
            assert caller.call("GET", "endpoints").json()["items"] == []
        assert world.pia.call("PATCH", path, {"visibility": "public"}).status_code == 403
        assert world.adam.call("PATCH", path, {"visibility": "public"}).json()["visibility"] == "public"
        assert [caller.call("GET", path).status_code for caller in outsiders] == [200] * 3
        for caller, status in zip(outsiders, (403, 403, 401), strict=True):
            assert [caller.call(*deed).status_code for deed in deeds[1:]] == [status] * 3
        assert Endpoint.objects.get().state == "deploying"

    def test_usage_is_shown_to_those_who_administer_it(self, world, version) -> None:
        self.deployed(world, version)
        row = Endpoint.objects.get()
        record_many([
            Usage(Meter.INFERENCE_CALLS, "inference", f"r{number}", 2, row.uuid, row.created_at) for number in range(3)
        ])  # fmt: skip
        usage = world.adam.call("GET", "endpoints/lab/Net/usage").json()
        assert (usage["total"], len(usage["days"]), usage["days"][-1]["calls"]) == (6, 30, 6)
        assert world.pia.call("GET", "endpoints/lab/Net/usage").status_code == 403

    def test_moving_to_another_version(self, world, version) -> None:
        self.deployed(world, version)
        path, other = (
            "endpoints/lab/Net",
            make_model(actor_of(world.users["ada"]), "net", b"\x08\x08", namespace="lab", version="2"),
        )
        early = world.pia.call("PATCH", path, {"version": str(other.uuid)})
        assert early.status_code == 409
        row = Endpoint.objects.get()
        endpoints.report_loaded(SYSTEM, row.uuid, row.next_digest, inputs=[], outputs=[])
        moving = world.pia.call("PATCH", path, {"version": str(other.uuid)}).json()
        assert (moving["state"], moving["version"]) == ("updating", str(version.uuid))
        assert world.pia.call("PATCH", path, {"version": NOWHERE}).status_code == 404
        assert world.pia.call("PATCH", path, {"name": "x"}).json()["fields"] == {"name": "unknown"}


def test_lineage_questions_are_checked(world) -> None:
    path = f"lineage/version/{world.dataset.uuid}"
    assert world.ada.call("GET", path).status_code == 200
    assert world.eve.call("GET", path).status_code == 404
    assert world.ada.call("GET", f"lineage/poem/{world.dataset.uuid}").status_code == 404
    for bad in ("direction=left", "depth=0", "depth=x", "depth=00019999999999", "depth=999"):
        assert world.ada.call("GET", f"{path}?{bad}").status_code == 400, bad
