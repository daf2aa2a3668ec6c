"""The Open Inference Protocol, spoken by the unmodified Triton client and by hand, to a real process."""

import base64
import gzip
import json
import zlib
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException
from urllib3.exceptions import HTTPError

from accounts.models import Namespace
from accounts.permissions import Role
from common.errors import Invalid
from compute.endpoint_states import EndpointVisibility
from compute.models import Endpoint
from compute.services import endpoints
from metering.models import UsageRecord
from tests.factories.endpoints import (
    again,
    make_endpoint,
    make_model,
    make_organization,
    make_person,
    make_token,
    sell_calls,
)
from tests.support import onnx_models
from tests.support.databases import restore_after_transactional_test
from tests.support.inference import Inference, eventually

pytestmark = pytest.mark.django_db(transaction=True)

ROW = [0.1] * 30
X = np.random.default_rng(7).random((4, 30), dtype="f4")


def call(rows=1, **more) -> bytes:
    data = ROW * rows
    document = {"inputs": [{"name": "x", "shape": [rows, 30], "datatype": "FP32", "data": data}], **more}
    return json.dumps(document).encode()


@pytest.fixture(scope="module")
def site(django_db_setup, django_db_blocker, tmp_path_factory):
    """Organisation `labs` of alice (bob is a plain member, dora a publisher) with some endpoints; carol is a stranger; erin
    one who buys."""
    inference = Inference(tmp_path_factory.mktemp("inference"), {"INFERENCE_MEMORY_BYTES": str(64 * 1024**2)})
    with django_db_blocker.unblock():
        with inference.content():
            people = {name: make_person(name) for name in ("alice", "bob", "carol", "dora", "erin")}
            make_organization(people["alice"], "Labs", bob=Role.MEMBER, dora=Role.PUBLISHER)
            alice = again(people["alice"])
            made = {
                name: make_endpoint(alice, name, raw, namespace="labs")
                for name, raw in {
                    "Tumour": onnx_models.mlp(),
                    "digits": onnx_models.cnn(),
                    "echo": onnx_models.echo(),
                    "heavy": onnx_models.heavy(),
                    "mixing": onnx_models.mixing(),
                    "picking": onnx_models.picking(),
                    "dividing": onnx_models.dividing(),
                }.items()
            }
            endpoints.change_visibility(alice, made["digits"], EndpointVisibility.PUBLIC)
            texts = {name: make_token(again(actor)) for name, actor in people.items()}
        try:
            inference.start()
            for endpoint in made.values():
                inference.await_serving(endpoint.slug, texts["alice"])
            yield SimpleNamespace(
                inference=inference,
                actors={**people, "alice": alice},
                tokens=texts,
                endpoints=made,
                token=texts["alice"],
            )
        finally:
            inference.end()
            restore_after_transactional_test(None)


@pytest.fixture
def _django_db_helper(site, django_db_blocker):
    """In place of the plugin's own: the database lives as long as the site, and is put back after it."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(params=["labs-tumour", "labs/Tumour"], ids=["flat", "own base path"])
def client(site, request):
    """A Triton client, and the model's name for it."""
    url, model = site.inference.url, request.param
    if "/" in model:
        url, model = f"{url}/serve/labs/Tumour", "Tumour"
    opened = triton.InferenceServerClient(url)
    yield SimpleNamespace(client=opened, model=model, headers={"Authorization": f"Bearer {site.tokens['alice']}"})
    opened.close()


def asked(*, binary: bool) -> list[triton.InferInput]:
    given = triton.InferInput("x", list(X.shape), "FP32")
    given.set_data_from_numpy(X, binary_data=binary)
    return [given]


EXPECTED = ort.InferenceSession(onnx_models.mlp()).run(None, {"x": X})[0]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("outputs", [None, True, False])
def test_triton_gets_the_answer_of_bare_onnxruntime(client, binary_in, outputs):
    wanted = None if outputs is None else [triton.InferRequestedOutput("probabilities", binary_data=outputs)]
    result = client.client.infer(
        client.model,
        asked(binary=binary_in),
        outputs=wanted,
        headers=client.headers,
        request_id="call-1",
        timeout=5_000_000,
    )
    np.testing.assert_allclose(result.as_numpy("probabilities"), EXPECTED, rtol=1e-5, atol=1e-6)
    reply = result.get_response()
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("call-1", client.model, "1")


