"""Uploading with the unmodified client: small and large files, by Xet, by LFS in one piece and in parts, folders, the `hf` command."""

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

from tests.spaces.hf_client import Hub
from tests.support.proxy import SwallowingProxy

# the client's own words to its HTTP library
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MIB = 1024**2


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def files_of(hub: Hub, repo: str, revision: str = "main") -> dict[str, tuple[int, str]]:
    """Size and identity of every file: SHA-256 of large ones, git's SHA-1 of the others."""
    entries = hub.api.list_repo_tree(repo, recursive=True, revision=revision)
    return {
        entry.path: (entry.size, entry.lfs.sha256 if entry.lfs else entry.blob_id)
        for entry in entries
        if hasattr(entry, "size")
    }


def content(hub: Hub, repo: str, path: str, revision: str = "main") -> bytes:
    answer = hub.request("GET", f"/{repo}/resolve/{revision}/{path}")
    assert answer.status == 200, answer
    return answer.body


@pytest.fixture
def nothing_spooled(hub: Hub) -> Callable[[], bool]:
    """Asks whether the spool holds no more than when the test began (a killed upload's stays until it is swept)."""
    root = hub.site.data / "spool" / "xet"
    before = {path for path in root.rglob("*") if path.is_file()}
    return lambda: {path for path in root.rglob("*") if path.is_file()} <= before


def test_a_small_file_goes_into_the_commit(hub: Hub, repo: str) -> None:
    info = hub.api.upload_file(
        path_or_fileobj=b"hello",
        path_in_repo="docs/a.txt",
        repo_id=repo,
        commit_message="Add a",
        commit_description="why",
    )
    assert str(info.commit_url) == f"{hub.site.url}/{repo}/commit/{info.oid}"
    assert hub.api.model_info(repo).sha == info.oid
    assert files_of(hub, repo)["docs/a.txt"] == (5, git_oid(b"hello"))
    assert content(hub, repo, "docs/a.txt") == b"hello"
    newest = hub.api.list_repo_commits(repo)[0]
    assert (newest.commit_id, newest.title, newest.message) == (info.oid, "Add a", "why")


def test_an_empty_file_is_a_file(hub: Hub, repo: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"", path_in_repo="empty.bin", repo_id=repo)
    assert files_of(hub, repo)["empty.bin"] == (0, git_oid(b""))
    assert content(hub, repo, "empty.bin") == b""


def test_large_files_go_through_xet_and_leave_no_spool(hub: Hub, repo: str, tmp_path: Path, nothing_spooled) -> None:
    random, zeros = os.urandom(9 * MIB), bytes(12 * MIB)
    floats = b"".join(i.to_bytes(4, "little") for i in range(700_000))
    for name, data in {"random.bin": random, "zeros.bin": zeros, "floats.safetensors": floats}.items():
        (tmp_path / name).write_bytes(data)
    info = hub.api.create_commit(
        repo,
        [
            CommitOperationAdd("w/random.bin", tmp_path / "random.bin"),
            CommitOperationAdd("w/again.bin", tmp_path / "random.bin"),
            CommitOperationAdd("zeros.bin", tmp_path / "zeros.bin"),
            CommitOperationAdd("floats.safetensors", tmp_path / "floats.safetensors"),
        ],
        commit_message="weights",
    )
    stored = files_of(hub, repo, info.oid)
    assert stored["w/random.bin"] == stored["w/again.bin"] == (len(random), digest(random))
    assert stored["zeros.bin"] == (len(zeros), digest(zeros))
    assert stored["floats.safetensors"] == (len(floats), digest(floats))
    assert content(hub, repo, "w/random.bin") == random
    assert content(hub, repo, "zeros.bin") == zeros
    assert content(hub, repo, "floats.safetensors") == floats
    assert nothing_spooled()
    # the same process knows these chunks; a second upload must still be complete in itself
    hub.api.upload_file(path_or_fileobj=random[: 6 * MIB] + b"tail", path_in_repo="part.bin", repo_id=repo)
    assert content(hub, repo, "part.bin") == random[: 6 * MIB] + b"tail"
    assert nothing_spooled()


