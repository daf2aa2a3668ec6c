"""Profiles and comparisons of datasets for programs: 202 until the sandbox has looked, then the whole."""

import hashlib

import pytest

from registry.services.versions import publish_version
from tests.factories.accounts import make_token
from tests.factories.market import make_person
from tests.factories.registry import add, commit, make_repo
from tests.support.archives import zipped
from work.loops import run_due

BASE = "/api/v1/repos/dataset/ada/people"


@pytest.fixture
def repo(db):
    person = make_person("ada")
    repo = make_repo(person.actor, "people", visibility="public")
    commit(person.actor, repo, add("a.csv", "id,x\n1,2\n2,3\n"), add("data-rules.yaml", "rules: [{column: x, max: 2}]"))
    publish_version(person.actor, repo, "main", name="1.0")
    commit(person.actor, repo, add("a.csv", "id,x\n1,2\n2,4\n3,5\n"))
    return repo


def test_profile_is_made_on_demand_with_its_validation(repo, client):
    waiting = client.get(f"{BASE}/profile?revision=main")
    assert (waiting.status_code, waiting.json()["state"], waiting.json()["profile"]) == (202, "waiting", None)
    run_due()
    found = client.get(f"{BASE}/profile?revision=main")
    assert (found.status_code, found.json()["state"], found.json()["keeps_rules"]) == (200, "ready", False)
    assert found.json()["profile"]["tables"][0]["rows"] == 3
    assert found.json()["profile"]["validation"][0]["examples"] == ["row 2: 4", "row 3: 5"]
    assert found.json()["profile"]["coverage"]["files"] >= 2


def test_comparison_is_made_on_demand(repo, client):
    address = f"{BASE}/comparison?left=1.0&right=main&key=id"
    assert client.get(address).status_code == 202
    run_due()
    table = client.get(address).json()["comparison"]["tables"][0]
    assert (table["added"], table["removed"], table["changed"]) == (1, 0, 1)
    assert table["changed_rows"] == [{"key": ["2"], "cells": [["x", "3", "4"]]}]


def test_what_cannot_be_asked_is_refused(repo, client):
    missing = client.get(f"{BASE}/comparison?left=1.0")
    assert (missing.status_code, missing.json()["fields"]) == (400, {"right": "missing"})
    assert client.get(f"{BASE}/comparison?left=1.0&right=nope").status_code == 404
    model = make_repo(make_person("bob").actor, "net", kind="model", visibility="public")
    assert client.get(f"/api/v1/repos/model/bob/{model.name}/profile").status_code == 400


def test_derivation_is_asked_for_and_followed(repo, client):
    token = make_token(repo.namespace.user)
    as_ada = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    body = {"source_version": "1.0", "name": "2.0", "recipe": {"where": [{"column": "id", "is": ">", "value": 1}]}}
    assert client.post(f"{BASE}/derivations", body, content_type="application/json").status_code == 401
    made = client.post(f"{BASE}/derivations", body, content_type="application/json", **as_ada)
    assert (made.status_code, made.json()["state"]) == (201, "waiting")
    run_due()
    done = client.get(f"{BASE}/derivations/{made.json()['uuid']}", **as_ada).json()
    assert (done["state"], done["problem"]) == ("done", "")
    assert client.get(f"{BASE}/versions/2.0").status_code == 200
    wrong = client.post(
        f"{BASE}/derivations",
        {**body, "name": "3.0", "recipe": {"eval": "1"}},
        content_type="application/json",
        **as_ada,
    )
    assert wrong.status_code == 400
    assert "`eval` is not known" in wrong.json()["fields"]["recipe"]


def test_an_archive_that_was_uploaded_is_unpacked(repo, client):
    as_ada = {"HTTP_AUTHORIZATION": f"Bearer {make_token(repo.namespace.user)}"}
    packed = zipped([("in/b.csv", b"id\n1\n")])
    digest = hashlib.sha256(packed).hexdigest()
    body = {"source": "archive", "archive": digest, "folder": "new"}
    asked = {"path": f"{BASE}/preparations", "data": body, "content_type": "application/json", **as_ada}
    missing = client.post(**asked)
    assert (missing.status_code, missing.json()["detail"][:28]) == (404, "This repository has been giv")
    announced = {"sha256": digest, "size_bytes": len(packed)}
    upload = client.post(f"{BASE}/uploads", announced, content_type="application/json", **as_ada).json()
    assert client.put(upload["href"], packed, content_type="application/octet-stream", **as_ada).status_code == 204
    made = client.post(**asked)
    assert (made.status_code, made.json()["state"]) == (201, "waiting")
    run_due()
    done = client.get(f"{BASE}/preparations/{made.json()['uuid']}", **as_ada).json()
    assert (done["state"], done["problem"], done["file_count"]) == ("done", "", 1)
    assert client.get("/datasets/ada/people/resolve/main/new/in/b.csv").getvalue() == b"id\n1\n"
