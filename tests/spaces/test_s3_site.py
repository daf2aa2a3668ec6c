"""A site whose files lie in a bucket: clients are sent there for large files, and nothing passes through the site."""

import http.client
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.spaces.hf_client import Hub
from tests.support.s3 import CUT, DENIED, Fault, S3Server
from tests.support.site import LiveSite, started_site

MIB = 1024**2
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as started:
        yield started


@pytest.fixture(scope="module")
def s3_site(server: S3Server, tmp_path_factory: pytest.TempPathFactory, django_db_setup) -> Iterator[LiveSite]:
    with started_site(tmp_path_factory.mktemp("s3-site"), extra={"STORAGE_URL": server.bucket()}) as site:
        yield site


@pytest.mark.parametrize("mode", ["xet", "lfs"])
def test_files_go_to_the_bucket_and_come_from_it(
    s3_site: LiveSite, server: S3Server, tmp_path: Path, mode: str
) -> None:
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
    assert f"{target.scheme}://{target.netloc}" == server.url
    hub.run_cli("download", repo, "--local-dir", tmp_path / "back", **extra)
    assert (tmp_path / "back" / "large.bin").read_bytes() == large
    assert (tmp_path / "back" / "small.txt").read_bytes() == small
    stranger = Hub(s3_site, s3_site.user("passer-by"), s3_site.token("passer-by"), tmp_path)
    assert stranger.request("GET", f"/{repo}/resolve/main/large.bin").status == 404
    assert not any((s3_site.data / "blobs").rglob("*")), "nothing is kept on the site's own disk"


def test_a_body_that_the_bucket_cuts_is_cut_for_the_client_too(
    s3_site: LiveSite, server: S3Server, tmp_path: Path
) -> None:
    hub = Hub(s3_site, s3_site.user("bucketeer"), s3_site.token("bucketeer"), tmp_path)
    repo, data = f"{hub.user}/cut", os.urandom(3 * MIB)
    hub.api.create_repo(repo)
    hub.api.upload_file(path_or_fileobj=data, path_in_repo="f.bin", repo_id=repo)
    address = f"/api/v1/repos/model/{repo}/file?path=f.bin"
    with server.failing(Fault("^GET", CUT)), pytest.raises(http.client.IncompleteRead):
        hub.request("GET", address)
    with server.failing(Fault("^GET", DENIED)):
        answer = hub.request("GET", address)
        assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
    assert hub.request("GET", address).body == data