def test_a_binary_stream_goes_through_lfs(hub: Hub, repo: str) -> None:
    data = os.urandom(3 * MIB)
    hub.api.upload_file(path_or_fileobj=io.BytesIO(data), path_in_repo="stream.bin", repo_id=repo)
    assert files_of(hub, repo)["stream.bin"] == (len(data), digest(data))
    assert content(hub, repo, "stream.bin") == data


UPLOAD = """
import sys
from huggingface_hub import HfApi
print(HfApi().upload_file(path_or_fileobj=sys.argv[1], path_in_repo=sys.argv[2], repo_id=sys.argv[3]).oid)
"""


@pytest.mark.parametrize("size", [2 * MIB, 70 * MIB + 1], ids=["one piece", "parts"])
def test_without_xet_files_go_through_lfs(hub: Hub, repo: str, tmp_path: Path, size: int) -> None:
    source = tmp_path / "big.bin"
    with source.open("wb") as file:
        file.truncate(size)
        file.write(b"begin")
    with source.open("rb") as file:
        expected = hashlib.file_digest(file, "sha256").hexdigest()
    hub.run_python(UPLOAD, source, "big.bin", repo, HF_HUB_DISABLE_XET="1")
    assert files_of(hub, repo)["big.bin"] == (size, expected)
    assert hub.request("HEAD", f"/{repo}/resolve/main/big.bin").headers["x-linked-etag"] == f'"{expected}"'


def test_with_xet_in_a_process_of_its_own(hub: Hub, repo: str, tmp_path: Path, nothing_spooled) -> None:
    data = os.urandom(5 * MIB)
    (tmp_path / "x.bin").write_bytes(data)
    for path in ("one.bin", "two.bin"):
        # the second process finds the first one's cache and must not rely on it
        hub.run_python(UPLOAD, tmp_path / "x.bin", path, repo)
        assert files_of(hub, repo)[path] == (len(data), digest(data))
    assert nothing_spooled()


def test_the_same_bytes_are_stored_once(hub: Hub, repo: str) -> None:
    data = os.urandom(2 * MIB)
    for path in ("a.bin", "b.bin"):
        hub.api.upload_file(path_or_fileobj=io.BytesIO(data), path_in_repo=path, repo_id=repo)
    stored = list((hub.site.data / "blobs").rglob(digest(data)))
    assert len(stored) == 1


def test_an_unchanged_file_makes_no_commit(hub: Hub, repo: str) -> None:
    first = hub.api.upload_file(path_or_fileobj=b"same", path_in_repo="a.txt", repo_id=repo)
    again = hub.api.upload_file(path_or_fileobj=b"same", path_in_repo="a.txt", repo_id=repo)
    assert again.oid == first.oid
    assert len(hub.api.list_repo_commits(repo)) == 2


@pytest.fixture
def folder(tmp_path: Path) -> dict[str, bytes]:
    """A folder `tree` of 240 small files, one of 30 MiB of noise, and files to be left out."""
    wanted = {f"data/{i % 6}/part-{i:03d}.json": b'{"i": %d}' % i for i in range(240)}
    wanted |= {
        "README.md": b"---\nlicense: mit\n---\n# Tree\n",
        "model.safetensors": os.urandom(30 * MIB),
        "ünïcode né.txt": b"u",
    }
    left_out = {"skip/a.tmp": b"x", ".gitignore": b"*.log\n", "noise.log": b"y"}
    for name, data in (wanted | left_out).items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return wanted | {".gitignore": b"*.log\n"}


def test_a_folder_is_uploaded_whole(
    hub: Hub, repo: str, tmp_path: Path, folder: dict[str, bytes], nothing_spooled
) -> None:
    hub.api.upload_folder(repo_id=repo, folder_path=tmp_path / "tree", ignore_patterns=["*.tmp"])
    stored = files_of(hub, repo)
    assert set(stored) == {*folder, ".gitattributes"}
    large = "model.safetensors"
    assert stored[large] == (30 * MIB, digest(folder[large]))
    assert {name: oid for name, (_, oid) in stored.items() if name not in {large, ".gitattributes"}} == {
        name: git_oid(data) for name, data in folder.items() if name != large
    }
    assert hub.api.model_info(repo).card_data.license == "mit"
    assert nothing_spooled()


