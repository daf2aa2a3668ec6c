"""The page of a commit: who, when, why, and what it changed."""

import pytest

from registry.changes import changes_of
from registry.queries import head_of
from registry.services import storage
from registry.services.commits import AddFile, AddLfs, DeleteFile, create_commit
from registry.services.uploads import attach
from tests.factories.market import make_company, make_person, make_version
from tests.support.queries import CaptureQueriesContext, connection, count_of

HERE = "/datasets/shop/wine/commit"


@pytest.fixture
def shop(db):
    return make_company("shop")


@pytest.fixture
def repo(shop):
    return make_version(shop, files={"a.txt": b"one\ntwo\nthree\n", "gone.txt": b"old\n", "deep/er/x.txt": b"x\n"}).repo


def put(shop, repo, *operations, summary="Change", description=""):
    return create_commit(shop.actor, repo, "main", list(operations), summary=summary, description=description)


def add(path: str, content: bytes) -> AddFile:
    return AddFile(path, storage.store_blob([content]))


def large(repo, path: str, content: bytes) -> AddLfs:
    blob = storage.store_blob([content])
    attach(repo, blob)
    return AddLfs(path, blob.sha256, blob.size_bytes)


def shapes(commit, **options) -> list[tuple[str, str]]:
    return [(each.kind, each.path) for each in changes_of(commit, **options)[0]]


def test_commit_tells_who_why_and_what(shop, repo, browser):
    commit = put(
        shop,
        repo,
        add("a.txt", b"one\n2 <b>\nthree\n"),
        add("new/b.txt", b"b\n"),
        DeleteFile("gone.txt"),
        large(repo, "model.bin", b"\0" * 2_000_000),
        add("zero.txt", b"\0\1\2"),
        summary="Rework <i>all</i>",
        description="Because.\nAnd so on.",
    )
    text = browser.get(f"{HERE}/{commit.oid}").content.decode()
    assert "Rework &lt;i&gt;all&lt;/i&gt;" in text
    assert "Because.<br>And so on." in text
    assert '<a href="/shop-owner">shop-owner</a>' in text
    assert f'href="{HERE}/{commit.parents[0]}"' in text
    assert "5 files changed" in text
    assert "removed: </span>two</div>" in text
    assert "added: </span>2 &lt;b&gt;</div>" in text
    assert "2.0 MB" in text
    assert "A large file: only its size is told." in text
    assert "It is not text: only its size is told." in text
    assert f'href="/datasets/shop/wine/blob/{commit.parents[0]}/gone.txt"' in text
    assert f'href="/datasets/shop/wine/blob/{commit.oid}/new/b.txt"' in text


def test_commit_is_linked_from_history_folder_version_and_lineage(shop, repo, browser):
    oid = head_of(repo).oid
    link = f'href="{HERE}/{oid}"'
    for page in ("commits", "tree", "versions/1.0", "lineage?version=1.0"):
        assert (page, link in browser.get(f"/datasets/shop/wine/{page}").content.decode()) == (page, True)
    assert "1.0</a>" in browser.get(f"{HERE}/{oid}").content.decode().split("Released as")[1][:200]


def test_first_commit_has_no_parent(shop, repo, browser):
    first = repo.commits.order_by("depth")[0]
    text = browser.get(f"{HERE}/{first.oid}").content.decode()
    assert "none, it is the first" in text
    assert ".gitattributes" in text


def test_changes_are_the_files_that_differ(shop, repo):
    commit = put(shop, repo, add("deep/er/y.txt", b"y\n"), DeleteFile("deep/er/x.txt"), add("a.txt", b"one\n"))
    assert shapes(commit) == [("changed", "a.txt"), ("removed", "deep/er/x.txt"), ("added", "deep/er/y.txt")]
    # a file takes the place of a folder
    commit = put(shop, repo, DeleteFile("deep/er"), add("deep/er", b"file\n"))
    assert shapes(commit) == [("added", "deep/er"), ("removed", "deep/er/y.txt")]


def test_long_lists_are_cut(shop, repo, browser, monkeypatch):
    commit = put(shop, repo, *(add(f"many/{number}.txt", b"%d" % number) for number in range(12)))
    found, is_cut = changes_of(commit, limit=5)
    assert ([each.path for each in found], is_cut) == ([f"many/{number}.txt" for number in (0, 1, 10, 11, 2)], True)
    assert changes_of(commit, limit=12)[1] is False
    monkeypatch.setattr("web.hub.commits.changes_of", lambda commit: changes_of(commit, limit=5))
    assert "More than 5 files changed" in browser.get(f"{HERE}/{commit.oid}").content.decode()


def test_cost_follows_the_change_and_not_the_repository(shop, repo, monkeypatch):
    monkeypatch.setattr("registry.trees._PAGE_LIMIT", 10)
    one = storage.store_blob([b"same\n"])
    create_commit(shop.actor, repo, "main", [AddFile(f"all/{n:04}.txt", one) for n in range(300)], summary="Many")

    def cost() -> int:
        commit = put(shop, repo, add("all/0150.txt", b"%d" % cost.calls))
        cost.calls += 1
        commit.refresh_from_db()
        with CaptureQueriesContext(connection) as captured:
            assert shapes(commit) == [("changed", "all/0150.txt")]
        return count_of(captured)

    cost.calls = 0
    small = cost()
    create_commit(shop.actor, repo, "main", [AddFile(f"all/{n:04}.txt", one) for n in range(300, 900)], summary="More")
    assert cost() == small
    assert small < 14


def test_files_that_are_too_long_are_not_compared(shop, repo, browser, monkeypatch):
    monkeypatch.setattr("web.hub.commits.DIFF_BYTES", 100)
    commit = put(shop, repo, add("a.txt", b"x\n" * 51))
    assert (
        "It is too long, or too far down, to be compared here." in browser.get(f"{HERE}/{commit.oid}").content.decode()
    )
    monkeypatch.setattr("web.hub.commits.DIFFS", 1)
    commit = put(shop, repo, add("b.txt", b"b\n"), add("c.txt", b"c\n"))
    text = browser.get(f"{HERE}/{commit.oid}").content.decode()
    assert ("added: </span>b</div>" in text, "added: </span>c</div>" in text) == (True, False)


def test_unknown_and_private_commits_are_not_found(shop, repo, browser):
    oid = head_of(repo).oid
    for name in ("0" * 40, "zzz", "%2e%2e", "a" * 500):
        assert (name, browser.get(f"{HERE}/{name}").status_code) == (name, 404)
    repo.visibility = "private"
    repo.save()
    browser.force_login(make_person("stranger").user)
    assert browser.get(f"{HERE}/{oid}").status_code == 404
