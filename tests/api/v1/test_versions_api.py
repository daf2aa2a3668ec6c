"""Versions through the first-party API: facts, aliases, deprecation, withdrawal, signatures, bills of materials."""

import base64
import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from django.db import IntegrityError, transaction
from mlcroissant import Dataset

from registry.models import (
    AliasMove,
    Measurement,
    MeasurementWithdrawal,
    SigningKey,
    Version,
    VersionMark,
    VersionSignature,
)
from registry.services.facts import refresh_facts
from tests.factories.accounts import make_token, make_user
from tests.support.api import Caller
from work.loops import run_due

pytestmark = pytest.mark.django_db

CARD = "---\nlicense: mit\ndatasets: [alice/rows]\ntags: [cells]\n---\n# Net\n"


@pytest.fixture
def alice(client) -> Caller:
    return Caller(client, make_token(make_user("alice")))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def make(caller: Caller, kind: str = "model", name: str = "net", files: dict[str, str] | None = None) -> str:
    caller.call("POST", "repos", {"kind": kind, "namespace": "alice", "name": name, "visibility": "public"})
    address = f"repos/{kind}/alice/{name}"
    put(caller, address, files or {"README.md": CARD, "model.bin": "weights", "src/a b.py": "x = 1\n"})
    return address


def put(caller: Caller, address: str, files: dict[str, str]) -> str:
    operations = [{"op": "add", "path": path, "content": b64(text)} for path, text in files.items()]
    made = caller.call("POST", f"{address}/commits", {"summary": "Files", "operations": operations})
    assert made.status_code == 201, made.content
    return made.json()["oid"]


def release(caller: Caller, address: str, name: str, **more: object) -> dict:
    made = caller.call("POST", f"{address}/versions", {"name": name, **more})
    assert made.status_code == 201, made.content
    return made.json()


@pytest.fixture
def net(alice) -> str:
    return make(alice)


def test_the_newest_version_is_the_greatest_by_name(alice, net) -> None:
    for name in ("1.9.0", "1.10.0", "1.2.0", "2.0.0-rc.1"):
        release(alice, net, name)
    assert alice.call("GET", f"{net}/versions/latest").json()["name"] == "1.10.0"
    again = alice.call("POST", f"{net}/versions", {"name": "v1.2"})
    assert (again.status_code, again.json()["code"]) == (409, "version_exists")
    assert "1.2.0" in again.json()["detail"]
    refused = alice.call("POST", f"{net}/versions", {"name": "my release 3"})
    assert (refused.status_code, "3.0.0" in refused.json()["detail"]) == (400, True)
    assert Version.objects.count() == 4


def test_a_release_keeps_what_was_said_of_it(alice, net) -> None:
    metric = {"value": 0.9, "low": 0.85, "high": 0.95, "n": 100, "dataset": "alice/rows@1.0", "split": "test"}
    hardware = [{"name": "a100", "values": {"batch_size": 8, "p50_ms": 1.5, "p99_ms": 4, "memory_bytes": 10**9}}]
    made = release(
        alice, net, "1.0.0", notes="First.", intended_use="Cells only.", metrics={"f1": metric}, hardware=hardware,
        environment={"python": "3.11", "packages": {"torch": "2.13.0"}},
    )  # fmt: skip
    assert (made["licence"], made["intended_use"], made["metrics"]) == ("mit", "Cells only.", {"f1": metric})
    put(alice, net, {"README.md": CARD.replace("mit", "gpl-3.0")})
    assert alice.call("GET", f"{net}/versions/1.0.0").json()["licence"] == "mit"
    [measured] = alice.call("GET", f"{net}/versions/1.0.0/measurements").json()
    assert (measured["kind"], measured["name"], measured["values"]) == ("hardware", "a100", hardware[0]["values"])
    with pytest.raises(IntegrityError), transaction.atomic():
        Version.objects.update(licence="gpl")
    with pytest.raises(IntegrityError), transaction.atomic():
        Measurement.objects.all().delete()