def test_the_command_uploads_and_downloads(hub: Hub, repo: str, tmp_path: Path, folder: dict[str, bytes]) -> None:
    name = f"{repo}-cli"
    hub.run_cli("repos", "create", name, "--private")
    hub.run_cli("upload", name, tmp_path / "tree", ".", "--exclude", "*.tmp")
    target = tmp_path / "down"
    hub.run_cli("download", name, "--local-dir", target)
    found = {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }
    assert found.keys() == {*folder, ".gitattributes"}
    assert all(found[path] == data for path, data in folder.items())
    assert hub.api.model_info(name).private is True
    assert hub.user in hub.run_cli("auth", "whoami")
    assert name in hub.run_cli("models", "ls", "--author", hub.user, "--quiet").split()
    hub.run_cli("repos", "delete", name, "--yes")
    assert not hub.api.repo_exists(name)


def test_files_and_folders_are_deleted(hub: Hub, repo: str) -> None:
    added = [
        CommitOperationAdd(path, path.encode()) for path in ("a/1.txt", "a/2.txt", "a/b/3.txt", "c.txt", "d/4.txt")
    ]
    hub.api.create_commit(repo, added, commit_message="add")
    hub.api.delete_file("a/1.txt", repo)
    assert set(files_of(hub, repo)) == {".gitattributes", "a/2.txt", "a/b/3.txt", "c.txt", "d/4.txt"}
    hub.api.delete_folder("a", repo)
    assert set(files_of(hub, repo)) == {".gitattributes", "c.txt", "d/4.txt"}
    before = hub.api.model_info(repo).sha
    with pytest.raises(EntryNotFoundError):
        hub.api.delete_file("nowhere.txt", repo)
    with pytest.raises(EntryNotFoundError):
        hub.api.delete_folder("c.txt", repo)
    assert hub.api.model_info(repo).sha == before
    # operations apply in their order: gone, then new
    hub.api.create_commit(
        repo,
        [CommitOperationDelete("c.txt"), CommitOperationAdd("c.txt", b"new"), CommitOperationDelete("d/")],
        commit_message="x",
    )
    assert set(files_of(hub, repo)) == {".gitattributes", "c.txt"}
    assert content(hub, repo, "c.txt") == b"new"


def test_files_are_copied_within_a_repository(hub: Hub, repo: str) -> None:
    large = os.urandom(2 * MIB)
    hub.api.create_commit(
        repo,
        [CommitOperationAdd("a.txt", b"text"), CommitOperationAdd("a.bin", large)],
        commit_message="originals",
    )
    hub.api.create_commit(
        repo,
        [CommitOperationCopy("a.txt", "b.txt"), CommitOperationCopy("a.bin", "sub/b.bin")],
        commit_message="copies",
    )
    stored = files_of(hub, repo)
    assert (stored["b.txt"], stored["sub/b.bin"]) == (stored["a.txt"], stored["a.bin"])


def test_a_stale_parent_is_refused_and_nothing_moves(hub: Hub, repo: str) -> None:
    start = hub.api.model_info(repo).sha
    first = hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo, parent_commit=start)
    with pytest.raises(HfHubHTTPError, match="The branch was updated since you opened this page") as error:
        hub.api.upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=repo, parent_commit=start)
    assert error.value.response.status_code == 412
    assert hub.api.model_info(repo).sha == first.oid
    assert content(hub, repo, "a") == b"1"
    hub.api.upload_file(path_or_fileobj=b"3", path_in_repo="a", repo_id=repo, parent_commit=first.oid[:7])
    assert content(hub, repo, "a") == b"3"