def test_triton_reads_health_metadata_readiness_and_the_index(site, client):
    assert client.client.is_server_live()
    assert client.client.is_server_ready()
    assert client.client.is_model_ready(client.model, headers=client.headers)
    assert client.client.is_model_ready(client.model, "1", headers=client.headers)
    assert not client.client.is_model_ready(client.model)
    assert client.client.get_server_metadata()["extensions"] == [
        "binary_tensor_data", "model_repository", "statistics",
    ]  # fmt: skip
    assert client.client.get_model_metadata(client.model, headers=client.headers) == {
        "name": client.model,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 30]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]}],
    }
    index = client.client.get_model_repository_index(headers=client.headers)
    states = {each["name"]: each["state"] for each in index}
    if client.model == "labs-tumour":
        ours = {each.slug for each in site.endpoints.values()}
        assert {states.get(slug) for slug in ours} == {"READY"}  # other tests deploy more, not all of them well
    else:
        assert states == {"labs-tumour": "READY"}


def test_triton_sends_and_asks_for_compressed_bodies(client):
    for algorithm in ("gzip", "deflate"):
        result = client.client.infer(
            client.model, asked(binary=True), headers=client.headers,
            request_compression_algorithm=algorithm, response_compression_algorithm=algorithm,
        )  # fmt: skip
        np.testing.assert_allclose(result.as_numpy("probabilities"), EXPECTED, rtol=1e-5, atol=1e-6)


def test_a_long_answer_is_compressed_when_asked_for(site):
    body = call(400)
    plain = site.inference.request("POST", "/v2/models/labs-tumour/infer", body, token=site.token)
    packed = site.inference.request(
        "POST", "/v2/models/labs-tumour/infer", body, token=site.token, accept_encoding="gzip"
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.data == plain.data


def test_triton_shows_our_words_for_every_refusal(site, client):
    given = triton.InferInput("wrong", [1, 30], "FP32")
    given.set_data_from_numpy(np.zeros((1, 30), "f4"))
    with pytest.raises(InferenceServerException, match="no input 'wrong'") as refused:
        client.client.infer(client.model, [given], headers=client.headers)
    assert refused.value.status() == "400"
    with pytest.raises(InferenceServerException, match="access token is not valid") as refused:
        client.client.infer(client.model, asked(binary=True), headers={"Authorization": "Bearer mto_nonsense"})
    assert refused.value.status() == "401"
    with pytest.raises(InferenceServerException, match="no such model") as refused:
        client.client.infer("absent", asked(binary=True), headers=client.headers)
    assert refused.value.status() == "404"
    with pytest.raises(InferenceServerException, match="serves no version 9"):
        client.client.infer(client.model, asked(binary=True), model_version="9", headers=client.headers)


@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_goes_there_and_back(site, binary):
    random = np.random.default_rng(1)
    arrays = {
        "bool": np.array([[True, False]]),
        "bytes": np.array([["", "Grüße"]], dtype=object),
        "fp16": np.array([[0.5, -2]], dtype="f2"),
        "fp32": random.random((1, 2), dtype="f4"),
        "fp64": random.random((1, 2)),
        **{
            f"{sign}int{bits}": np.array([[np.iinfo(f"{sign}int{bits}").min, np.iinfo(f"{sign}int{bits}").max]], dtype=f"{sign}int{bits}")
            for sign in ("", "u") for bits in (8, 16, 32, 64)
        },
    }  # fmt: skip
    names = {"bytes": "BYTES", "bool": "BOOL"}
    inputs = []
    for name, array in arrays.items():
        given = triton.InferInput(f"{name}_in", [1, 2], names.get(name, name.upper()))
        # the client writes half floats as raw bytes only
        given.set_data_from_numpy(array, binary_data=binary or name == "fp16")
        inputs.append(given)
    outputs = [triton.InferRequestedOutput(f"{name}_out", binary_data=binary) for name in arrays]
    with triton.InferenceServerClient(site.inference.url) as client:
        result = client.infer("labs-echo", inputs, outputs=outputs, headers={"Authorization": f"Bearer {site.token}"})
        for name, array in arrays.items():
            answer = result.as_numpy(f"{name}_out")
            if name == "bytes" and binary:
                answer = np.array([[text.decode() for text in row] for row in answer], dtype=object)
            np.testing.assert_array_equal(answer, array, err_msg=name)


def test_a_token_may_be_the_password_of_basic_authentication(site):
    basic = "Basic " + base64.b64encode(f"anyone:{site.token}".encode()).decode()
    for header, status in ((basic, 200), ("Basic !!", 401), ("Basic bm9jb2xvbg==", 401), ("Digest x", 401)):
        answer = site.inference.request("POST", "/v2/models/labs-tumour/infer", call(), authorization=header)
        assert answer.status == status


@pytest.mark.parametrize(
    ("who", "endpoint", "status"),
    [
        ("alice", "labs-tumour", 200),
        ("dora", "labs-tumour", 200),
        ("bob", "labs-tumour", 404),
        ("carol", "labs-tumour", 404),
        ("carol", "labs-digits", 403),
        ("", "labs-tumour", 401),
        ("", "absent", 401),
    ],
)
def test_who_may_call(site, who, endpoint, status):
    body = call()
    if endpoint == "labs-digits":
        body = json.dumps({"inputs": []}).encode()
    token = site.tokens[who] if who else ""
    answer = site.inference.request("POST", f"/v2/models/{endpoint}/infer", body, token=token)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    if status != 200:
        assert set(json.loads(answer.data)) == {"error"}
    if who in {"bob", "carol"}:
        assert not UsageRecord.objects.filter(payer=Namespace.objects.get(name=who).uuid).exists()


def test_a_token_works_from_the_moment_it_is_made(site):
    for _ in range(5):
        token = make_token(again(site.actors["alice"]))
        assert site.inference.request("POST", "/v2/models/labs-tumour/infer", call(), token=token).status == 200


def test_a_call_is_recorded_with_its_request_id_and_payer(site):
    answer = site.inference.request("POST", "/v2/models/labs-tumour/infer", call(), token=site.tokens["dora"])
    row = eventually(lambda: UsageRecord.objects.filter(source_id=answer.headers["x-request-id"]).first(), limit_s=20)
    labs = Namespace.objects.get(name="Labs")
    assert (row.meter, row.source, row.quantity) == ("inference_calls", "inference", 1)
    assert (row.payer, row.subject, row.budget_id) == (labs.uuid, site.endpoints["Tumour"].uuid, None)


def test_an_organisation_wide_endpoint_opens_to_plain_members(site):
    path = "/v2/models/labs-heavy/infer"
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 512], "datatype": "FP32", "data": [0.0] * 512}]}).encode()
    assert site.inference.request("POST", path, body, token=site.tokens["bob"]).status == 404
    with site.inference.content():
        endpoints.change_visibility(site.actors["alice"], site.endpoints["heavy"], EndpointVisibility.ORGANIZATION)
    eventually(lambda: site.inference.request("POST", path, body, token=site.tokens["bob"]).status == 200, limit_s=5)
    assert site.inference.request("POST", path, body, token=site.tokens["carol"]).status == 404


