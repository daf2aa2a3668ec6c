"""Downloading with the unmodified client: files, snapshots, caching, resuming, ranges; what the tree says of it all."""

import contextlib
import hashlib
import os
import re
import secrets
import socket
import threading
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from tests.spaces.hf_client import Hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MIB = 1024**2
NOISE = os.urandom(6 * MIB)
SHA256 = hashlib.sha256(NOISE).hexdigest()
TEXT = b"plain text\n"
GIT_OID = hashlib.sha1(b"blob 11\0" + TEXT).hexdigest()


@pytest.fixture
def filled(hub: Hub, repo: str) -> str:
    """`repo` with a plain file, a large one in a folder, and a file whose name needs encoding."""
    hub.api.create_commit(
        repo,
        [
            CommitOperationAdd("a.txt", TEXT),
            CommitOperationAdd("w/noise.bin", NOISE),
            CommitOperationAdd("w/odd né?%,:.txt", b"odd"),
        ],
        commit_message="fill",
    )
    return repo


def test_headers_are_what_the_cache_is_built_on(hub: Hub, filled: str) -> None:
    head = hub.api.model_info(filled).sha
    plain = hub.request("HEAD", f"/{filled}/resolve/main/a.txt")
    assert plain.status == 200
    assert plain.headers["x-repo-commit"] == head
    assert plain.headers["etag"] == f'"{GIT_OID}"'
    assert plain.headers["content-length"] == "11"
    assert plain.headers["accept-ranges"] == "bytes"
    assert "x-linked-etag" not in plain.headers
    assert plain.body == b""
    large = hub.request("HEAD", f"/{filled}/resolve/main/w/noise.bin")
    assert large.headers["etag"] == large.headers["x-linked-etag"] == f'"{SHA256}"'
    assert large.headers["content-length"] == large.headers["x-linked-size"] == str(len(NOISE))
    for answer in (plain, large, hub.request("GET", f"/{filled}/resolve/main/a.txt?download=true")):
        # bytes of users are never taken for a page of this site
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert not [name for name in answer.headers if name.startswith("x-xet")]
    url = hf_hub_url(filled, "w/noise.bin", endpoint=hub.site.url)
    metadata = get_hf_file_metadata(url, token=hub.token, endpoint=hub.site.url)
    assert (metadata.commit_hash, metadata.etag, metadata.size) == (head, SHA256, len(NOISE))


def test_what_is_missing_says_what_is_missing(hub: Hub, filled: str) -> None:
    head = hub.api.model_info(filled).sha
    for path, code in {
        f"/{filled}/resolve/main/none.txt": "EntryNotFound",
        f"/{filled}/resolve/main/w": "EntryNotFound",
        f"/{filled}/resolve/main/a.txt/below": "EntryNotFound",
        f"/{filled}/resolve/main/": "EntryNotFound",
        f"/{filled}/resolve/nowhere/a.txt": "RevisionNotFound",
        f"/{filled}/resolve/{'0' * 40}/a.txt": "RevisionNotFound",
        f"/{filled}-not/resolve/main/a.txt": "RepoNotFound",
        f"/datasets/{filled}/resolve/main/a.txt": "RepoNotFound",
        f"/api/models/{filled}/tree/main/none": "EntryNotFound",
        f"/api/models/{filled}/tree/main/a.txt": "EntryNotFound",
        f"/api/models/{filled}/tree/nowhere": "RevisionNotFound",
        f"/api/models/{filled}/revision/nowhere": "RevisionNotFound",
        f"/api/models/{filled}/commits/nowhere": "RevisionNotFound",
    }.items():
        for method in ("GET", "HEAD"):
            answer = hub.request(method, path)
            assert (answer.status, answer.headers.get("x-error-code")) == (404, code), path
            if code == "EntryNotFound":
                assert answer.headers["x-repo-commit"] == head
            if method == "GET":
                assert list(answer.json()) == ["error"]


