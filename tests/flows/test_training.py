"""From real data to a model that answers, and back again: dataset, version, job, version, endpoint, call, lineage."""

import csv
import json
import secrets
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import urllib3
from huggingface_hub import HfApi
from sklearn.datasets import load_breast_cancer

from tests.support.api import Person
from tests.support.inference import eventually
from tests.support.site import LiveSite

FEATURES = 6
ROWS = 240
CARD = (
    "---\nlicense: cc-by-4.0\n---\n# Cell nuclei\nA part of the Breast Cancer Wisconsin (Diagnostic) data that ships with "
    "scikit-learn: six of thirty measurements.\n"
)


def table() -> tuple[bytes, list[list[float]], list[str]]:
    """The rows as CSV, as numbers, and their diagnoses."""
    found = load_breast_cancer()
    numbers = [[float(value) for value in row[:FEATURES]] for row in found.data[:ROWS]]
    answers = [str(found.target_names[number]) for number in found.target[:ROWS]]
    text = StringIO()
    lines = csv.writer(text)
    lines.writerow([*(name.replace(" ", "_") for name in found.feature_names[:FEATURES]), "diagnosis"])
    lines.writerows([*row, answer] for row, answer in zip(numbers, answers, strict=True))
    return text.getvalue().encode(), numbers, answers


@pytest.fixture
def ada(live_site: LiveSite) -> Person:
    return Person(live_site, live_site.user(f"ada-{secrets.token_hex(3)}"))


@pytest.fixture
def stranger(live_site: LiveSite) -> Person:
    return Person(live_site, live_site.user(f"eve-{secrets.token_hex(3)}"))


def published_data(ada: Person, folder: Path, content: bytes) -> dict[str, Any]:
    hub = HfApi(endpoint=ada.site.url, token=ada.token)
    repo = f"{ada.name}/cells"
    hub.create_repo(repo, repo_type="dataset", private=True)
    (folder / "README.md").write_text(CARD)
    (folder / "cells.csv").write_bytes(content)
    hub.upload_folder(repo_id=repo, repo_type="dataset", folder_path=folder, commit_message="The table")
    return ada.post(f"repos/dataset/{repo}/versions", {"name": "1.0"})


def trained(ada: Person, dataset: dict[str, Any]) -> dict[str, Any]:
    """The job, when it has ended."""
    asked = {
        "namespace": ada.name,
        "recipe": "tabular-train",
        "parameters": {"target": "diagnosis", "learner": "linear"},
        "inputs": {"data": dataset["uuid"]},
        "target": {"kind": "model", "name": "cell-model"},
        "version_name": "1.0.0",
    }
    job = ada.post("jobs", asked, key="train")
    assert ada.post("jobs", asked, key="train")["uuid"] == job["uuid"]

    def ended() -> dict[str, Any] | None:
        now = ada.get(f"jobs/{job['uuid']}")
        return now if now["state"] in {"succeeded", "failed", "cancelled"} else None

    return eventually(ended, limit_s=120, what="the job ends")


def answer(ada: Person, endpoint: dict[str, Any], rows: list[list[float]]) -> list[str]:
    """The classes that the endpoint gives to rows, asked with nothing but its address and signature."""
    [given] = endpoint["signature"]["inputs"]
    scores = next(output for output in endpoint["signature"]["outputs"] if output.get("role") == "probabilities")
    body = {
        "inputs": [
            {"name": given["name"], "datatype": given["datatype"], "shape": [len(rows), FEATURES], "data": rows}
        ],
        "outputs": [{"name": scores["name"]}],
    }
    # the inference process learns what the site knows within a second; until then it asks to try again
    patience = urllib3.Retry(total=5, status_forcelist=[503], allowed_methods=None)
    with urllib3.PoolManager(timeout=60, retries=patience) as pool:
        got = pool.request("POST", endpoint["infer_url"], body=json.dumps(body).encode(), headers=ada.bearer)
    assert got.status == 200, got.data
    [output] = json.loads(got.data)["outputs"]
    classes = scores["classes"]
    assert output["shape"] == [len(rows), len(classes)]
    width = len(classes)
    each = [output["data"][start : start + width] for start in range(0, len(output["data"]), width)]
    return [classes[max(range(width), key=row.__getitem__)] for row in each]


def edges_of(graph: dict[str, Any]) -> set[tuple[str, str, str]]:
    uuids = {node["key"]: node["uuid"] for node in graph["nodes"]}
    return {(uuids[edge["source"]], edge["relation"], uuids[edge["target"]]) for edge in graph["edges"]}


def test_a_table_becomes_a_model_that_answers_and_knows_where_it_comes_from(ada, stranger, tmp_path) -> None:
    content, numbers, diagnoses = table()
    dataset = published_data(ada, tmp_path, content)
    job = trained(ada, dataset)
    assert (job["state"], job["problem"], job["fraction"]) == ("succeeded", "", 1.0), ada.get(f"jobs/{job['uuid']}/log")
    assert job["cpu_s"] > 0
    assert "model.onnx" in {artifact["path"] for artifact in job["artifacts"]}

    [version] = ada.get(f"repos/model/{ada.name}/cell-model/versions")["items"]
    assert (version["uuid"], version["name"]) == (job["version"], "1.0.0")
    accuracy = version["metrics"]["accuracy"]
    assert (accuracy["n"], accuracy["dataset"], accuracy["split"]) == (48, f"{ada.name}/cells@1.0", "test")
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["value"] >= 0.85
    [given] = version["signature"]["inputs"]
    assert (given["datatype"], given["shape"]) == ("FP32", [-1, FEATURES])

    ada.post("endpoints", {"namespace": ada.name, "name": "cells", "version": version["uuid"]})

    def ready() -> dict[str, Any] | None:
        now = ada.get(f"endpoints/{ada.name}/cells")
        assert now["state"] in {"deploying", "ready"}, now["problem"]
        return now if now["state"] == "ready" else None

    endpoint = eventually(ready, what="the endpoint is ready")
    said = answer(ada, endpoint, numbers)
    right = sum(got == true for got, true in zip(said, diagnoses, strict=True))
    assert right >= 0.85 * ROWS

    place = f"lineage/version/{dataset['uuid']}?direction=down"
    down = ada.get(place)
    expected = {
        (dataset["uuid"], "input", job["uuid"]),
        (job["uuid"], "output", version["uuid"]),
        (version["uuid"], "deployed", endpoint["uuid"]),
    }
    assert edges_of(down) == expected
    assert {node["kind"] for node in down["nodes"]} == {"version", "job", "endpoint"}
    assert (down["private_count"], down["is_cut"]) == (0, False)
    assert edges_of(ada.get(f"lineage/endpoint/{endpoint['uuid']}?direction=up")) >= expected
    assert edges_of(ada.get(f"lineage/endpoint/{endpoint['uuid']}?direction=down")) == set()
    assert stranger.ask("GET", place)[0] == 404