def test_branches_and_tags(hub: Hub, repo: str) -> None:
    first = hub.api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=repo).oid
    hub.api.create_branch(repo, branch="feat/x")
    hub.api.create_tag(repo, tag="v1", tag_message="first")
    second = hub.api.upload_file(path_or_fileobj=b"2", path_in_repo="a", repo_id=repo, revision="feat/x").oid
    hub.api.create_branch(repo, branch="old", revision=first)
    hub.api.create_tag(repo, tag="on/branch", revision="feat/x")
    refs = hub.api.list_repo_refs(repo, include_pull_requests=True)
    assert {(ref.name, ref.ref, ref.target_commit) for ref in refs.branches} == {
        ("main", "refs/heads/main", first),
        ("feat/x", "refs/heads/feat/x", second),
        ("old", "refs/heads/old", first),
    }
    assert {(ref.name, ref.ref, ref.target_commit) for ref in refs.tags} == {
        ("v1", "refs/tags/v1", first),
        ("on/branch", "refs/tags/on/branch", second),
    }
    assert (refs.converts, refs.pull_requests) == ([], [])
    for revision, expected in {
        "main": b"1", "feat%2Fx": b"2", "feat/x": b"2", "v1": b"1", "on%2Fbranch": b"2", "refs%2Fheads%2Ffeat%2Fx": b"2",
        "refs/heads/feat/x": b"2", first: b"1", second[:8]: b"2",
    }.items():  # fmt: skip
        assert content(hub, repo, "a", revision) == expected, revision
    assert [commit.commit_id for commit in hub.api.list_repo_commits(repo, revision="feat/x")][:2] == [second, first]
    for act, status, text in (
        (lambda: hub.api.create_branch(repo, branch="old"), 409, "Reference refs/heads/old already exists"),
        (lambda: hub.api.create_tag(repo, tag="v1"), 409, "already exists"),
        (lambda: hub.api.delete_branch(repo, branch="main"), 403, "Cannot delete refs/heads/main"),
        (lambda: hub.api.delete_branch(repo, branch="v1"), 404, "Invalid rev id"),
        (lambda: hub.api.create_tag(repo, tag="has blank"), 400, "not a valid"),
    ):
        with pytest.raises(HfHubHTTPError, match=text) as error:
            act()
        assert error.value.response.status_code == status
    with pytest.raises(RevisionNotFoundError):
        hub.api.create_branch(repo, branch="y", revision="nowhere")
    with pytest.raises(RevisionNotFoundError):
        hub.api.delete_tag(repo, tag="v9")
    hub.api.create_branch(repo, branch="old", exist_ok=True)
    hub.api.create_tag(repo, tag="v1", exist_ok=True)
    hub.api.delete_branch(repo, branch="feat/x")
    hub.api.delete_tag(repo, tag="v1")
    # a branch may have the name of a tag, and is what the bare name then means
    hub.api.create_branch(repo, branch="on/branch", revision=first)
    assert content(hub, repo, "a", "on%2Fbranch") == b"1"
    assert content(hub, repo, "a", "refs%2Ftags%2Fon%2Fbranch") == b"2"
    with pytest.raises(RevisionNotFoundError):
        hub.api.upload_file(path_or_fileobj=b"x", path_in_repo="a", repo_id=repo, revision="feat/x")


def test_a_card_is_checked(hub: Hub, repo: str) -> None:
    def check(text: str) -> tuple[int, dict]:
        answer = hub.request("POST", "/api/validate-yaml", {"content": text, "repoType": "model"})
        return answer.status, answer.json()

    assert check("---\nlicense: mit\n---\nx") == (200, {"errors": [], "warnings": []})
    status, said = check("no front matter")
    assert (status, said["errors"], len(said["warnings"])) == (200, [], 1)
    for bad in ("---\na: [1\n---\n", "---\nmodel-index: 3\n---\n", "---\n- x\n---\n", "---\na: &b [1]\nc: *b\n---\n"):
        status, said = check(bad)
        assert (status, len(said["errors"])) == (400, 1)
    with pytest.raises(ValueError, match="model-index"):
        hub.api.upload_file(path_or_fileobj=b"---\nmodel-index: 3\n---\n", path_in_repo="README.md", repo_id=repo)


