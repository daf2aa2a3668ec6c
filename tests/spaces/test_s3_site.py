"""A site whose files lie in a bucket: clients are sent there for large files, and nothing passes through the site."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.spaces.hf_client import Hub
from tests.support.site import LiveSite, started_site

MIB = 1024**2
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 server with the bucket `mercato`."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.create_bucket(Bucket="mercato")
    yield address
    server.stop()


@pytest.fixture(scope="module")
def s3_site(bucket: str, tmp_path_factory: pytest.TempPathFactory, django_db_setup) -> Iterator[LiveSite]:
    url = f"s3://k:s@mercato/site?endpoint={quote(bucket, safe='')}"
    with started_site(tmp_path_factory.mktemp("s3-site"), extra={"STORAGE_URL": url}) as site:
        yield site


@pytest.mark.parametrize("mode", ["xet", "lfs"])
def test_files_go_to_the_bucket_and_come_from_it(s3_site: LiveSite, bucket: str, tmp_path: Path, mode: str) -> None:
    hub = Hub(s3_site, s3_site.user("bucketeer"), s3_site.token("bucketeer"), tmp_path)
    repo = f"{hub.user}/private-{mode}"
    hub.api.create_repo(repo, private=True)
    large, small = os.urandom(40 * MIB + 3), b"plain text\n"
    source = tmp_path / "folder"
    source.mkdir()
    (source / "large.bin").write_bytes(large)
    (source / "small.txt").write_bytes(small)
    extra = {"HF_HUB_DISABLE_XET": "1"} if mode == "lfs" else {}
    hub.run_cli("upload", repo, source, ".", **extra)

    answer = hub.request("GET", f"/{repo}/resolve/main/large.bin")
    assert answer.status == 302
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}" == bucket
    hub.run_cli("download", repo, "--local-dir", tmp_path / "back", **extra)
    assert (tmp_path / "back" / "large.bin").read_bytes() == large
    assert (tmp_path / "back" / "small.txt").read_bytes() == small
    stranger = Hub(s3_site, s3_site.user("passer-by"), s3_site.token("passer-by"), tmp_path)
    assert stranger.request("GET", f"/{repo}/resolve/main/large.bin").status == 404
    assert not any((s3_site.data / "blobs").rglob("*")), "nothing is kept on the site's own disk"
