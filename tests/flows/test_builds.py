"""From a scikit-learn model to its ONNX build: made by a job, proven, added to the version, served, withdrawn. The programs are the real
ones, in a thread of this process."""

import base64
import hashlib
import io
from datetime import timedelta

import joblib
import numpy as np
import onnxruntime
import pytest
from django.db import IntegrityError, transaction
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from accounts import actors
from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models import converting, evaluating, foreign
from backends.runners.fake import FakeRun, FakeRunner
from common import clock
from compute.endpoint_queries import open_model
from compute.models import Endpoint, Job
from compute.services import endpoints, lifecycle
from compute.states import ENDED
from registry.models import Build, BuildFile, BuildMark, Repo, RepoBlob
from registry.services import garbage, quarantine, scans, storage
from tests.factories.accounts import make_token, make_user
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

FRAME = load_wine(as_frame=True).frame
NUMBERS = FRAME.drop(columns="target").to_numpy(np.float32, copy=True)
PROGRAMS = {"convert-onnx": converting, "evaluate": evaluating}
NET = "repos/model/alice/net"
SYSTEM = actors.system("tests")


def play(run: FakeRun) -> int:
    """The program of the recipe, as `launching` runs it."""
    folder = JobFolder(run.spec.workdir)
    try:
        PROGRAMS[folder.recipe].run(folder)
    except Refused as refusal:
        folder.refuse(str(refusal), equivalence=refusal.equivalence)
        return 2
    return 0


@pytest.fixture(autouse=True)
def runner(monkeypatch) -> None:
    fake = FakeRunner(play)
    for module in ("compute.services.lifecycle", "compute.queries"):
        monkeypatch.setattr(f"{module}.job_runner", lambda: fake)


def fitted() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(NUMBERS, FRAME["target"])


@pytest.fixture
def alice(client) -> Caller:
    """She has published the model and the table it was trained on."""
    caller = Caller(client, make_token(make_user("alice")))
    pickle = io.BytesIO()
    joblib.dump(fitted(), pickle)
    for kind, name, files in (
        ("model", "net", {"model.joblib": pickle.getvalue()}),
        ("dataset", "rows", {"rows.csv": FRAME.to_csv(index=False).encode()}),
    ):
        done(caller.call("POST", "repos", {"kind": kind, "namespace": "alice", "name": name, "visibility": "public"}))
        operations = [
            {"op": "add", "path": path, "content": base64.b64encode(content).decode()}
            for path, content in files.items()
        ]
        address = f"repos/{kind}/alice/{name}"
        done(caller.call("POST", f"{address}/commits", {"summary": "Files", "operations": operations}))
        done(caller.call("POST", f"{address}/versions", {"name": "1.0"}))
    return caller


def done(answer, status: int = 201):
    assert answer.status_code == status, answer.content
    return answer.json() if answer.content else None


def version_of(caller: Caller, address: str) -> str:
    return done(caller.call("GET", f"{address}/versions/1.0"), 200)["uuid"]


def submitted(caller: Caller, recipe: str = "convert-onnx", parameters: dict | None = None, **more):
    inputs = {"model": version_of(caller, NET), "data": version_of(caller, "repos/dataset/alice/rows")}
    parameters = {"target": "target"} if parameters is None else parameters
    asked = {"namespace": "alice", "recipe": recipe, "parameters": parameters, "inputs": inputs, **more}
    return caller.call("POST", "jobs", asked)


def ended(caller: Caller, uuid: str) -> dict:
    job = Job.objects.get(uuid=uuid)
    for _ in range(5000):
        job.refresh_from_db()
        if job.state in ENDED:
            return done(caller.call("GET", f"jobs/{uuid}"), 200)
        lifecycle.advance(job.pk)
    raise AssertionError(job.state)


@pytest.fixture
def built(alice) -> dict:
    """The ONNX build of the version."""
    job = ended(alice, done(submitted(alice))["uuid"])
    assert (job["state"], job["version"], job["target"]) == ("succeeded", None, None), job["problem"]
    (build,) = done(alice.call("GET", f"{NET}/versions/1.0/builds"), 200)["items"]
    assert build["uuid"] == job["build"]
    return build


