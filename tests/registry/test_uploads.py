"""Uploads that are cut, taken up again with something else, or sent twice; and digests of files that one has no right to."""

import hashlib
import json
import re
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts import actors
from accounts.permissions import Level
from accounts.services import grants
from api.hf import views_lfs
from common import clock
from common.errors import Gone, Invalid
from registry import queries
from registry.models import Blob, Commit, RepoBlob, Upload
from registry.services import integrity, storage, uploads
from tests.api.git.packs import Objects, Pusher
from tests.api.hf.xet_writer import STORED, File, ShardBody, chunk
from tests.factories.accounts import SYSTEM, actor_of, make_token, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db

SECRET = b"the secret of somebody else " * 30
NOBODYS = b"what nobody has ever sent.. " * 30
FILE = bytes(range(200, 250)) * 2 + bytes(range(100)) + bytes(range(100, 200))


class Person:
    """Somebody with a token and a repository of that name."""

    def __init__(self, client, name: str) -> None:
        self.user = make_user(name)
        self.repo = make_repo(actor_of(self.user), f"{name}s", kind="model")
        self.path = f"{name}/{name}s"
        self.client, self.headers = client, {"Authorization": f"Bearer {make_token(self.user, '*')}"}

    def send(self, method: str, path: str, body=None, content_type: str = "application/json", **headers: str):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        path = path.removeprefix("http://testserver")
        return self.client.generic(method, path, raw, content_type=content_type, headers=self.headers | headers)

    def hold(self, data: bytes) -> None:
        """By an upload, and a commit that names it."""
        uploads.attach(self.repo, storage.store_bytes(data))

    def batch(self, data: bytes, repo: str = "", operation: str = "upload", **more):
        objects = [{"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}]
        asked = {"operation": operation, "objects": objects, **more}
        return self.send("POST", f"/{repo or self.path}.git/info/lfs/objects/batch", asked)

    def action(self, data: bytes, **more) -> dict:
        return self.batch(data, **more).json()["objects"][0]["actions"]["upload"]

    def put(self, href: str, body: bytes) -> int:
        return self.send("PUT", href, body, "application/octet-stream").status_code

    def commit(self, *lines: dict, end: str = "", path: str = ""):
        body = "\n".join(map(json.dumps, [{"key": "header", "value": {"summary": "Change"}}, *lines])).encode()
        return self.send("POST", f"/api/models/{path or self.path}/commit/main{end}", body, "application/x-ndjson")


@pytest.fixture
def mallory(client) -> Person:
    return Person(client, "mallory")


@pytest.fixture
def alice(client) -> Person:
    """Has a secret, as a large file and as a plain one, and another repository that is public."""
    alice = Person(client, "alice")
    alice.hold(SECRET)
    line = {"key": "lfsFile", "value": {"path": "s.bin", "oid": hashlib.sha256(SECRET).hexdigest()}}
    assert alice.commit(line).status_code == 200
    commit(actor_of(alice.user), alice.repo, add("plain", SECRET))
    make_repo(actor_of(alice.user), "open", kind="model", visibility="public")
    return alice


def tries(person: Person, data: bytes):
    """Every request that names a file by its digest, and what it said."""
    digest, size = hashlib.sha256(data).hexdigest(), len(data)
    line = {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": digest, "size": size}}
    yield person.batch(data)
    yield person.batch(data, transfers=["multipart", "basic"])
    yield person.batch(data, operation="download")
    yield person.batch(data, repo="alice/open")
    yield person.batch(data, repo="alice/open", operation="download")
    for repo in (person.path, "alice/open", "alice/alices"):
        yield person.send("POST", f"/{repo}.git/info/lfs/verify", {"oid": digest, "size": size})
    yield person.commit(line)
    yield person.commit({"key": "lfsFile", "value": {"path": "x.bin", "oid": digest}})
    yield person.commit(line, end="?create_pr=1", path="alice/open")
    operation = {"op": "add", "path": "x.bin", "sha256": digest, "size_bytes": size}
    root = f"/api/v1/repos/model/{person.path}"
    yield person.send("POST", f"{root}/commits", {"summary": "x", "operations": [operation]})
    yield person.send("POST", f"{root}/uploads", {"sha256": digest, "size_bytes": size})
    for source in (person.path, "alice/open", "alice/alices"):
        wanted = {"target": {"type": "model", "name": person.path}, "files": [{"filename": "x", "sha256": digest}]}
        yield person.send("POST", f"/api/models/{source}/lfs-files/duplicate", wanted)
    head = queries.resolve_revision(person.repo, "main").oid
    objects = Objects()
    tip = objects.files({"x.bin": storage.pointer_of(digest, size)}, head)
    yield Pusher(person.client, person.user).push(person.path, {"refs/heads/main": (head, tip)}, objects)
    told = person.send("GET", f"/api/models/{person.path}/xet-write-token/main").json()
    shard = ShardBody([File(digest, [("a" * 64, size, 0, 1)])], [("a" * 64, 1)]).bytes()
    yield person.send(
        "POST", f"{told['casUrl']}/v1/shards", shard, "application/octet-stream", Authorization=f"Bearer {told['accessToken']}"
    )  # fmt: skip


_DIFFERS = re.compile(r"/api/lfs/[a-z]+/[^\"/]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[^\"]+|[0-9a-f]{40,64}")


def seen(person: Person, data: bytes) -> list[tuple]:
    """Status, body and questions to the database of every try: all by which something could be told."""
    found: list[tuple] = []
    attempts = tries(person, data)
    while True:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            answer = next(attempts, None)
        if answer is None:
            return found
        status = getattr(answer, "status_code", None) or answer.status
        body = answer.content.decode() if hasattr(answer, "content") else f"{answer.unpack} {answer.refs}"
        shapes = [
            re.sub(r"'[^']*'|\b\d+\b|\"s\d+_x\d+\"", "?", query["sql"])
            for query in asked
            if "INSERT" not in query["sql"]
        ]
        found.append((status, _DIFFERS.sub("…", body), shapes))


def test_a_digest_of_a_file_one_has_no_right_to_is_like_one_of_no_file(alice, mallory, monkeypatch) -> None:
    # who a token is gets remembered for a second, which may end between two questions
    monkeypatch.setattr(actors, "_bearer", actors._bearer.__wrapped__)
    held = set(RepoBlob.objects.values_list("repo_id", "blob_id"))
    # the second time, so that what is cached between requests is the same for both
    nobodys, secret = [seen(mallory, data) for data in (NOBODYS, NOBODYS, SECRET)][1:]
    for (status, body, shapes), other in zip(nobodys, secret, strict=True):
        assert (status, body) == other[:2]
        assert shapes == other[2], body
    assert set(RepoBlob.objects.values_list("repo_id", "blob_id")) == held
    assert "upload" in json.dumps(mallory.batch(SECRET).json())
    # with the right to read it the bytes need not be sent
    grants.grant(SYSTEM, alice.repo, mallory.user, Level.READ, source="share")
    assert "actions" not in mallory.batch(SECRET).json()["objects"][0]


def test_an_upload_taken_up_with_other_bytes_stores_neither_and_the_right_ones_still_come(mallory, monkeypatch) -> None:
    monkeypatch.setattr(views_lfs, "PART_FROM_BYTES", 1)
    monkeypatch.setattr(views_lfs, "_part_bytes", lambda size: 100)
    blobs = Blob.objects.count()
    whole = mallory.action(FILE)["href"]
    for wrong in (b"", FILE[:-1], FILE + b"x", FILE[::-1], b"x" * len(FILE), FILE[150:] + FILE[:150]):
        assert mallory.put(whole, wrong) == 400
    parts = mallory.action(FILE, transfers=["multipart"])
    hrefs = [parts["header"][key] for key in sorted(key for key in parts["header"] if key.isdigit())]
    # the first try gave up in the middle; the second brings other bytes of the same length, in another order
    assert [mallory.put(hrefs[0], FILE[:100]), mallory.put(hrefs[2], b"y" * 100)] == [200, 200]
    assert mallory.send("POST", parts["href"], {}).status_code == 409
    assert [mallory.put(hrefs[1], FILE[100:199]), mallory.put(hrefs[1], FILE[100:201])] == [400, 400]
    assert mallory.put(hrefs[1], b"z" * 100) == 200
    assert mallory.send("POST", parts["href"], {}).status_code == 400
    assert (Blob.objects.filter(state="stored").count(), Commit.objects.filter(repo=mallory.repo).count()) == (blobs, 1)
    assert RepoBlob.objects.filter(blob__sha256=hashlib.sha256(FILE).hexdigest()).count() == 0
    assert [mallory.put(href, FILE[at * 100 : at * 100 + 100]) for at, href in enumerate(hrefs)] == [200] * 3
    assert mallory.send("POST", parts["href"], {}).status_code == 200
    # late parts and whole files of whoever has not heard of it change nothing
    assert mallory.put(hrefs[1], b"z" * 100) == 200
    assert mallory.put(whole, FILE[::-1]) == 400
    assert [mallory.send("POST", parts["href"], {}).status_code, mallory.put(whole, FILE)] == [200, 200]
    line = {"key": "lfsFile", "value": {"path": "f.bin", "oid": hashlib.sha256(FILE).hexdigest(), "size": len(FILE)}}
    assert mallory.commit(line).status_code == 200
    assert storage.read_blob(Blob.objects.get(sha256=hashlib.sha256(FILE).hexdigest()), 10**6) == FILE
    assert integrity.check(with_bytes=True).is_sound


def test_chunks_taken_up_with_other_bytes_store_neither(mallory) -> None:
    digest, name = hashlib.sha256(FILE).hexdigest(), "a" * 64

    def session():
        told = mallory.send("GET", f"/api/models/{mallory.path}/xet-write-token/main").json()
        return told["casUrl"], {"Authorization": f"Bearer {told['accessToken']}"}

    def send(told, path: str, body: bytes) -> int:
        return mallory.send("POST", f"{told[0]}{path}", body, "application/octet-stream", **told[1]).status_code

    right, other = chunk(FILE, STORED), chunk(FILE[::-1], STORED)
    shard = ShardBody([File(digest, [(name, len(FILE), 0, 1)])], [(name, 1)]).bytes()
    first, second = session(), session()
    assert [send(first, f"/v1/xorbs/default/{name}", right[:-1]), send(first, "/v1/shards", shard)] == [400, 400]
    assert send(second, f"/v1/xorbs/default/{name}", other) == 200
    assert [send(second, "/v1/shards", shard), send(second, "/v1/shards", shard[:-30])] == [400, 400]
    assert not Blob.objects.filter(sha256=digest, state="stored").exists()
    assert [send(first, f"/v1/xorbs/default/{name}", right), send(first, "/v1/shards", shard)] == [200, 200]
    assert storage.read_blob(Blob.objects.get(sha256=digest), 10**6) == FILE
    assert integrity.check(with_bytes=True).is_sound


def test_parts_completed_twice_at_once_are_one_file(mallory, monkeypatch) -> None:
    actor = actor_of(mallory.user)
    digest = hashlib.sha256(FILE).hexdigest()

    def begun():
        upload = uploads.begin(actor, mallory.repo, digest, len(FILE), part_bytes=100)
        for number in (1, 2, 3):
            uploads.receive_part(upload.uuid, number, [FILE[number * 100 - 100 : number * 100]])
        return upload

    joined = uploads._joined
    upload = begun()

    def overtaken(parts):
        monkeypatch.setattr(uploads, "_joined", joined)
        pieces = joined(parts)
        yield next(pieces)
        uploads.complete_parts(upload.uuid)
        yield from pieces

    monkeypatch.setattr(uploads, "_joined", overtaken)
    assert uploads.complete_parts(upload.uuid).sha256 == digest
    assert Upload.objects.get(pk=upload.pk).state == "received"
    # and one whose time runs out in the middle says so
    RepoBlob.objects.all().delete()
    upload = begun()

    def swept(parts):
        pieces = joined(parts)
        yield next(pieces)
        with clock.travel(timedelta(days=2)):
            uploads.sweep_uploads()
        yield from pieces

    monkeypatch.setattr(uploads, "_joined", swept)
    with pytest.raises(Gone):
        uploads.complete_parts(upload.uuid)
    with pytest.raises(Invalid):
        uploads.receive(uploads.begin(actor, mallory.repo, digest, len(FILE)).uuid, [FILE[:-1]])
    assert not RepoBlob.objects.filter(blob__sha256=digest).exists()


def test_a_database_that_gives_up_is_told_as_busy_and_nothing_moves(mallory, monkeypatch) -> None:
    def give_up(*_: object) -> None:
        raise OperationalError("database is locked")

    head = queries.resolve_revision(mallory.repo, "main").oid
    with monkeypatch.context() as patch:
        for module in ("commits", "gitpush"):
            patch.setattr(f"registry.services.{module}.move_branch", give_up)
        plain = {"key": "file", "value": {"path": "a", "content": "QQ=="}}
        operation = {"op": "add", "path": "a", "content": "QQ=="}
        given = {"summary": "x", "operations": [operation]}
        mallory.client.force_login(mallory.user)
        for answer in (
            mallory.commit(plain),
            mallory.send("POST", f"/api/v1/repos/model/{mallory.path}/commits", given),
        ):
            assert (answer.status_code, int(answer["Retry-After"]) > 0) == (503, True)
        objects = Objects()
        tip = objects.files({"a": "A"}, head)
        pushed = Pusher(mallory.client, mallory.user).push(mallory.path, {"refs/heads/main": (head, tip)}, objects)
        assert "busy" in pushed.refs["refs/heads/main"]
    assert queries.resolve_revision(mallory.repo, "main").oid == head
    assert mallory.commit(plain).status_code == 200