def test_measurements_are_added_and_data_is_pinned(alice, net) -> None:
    release(alice, net, "1.0.0")
    rows = make(alice, "dataset", "rows", {"a.csv": "a\n1\n"})
    data = release(alice, rows, "1.0.0")
    oid = put(alice, rows, {"a.csv": "a\n2\n"})
    address = f"{net}/versions/1.0.0/measurements"

    def measure(dataset: str, **headers: str):
        values = {"value": 0.8, "low": 0.7, "high": 0.9, "dataset": dataset}
        return alice.call("POST", address, {"kind": "metric", "name": "f1", "values": values}, **headers)

    by_version = measure("alice/rows@1.0.0", **{"Idempotency-Key": "once"})
    assert by_version.json()["values"]["dataset_version"] == data["uuid"]
    assert measure("alice/rows@1.0.0", **{"Idempotency-Key": "once"}).json() == by_version.json()
    assert measure("alice/rows@main").json()["values"]["dataset"] == f"alice/rows@{oid}"
    assert measure("alice/none@1").status_code == 404
    bad = [
        ("metric", {"value": "high"}),
        ("metric", {"value": 1, "low": 0.5}),
        ("metric", {"value": 1, "low": 2, "high": 1}),
        ("metric", {"value": 1, "colour": "red"}),
        ("hardware", {"p50_ms": 9, "p99_ms": 1}),
        ("hardware", {"p50_ms": -1}),
        ("hardware", {"batch_size": 1}),
        ("hardware", {"memory_bytes": 1.5}),
    ]
    for kind, values in bad:
        answer = alice.call("POST", address, {"kind": kind, "name": "x", "values": values})
        assert answer.status_code == 400, values
    assert Measurement.objects.count() == 2


def test_an_alias_moves_and_its_history_stays(alice, net, client) -> None:
    first = release(alice, net, "1.0.0")
    put(alice, net, {"model.bin": "better"})
    release(alice, net, "1.1.0")
    for version in ("1.0.0", "1.0.0", "1.1.0"):
        assert alice.call("PUT", f"{net}/aliases/champion", {"version": version}).json()["version"] == version
    moves = alice.call("GET", f"{net}/aliases").json()["moves"]
    assert [(move["version"], move["before"]) for move in moves] == [("1.1.0", "1.0.0"), ("1.0.0", None)]
    assert alice.call("GET", f"{net}/versions/champion").json()["aliases"] == ["champion"]
    read = alice.call("GET", f"{net}/file?path=model.bin&revision=champion")
    assert b"".join(read.streaming_content) == b"better"
    # the Hugging Face protocol knows it too
    assert client.get("/alice/net/resolve/champion/model.bin").getvalue() == b"better"
    assert client.get("/api/models/alice/net/revision/champion").json()["sha"] != first["commit"]
    assert alice.call("DELETE", f"{net}/aliases/champion").status_code == 204
    assert client.get("/alice/net/resolve/champion/model.bin").status_code == 404
    assert AliasMove.objects.filter(version=None).count() == 1


def test_aliases_branches_and_tags_keep_out_of_each_others_way(alice, net) -> None:
    release(alice, net, "1.0.0")
    alice.call("POST", f"{net}/branches", {"name": "dev"})
    alice.call("POST", f"{net}/tags", {"name": "gold", "revision": "main"})
    for name, status in {
        "main": 409,
        "dev": 409,
        "gold": 409,
        "latest": 400,
        "v1": 400,
        "Caps": 400,
        "abcdef": 400,
    }.items():
        assert alice.call("PUT", f"{net}/aliases/{name}", {"version": "1.0.0"}).status_code == status, name
    assert alice.call("PUT", f"{net}/aliases/champion", {"version": "1.0.0"}).status_code == 200
    assert alice.call("POST", f"{net}/branches", {"name": "champion"}).status_code == 409
    assert alice.call("POST", f"{net}/tags", {"name": "champion", "revision": "main"}).status_code == 409


def test_a_deprecated_version_says_so_wherever_it_is_met(alice, net, client) -> None:
    for name in ("1.0.0", "2.0.0"):
        release(alice, net, name)
    body = {"message": "Wrong labels in class 7.", "successor": "2.0.0", "due_on": "2027-03-01"}
    told = alice.call("PUT", f"{net}/versions/1.0.0/deprecation", body).json()["deprecation"]
    assert (told["message"], told["successor"], told["due_on"]) == tuple(body.values())
    alice.call("PUT", f"{net}/versions/1.0.0/deprecation", body)
    assert VersionMark.objects.count() == 1
    for answer in (
        client.get("/alice/net/resolve/1.0.0/model.bin"),
        alice.call("GET", f"{net}/file?path=model.bin&revision=1.0.0"),
    ):
        assert b"".join(answer.streaming_content) == b"weights"
        assert answer["Deprecation"].startswith("@")
        assert answer["Sunset"] == "Mon, 01 Mar 2027 23:59:59 GMT"
        assert answer["Link"].endswith('/alice/net/versions/2.0.0>; rel="successor-version"')
        assert "Wrong labels in class 7." in answer["X-Version-Notice"]
    assert "Deprecation" not in client.head("/alice/net/resolve/2.0.0/model.bin")
    assert alice.call("PUT", f"{net}/versions/1.0.0/deprecation", body | {"successor": "1.0.0"}).status_code == 400
    assert alice.call("DELETE", f"{net}/versions/1.0.0/deprecation").json()["deprecation"] is None