def test_a_version_of_scikit_learn_is_served_from_its_build(alice, built, client) -> None:
    before = done(alice.call("GET", f"{NET}/versions/1.0"), 200)
    report = built["equivalence"]
    assert (report["real_rows"], report["label_agreement"], report["is_equivalent"]) == (178, 1.0, True)
    assert report["max_absolute_difference"] <= report["tolerance"] == 1e-4
    assert report["max_relative_difference"] > 0
    assert (report["dataset"], built["format"], built["program"]) == ("alice/rows@1.0", "onnx", "convert-onnx")
    (file,) = built["files"]
    line = f"{file['sha256']}  model.onnx\n".encode()
    assert (built["sha256"], built["size_bytes"]) == (hashlib.sha256(line).hexdigest(), file["size_bytes"])

    address = f"{NET}/versions/1.0/builds/{built['uuid']}"
    assert done(alice.call("GET", address), 200) == built
    answer = alice.call("GET", f"{address}/files/model.onnx")
    graph = b"".join(answer.streaming_content)
    assert hashlib.sha256(graph).hexdigest() == file["sha256"]
    said = onnxruntime.InferenceSession(graph).run(None, {"features": NUMBERS})[0]
    np.testing.assert_allclose(said, fitted().predict_proba(NUMBERS), atol=1e-4)
    part = alice.call("GET", f"{address}/files/model.onnx", Range="bytes=4-9")
    assert (part.status_code, b"".join(part.streaming_content)) == (206, graph[4:10])
    assert alice.call("GET", f"{address}/files/other").status_code == 404

    # the version itself names no graph; its build is chosen
    asked = {"namespace": "alice", "name": "wine", "version": before["uuid"]}
    refused = done(alice.call("POST", "endpoints", asked), 400)
    assert f"deploy its ONNX build {built['uuid']}" in refused["detail"]
    done(alice.call("POST", "endpoints", asked | {"build": built["uuid"]}))
    row = Endpoint.objects.get()
    assert row.next_signature["outputs"][0]["classes"] == ["0", "1", "2"]
    scans.scan_repo(Repo.objects.get(name="net").pk)
    with open_model(row.next_version_uuid, row.next_build_uuid, row.next_digest) as reader:
        assert b"".join(reader) == graph
    assert endpoints.report_loaded(SYSTEM, row.uuid, row.next_digest, inputs=[], outputs=[])
    assert done(alice.call("GET", "endpoints/alice/wine"), 200)["build"] == built["uuid"]

    # a job that asks a graph is given the build
    job = ended(alice, done(submitted(alice, "evaluate", {"target": "target"}))["uuid"])
    assert (job["state"], job["inputs"]["model"]["build_uuid"]) == ("succeeded", built["uuid"]), job["problem"]
    assert job["result"]["metrics"]["accuracy"]["n"] == 178

    graph_of = done(alice.call("GET", f"lineage/version/{before['uuid']}?direction=down"), 200)
    titles = {node["kind"]: node["title"] for node in graph_of["nodes"]}
    assert titles["build"] == "alice/net 1.0, onnx build"
    assert {"version", "build", "endpoint", "job"} <= set(titles)
    bom = done(alice.call("GET", f"{NET}/versions/1.0/bom"), 200)
    told = {each["name"]: each["value"] for each in bom["metadata"]["component"]["properties"]}
    assert told[f"mercato:build:{built['uuid']}:sha256"] == built["sha256"]
    # nothing was said of the version itself
    assert done(alice.call("GET", f"{NET}/versions/1.0"), 200) == before | {"scans": before["scans"]}
    assert done(alice.call("GET", f"{NET}/versions"), 200)["items"][0]["file_count"] == before["file_count"]


def test_a_build_is_kept_while_its_repository_is_there_and_goes_with_it(alice, built) -> None:
    blob = BuildFile.objects.get().blob
    # what the job has kept of its own is not what holds a build
    Job.objects.all().update(build=None)
    for attempt in Job.objects.get().attempts.all():
        attempt.artifacts.all().delete()
    for days in (2, 60):
        with clock.travel(timedelta(days=days)):
            garbage.collect(may_erase_many=True)
    assert storage.exists(blob)
    assert RepoBlob.objects.get(blob=blob).condemned_at is None
    done(alice.call("DELETE", NET), 204)
    for days in (61, 120, 180):
        with clock.travel(timedelta(days=days)):
            garbage.collect(may_erase_many=True)
    assert not storage.exists(blob)


def test_a_graph_that_answers_otherwise_is_refused_with_its_report(alice, client, monkeypatch) -> None:
    other = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(NUMBERS, FRAME["target"])
    honest = foreign.SklearnModel.to_graph
    monkeypatch.setattr(
        foreign.SklearnModel, "to_graph", lambda _, signature: honest(foreign.SklearnModel(other), signature)
    )
    job = ended(alice, done(submitted(alice))["uuid"])
    report = job["result"]["equivalence"]
    assert (job["state"], report["is_equivalent"], report["real_rows"]) == ("failed", False, 178)
    assert report["max_difference"] > report["tolerance"]
    assert "differs from the trained one" in job["problem"]
    # a program that says yes all the same is not believed
    monkeypatch.setattr(converting.equivalence, "require_equivalent", lambda report: None)
    job = ended(alice, done(submitted(alice))["uuid"])
    assert (job["state"], "so it was refused" in job["problem"]) == ("failed", True)
    assert job["result"]["equivalence"]["is_equivalent"] is False
    assert Build.objects.count() == 0
    client.force_login(Job.objects.first().created_by)
    page = client.get(f"/jobs/{job['uuid']}").content.decode()
    for sentence in ("Compared with the original", "178 inputs of alice/rows@1.0", "differs"):
        assert sentence in page


