"""Programs compare versions as people do, and give them an input."""

import base64
import io

import numpy as np
import pytest
from django.test import Client
from PIL import Image

from registry.services import storage
from registry.services.commits import AddFile, create_commit
from registry.services.repos import create_repo
from registry.services.versions import publish_version
from tests.factories.accounts import make_token
from tests.factories.graphs import linear_model
from tests.factories.market import make_company, make_person
from work.loops import run_due

QUERY = "v=shop/linear@1&v=shop/linear@2"
VERSIONS = ["shop/linear@1", "shop/linear@2"]
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2], "columns": ["age", "size"]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["cat", "dog"]}],
}


@pytest.fixture
def shop(db):
    shop = make_company("shop")
    repo = create_repo(shop.actor, "model", "shop", "linear", visibility="private")
    more = SIGNATURE | {"outputs": [*SIGNATURE["outputs"], {"name": "label", "datatype": "BYTES", "shape": [-1]}]}
    for name, weights, signature in (("1", [[0, 1], [0, 0]], SIGNATURE), ("2", [[0, -1], [0, 0]], more)):
        file = AddFile("model.onnx", storage.store_bytes(linear_model(weights, [0, 0])))
        create_commit(shop.actor, repo, "main", [file], summary=name)
        metrics = {"accuracy": {"value": 0.8 + int(name) / 10, "low": 0.7, "high": 1.0, "n": 50}}
        publish_version(shop.actor, repo, "main", name=name, signature=signature, metrics=metrics)
    return shop


@pytest.fixture
def api(shop):
    client = Client()
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {make_token(shop.user, '*')}"
    return client


def cells(found: dict, key: str) -> list[dict]:
    return next(row["cells"] for group in found["groups"] for row in group["rows"] if row["key"] == key)


def test_comparison_is_data(api):
    found = api.get(f"/api/v1/compare?{QUERY}").json()
    assert [side["ref"] for side in found["versions"]] == VERSIONS
    assert (found["base"], found["main_metric"]) == (VERSIONS[0], "accuracy")
    assert [side["compatibility"] for side in found["versions"]] == ["compatible", "compatible with additions"]
    assert found["versions"][1]["reasons"] == [{"text": "There is a new output, label.", "is_breaking": False}]
    second = cells(found, "metric:accuracy")[1]
    assert (second["value"], second["judgement"], second["extreme"]) == (1.0, "unclear", "best")
    assert second["difference"] == pytest.approx(0.1)
    assert found["verdict"]["confidence"] == "none"
    assert "is as good in accuracy within the measured intervals" in found["verdict"]["sentence"]
    moved = api.get(f"/api/v1/compare?{QUERY}&base={VERSIONS[1]}&only=changed").json()
    assert [side["compatibility"] for side in moved["versions"]] == ["breaking", "compatible"]
    assert all(any(cell["is_changed"] for cell in row["cells"]) for group in moved["groups"] for row in group["rows"])


def test_studies_are_asked_for_and_come(api):
    asked = api.post("/api/v1/compare/studies", {"versions": VERSIONS, "study": "weights"}, "application/json")
    assert (asked.status_code, asked.json()["versions"][1]["study"]["is_pending"]) == (202, True)
    api.post("/api/v1/compare/studies", {"versions": VERSIONS, "study": "speed"}, "application/json")
    run_due()
    found = api.get(f"/api/v1/compare?{QUERY}").json()
    assert found["versions"][1]["weights"]["content"]["total"]["relative"] == 2.0
    assert found["versions"][0]["speed"]["content"]["p50_s"] > 0
    assert cells(found, "weights:relative")[1]["value"] == 2.0


def test_an_input_is_answered_by_all(api):
    given = {"versions": VERSIONS, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [2, 0]}]}
    made = api.post("/api/v1/compare/trials", given, "application/json", headers={"Idempotency-Key": "one"})
    again = api.post("/api/v1/compare/trials", given, "application/json", headers={"Idempotency-Key": "one"})
    assert (made.status_code, again.json()["uuid"]) == (201, made.json()["uuid"])
    assert [each["is_pending"] for each in made.json()["versions"]] == [True, True]
    run_due()
    found = api.get(f"/api/v1/compare/trials/{made.json()['uuid']}?{QUERY}").json()
    values = [each["answer"]["outputs"][0]["values"][1] for each in found["versions"]]
    assert values == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])


def test_rows_and_pictures_are_inputs_too(api):
    rows = {"versions": VERSIONS, "columns": ["age", "size"], "rows": [["1", "2"], ["3", ""]]}
    assert api.post("/api/v1/compare/trials", rows, "application/json").json()["form"] == "rows"
    picture = io.BytesIO()
    Image.new("RGB", (2, 2)).save(picture, "PNG")
    body = {"versions": VERSIONS, "picture": base64.b64encode(picture.getvalue()).decode()}
    made = api.post("/api/v1/compare/trials", body, "application/json").json()
    run_due()
    found = api.get(f"/api/v1/compare/trials/{made['uuid']}?{QUERY}").json()
    assert found["versions"][0]["answer"]["problem"].startswith("It does not take pictures")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"versions": VERSIONS}, 400),
        ({"versions": VERSIONS, "picture": "!"}, 400),
        ({"versions": VERSIONS, "inputs": [], "rows": []}, 400),
        ({"versions": VERSIONS[:1], "inputs": [{}]}, 400),
        ({"versions": [*VERSIONS, "shop/none@1"], "inputs": [{}]}, 404),
    ],
)
def test_wrong_inputs_are_refused(api, body, status):
    assert api.post("/api/v1/compare/trials", body, "application/json").status_code == status


def test_strangers_see_and_start_nothing(shop, api):
    body = {"versions": VERSIONS, "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [2, 0]}]}
    uuid = api.post("/api/v1/compare/trials", body, "application/json").json()["uuid"]
    stranger = Client()
    stranger.defaults["HTTP_AUTHORIZATION"] = f"Bearer {make_token(make_person('sam').user, '*')}"
    assert stranger.get(f"/api/v1/compare?{QUERY}").status_code == 404
    assert stranger.get(f"/api/v1/compare/trials/{uuid}?{QUERY}").status_code == 404
    for path, given in (("trials", body), ("studies", {"versions": VERSIONS, "study": "speed"})):
        assert stranger.post(f"/api/v1/compare/{path}", given, "application/json").status_code == 404
        assert Client().post(f"/api/v1/compare/{path}", given, "application/json").status_code == 401
