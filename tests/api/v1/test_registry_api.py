"""The registry through the first-party API, with a token, as a script would use it."""

import base64
import hashlib

import pytest

from registry.models import Repo
from tests.factories.accounts import make_organization, make_token, make_user
from tests.support.api import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(client) -> Caller:
    return Caller(client, make_token(make_user("alice")))


@pytest.fixture
def repo(alice) -> str:
    made = alice.call("POST", "repos", {"kind": "dataset", "namespace": "alice", "name": "digits"})
    assert made.status_code == 201, made.content
    return "repos/dataset/alice/digits"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_dataset_from_creation_to_a_version(alice, repo) -> None:
    card = "---\nlicense: cc-by-4.0\npipeline_tag: image-classification\n---\n# Digits\n"
    made = alice.call("POST", f"{repo}/commits", {
        "summary": "First files",
        "operations": [
            {"op": "add", "path": "README.md", "content": b64(card)},
            {"op": "add", "path": "data/train.csv", "content": b64("a,b\n1,2\n")},
        ],
    })  # fmt: skip
    assert made.status_code == 201
    oid = made.json()["oid"]
    tree = alice.call("GET", f"{repo}/tree?recursive=1").json()["items"]
    assert [entry["path"] for entry in tree] == [".gitattributes", "README.md", "data", "data/train.csv"]
    assert b"".join(alice.call("GET", f"{repo}/file?path=data/train.csv").streaming_content) == b"a,b\n1,2\n"
    assert alice.call("GET", repo).json()["licence"] == "cc-by-4.0"
    published = alice.call("POST", f"{repo}/versions", {"name": "1.0.0", "notes": "First"})
    assert (published.status_code, published.json()["commit"], published.json()["verdict"]) == (201, oid, "unknown")
    assert alice.call("POST", f"{repo}/versions", {"name": "1.0.0"}).status_code == 409
    assert alice.call("GET", f"{repo}/versions").json()["items"][0]["name"] == "1.0.0"
    assert [ref["name"] for ref in alice.call("GET", f"{repo}/refs").json()["tags"]] == ["1.0.0"]
    assert alice.call("DELETE", f"{repo}/tags/1.0.0").status_code == 403


def test_a_large_file_goes_through_an_upload_and_must_be_what_was_announced(alice, repo) -> None:
    content = b"0123456789" * 1000
    digest = hashlib.sha256(content).hexdigest()
    upload = alice.call("POST", f"{repo}/uploads", {"sha256": digest, "size_bytes": len(content)}).json()
    place = upload["href"].split("/api/v1/")[1]
    raw = {"content_type": "application/octet-stream"}
    wrong = [content[:-1], content + b"x", b"x" * len(content)]
    assert [alice.call("PUT", place, body, **raw).status_code for body in wrong] == [400, 400, 400]
    operation = {"op": "add", "path": "big.bin", "sha256": digest}
    commit = {"summary": "Add", "operations": [operation]}
    assert alice.call("POST", f"{repo}/commits", commit).json()["code"] == "lfs_missing"
    assert alice.call("PUT", place, content, **raw).status_code == 204
    assert alice.call("POST", f"{repo}/commits", commit).status_code == 201
    assert alice.call("POST", f"{repo}/uploads", {"sha256": digest, "size_bytes": len(content)}).json()["href"] is None


def test_knowing_a_digest_gives_no_access(alice, repo, client) -> None:
    content = b"private bytes"
    digest = hashlib.sha256(content).hexdigest()
    alice.call(
        "POST",
        f"{repo}/commits",
        {"summary": "x", "operations": [{"op": "add", "path": "s", "content": b64(content.decode())}]},
    )
    mallory = Caller(client, make_token(make_user("mallory")))
    mallory.call("POST", "repos", {"kind": "dataset", "namespace": "mallory", "name": "thief"})
    announced = mallory.call(
        "POST", "repos/dataset/mallory/thief/uploads", {"sha256": digest, "size_bytes": len(content)}
    )
    assert announced.json()["href"] is not None
    stolen = mallory.call(
        "POST",
        "repos/dataset/mallory/thief/commits",
        {"summary": "x", "operations": [{"op": "add", "path": "s", "sha256": digest}]},
    )
    assert (stolen.status_code, stolen.json()["code"]) == (400, "lfs_missing")