def test_a_file_is_downloaded_once(hub: Hub, filled: str, tmp_path: Path) -> None:
    head = hub.api.model_info(filled).sha
    path = Path(hub.api.hf_hub_download(filled, "w/noise.bin", cache_dir=tmp_path))
    assert path.read_bytes() == NOISE
    assert path.resolve().name == SHA256
    assert path.parent.parent.name == head
    written_at = path.stat().st_mtime_ns
    assert Path(hub.api.hf_hub_download(filled, "w/noise.bin", cache_dir=tmp_path)) == path
    assert path.stat().st_mtime_ns == written_at
    odd = hub.api.hf_hub_download(filled, "w/odd né?%,:.txt", cache_dir=tmp_path)
    assert Path(odd).read_bytes() == b"odd"
    with pytest.raises(EntryNotFoundError):
        hub.api.hf_hub_download(filled, "none.json", cache_dir=tmp_path)
    assert list(tmp_path.rglob(".no_exist/*/none.json"))
    assert not hub.api.file_exists(filled, "none.json")
    assert hub.api.file_exists(filled, "a.txt")


def test_each_revision_has_its_own_content(hub: Hub, filled: str, tmp_path: Path) -> None:
    old = hub.api.model_info(filled).sha
    hub.api.create_tag(filled, tag="v1")
    hub.api.create_branch(filled, branch="try/it")
    hub.api.upload_file(path_or_fileobj=b"on branch", path_in_repo="a.txt", repo_id=filled, revision="try/it")
    hub.api.upload_file(path_or_fileobj=b"on main", path_in_repo="a.txt", repo_id=filled)
    for revision, expected in {
        "v1": TEXT,
        old: TEXT,
        "try/it": b"on branch",
        "main": b"on main",
        None: b"on main",
    }.items():
        path = hub.api.hf_hub_download(filled, "a.txt", revision=revision, cache_dir=tmp_path)
        assert Path(path).read_bytes() == expected
    with pytest.raises(RevisionNotFoundError):
        hub.api.hf_hub_download(filled, "a.txt", revision="v2", cache_dir=tmp_path)
    assert hub.api.revision_exists(filled, "try/it")
    assert not hub.api.revision_exists(filled, "try")


def test_a_snapshot_is_whole_and_verified(hub: Hub, filled: str, tmp_path: Path) -> None:
    folder = Path(hub.api.snapshot_download(filled, cache_dir=tmp_path))
    assert folder.name == hub.api.model_info(filled).sha
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found.keys() == {".gitattributes", "a.txt", "w/noise.bin", "w/odd né?%,:.txt"}
    assert found["w/noise.bin"] == NOISE
    result = hub.api.verify_repo_checksums(filled, cache_dir=tmp_path)
    assert (result.checked_count, result.mismatches, result.missing_paths) == (4, [], [])
    partial = Path(hub.api.snapshot_download(filled, local_dir=tmp_path / "only", allow_patterns="*.txt"))
    assert sorted(path.name for path in partial.rglob("*.txt")) == ["a.txt", "odd né?%,:.txt"]
    assert not list(partial.rglob("noise.bin"))


