"""The two stores that ship, under the conformance suite, and what is particular to each."""

import errno
import io
import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import boto3
import pytest
from moto.server import ThreadedMotoServer

from backends.conformance.stores import StoreConformance
from backends.errors import ConfigError, Missing, NoCapacity, Rejected, Transient
from backends.stores.filesystem import FilesystemStore
from backends.stores.s3 import S3Store
from backends.stores.urls import store_from_url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
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
    return name


class TestFilesystem(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FilesystemStore:
        return FilesystemStore(tmp_path / "blobs")


class TestS3(StoreConformance):
    @pytest.fixture
    def store(self, s3_server: str, bucket: str) -> S3Store:
        store = store_from_url(f"s3://key:sec%2Fret@{bucket}/some/prefix?endpoint={quote(s3_server)}&region=us-east-1")
        assert isinstance(store, S3Store)
        return store


def test_a_full_disk_is_said_clearly_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FilesystemStore(tmp_path)
    store.put("key", [b"before"])
    real = io.FileIO.write
    written = 0

    class FullAfter100(io.FileIO):
        def write(self, data: bytes) -> int:
            nonlocal written
            written += len(data)
            if written > 100:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(self, data)

    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", buffering=-1: FullAfter100(str(self), mode.replace("b", ""))
    )
    with pytest.raises(NoCapacity, match="full"):
        store.put("key", [b"x" * 80, b"y" * 80])
    monkeypatch.undo()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"before"


def test_a_real_limit_on_file_size_is_no_capacity(tmp_path: Path) -> None:
    program = (
        "import sys, signal\n"
        "from backends.stores.filesystem import FilesystemStore\n"
        "from backends.errors import NoCapacity\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: FilesystemStore(sys.argv[1]).put('big', [b'x' * 65536] * 32)\n"
        "except NoCapacity as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024**2, 1024**2)),
    )
    assert done.stdout.strip() == "the storage is full: free some space or enlarge the disk"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_writer_killed_half_way_leaves_no_object(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from backends.stores.filesystem import FilesystemStore\n"
        "def endless():\n"
        "    while True:\n"
        "        yield b'x' * 65536\n"
        "        print('sent', flush=True)\n"
        "FilesystemStore(sys.argv[1]).put('half', endless())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.communicate()
    store = FilesystemStore(tmp_path)
    assert list(store.list()) == []
    with pytest.raises(Missing):
        store.open("half")


def test_a_link_planted_in_the_folder_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    store = FilesystemStore(tmp_path / "root")
    (tmp_path / "root" / "folder").symlink_to(outside)
    (tmp_path / "root" / "file").symlink_to(outside / "secret")
    with pytest.raises(Rejected):
        store.open("folder/secret")
    with pytest.raises(Rejected):
        store.put("folder/new", [b"x"])
    for act in (store.open, store.stat):
        with pytest.raises(Missing):
            act("file")
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_a_key_below_an_object_is_refused(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    store.put("a", [b"x"])
    with pytest.raises(Rejected):
        store.put("a/b", [b"y"])
    assert [found.key for found in store.list()] == ["a"]


def test_an_open_object_stays_readable_when_it_is_deleted(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    store.put("key", [b"still here"])
    with store.open("key") as reader:
        store.delete("key")
        assert reader.read() == b"still here"


def test_a_failed_large_upload_leaves_no_parts_behind(s3_server: str, bucket: str) -> None:
    store = S3Store(bucket, access_key="k", secret_key="s", endpoint=s3_server)

    def broken() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 1024**2
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.put("big", broken())
    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_missing_bucket_is_a_fault_of_the_setup(s3_server: str) -> None:
    store = S3Store("no-such-bucket-here", access_key="k", secret_key="s", endpoint=s3_server)
    with pytest.raises(ConfigError):
        store.put("key", [b"x"])


def test_a_server_that_is_away_is_transient() -> None:
    store = S3Store("bucket", access_key="k", secret_key="s", endpoint="http://127.0.0.1:1")
    with pytest.raises(Transient):
        store.stat("key")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/folder",
        "file://host/folder",
        "ftp://host/x",
        "s3://",
        "s3://k:verysecret@bucket?colour=red",
        "s3://k:verysecret@b?endpoint=nonsense",
    ],
)
def test_a_wrong_storage_url_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        store_from_url(url)
    assert "verysecret" not in str(caught.value)


def test_a_file_url_names_its_folder(tmp_path: Path) -> None:
    store = store_from_url(f"file://{quote(str(tmp_path / 'with space'))}")
    store.put("key", [b"x"])
    assert (tmp_path / "with space" / "key").read_bytes() == b"x"