def test_a_token_without_the_scope_or_for_another_namespace_is_refused(site):
    with site.inference.content():
        narrow = make_token(site.actors["alice"], "repo:read")
        elsewhere = make_token(site.actors["alice"], namespace_ids=[site.actors["alice"].namespace_id])
        good = make_token(site.actors["alice"])
    path = "/v2/models/labs-tumour/infer"
    eventually(lambda: site.inference.request("POST", path, call(), token=good).status == 200, limit_s=5)
    for token in (narrow, elsewhere):
        assert site.inference.request("POST", path, call(), token=token).status == 404


def test_slow_models_are_answered_apart_and_each_caller_gets_the_own_rows(site):
    def answers(rows: np.ndarray, model: str, width: int) -> np.ndarray:
        with triton.InferenceServerClient(site.inference.url, concurrency=16) as client:
            pending = []
            for row in rows:
                given = triton.InferInput("x", [1, width], "FP32")
                given.set_data_from_numpy(row.reshape(1, width))
                pending.append(client.async_infer(model, [given], headers={"Authorization": f"Bearer {site.token}"}))
            return np.concatenate([each.get_result().as_numpy("y") for each in pending])

    rows = np.random.default_rng(2).random((64, 512), dtype="f4")
    np.testing.assert_allclose(answers(rows, "labs-heavy", 512), rows, rtol=1e-6)
    # rows of this model depend on each other: alone, each is its own mean
    np.testing.assert_array_equal(answers(rows[:16, :4], "labs-mixing", 4), np.zeros((16, 4), "f4"))