class CuttingProxy:
    """Passes connections on to the site and cuts the first answer that grows beyond `limit` bytes. `ranges` are the Range
    headers of the requests that went through, "" where there was none."""

    def __init__(self, target: tuple[str, int], limit: int) -> None:
        self._target, self._limit = target, limit
        self.has_cut = False
        self.ranges: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # wakes the thread that waits in accept()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                threading.Thread(target=self._requests, args=(near, far), daemon=True).start()
                threading.Thread(target=self._answers, args=(far, near), daemon=True).start()

    def _requests(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := near.recv(65536):
                if piece.startswith(b"GET") and b"/resolve/" in piece:
                    found = re.search(rb"(?i)\r\nrange: (\S+)", piece)
                    self.ranges.append(found[1].decode() if found else "")
                far.sendall(piece)
            far.shutdown(socket.SHUT_WR)

    def _answers(self, far: socket.socket, near: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError), far, near:
            while piece := far.recv(65536):
                near.sendall(piece)
                passed += len(piece)
                if passed > self._limit and not self.has_cut:
                    self.has_cut = True
                    # closing alone would wait for the thread that still reads from it
                    near.shutdown(socket.SHUT_RDWR)
                    return


def test_an_interrupted_download_goes_on_where_it_stopped(hub: Hub, repo: str, tmp_path: Path) -> None:
    # the client writes 10 MB at a time, and goes on from what is written
    data = os.urandom(24 * MIB)
    hub.api.upload_file(path_or_fileobj=data, path_in_repo="long.bin", repo_id=repo)
    site = urlsplit(hub.site.url)
    with CuttingProxy((site.hostname, site.port), 16 * MIB) as proxy:
        api = HfApi(endpoint=proxy.url, token=hub.token)
        path = Path(api.hf_hub_download(repo, "long.bin", cache_dir=tmp_path))
    assert path.read_bytes() == data
    assert proxy.has_cut
    assert (len(proxy.ranges), proxy.ranges[0]) == (2, "")
    assert 9_000_000 < int(re.fullmatch(r"bytes=(\d+)-\d*", proxy.ranges[1])[1]) < 16 * MIB


def test_ranges_are_exact(hub: Hub, filled: str) -> None:
    path, size = f"/{filled}/resolve/main/w/noise.bin", len(NOISE)
    for header, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-1000", size - 1000, size),
        ("bytes=1048575-1048577", 1048575, 1048578),
        (f"bytes=5-{size + 10_000}", 5, size),
        ("bytes=3000000-", 3000000, size),
    ):
        answer = hub.request("GET", path, Range=header)
        assert (answer.status, answer.headers["content-range"]) == (206, f"bytes {start}-{end - 1}/{size}")
        assert answer.headers["content-length"] == str(end - start)
        assert answer.body == NOISE[start:end]
    assert hub.request("GET", path, Range="bytes=9-3").body == NOISE
    for header in (f"bytes={size}-", "bytes=999999999999-", "bytes=-0"):
        answer = hub.request("GET", path, Range=header)
        assert (answer.status, answer.headers["content-range"], answer.body[:3]) == (416, f"bytes */{size}", b"The")
    short = hub.request("GET", f"/{filled}/resolve/main/a.txt", Range="bytes=0-100000")
    assert (short.status, short.headers["content-range"], short.body) == (206, "bytes 0-10/11", TEXT)


def test_a_connection_serves_many_files(hub: Hub, filled: str) -> None:
    """Keep-alive survives whole files, ranges, refusals and HEAD, in any order."""
    host = urlsplit(hub.site.url)
    wanted = [
        ("GET", "a.txt", ""),
        ("HEAD", "w/noise.bin", ""),
        ("GET", "none", ""),
        ("GET", "w/noise.bin", "bytes=1-5"),
    ]
    with (
        socket.create_connection((host.hostname, host.port), timeout=20) as connection,
        connection.makefile("rb") as answers,
    ):
        for method, name, span in wanted * 2:
            range_line = f"Range: {span}\r\n" if span else ""
            connection.sendall(
                f"{method} /{filled}/resolve/main/{name} HTTP/1.1\r\nHost: {host.netloc}\r\n{range_line}\r\n".encode()
            )
            status = int(answers.readline().split()[1])
            headers = {}
            while line := answers.readline().strip():
                key, _, value = line.decode("latin-1").partition(":")
                headers[key.lower()] = value.strip()
            body = answers.read(int(headers["content-length"])) if method == "GET" else b""
            assert headers["connection"] == "keep-alive"
            assert (status, body if status < 400 else b"") == {
                "a.txt": (200, TEXT),
                "none": (404, b""),
                "w/noise.bin": (206, NOISE[1:6]) if span else (200, b""),
            }[name]


