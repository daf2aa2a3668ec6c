"""A bucket that fails in the middle: whoever uploads, commits or downloads is told to try again, never that something broke; what is
stored is whole or not there; and the same request succeeds when the bucket is well again."""

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from botocore.retries.standard import ExponentialBackoff

from backends.stores import s3 as s3_store
from common import clock
from common.errors import Busy, DomainError, Unavailable
from registry import queries
from registry.models import Blob
from registry.services import garbage, integrity, storage
from registry.states import BlobState
from tests.factories.accounts import actor_of, make_token, make_user
from tests.factories.registry import make_repo
from tests.support.s3 import (
    CUT,
    DENIED,
    INTERNAL,
    LATE_ERROR,
    LOST_ANSWER,
    NO_BUCKET,
    RESET,
    SLOW_DOWN,
    Fault,
    S3Server,
)

pytestmark = pytest.mark.django_db

KIB = 1024
PART = 256 * KIB


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as started:
        yield started


@pytest.fixture(autouse=True)
def bucket(server: S3Server, settings, monkeypatch) -> str:
    """The store of the site: a bucket of its own, in which parts are small and retries do not wait."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda self, context: 0)
    monkeypatch.setattr(s3_store, "PART_BYTES", PART)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1)
    settings.STORAGE_URL = server.bucket()
    return settings.STORAGE_URL


class Writer:
    """Somebody with a repository, by the protocols that people use."""

    def __init__(self, client) -> None:
        self.user = make_user("alice")
        self.repo = make_repo(actor_of(self.user), "net", kind="model")
        self.client, self.headers = client, {"Authorization": f"Bearer {make_token(self.user, '*')}"}

    def ask(self, method: str, path: str, body=b"", content_type: str = "application/json"):
        return self.client.generic(method, path, body, content_type=content_type, headers=self.headers)

    def post(self, path: str, data):
        return self.client.post(path, data, content_type="application/json", headers=self.headers)

    def upload(self, data: bytes) -> int:
        """By git-lfs: the worst status of its requests."""
        objects = [{"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}]
        told = self.post("/alice/net.git/info/lfs/objects/batch", {"operation": "upload", "objects": objects})
        if told.status_code != 200 or "actions" not in told.json()["objects"][0]:
            return told.status_code
        href = told.json()["objects"][0]["actions"]["upload"]["href"].removeprefix("http://testserver")
        return checked(self.ask("PUT", href, data, "application/octet-stream"))

    def commit(self, data: bytes, path: str = "") -> int:
        """A plain file in the body of a commit."""
        self.path = path or hashlib.sha1(data).hexdigest()
        lines = b'{"key": "header", "value": {"summary": "A file"}}\n{"key": "file", "value": {"path": "%b", "content": "%b"}}'
        body = lines % (self.path.encode(), _base64(data))
        return checked(self.ask("POST", "/api/models/alice/net/commit/main", body, "application/x-ndjson"))

    def commit_card(self, data: bytes) -> int:
        """A file of which the site reads the beginning again to tell about it."""
        return self.commit(_base64(data), "README.md")

    def commit_large(self, data: bytes) -> int:
        digest = hashlib.sha256(data).hexdigest()
        self.path = f"{digest}.bin"
        line = {"key": "lfsFile", "value": {"path": self.path, "oid": digest}}
        body = "\n".join(map(json.dumps, [{"key": "header", "value": {"summary": "Large"}}, line]))
        return checked(self.ask("POST", "/api/models/alice/net/commit/main", body, "application/x-ndjson"))

    def commit_by_api(self, data: bytes) -> int:
        self.path = hashlib.sha1(data).hexdigest()
        operation = {"op": "add", "path": self.path, "content": _base64(data).decode()}
        given = {"summary": "A file", "operations": [operation]}
        return checked(self.post("/api/v1/repos/model/alice/net/commits", given))

    def read(self, path: str) -> bytes | int:
        """The file through the site; a refusal's status. Raises when the body breaks off, as a server's connection does then."""
        answer = self.ask("GET", f"/api/v1/repos/model/alice/net/file?path={path}")
        return checked(answer) if answer.status_code != 200 else b"".join(answer.streaming_content)

    def files(self) -> dict[str, bytes]:
        found = queries.all_files(queries.resolve_revision(self.repo, "main"))
        return {entry.path: storage.read_blob(queries.blob_of(entry), 10**7) for entry in found}


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data)


def checked(answer) -> int:
    """Its status; a 503 says when to come again, and nothing is ever ours to blame."""
    if answer.status_code == 503:
        assert int(answer["Retry-After"]) > 0
    else:
        assert answer.status_code < 500, answer.content
    return answer.status_code


def assert_nothing_half(writer: Writer) -> None:
    """What a row or a commit promises is in the bucket, whole and true."""
    for blob in Blob.objects.filter(state=BlobState.STORED):
        with storage.open_blob(blob) as reader:
            assert hashlib.sha256(b"".join(reader)).hexdigest() == blob.sha256
    assert integrity.check(with_bytes=True).is_sound
    writer.files()


STEPS = {
    "put": (r"^PUT .*/staging/[^?]*\?$", Writer.upload, 100),
    "begin parts": (r"^POST .*/staging/.*uploads", Writer.upload, PART + 7),
    "put part": (r"^PUT .*/staging/.*partNumber=2", Writer.upload, PART + 7),
    "complete": (r"^POST .*/staging/.*uploadId", Writer.upload, PART + 7),
    "look before copy": (r"^HEAD .*/staging/", Writer.upload, 100),
    "copy": (r"^copy PUT .*/blobs/", Writer.upload, 100),
    "delete": (r"^DELETE .*/staging/", Writer.upload, 100),
    "put a blob": (r"^PUT .*/blobs/", Writer.commit, 50),
    "put another": (r"^PUT .*/blobs/", Writer.commit_by_api, 50),
    "look at a blob": (r"^HEAD .*/blobs/", Writer.commit_by_api, 50),
    "read the card": (r"^GET .*/blobs/", Writer.commit_card, 50),
}
"""A request to the bucket, and who makes it on the way of how many bytes."""
HARMLESS = {
    # what stays behind is waste; what is said not to be there is put there
    "delete": {SLOW_DOWN, RESET, LOST_ANSWER, DENIED, NO_BUCKET},
    "look at a blob": {NO_BUCKET},
}


@pytest.mark.parametrize(
    "kind", [SLOW_DOWN, RESET, LOST_ANSWER, DENIED, NO_BUCKET], ids=["slow", "reset", "lost", "denied", "bucket"]
)
def test_an_upload_that_fails_at_any_step_is_told_and_succeeds_later(client, server, bucket, kind) -> None:
    writer = Writer(client)
    rng = random.Random(3)
    expected: dict[str, bytes] = {}
    for step, (what, send, size) in STEPS.items():
        data = rng.randbytes(size)
        before = server.met[kind]
        with server.failing(Fault(what, kind)):
            status = send(writer, data)
        assert server.met[kind] > before, (step, "was never met")
        assert status == 503 or (kind in HARMLESS.get(step, ()) and status in {200, 201}), (step, status)
        assert send(writer, data) in {200, 201}, step
        if send == Writer.upload:
            writer.commit_large(data)
        expected[writer.path] = _base64(data) if send == Writer.commit_card else data
    assert_nothing_half(writer)
    assert {name: data for name, data in writer.files().items() if name != ".gitattributes"} == expected
    assert_clean_in_the_end(server, bucket)


def assert_clean_in_the_end(server: S3Server, bucket: str) -> None:
    """What broken attempts have left goes with a later collection."""
    with clock.travel(timedelta(days=2)):
        garbage.collect(may_erase_many=True)
    assert [key for key in server.keys(bucket) if key.startswith("staging/")] == []
    assert server.open_uploads(bucket) == 0


def test_whatever_fails_at_random_nothing_is_lost_or_half(client, server, bucket) -> None:
    writer = Writer(client)
    rng = random.Random(5)
    sends = [Writer.upload, Writer.upload, Writer.commit, Writer.commit_by_api]
    statuses: list[int] = []
    kept: dict[str, bytes] = {}
    faults = [
        Fault(".", SLOW_DOWN, chance=0.3),
        Fault(".", INTERNAL, chance=0.1),
        Fault(".", LOST_ANSWER, chance=0.2),
        Fault("^POST .*uploadId|^copy", LATE_ERROR, chance=0.3),
        Fault("^GET", CUT, chance=0.3),
    ]
    for _ in range(40):
        send, data = rng.choice(sends), rng.randbytes(rng.choice([10, 1000, PART * 2 + 5]))
        with server.failing(*faults):
            statuses.append(send(writer, data))
        if statuses[-1] < 300:
            if send == Writer.upload:
                assert writer.commit_large(data) == 200
            kept[writer.path] = data
        if kept:
            path = rng.choice(sorted(kept))
            with server.failing(*faults), suppress(DomainError):
                assert writer.read(path) in {kept[path], 503}
    assert set(statuses) == {200, 201, 503}
    assert {name: data for name, data in writer.files().items() if name != ".gitattributes"} == kept
    assert_nothing_half(writer)
    assert_clean_in_the_end(server, bucket)


def test_a_cut_download_is_an_error_and_not_an_end(client, server, bucket, settings, data_folder) -> None:
    writer = Writer(client)
    data = random.Random(1).randbytes(3_000_000)
    assert writer.commit(data, "f.bin") == 200
    with server.failing(Fault("^GET", CUT)), pytest.raises(Busy):
        writer.read("f.bin")
    with server.failing(Fault("^GET", SLOW_DOWN)):
        assert writer.read("f.bin") == 503
    assert writer.read("f.bin") == data
    # an object that lost its end, in a bucket and in a folder
    blob = Blob.objects.get(size_bytes=len(data))
    storage.store().put(blob.key, [data[:-1]])
    with pytest.raises(Unavailable):
        writer.read("f.bin")
    settings.STORAGE_URL = f"file://{data_folder / 'blobs'}"
    for stored in (data[:-1], data + b"x"):
        storage.store().put(blob.key, [stored])
        with pytest.raises(Unavailable):
            writer.read("f.bin")
        assert writer.ask("GET", "/alice/net/resolve/main/f.bin").status_code == 503
    storage.store().put(blob.key, [data])
    assert b"".join(writer.ask("GET", "/alice/net/resolve/main/f.bin").streaming_content) == data
