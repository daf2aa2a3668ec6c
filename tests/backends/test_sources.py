"""The sources that ship, under the conformance suite, and what is particular to each."""

import hashlib
import secrets
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from backends.conformance.sources import FILES, SECRET, Place, PlainDoor, SourceConformance, read, read_all
from backends.errors import BackendError, Rejected
from backends.sources.hub import HubSource
from backends.sources.mlflow import MlflowSource
from backends.sources.s3 import S3Source
from backends.sources.url import UrlSource
from tests.support.elsewhere import HOST, RUN, Asked, Elsewhere, Said, hub, mlflow, plain


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str) -> str:
    name = f"bucket-{secrets.token_hex(8)}"
    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket=name)
    for path, content in FILES.items():
        client.put_object(Bucket=name, Key=f"data/{path}", Body=content)
    client.put_object(Bucket=name, Key="data/drawn/", Body=b"")
    client.put_object(Bucket=name, Key="other/x", Body=b"x")
    return name


class TestUrl(SourceConformance):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        with Elsewhere(plain(FILES, secret=SECRET)) as server:
            content = FILES["folder/large.bin"]
            given = {
                "url": f"{server.url}/folder/large.bin?key={SECRET}",
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            yield Place(UrlSource, given, {"large.bin": content})


class TestS3(SourceConformance):
    @pytest.fixture
    def place(self, s3_server: str, bucket: str) -> Place:
        given = {"endpoint": s3_server, "bucket": bucket, "prefix": "data/", "access_key": SECRET, "secret_key": SECRET}
        return Place(S3Source, given, FILES)


class TestMlflow(SourceConformance):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        with Elsewhere(mlflow(FILES, password=SECRET)) as server:
            given = {"server": server.url, "run_id": RUN, "username": "ada", "password": SECRET}
            yield Place(MlflowSource, given, FILES)


class TestHub(SourceConformance):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        with Elsewhere(plain(FILES)) as store, Elsewhere(hub(FILES, token=SECRET, store=store.url)) as server:
            yield Place(HubSource, {"endpoint": server.url, "repo": "ann/set", "token": SECRET}, FILES)
            assert all("authorization" not in each.headers for each in store.asked)


def made(kind, given: dict[str, str]):
    shown, secret = kind.settle(given)
    return kind({**shown, **secret}, PlainDoor())


def refused(kind, given: dict[str, str]) -> str:
    with pytest.raises(BackendError) as caught:
        read_all(made(kind, given))
    return str(caught.value.args[0])


def served(answers: dict[str, object]) -> Elsewhere:
    """A server that answers in JSON, by path."""

    def answer(asked: Asked) -> Said:
        found = answers.get(asked.path)
        return found if isinstance(found, Said) else Said(404) if found is None else Said.json(found)

    return Elsewhere(answer)


def test_an_address_with_a_query_keeps_it_secret_and_names_the_file_by_its_path() -> None:
    shown, secret = UrlSource.settle({"url": "https://example.org/a%20b.csv?X-Amz-Signature=abc#x"})
    assert (shown, secret) == ({"url": "https://example.org/a%20b.csv"}, {"query": "X-Amz-Signature=abc"})
    assert [file.path for file in UrlSource({**shown, **secret}, PlainDoor()).files()] == ["a b.csv"]


def test_other_bytes_than_announced_are_refused() -> None:
    with Elsewhere(plain({"a.csv": b"a\n"})) as server:
        assert "digest is another" in refused(UrlSource, {"url": f"{server.url}/a.csv", "sha256": "0" * 64})
    row = {"type": "file", "path": "a.csv", "size": 2, "oid": "0" * 40}
    base = {"/api/datasets/a/b/revision/main": {"sha": "c" * 40}, f"/api/datasets/a/b/tree/{'c' * 40}": [row]}
    with served({**base, f"/datasets/a/b/resolve/{'c' * 40}/a.csv": Said(200, b"a\n")}) as server:
        assert "digest is another" in refused(HubSource, {"endpoint": server.url, "repo": "a/b"})
    with served({**base, f"/datasets/a/b/resolve/{'c' * 40}/a.csv": Said(200, b"a")}) as server:
        assert "1 bytes; 2 were announced" in refused(HubSource, {"endpoint": server.url, "repo": "a/b"})


def test_what_changed_in_the_bucket_since_it_was_listed_is_refused(s3_server: str, bucket: str) -> None:
    given = {"endpoint": s3_server, "bucket": bucket, "prefix": "data/fol", "access_key": "k", "secret_key": "s"}
    shown, secret = S3Source.settle(given)
    source = S3Source({**shown, **secret}, PlainDoor())
    listed = {file.path: file for file in source.files()}
    assert set(listed) == {path for path in FILES if path.startswith("folder/")}
    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.put_object(Bucket=bucket, Key="data/folder/empty.txt", Body=b"changed")
    with pytest.raises(Rejected, match="has changed since"):
        read(source, listed["folder/empty.txt"])


def test_a_bucket_is_listed_in_pages(s3_server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.sources.s3._PAGE", 2)
    door = PlainDoor()
    shown, secret = S3Source.settle({"endpoint": s3_server, "bucket": bucket, "prefix": "data/"})
    assert {file.path for file in S3Source({**shown, **secret}, door).files()} == set(FILES)
    assert len(door.asked) == 3


XML = "<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>{}</ListBucketResult>"
CONTENTS = "<Contents><Key>{}</Key><Size>{}</Size></Contents>"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("<!DOCTYPE x [<!ENTITY a 'x'>]><ListBucketResult/>", id="entities"),
        pytest.param("<html></html>", id="a page"),
        pytest.param("{}", id="json"),
        pytest.param(XML.format(CONTENTS.format("../etc/passwd", 3)), id="another prefix"),
        pytest.param(XML.format(CONTENTS.format("data/x", "-3")), id="no size"),
        pytest.param(XML.format("<IsTruncated>true</IsTruncated>"), id="no token"),
        pytest.param(
            XML.format("<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>"), id="for ever"
        ),
    ],
)
def test_a_bucket_that_lies_is_refused(body: str) -> None:
    with Elsewhere(lambda _: Said(200, body.encode())) as server:
        refused(S3Source, {"endpoint": server.url, "bucket": "abc", "prefix": "data/"})