def test_private_files_need_a_token(hub: Hub, stranger: Hub, private_repo: str, tmp_path: Path) -> None:
    hub.api.upload_file(path_or_fileobj=NOISE, path_in_repo="n.bin", repo_id=private_repo, repo_type="dataset")
    path = hub.api.hf_hub_download(private_repo, "n.bin", repo_type="dataset", cache_dir=tmp_path / "mine")
    assert Path(path).read_bytes() == NOISE
    for index, api in enumerate((stranger.api, HfApi(endpoint=hub.site.url, token=False))):
        with pytest.raises(RepositoryNotFoundError):
            api.hf_hub_download(private_repo, "n.bin", repo_type="dataset", cache_dir=tmp_path / str(index))
        with pytest.raises(RepositoryNotFoundError):
            api.snapshot_download(private_repo, repo_type="dataset", cache_dir=tmp_path / str(index))
        assert list((tmp_path / str(index)).rglob("*.bin")) == []


def test_a_token_for_reading_changes_nothing(hub: Hub, private_repo: str) -> None:
    reading = hub.site.token(hub.user, ("repo:read",))
    path = f"/api/datasets/{private_repo}"
    assert hub.request("GET", path, token=reading).status == 200
    for method, below, body in (
        ("POST", "/branch/x", {}), ("POST", "/tag/main", {"tag": "x"}), ("PUT", "/settings", {"private": False}),
        ("POST", "/preupload/main", {"files": []}), ("GET", "/xet-write-token/main", None), ("POST", "/commit/main", {}),
    ):  # fmt: skip
        answer = hub.request(method, path + below, body, token=reading)
        assert (answer.status, answer.json()["error"]) == (403, "This token lacks the scope repo:write.")
    name = private_repo.split("/")[1]
    assert hub.request("DELETE", "/api/repos/delete", {"name": name, "type": "dataset"}, token=reading).status == 403
    assert hub.request("POST", "/api/repos/create", {"name": f"{name}-x"}, token=reading).status == 403
    blind = hub.site.token(hub.user, ("endpoint:use",))
    assert hub.request("GET", path, token=blind).status == 404
    refs = hub.api.list_repo_refs(private_repo, repo_type="dataset")
    assert ([branch.name for branch in refs.branches], refs.tags) == (["main"], [])


REVOKE = """
import json
from accounts.actors import for_user
from accounts.models import User
from accounts.policies import visible_tokens
from accounts.services.tokens import revoke
actor = for_user(User.objects.get(username={user!r}))
revoke(actor, visible_tokens(actor).get(name={name!r}).uuid)
print(json.dumps(dict()))
"""


def test_a_revoked_token_ends_at_once(hub: Hub, private_repo: str) -> None:
    name = f"short-lived-{secrets.token_hex(4)}"
    token = hub.site.manage("create_token", hub.user, "--name", name, "--scope", "repo:write")["token"]
    path = f"/api/datasets/{private_repo}"
    upload = hub.request("GET", f"{path}/xet-write-token/main", token=token).json()
    cas = upload["casUrl"].removeprefix(hub.site.url)
    chunk = b"\0\3\0\0\0\3\0\0abc"
    assert hub.request("POST", f"{cas}/v1/xorbs/default/{'a' * 64}", chunk, token=upload["accessToken"]).status == 200
    hub.site.manage("shell", "-v", "0", "-c", REVOKE.format(user=hub.user, name=name))
    assert hub.request("GET", path, token=token).status == 401
    # the upload address that was made with it ends too
    assert hub.request("POST", f"{cas}/v1/xorbs/default/{'b' * 64}", chunk, token=upload["accessToken"]).status == 401


