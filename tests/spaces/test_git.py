"""git against the running site: what is cloned, fetched and pushed is what the Hugging Face protocol sees."""

from pathlib import Path

import pytest

from tests.spaces.git_client import Git
from tests.spaces.hf_client import Hub


@pytest.fixture
def alice(live_site, tmp_path: Path) -> Git:
    return Git(live_site, tmp_path / "alice", live_site.user("hf-alice"), live_site.token("hf-alice"))


@pytest.fixture
def bob(live_site, tmp_path: Path) -> Git:
    return Git(live_site, tmp_path / "bob", live_site.user("hf-bob"), live_site.token("hf-bob"))


@pytest.fixture
def nobody(live_site, tmp_path: Path) -> Git:
    return Git(live_site, tmp_path / "nobody")


def files_at(hub: Hub, repo: str, revision: str = "main", kind: str = "model") -> dict[str, str]:
    """Paths and git ids of all files, as the Hugging Face protocol tells them."""
    tree = hub.api.list_repo_tree(repo, recursive=True, revision=revision, repo_type=kind)
    return {entry.path: entry.blob_id for entry in tree if hasattr(entry, "blob_id")}


def files_in(git: Git, folder: Path, revision: str = "HEAD") -> dict[str, str]:
    """Paths and git ids of all files, as git lists them."""
    rows = git.run("ls-tree", "-r", "-z", revision, cwd=folder).split("\0")
    return {row.split("\t", 1)[1]: row.split()[2] for row in rows if row}


def test_what_is_pushed_is_what_the_other_protocol_sees(alice: Git, nobody: Git, hub: Hub, repo: str) -> None:
    folder = alice.clone(repo)
    first = hub.api.model_info(repo).sha
    assert alice.head(folder) == first
    head = alice.commit(
        folder,
        {
            "README.md": "---\nlicense: mit\n---\n# Ünïcode\n",
            "data/a/1.txt": "one",
            "data/b.txt": "two",
            "ä ö.txt": "three",
        },
        "Add files\n\nWith a reason.",
        GIT_AUTHOR_DATE="2001-02-03T04:05:06+0530",
    )
    alice.run("push", "-q", "origin", "main", cwd=folder)
    info = hub.api.model_info(repo)
    assert (info.sha, info.card_data["license"]) == (head, "mit")
    assert files_at(hub, repo) == files_in(alice, folder)
    commits = hub.api.list_repo_commits(repo)
    assert [(item.commit_id, item.title, item.message) for item in commits[:1]] == [
        (head, "Add files", "With a reason.")
    ]
    assert alice.run("log", "--format=%H", cwd=folder).split() == [item.commit_id for item in commits]
    assert Path(hub.api.hf_hub_download(repo, "ä ö.txt", cache_dir=hub.home)).read_text() == "three"

    copy = nobody.clone(f"{repo}.git")
    assert nobody.run("log", "-1", "--format=%H %an %aI", cwd=copy) == f"{head} Ada Löwe 2001-02-03T04:05:06+05:30"
    hub.api.upload_file(path_or_fileobj=b"by the other way", path_in_repo="data/b.txt", repo_id=repo)
    nobody.run("pull", "-q", cwd=copy)
    assert nobody.head(copy) == hub.api.model_info(repo).sha
    assert (copy / "data/b.txt").read_text() == "by the other way"
    assert files_at(hub, repo) == files_in(nobody, copy)
    nobody.run("fsck", "--strict", cwd=copy)