def test_a_run_brings_its_parameters_metrics_and_tags_and_one_file_can_be_named() -> None:
    files = {"model/MLmodel": b"flavors: {}\n", "model/model.onnx": b"\0" * 3000, "notes.txt": b"x"}
    with Elsewhere(mlflow(files, page=1)) as server:
        source = MlflowSource({"server": server.url, "run_id": RUN, "path": "model"}, PlainDoor())
        assert {file.path: file.size_bytes for file in source.files()} == {"MLmodel": 12, "model.onnx": 3000}
        facts = source.facts()
        assert facts["params"] == {"depth": "6"}
        assert facts["metrics"] == {"auc": 0.93}
        assert facts["tags"] == {"mlflow.source.name": "train.py"}
        assert facts["run"]["run_name"] == "able-ant-1"
        one = MlflowSource({"server": server.url, "run_id": RUN, "path": "model/MLmodel"}, PlainDoor())
        assert [file.path for file in one.files()] == ["MLmodel"]
    with Elsewhere(mlflow(files, root="s3://runs/7")) as server:
        # artifacts that are not behind the proxy are read through the server all the same
        source = MlflowSource({"server": server.url, "run_id": RUN, "path": "notes.txt"}, PlainDoor())
        assert [read(source, file) for file in source.files()] == [b"x"]


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param({"files": [{"path": "other/x", "is_dir": False}]}, id="another folder"),
        pytest.param({"files": [{"path": "m/m", "is_dir": True}], "next_page_token": "a"}, id="for ever"),
        pytest.param({"files": ["x"]}, id="no rows"),
        pytest.param([], id="no object"),
    ],
)
def test_a_tracking_server_that_lies_is_refused(listed: object) -> None:
    run = {"run": {"info": {"run_id": RUN, "artifact_uri": "mlflow-artifacts:/1"}, "data": {}}}
    with served({"/api/2.0/mlflow/runs/get": run, "/api/2.0/mlflow/artifacts/list": listed}) as server:
        refused(MlflowSource, {"server": server.url, "run_id": RUN, "path": "m"})


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param([{"type": "file", "path": "a", "size": 1}], id="no digest"),
        pytest.param([{"type": "file", "path": "a", "size": 1, "lfs": {"oid": "x"}, "oid": "0" * 40}], id="no sha256"),
        pytest.param([{"type": "file", "path": 3}], id="no path"),
        pytest.param([{"type": "file", "path": "a", "size": -1, "oid": "0" * 40}], id="negative"),
        pytest.param({}, id="no list"),
        pytest.param(Said.json([], Link='<http://127.0.0.3:1/x>; rel="next"'), id="another host"),
        pytest.param(
            Said.json([], Link=f'</api/datasets/a/b/tree/{"c" * 40}?recursive=true&expand=false>; rel="next"'),
            id="for ever",
        ),
    ],
)
def test_a_hub_that_lies_is_refused(tree: object) -> None:
    with served(
        {"/api/datasets/a/b/revision/main": {"sha": "c" * 40}, f"/api/datasets/a/b/tree/{'c' * 40}": tree}
    ) as server:
        refused(HubSource, {"endpoint": server.url, "repo": "a/b"})
        assert all(each.path.startswith("/api/datasets/a/b/") for each in server.asked)


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        (UrlSource, {"url": "https://ann:pw@example.org/x"}, "url"),
        (UrlSource, {"url": "file:///etc/passwd"}, "url"),
        (UrlSource, {"url": "https://example.org/x", "sha256": "xyz"}, "sha256"),
        (S3Source, {"bucket": "../x"}, "bucket"),
        (S3Source, {"bucket": "abc", "region": "a/b"}, "region"),
        (S3Source, {"bucket": "abc", "endpoint": "https://x.org?a=1"}, "endpoint"),
        (S3Source, {"bucket": "abc", "access_key": "k"}, "secret_key"),
        (MlflowSource, {"server": "https://x.org", "run_id": "../x"}, "run_id"),
        (MlflowSource, {"server": "https://x.org", "run_id": "abc", "path": "a/../b"}, "path"),
        (HubSource, {"repo": "a/b/c"}, "repo"),
        (HubSource, {"repo": "a/b", "kind": "space"}, "kind"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(kind, given: dict[str, str], field: str) -> None:
    with pytest.raises(Rejected) as caught:
        made(kind, given)
    assert caught.value.args[1] == field