def test_a_tree_is_paged_and_complete(hub: Hub, repo: str) -> None:
    paths = sorted([f"d{i % 7}/e{i % 3}/f{i:04d}" for i in range(260)] + [f"top{i}" for i in range(20)])
    hub.api.create_commit(repo, [CommitOperationAdd(path, path.encode()) for path in paths], commit_message="many")
    folders = {path.rsplit("/", 1)[0] for path in paths if "/" in path} | {
        path.split("/")[0] for path in paths if "/" in path
    }
    found = []
    address = f"/api/models/{repo}/tree/main?recursive=true&limit=37"
    while address:
        page = hub.request("GET", address)
        found += page.json()
        link = page.headers.get("link", "")
        address = link[1 : link.index(">")].removeprefix(hub.site.url) if link else ""
    files = [item["path"] for item in found if item["type"] == "file"]
    assert sorted(files) == sorted([*paths, ".gitattributes"])
    assert {item["path"] for item in found if item["type"] == "directory"} == folders
    assert len(found) == len({item["path"] for item in found})
    assert all(item["size"] == len(item["path"]) for item in found if item["type"] == "file" and item["path"] in paths)
    here = hub.request("GET", f"/api/models/{repo}/tree/main/{quote('d1/e2', safe='')}").json()
    assert {item["path"] for item in here} == {path for path in paths if path.startswith("d1/e2/")}
    top = hub.request("GET", f"/api/models/{repo}/tree/main").json()
    assert {item["path"] for item in top} == {
        *(f"d{i}" for i in range(7)),
        *(f"top{i}" for i in range(20)),
        ".gitattributes",
    }
    assert hub.request("GET", f"/api/models/{repo}/tree/main?cursor=%C3%A4").status == 400


def test_expanded_entries_name_the_commit_that_last_touched_them(hub: Hub, filled: str) -> None:
    first = hub.api.model_info(filled).sha
    second = hub.api.upload_file(
        path_or_fileobj=b"new", path_in_repo="w/new.txt", repo_id=filled, commit_message="Later"
    ).oid
    entries = {entry.path: entry for entry in hub.api.list_repo_tree(filled, recursive=True, expand=True)}
    assert entries["a.txt"].last_commit.oid == entries["w/noise.bin"].last_commit.oid == first
    assert (entries["w/new.txt"].last_commit.oid, entries["w/new.txt"].last_commit.title) == (second, "Later")
    assert entries["w"].last_commit.oid == second
    noise = entries["w/noise.bin"]
    assert (noise.size, noise.lfs.sha256, noise.lfs.size, noise.lfs.pointer_size) == (
        len(NOISE),
        SHA256,
        len(NOISE),
        132,
    )
    asked = hub.api.get_paths_info(filled, ["w/noise.bin", "w", "missing", "a.txt"], expand=True)
    assert [(entry.path, entry.last_commit.oid) for entry in asked] == [
        ("w/noise.bin", first),
        ("w", second),
        ("a.txt", first),
    ]
    as_json = hub.request(
        "POST", f"/api/models/{filled}/paths-info/main", {"paths": ["a.txt", "none"], "expand": False}
    ).json()
    assert as_json == [{"type": "file", "oid": GIT_OID, "size": 11, "path": "a.txt"}]


def test_history_is_paged(hub: Hub, repo: str) -> None:
    made = [hub.api.upload_file(path_or_fileobj=b"%d" % i, path_in_repo="a", repo_id=repo).oid for i in range(7)]
    address, found = f"/api/models/{repo}/commits/main?limit=3&expand[]=formatted", []
    while address:
        page = hub.request("GET", address)
        assert len(page.json()) <= 3
        found += page.json()
        link = page.headers.get("link", "")
        address = link[1 : link.index(">")].removeprefix(hub.site.url) if link else ""
    assert [item["id"] for item in found][:7] == made[::-1]
    assert len(found) == 8
    assert found[-1]["formatted"] == {"title": "initial commit", "message": ""}
    assert [commit.commit_id for commit in hub.api.list_repo_commits(repo, revision=made[2])][:3] == made[2::-1]


def test_the_file_system_reads_and_writes(hub: Hub, filled: str) -> None:
    files = HfFileSystem(endpoint=hub.site.url, token=hub.token)
    assert sorted(files.ls(filled, detail=False)) == [f"{filled}/.gitattributes", f"{filled}/a.txt", f"{filled}/w"]
    with files.open(f"{filled}/w/noise.bin", "rb", block_size=MIB) as file:
        file.seek(3 * MIB)
        assert file.read(100) == NOISE[3 * MIB : 3 * MIB + 100]
    with files.open(f"{filled}/written.txt", "w") as file:
        file.write("by fsspec")
    assert files.cat_file(f"{filled}/written.txt") == b"by fsspec"
    files.rm(f"{filled}/written.txt")
    assert not files.exists(f"{filled}/written.txt")