def test_an_input_the_model_cannot_compute_is_the_callers_error(site):
    def picked(index: int):
        body = {
            "inputs": [
                {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
                {"name": "rows", "shape": [1], "datatype": "INT64", "data": [index]},
            ]
        }
        return site.inference.request(
            "POST", "/v2/models/labs-picking/infer", json.dumps(body).encode(), token=site.token
        )

    assert picked(0).json()["outputs"][0]["data"] == [1.0, 2.0, 3.0]
    refused = picked(5)
    assert (refused.status, refused.json()) == (400, {"error": "The model cannot compute an answer for this input."})


def test_what_json_cannot_carry_is_refused_and_raw_bytes_carry_it(site):
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [0.0]}]}
    path = "/v2/models/labs-dividing/infer"
    refused = site.inference.request("POST", path, json.dumps(body).encode(), token=site.token)
    assert refused.status == 400
    assert "binary_data" in refused.json()["error"]
    body["parameters"] = {"binary_data_output": True}
    given = site.inference.request("POST", path, json.dumps(body).encode(), token=site.token)
    length = int(given.headers["inference-header-content-length"])
    assert np.frombuffer(given.data[length:], "<f4").tolist() == [np.inf]


HOSTILE = [
    (b"", {}, 400),
    (b"{}", {}, 400),
    (b"[" * 5_000_000, {}, 400),
    (b'{"inputs": [{"name": "x", "shape": [1, 30], "datatype": "FP32", "data": [NaN]}]}', {}, 400),
    (call().replace(b"[1, 30]", b"[1000000000, 30]"), {}, 400),
    (call().replace(b"[1, 30]", b"[-1, 30]"), {}, 400),
    (call(), {"inference_header_content_length": "99999999"}, 400),
    (call(), {"inference_header_content_length": "-5"}, 400),
    (call(), {"inference_header_content_length": "1"}, 400),
    (call(outputs=[{"name": "probabilities"}] * 2), {}, 400),
    (call(), {"content_encoding": "br"}, 400),
    (call(), {"content_encoding": "gzip"}, 400),
    (gzip.compress(call())[:-8], {"content_encoding": "gzip"}, 400),
    (gzip.compress(b"\x00" * 200_000_000, 9), {"content_encoding": "gzip"}, 413),
    (zlib.compress(b"\x00" * 200_000_000, 9), {"content_encoding": "deflate"}, 413),
    (b"x" * (65 * 1024**2), {}, 413),
]