def test_a_withdrawn_version_is_fetched_by_name_and_nothing_else(alice, net, client) -> None:
    for name in ("1.0.0", "2.0.0"):
        release(alice, net, name)
    alice.call("PUT", f"{net}/aliases/champion", {"version": "2.0.0"})
    refused = alice.call("PUT", f"{net}/versions/2.0.0/yank", {"reason": "Leaks a name."})
    assert (refused.status_code, refused.json()["code"]) == (409, "alias_in_the_way")
    alice.call("PUT", f"{net}/aliases/champion", {"version": "1.0.0"})
    assert alice.call("PUT", f"{net}/versions/2.0.0/yank", {"reason": " "}).status_code == 400
    assert alice.call("PUT", f"{net}/versions/2.0.0/yank", {"reason": "Leaks a name."}).json()["yank"]["reason"]
    assert alice.call("GET", f"{net}/versions/latest").json()["name"] == "1.0.0"
    moved = alice.call("PUT", f"{net}/aliases/champion", {"version": "2.0.0"})
    assert (moved.status_code, moved.json()["code"]) == (409, "version_yanked")
    named = client.get("/alice/net/resolve/2.0.0/model.bin")
    assert (named.getvalue(), "Leaks a name." in named["X-Version-Notice"]) == (b"weights", True)
    assert alice.call("DELETE", f"{net}/versions/2.0.0/yank").json()["yank"] is None
    assert alice.call("GET", f"{net}/versions/latest").json()["name"] == "2.0.0"


def test_nobody_else_may_say_anything_of_a_version(alice, net, client) -> None:
    release(alice, net, "1.0.0")
    mallory = Caller(client, make_token(make_user("mallory")))
    attempts = [
        ("PUT", f"{net}/aliases/champion", {"version": "1.0.0"}),
        ("PUT", f"{net}/versions/1.0.0/deprecation", {"message": "x"}),
        ("PUT", f"{net}/versions/1.0.0/yank", {"reason": "x"}),
        ("POST", f"{net}/versions/1.0.0/measurements", {"kind": "metric", "name": "f1", "values": {"value": 1}}),
        ("POST", "namespaces/alice/keys", {"name": "x", "public_key": "x"}),
        ("POST", "namespaces/alice/keys/rotation", {}),
        ("POST", f"{net}/versions/1.0.0/signatures", {}),
    ]
    assert [mallory.call(*attempt).status_code for attempt in attempts] == [403] * 7
    assert (VersionMark.objects.count(), AliasMove.objects.count(), Measurement.objects.count()) == (0, 0, 0)
    assert SigningKey.objects.count() == 0


def test_keys_are_rotated_and_revoked(alice, net, client) -> None:
    release(alice, net, "1.0.0")
    run_due()
    public = Caller(client)
    old = {key["algorithm"]: key for key in public.call("GET", "namespaces/alice/keys").json()["keys"]}
    assert set(old) == {"ed25519", "ecdsa-p256"}
    pem = client.get(old["ed25519"]["href"])
    assert pem.content.decode() == old["ed25519"]["public_pem"]
    bundle = public.call("GET", f"{net}/versions/1.0.0/signature").json()
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == old["ed25519"]["key_id"]
    new = {key["algorithm"]: key for key in alice.call("POST", "namespaces/alice/keys/rotation", {}).json()["keys"]}
    assert not {key["key_id"] for key in old.values()} & {key["key_id"] for key in new.values()}
    # what was signed with a retired key stays good
    assert public.call("GET", f"{net}/versions/1.0.0/signature").json() == bundle
    assert SigningKey.objects.exclude(retired_at=None).exclude(sealed_private="").count() == 0
    key_id = old["ed25519"]["key_id"]
    assert alice.call("PUT", f"namespaces/alice/keys/{key_id}/revocation", {"reason": ""}).status_code == 400
    revoked = alice.call("PUT", f"namespaces/alice/keys/{key_id}/revocation", {"reason": "Laptop lost."}).json()
    assert revoked["revoked_at"] is not None
    # what came before the revocation stays good, and says so; the version is signed anew with the next key
    assert public.call("GET", f"{net}/versions/1.0.0/signature").json() == bundle
    said = {
        each["key_id"]: each for each in public.call("GET", f"{net}/versions/1.0.0/signatures").json()["signatures"]
    }
    assert (said[key_id]["is_good"], said[key_id]["key_revocation_reason"]) == (True, "Laptop lost.")
    run_due()
    again = public.call("GET", f"{net}/versions/1.0.0/signature").json()
    assert again["verificationMaterial"]["publicKey"]["hint"] == new["ed25519"]["key_id"]
    assert VersionSignature.objects.filter(key__algorithm="ed25519").count() == 2
    assert "PRIVATE" not in json.dumps(list(SigningKey.objects.values("sealed_private", "public_pem")))