def test_what_is_ignored_and_what_is_large_follows_the_repository(hub: Hub, repo: str) -> None:
    hub.api.create_commit(
        repo,
        [
            CommitOperationAdd(".gitignore", b"build/\n*.tmp\n!keep.tmp\n"),
            CommitOperationAdd(".gitattributes", b"*.dat filter=lfs\nlogs/** filter=lfs\nlogs/x.txt !filter\n"),
            CommitOperationAdd("present.txt", b"here"),
        ],
        commit_message="rules",
    )
    ask = [
        ("a.dat", 5), ("a.txt", 5), ("logs/y", 5), ("logs/x.txt", 5), ("big.txt", 11 * MIB), ("a.bin", 5), ("build/out/x", 5),
        ("a.tmp", 5), ("keep.tmp", 5), ("present.txt", 4), ("empty.dat", 0),
    ]  # fmt: skip
    body = {"files": [{"path": path, "size": size, "sample": "aGVsbG8="} for path, size in ask]}
    answer = hub.request("POST", f"/api/models/{repo}/preupload/main", body)
    said = {item["path"]: item for item in answer.json()["files"]}
    assert [path for path, _ in ask if said[path]["uploadMode"] == "lfs"] == ["a.dat", "logs/y", "big.txt"]
    assert [path for path, _ in ask if said[path]["shouldIgnore"]] == ["build/out/x", "a.tmp"]
    assert {path: item["oid"] for path, item in said.items() if "oid" in item} == {"present.txt": git_oid(b"here")}
    answer = hub.request("POST", f"/api/models/{repo}/preupload/main", body | {"gitIgnore": "present.*\n"})
    assert [item["path"] for item in answer.json()["files"] if item["shouldIgnore"]] == ["present.txt"]


@pytest.mark.parametrize("mode", ["xet", "lfs"])
def test_a_killed_upload_leaves_the_branch_where_it_was(hub: Hub, repo: str, tmp_path: Path, mode: str) -> None:
    source = tmp_path / "big.bin"
    source.write_bytes(os.urandom(24 * MIB))
    before = hub.api.model_info(repo).sha
    extra = {"HF_HUB_DISABLE_XET": "1"} if mode == "lfs" else {}
    client: list[subprocess.Popen[bytes]] = []
    site = urlsplit(hub.site.url)

    def kill() -> None:
        client[0].kill()

    with SwallowingProxy((site.hostname, site.port), 8 * MIB, kill) as proxy:
        environment = hub.environment(HF_ENDPOINT=proxy.url, **extra)
        command = [sys.executable, "-c", UPLOAD, source, "big.bin", repo]
        client.append(subprocess.Popen(command, env=environment, cwd=hub.home))
        assert client[0].wait(60) == -signal.SIGKILL
    assert hub.api.model_info(repo).sha == before
    assert set(files_of(hub, repo)) == {".gitattributes"}
    hub.run_python(UPLOAD, source, "big.bin", repo, **extra)
    assert content(hub, repo, "big.bin") == source.read_bytes()


def test_git_agrees_with_every_id(hub: Hub, repo: str, tmp_path: Path) -> None:
    """The ids of trees and files are those git computes from the same content."""
    work = tmp_path / "git"
    (work / "sub").mkdir(parents=True)
    files = {"a.txt": b"text\n", "sub/b.txt": b"more\n", "sub-x": b"sorts apart\n"}
    for name, data in files.items():
        (work / name).write_bytes(data)
    added = [CommitOperationAdd(name, data) for name, data in files.items()]
    hub.api.create_commit(repo, [*added, CommitOperationDelete(".gitattributes")], commit_message="same")

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", work, *arguments], check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", ".")
    tree = git("write-tree").strip()
    listed = {line.split("\t")[1]: line.split()[2] for line in git("ls-tree", "-r", "-t", tree).splitlines()}
    entries = hub.api.list_repo_tree(repo, recursive=True)
    assert {entry.path: getattr(entry, "blob_id", None) or entry.tree_id for entry in entries} == listed