@pytest.mark.parametrize(("body", "headers", "status"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_get_a_clear_refusal(site, body, headers, status):
    try:
        answer = site.inference.request("POST", "/v2/models/labs-tumour/infer", body, token=site.token, **headers)
    except HTTPError:  # the server need not read all of what it refuses
        assert status == 413
    else:
        assert answer.status == status
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error"}
    assert site.inference.request("POST", "/v2/models/labs-tumour/infer", call(), token=site.token).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/", 200),
        ("GET", "/v2", 200),
        ("GET", "/health", 200),
        ("GET", "/v2/models//infer", 404),
        ("GET", "/v2/models/labs-tumour/infer", 405),
        ("POST", "/v2/models/labs-tumour/ready", 405),
        ("DELETE", "/v2/models/labs-tumour", 405),
        ("POST", "/v2/repository/models/labs-tumour/load", 404),
        ("GET", "/v2/models/labs-tumour/config", 404),
        ("POST", "/v2/systemsharedmemory/region/r/register", 404),
        ("GET", "/serve/labs/Tumour/v2/health/ready", 200),
        ("GET", "/serve/nobody/nothing/v2/health/ready", 200),
        ("GET", "/serve/labs/v2", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_addresses_beside_the_calls(site, method, path, status):
    answer = site.inference.request(method, path, token=site.token)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"


def test_statistics_are_for_the_owner(site):
    path = "/v2/models/labs-tumour/stats"
    site.inference.request("POST", "/v2/models/labs-tumour/infer", call(3), token=site.token)
    first = site.inference.request("GET", path, token=site.token).json()["model_stats"][0]
    site.inference.request("POST", "/v2/models/labs-tumour/infer", call(3), token=site.token)
    second = site.inference.request("GET", path, token=site.token).json()["model_stats"][0]
    assert second["inference_count"] - first["inference_count"] == 3
    assert second["execution_count"] - first["execution_count"] == 1
    assert second["inference_stats"]["success"]["count"] - first["inference_stats"]["success"]["count"] == 1
    with site.inference.content():
        sell_calls(site.endpoints["Tumour"], Namespace.objects.get(name="erin"), None, key="stats")
    ready = "/v2/models/labs-tumour/ready"
    eventually(lambda: site.inference.request("GET", ready, token=site.tokens["erin"]).status == 200, limit_s=5)
    assert site.inference.request("GET", path, token=site.tokens["erin"]).status == 403
    assert site.inference.request("GET", "/v2/models/stats", token=site.tokens["erin"]).json() == {"model_stats": []}


def test_metrics_answer_this_machine_under_our_name_only(site):
    site.inference.request("POST", "/v2/models/labs-tumour/infer", call(), token=site.token)
    answer = site.inference.request("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b'nv_inference_request_success{model="labs-tumour",version="1"}' in answer.data
    assert site.inference.request("GET", "/metrics", host="rebound.example").status == 404
    assert site.inference.request("GET", "/metrics", x_forwarded_for="203.0.113.7").status == 404


def test_pages_of_our_own_site_may_call_from_the_browser(site):
    path = "/v2/models/labs-tumour/infer"
    ours = site.inference.request("OPTIONS", path, origin="http://127.0.0.1:8000")
    assert (ours.status, ours.headers["access-control-allow-origin"]) == (204, "http://127.0.0.1:8000")
    assert "authorization" in ours.headers["access-control-allow-headers"]
    answer = site.inference.request("POST", path, call(), token=site.token, origin="http://127.0.0.1:8000")
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:8000"
    theirs = site.inference.request("OPTIONS", path, origin="https://elsewhere.example")
    assert (theirs.status, "access-control-allow-origin" in theirs.headers) == (403, False)


def test_models_share_the_memory_they_may_have(site):
    """Twelve models of an estimated 4 MiB and more each, within 64 MiB with the others: all answer, not all are loaded."""
    with site.inference.content():
        made = [
            make_endpoint(site.actors["alice"], f"small-{n}", onnx_models.mlp(seed=n + 1), namespace="labs")
            for n in range(12)
        ]
    for endpoint in made:
        site.inference.await_serving(endpoint.slug, site.token)
    answers = set()
    for _ in range(2):
        for endpoint in made:
            answer = site.inference.request("POST", f"/v2/models/{endpoint.slug}/infer", call(), token=site.token)
            answers.add(tuple(answer.json()["outputs"][0]["data"]))
    assert len(answers) == 12
    lines = site.inference.request("GET", "/metrics").data.decode().splitlines()
    gauges = dict(line.split() for line in lines if line.startswith("mercato_"))
    assert float(gauges["mercato_inference_models_bytes"]) <= 64 * 1024**2
    assert float(gauges["mercato_inference_models_loaded"]) < 12 + 7


def test_a_file_that_scanning_does_not_prove_safe_is_not_deployed(site):
    raw = onnx_models.with_external_data()
    with site.inference.content(), pytest.raises(Invalid, match="could not prove"):
        make_endpoint(site.actors["alice"], "unproven", raw, namespace="labs")
    assert not Endpoint.objects.filter(name="unproven").exists()


def test_a_model_that_cannot_be_loaded_fails_and_says_why(site):
    with site.inference.content():
        endpoint = make_endpoint(site.actors["alice"], "words", b"not a model", namespace="labs")
    eventually(lambda: Endpoint.objects.get(pk=endpoint.pk).state == "failed", limit_s=20)
    assert Endpoint.objects.get(pk=endpoint.pk).problem == "The model cannot be served: this is not an ONNX model."
    path = "/v2/models/labs-words/infer"
    eventually(lambda: site.inference.request("POST", path, call(), token=site.token).status == 409, limit_s=5)


def test_an_update_takes_over_without_a_failed_call(site):
    path = "/v2/models/labs-rolling/infer"
    with site.inference.content():
        endpoint = make_endpoint(site.actors["alice"], "rolling", onnx_models.mlp(seed=50), namespace="labs")
        site.inference.await_serving(endpoint.slug, site.token)
        second = make_model(site.actors["alice"], "rolling", onnx_models.mlp(seed=51), namespace="labs", version="2")
        endpoints.update(site.actors["alice"], endpoint, second.uuid)
    versions = []

    def took_over() -> bool:
        answer = site.inference.request("POST", path, call(), token=site.token)
        assert answer.status == 200
        versions.append(answer.json()["model_version"])
        return versions[-1] == "2"

    eventually(took_over, limit_s=20)
    assert versions == ["1"] * (len(versions) - 1) + ["2"]