def test_a_build_is_withdrawn_and_brought_back(alice, built, client) -> None:
    page = f"/alice/net/versions/1.0/builds/{built['uuid']}"
    client.force_login(Job.objects.first().created_by)
    shown = client.get("/alice/net/versions/1.0").content.decode()
    for sentence in ("Builds", "equivalent", "178 inputs of alice/rows@1.0", f"{built['uuid']}/files/model.onnx"):
        assert sentence in shown
    offered = client.get(f"/endpoints/new?version={built['version']}&build={built['uuid']}").content.decode()
    assert f'value="{built["version"]}/{built["uuid"]}" selected' in offered
    assert client.post(f"{page}/withdrawal", {"reason": " "}).status_code == 302
    assert BuildMark.objects.count() == 0
    for _ in range(2):
        assert client.post(f"{page}/withdrawal", {"reason": "A <b>fault</b>."}).status_code == 302
    client.logout()
    shown = client.get("/alice/net/versions/1.0").content.decode()
    assert ("A &lt;b&gt;fault&lt;/b&gt;." in shown, "Bring it back" in shown) == (True, False)
    address = f"{NET}/versions/1.0/builds/{built['uuid']}"
    assert done(alice.call("GET", address), 200)["withdrawal"]["reason"] == "A <b>fault</b>."
    fetched = alice.call("GET", f"{address}/files/model.onnx")
    assert (fetched.status_code, len(b"".join(fetched.streaming_content)) > 0) == (200, True)
    asked = {"namespace": "alice", "name": "wine", "version": built["version"], "build": built["uuid"]}
    assert done(alice.call("POST", "endpoints", asked), 409)["code"] == "build_withdrawn"
    for _ in range(2):
        assert done(alice.call("DELETE", f"{address}/withdrawal"), 200)["withdrawal"] is None
    assert [mark.kind for mark in BuildMark.objects.order_by("pk")] == ["withdrawn", "restored"]
    eve = Caller(client, make_token(make_user("eve")))
    assert eve.call("PUT", f"{address}/withdrawal", {"reason": "Mine."}).status_code == 403
    for change in ({"format": "openvino"}, {"version": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Build.objects.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        BuildFile.objects.all().delete()


def test_a_build_under_quarantine_is_not_handed_out(alice, built) -> None:
    quarantine.block_digest(SYSTEM, built["files"][0]["sha256"], "a worm")
    address = f"{NET}/versions/1.0/builds/{built['uuid']}"
    assert done(alice.call("GET", f"{address}/files/model.onnx"), 403)["code"] == "quarantined"
    asked = {"namespace": "alice", "name": "wine", "version": built["version"], "build": built["uuid"]}
    assert done(alice.call("POST", "endpoints", asked), 403)["code"] == "quarantined"
    assert "has no model.onnx" in ended(alice, done(submitted(alice, "evaluate"))["uuid"])["problem"]
    job = ended(alice, done(submitted(alice))["uuid"])
    assert "is known to be malware" in job["problem"]


def test_what_cannot_be_built_is_refused_before_it_begins(alice, client) -> None:
    refused = done(submitted(alice, target={"kind": "model", "name": "other"}), 400)
    assert "leave the target out" in refused["detail"]
    assert done(submitted(alice, version_name="2.0"), 400)["fields"] == {"version_name": "no target"}
    eve = Caller(client, make_token(make_user("eve")))
    refused = done(submitted(eve, namespace="eve"), 403)
    assert "only who may write to alice/net can add one" in refused["detail"]
    assert Job.objects.count() == 0


def test_withdrawn_versions_are_no_inputs_and_deprecated_ones_are_noted(alice, client) -> None:
    done(alice.call("PUT", f"{NET}/versions/1.0/deprecation", {"message": "Use the next."}), 200)
    job = done(alice.call("GET", f"jobs/{done(submitted(alice))['uuid']}"), 200)
    assert "alice/net@1.0 is deprecated: Use the next." in [event["text"] for event in job["events"]]
    done(alice.call("PUT", f"{NET}/versions/1.0/yank", {"reason": "A leak."}), 200)
    refused = done(submitted(alice), 400)
    assert refused["fields"] == {"model": "alice/net@1.0 was withdrawn (A leak.): take another version."}
    client.force_login(Job.objects.get().created_by)
    assert "alice/net 1.0" not in client.get("/jobs/new/evaluate").content.decode()
    # it was queued before: nothing is added to a withdrawn version
    ended_job = ended(alice, job["uuid"])
    assert (ended_job["state"], "can't be converted" in ended_job["problem"]) == ("failed", True)
    assert done(alice.call("POST", f"jobs/{job['uuid']}/retries"), 409)["code"] == "version_yanked"