def test_the_bill_of_materials_is_what_the_standard_asks_for(alice, net) -> None:
    metrics = {"f1": {"value": 0.9, "low": 0.85, "high": 0.95, "dataset": "alice/rows@1.0", "split": "test"}}
    signature = {"task": "classification", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    made = release(
        alice, net, "1.0.0", metrics=metrics, signature=signature, intended_use="Cells only.",
        environment={"python": "3.11", "packages": {"torch": "2.13.0"}},
    )  # fmt: skip
    alice.call(
        "POST", f"{net}/versions/1.0.0/measurements", {"kind": "hardware", "name": "a100", "values": {"p50_ms": 1.5}}
    )
    answer = alice.call("GET", f"{net}/versions/1.0.0/bom")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(answer.content.decode()) is None
    component = answer.json()["metadata"]["component"]
    assert (component["type"], component["version"]) == ("machine-learning-model", "1.0.0")
    assert component["licenses"] == [{"license": {"id": "MIT"}}]
    assert component["purl"].startswith(f"pkg:huggingface/alice/net@{made['commit']}")
    card = component["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"] == [
        {
            "type": "f1",
            "value": "0.9",
            "slice": "alice/rows@1.0, test",
            "confidenceInterval": {"lowerBound": "0.85", "upperBound": "0.95"},
        }
    ]
    assert card["considerations"] == {"useCases": ["Cells only."]}
    assert {each["name"] for each in component["components"]} == {
        ".gitattributes", "README.md", "model.bin", "src/a b.py",
    }  # fmt: skip
    assert alice.call("GET", f"{net}/versions/1.0.0/croissant").status_code == 400


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # of the validator's own parser
def test_a_dataset_is_described_in_croissant(alice, tmp_path) -> None:
    table = {
        "name": "rows",
        "file": "rows.csv",
        "fields": [{"name": "a", "type": "int64"}, {"name": "b", "type": "string"}],
    }
    rows = make(alice, "dataset", "rows", {"README.md": "---\nlicense: cc-by-4.0\n---\n", "rows.csv": "a,b\n1,x\n"})
    release(alice, rows, "1.2", signature={"tables": [table]})
    answer = alice.call("GET", f"{rows}/versions/1.2/croissant")
    assert answer["Content-Type"] == "application/ld+json"
    file = tmp_path / "croissant.json"
    file.write_bytes(answer.content)
    data = Dataset(jsonld=file)
    assert not data.metadata.ctx.issues.errors
    assert not data.metadata.ctx.issues.warnings
    said = answer.json()
    required = {"name", "description", "license", "url", "creator", "datePublished", "distribution"}
    assert required <= set(said)
    assert (said["version"], said["license"]) == ("1.2.0", "https://spdx.org/licenses/CC-BY-4.0.html")
    assert [each["dataType"] for each in said["recordSet"][0]["field"]] == ["sc:Integer", "sc:Text"]
    bom = alice.call("GET", f"{rows}/versions/1.2/bom").content.decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None


def test_our_own_documents_are_read_when_they_come_back(alice, net) -> None:
    """What one site exports, another takes in."""
    release(alice, net, "1.0.0", intended_use="Cells only.")
    bom = alice.call("GET", f"{net}/versions/1.0.0/bom").content.decode()
    copy = make(alice, "model", "copy", {"bom.json": bom, "model.bin": "weights"})
    made = release(alice, copy, "1.0.0")
    assert (made["licence"], made["intended_use"]) == ("mit", "Cells only.")
    table = {"name": "rows", "file": "rows.csv", "fields": [{"name": "a", "type": "int64"}]}
    rows = make(alice, "dataset", "rows", {"README.md": "---\nlicense: mit\n---\n", "rows.csv": "a\n1\n"})
    release(alice, rows, "1", signature={"tables": [table]})
    croissant = alice.call("GET", f"{rows}/versions/1/croissant").content.decode()
    second = make(alice, "dataset", "second", {"croissant.json": croissant, "rows.csv": "a\n1\n"})
    made = release(alice, second, "1")
    assert made["licence"] == "mit"
    assert made["signature"]["tables"][0]["fields"] == [{"name": "a", "type": "sc:Integer", "description": "a"}]
    version = Version.objects.get(repo__name="second")
    refresh_facts(version.repo_id)
    told = alice.call("GET", second).json()
    assert (told["licence"], told["description"]) == ("mit", "The dataset alice/rows.")


def test_a_wrong_measurement_is_withdrawn_by_an_entry_of_its_own(alice, net, client) -> None:
    release(alice, net, "1.0.0")
    address = f"{net}/versions/1.0.0"
    given = {"kind": "metric", "name": "zest", "values": {"value": 9.1, "source": "report 12"}}
    made = alice.call("POST", f"{address}/measurements", given).json()
    assert (made["withdrawal"], made["values"]["source"]) == (None, "report 12")
    where = f"{address}/measurements/{made['uuid']}/withdrawal"
    before = alice.call("GET", f"{address}/bom").json()
    assert alice.call("PUT", where, {"reason": " "}).status_code == 400
    for reason in ("A digit too many.", "Another."):
        answer = alice.call("PUT", where, {"reason": reason})
        assert (answer.status_code, answer.json()["withdrawal"]["reason"]) == (200, "A digit too many.")
    assert alice.call("GET", f"{address}/measurements").json()[0]["withdrawal"]["author"] == "alice"
    after = alice.call("GET", f"{address}/bom").json()
    assert after["version"] == before["version"] + 1
    assert "zest" in json.dumps(before)
    assert "zest" not in json.dumps(after)
    with pytest.raises(IntegrityError), transaction.atomic():
        MeasurementWithdrawal.objects.all().delete()


def test_the_packages_of_the_environment_lock_are_told(alice, client) -> None:
    lock = "numpy==2.4.6 --hash=sha256:00\nScikit_Learn>=1.9\n-r more.txt\n"
    net = make(alice, files={"README.md": CARD, "requirements.txt": lock, "conda.yaml": "dependencies: []"})
    release(alice, net, "1.0.0")
    address = f"{net}/versions/1.0.0"
    assert alice.call("GET", f"{address}/environment").json()["is_pending"] is True
    run_due()
    found = Caller(client).call("GET", f"{address}/environment").json()
    assert (found["path"], found["is_locked"], found["package_count"]) == ("requirements.txt", False, 2)
    assert found["packages"] == [
        {"name": "numpy", "version": "2.4.6", "wanted": "", "ecosystem": "pypi", "has_hash": True},
        {"name": "scikit-learn", "version": "", "wanted": ">=1.9", "ecosystem": "pypi", "has_hash": False},
    ]
    assert (found["others"], "more.txt" in found["notes"][0]) == (["conda.yaml"], True)
    bom = client.get(f"/api/v1/{address}/bom").content.decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bom) is None
    assert [each.get("purl") for each in json.loads(bom)["components"]] == [
        "pkg:pypi/numpy@2.4.6", "pkg:pypi/scikit-learn",
    ]  # fmt: skip
    page = client.get("/alice/net/versions/1.0.0").content.decode()
    assert "not locked" in page
    assert "scikit-learn &gt;=1.9" in page
    asked = client.get("/alice/net/versions/1.0.0/environment?q=NUM").content.decode()
    assert ("2.4.6" in asked, "scikit-learn</code>" in asked) == (True, False)
    # the next version differs in one package, and the comparison says in which
    put(alice, net, {"requirements.txt": lock.replace("2.4.6", "2.5.0")})
    release(alice, net, "1.1.0")
    run_due()
    rows = client.get("/api/v1/compare?v=alice/net@1.0.0&v=alice/net@1.1.0").json()
    group = next(each for each in rows["groups"] if each["key"] == "packages")
    assert [row["title"] for row in group["rows"]] == ["environment lock", "packages", "numpy"]
