"""The pages of versions: what they say, and what can be done on them."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from django.core.files.uploadedfile import SimpleUploadedFile

from registry.models import Measurement, SigningKey, VersionAlias, VersionMark
from registry.queries import latest_version, version_named
from registry.services import environments, measurements, signing

pytestmark = pytest.mark.django_db

PAGE = "/datasets/shop/wine/versions/1.1"


def text_of(browser, path: str) -> str:
    return browser.get(path).content.decode()


def test_a_version_from_alias_to_withdrawal(world, browser) -> None:
    browser.force_login(world.shop.user)
    assert browser.post(f"{PAGE}/aliases", {"name": "champion"}).url == PAGE
    assert "champion" in text_of(browser, "/datasets/shop/wine/versions")
    assert browser.get("/datasets/shop/wine/versions/champion").status_code == 200
    refused = browser.post(f"{PAGE}/withdrawal", {"reason": "A leak."})
    assert (refused.status_code, "move it to another version first" in refused.content.decode()) == (400, True)
    assert browser.post(f"{PAGE}/aliases/removal", {"name": "champion"}).url == PAGE
    body = {"message": "Mislabelled <b>rows</b>.", "successor": "1.0", "due_on": "2027-03-01"}
    assert browser.post(f"{PAGE}/deprecation", body).url == PAGE
    assert browser.post(f"{PAGE}/withdrawal", {"reason": "A leak."}).url == PAGE
    browser.logout()
    page = text_of(browser, PAGE)
    for sentence in ("A leak.", "Mislabelled &lt;b&gt;rows&lt;/b&gt;.", "stop using it by 1 March 2027", "Take 1.0"):
        assert sentence in page
    assert "Point it here" not in page
    assert latest_version(world.dataset).name == "1.0"
    browser.force_login(world.shop.user)
    for deed in ("deprecation", "withdrawal"):
        assert browser.post(f"{PAGE}/{deed}/removal").url == PAGE
    assert latest_version(world.dataset).name == "1.1"
    assert [mark.kind for mark in VersionMark.objects.order_by("pk")] == [
        "deprecated", "yanked", "supported", "restored",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("deed", "body", "sentence"),
    [
        ("aliases", {"name": "main"}, "is a branch or a tag already"),
        ("aliases", {"name": "9 lives"}, "An alias is a word like champion"),
        ("deprecation", {"message": ""}, "This field is required"),
        ("withdrawal", {"reason": " "}, "This field is required"),
    ],
)
def test_what_is_refused_stands_at_its_field_and_changes_nothing(world, browser, deed, body, sentence) -> None:
    browser.force_login(world.shop.user)
    answer = browser.post(f"{PAGE}/{deed}", body)
    assert (answer.status_code, sentence in answer.content.decode()) == (400, True)
    assert (VersionAlias.objects.count(), VersionMark.objects.count()) == (0, 0)


def test_what_was_measured_and_signed_is_shown(world, browser) -> None:
    version = version_named(world.dataset, "1.1")
    hardware = {"batch_size": 8, "p50_ms": 1.5, "p99_ms": 4.25, "throughput_per_s": 300, "memory_bytes": 1_000_000}
    add = measurements.add_measurement
    add(world.shop.actor, version, kind="hardware", name="a small machine", values=hardware)
    add(world.shop.actor, version, kind="metric", name="late_metric", values={"value": 0.5, "low": 0.4, "high": 0.6})
    assert "Not signed yet" in text_of(browser, PAGE)
    signing.sign_version(version.pk)
    page = text_of(browser, PAGE)
    for sentence in (
        "a small machine",
        "4.25 ms",
        "300 / s",
        "late metric",
        "verify_version.py",
        "model_signing verify key",
    ):
        assert sentence in page
    assert b"late metric" in b"".join(browser.get(f"{PAGE}/metrics.csv").streaming_content)
    key = signing.signature_of(version, "ed25519").key
    assert f"/api/v1/namespaces/shop/keys/{key.key_id}.pem" in page


def test_a_name_that_is_none_is_answered_with_one_that_would_do(world, browser) -> None:
    browser.force_login(world.shop.user)
    answer = browser.post("/datasets/shop/wine/versions", {"revision": "main", "name": "final 3"})
    assert (answer.status_code, "3.0.0" in answer.content.decode()) == (400, True)


def test_what_is_measured_later_is_added_and_withdrawn_on_the_page(world, browser) -> None:
    browser.force_login(world.shop.user)
    empty = text_of(browser, PAGE)
    assert "Being looked for" in empty
    half = {"metric": "f1", "value": "0.9", "low": "0.8"}
    refused = browser.post(f"{PAGE}/metrics", half)
    assert (refused.status_code, "needs both ends" in refused.content.decode()) == (400, True)
    nothing = browser.post(f"{PAGE}/hardware", {"hardware": "a laptop"})
    assert (nothing.status_code, "Nothing was measured on a laptop" in nothing.content.decode()) == (400, True)
    assert not Measurement.objects.exists()
    whole = half | {"high": "0.95", "n": "120", "dataset": "shop/wine@1.0", "split": "test", "source": "report <12>"}
    assert browser.post(f"{PAGE}/metrics", whole).url == f"{PAGE}#measured"
    given = {"hardware": "a laptop", "batch_size": "8", "p50_ms": "3", "memory_mb": "12.5", "runtime": "onnxruntime"}
    assert browser.post(f"{PAGE}/hardware", given).url == f"{PAGE}#measured"
    page = text_of(browser, PAGE)
    for sentence in ("report &lt;12&gt;", "shop/wine@1.0, test", "12.5 MB", "onnxruntime", "3 ms"):
        assert sentence in page
    metric = Measurement.objects.get(kind="metric")
    assert metric.values["dataset_version"] == str(version_named(world.dataset, "1.0").uuid)
    where = f"{PAGE}/measurements/{metric.uuid}/withdrawal"
    assert browser.post(where, {"reason": ""}).status_code == 400
    assert browser.post(where, {"reason": "Wrong rows."}).url == f"{PAGE}#measured"
    page = text_of(browser, PAGE)
    assert "1 withdrawn entry" in page
    assert "Wrong rows." in page
    assert b"f1" not in b"".join(browser.get(f"{PAGE}/metrics.csv").streaming_content)
    environments.read_environment(version_named(world.dataset, "1.1").pk)
    assert "pip freeze" in text_of(browser, PAGE)
    browser.logout()
    assert "No environment lock" in text_of(browser, f"{PAGE}/environment")
    assert "Add a metric" not in text_of(browser, PAGE)


def test_keys_are_kept_on_a_page_of_their_own_and_signatures_handed_in(world, browser) -> None:
    browser.force_login(world.shop.user)
    version = version_named(world.dataset, "1.1")
    private = ed25519.Ed25519PrivateKey.generate()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    own, keys = "/account/keys", "/organizations/shop/keys"
    assert "No key yet" in text_of(browser, own)
    assert browser.post(keys, {"name": "safe", "public_key": pem}).url == keys
    again = browser.post(keys, {"name": "safe", "public_key": pem})
    assert (again.status_code, "has this key already" in again.content.decode()) == (400, True)
    statement = signing.statement_of(version)
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": signing.PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(private.sign(signing.pae(statement))).decode()}],
    }
    bundle = json.dumps({"verificationMaterial": {"publicKey": {}}, "dsseEnvelope": envelope}).encode()
    refused = browser.post(f"{PAGE}/signatures", {"bundle": SimpleUploadedFile("version.sig", b"{}")})
    assert (refused.status_code, "no signature of OpenSSF" in refused.content.decode()) == (400, True)
    taken = browser.post(f"{PAGE}/signatures", {"bundle": SimpleUploadedFile("version.sig", bundle)})
    assert taken.url == f"{PAGE}#signatures"
    key = SigningKey.objects.get(is_external=True)
    page = text_of(browser, PAGE)
    assert f"signature?key={key.key_id}" in page
    assert ">good</span>" in page
    assert '1<span class="soft"> version</span>' in text_of(browser, keys)
    assert browser.post(f"{keys}/{key.key_id}/revocation", {"reason": ""}).status_code == 400
    assert browser.post(f"{keys}/{key.key_id}/revocation", {"reason": "Lost <it>."}).url == keys
    assert "Lost &lt;it&gt;." in text_of(browser, keys)
    assert "after this signature: Lost &lt;it&gt;." in text_of(browser, PAGE)
    assert browser.post(f"{keys}/rotation").url == keys
    assert SigningKey.objects.filter(is_external=False).count() == 2