def test_the_same_key_has_one_effect_and_one_answer(alice) -> None:
    body = {"kind": "model", "namespace": "alice", "name": "net"}
    first = alice.call("POST", "repos", body, **{"Idempotency-Key": "k1"})
    again = alice.call("POST", "repos", body, **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Repo.objects.count() == 1
    other = alice.call("POST", "repos", body | {"name": "other"}, **{"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["code"]) == (400, "idempotency_key_reused")
    assert alice.call("POST", "repos", body).status_code == 409
    assert Repo.objects.count() == 1


def test_errors_are_problems_that_name_the_field(alice, repo) -> None:
    answer = alice.call("POST", "repos", {"kind": "poem", "namespace": "alice"})
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (400, "invalid")
    assert set(problem["fields"]) == {"kind", "name"}
    unknown = alice.call("POST", "repos", {"kind": "model", "namespace": "alice", "name": "x", "owner": "bob"}).json()
    assert unknown["fields"] == {"owner": "unknown"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"kind": NaN}',
        "[" * 100_000,
        '{"name": "\\ud800"}',
        '{"a":1,"a":2}',
        '{"name": "a\\u0000"}',
        "9" * 40,
        b"\xff",
    ],
)
def test_malformed_bodies_are_refused_and_make_nothing(alice, body) -> None:
    answer = alice.call("POST", "repos", body)
    assert (answer.status_code, answer.json()["title"]) == (400, "Invalid")
    assert Repo.objects.count() == 0


@pytest.mark.parametrize("path", ["../../etc/passwd", "/abs", "a\\b", ".git/config", "a//b", "\x7f"])
def test_hostile_paths_make_no_commit(alice, repo, path) -> None:
    body = {"summary": "x", "operations": [{"op": "add", "path": path, "content": b64("x")}]}
    answer = alice.call("POST", f"{repo}/commits", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "path_not_allowed")
    assert len(alice.call("GET", f"{repo}/commits").json()["items"]) == 1


def test_a_stale_change_is_refused(alice, repo) -> None:
    tag = alice.call("GET", repo).headers["ETag"]
    assert alice.call("PATCH", repo, {"visibility": "public"}, **{"If-Match": tag}).status_code == 200
    late = alice.call("PATCH", repo, {"visibility": "private"}, **{"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (409, "stale_parent")
    assert alice.call("GET", repo).json()["visibility"] == "public"


def test_strangers_get_the_same_answer_for_private_and_missing(alice, repo, client) -> None:
    bob = Caller(client, make_token(make_user("bob")))
    answers = [
        (each.call("GET", path).status_code, each.call("GET", path).json()["code"])
        for each in (bob, Caller(client))
        for path in (repo, "repos/dataset/alice/nothing")
    ]
    assert answers == [(404, "repo_not_found")] * 4
    assert bob.call("DELETE", repo).status_code == 404
    assert Repo.objects.get().deleted_at is None


def test_pages_follow_each_other(alice) -> None:
    for number in range(5):
        alice.call("POST", "repos", {"kind": "model", "namespace": "alice", "name": f"m{number}"})
    seen, path = [], "repos?limit=2"
    while path:
        page = alice.call("GET", path).json()
        seen += [repo["name"] for repo in page["items"]]
        path = page["next"] and page["next"].split("/api/v1/")[1]
    assert seen == ["m4", "m3", "m2", "m1", "m0"]
    for bad in ("limit=0", "limit=x", "cursor=zzz", "cursor=bnVsbA", "cursor=WzEsMl0", "kind=poem", "sort=x"):
        assert alice.call("GET", f"repos?{bad}").status_code == 400, bad


def test_a_bad_token_is_refused_where_none_is_needed(client) -> None:
    answer = Caller(client, "mto_wrong").call("GET", "repos")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert Caller(client).call("GET", "repos").json()["items"] == []


def test_the_session_needs_its_csrf_token(client, django_user_model) -> None:
    user = make_user("alice")
    strict = type(client)(enforce_csrf_checks=True)
    strict.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    body = {"kind": "model", "namespace": "alice", "name": "x"}
    assert Caller(strict).call("GET", "me").json()["name"] == "alice"
    assert Caller(strict).call("POST", "repos", body).status_code == 403
    assert Repo.objects.count() == 0


def test_an_organisation_is_run_through_the_api(alice, client) -> None:
    make_user("bob")
    assert alice.call("POST", "organizations", {"name": "acme"}).json()["role"] == "owner"
    make_organization("other", make_user("olga"))
    assert alice.call("GET", "organizations/other/members").status_code == 403
    assert [row["name"] for row in alice.call("GET", "organizations/acme/members").json()["items"]] == ["alice"]
    assert alice.call("POST", "organizations/acme/teams", {"name": "vision"}).status_code == 201
    assert alice.call("POST", "organizations/acme/teams/vision", {"name": "bob"}).status_code == 404
    assert alice.call("POST", "organizations/acme/teams/vision", {"name": "alice"}).status_code == 201
    trail = [row["tag"] for row in alice.call("GET", "namespaces/acme/audit").json()["items"]]
    assert trail == ["accounts:team:joined", "accounts:team:created", "accounts:organization:created"]
    issued = alice.call("POST", "tokens", {"name": "ci", "scopes": ["repo:read"], "namespaces": ["acme"]}).json()
    limited = Caller(client, issued["token"])
    assert limited.call("POST", "tokens", {"name": "x", "scopes": ["repo:read"]}).status_code == 403
    assert alice.call("DELETE", f"tokens/{issued['uuid']}").status_code == 204
    assert limited.call("GET", "me").status_code == 401
