"""Commits: git's own ids, all or nothing, one head at a time."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, connections, transaction

from common.errors import Forbidden, Invalid, StaleParent
from registry import queries
from registry.errors import EntryNotFound, PathNotAllowed, RepoNotFound, RevisionNotFound
from registry.models import Branch, Commit, Repo, Tree, TreePage
from registry.services import storage, uploads
from registry.services.commits import AddFile, AddLfs, CopyFile, DeleteFile, DeleteFolder
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    return actor_of(make_user("alice"))


@pytest.fixture
def repo(alice) -> Repo:
    return make_repo(alice)


def files(head: Commit) -> dict[str, bytes]:
    return {
        entry.path: storage.read_blob(queries.blob_of(entry), 10_000)
        for entry in queries.all_files(head)
        if entry.path != ".gitattributes"
    }


def git(folder, *words: str, text: bytes | None = None) -> str:
    return (
        subprocess.run(["git", *words], cwd=folder, input=text, capture_output=True, check=True).stdout.decode().strip()
    )


def test_trees_and_commits_have_the_ids_that_git_computes(alice, repo, tmp_path_factory) -> None:
    clone = tmp_path_factory.mktemp("clone")
    commit(
        alice,
        repo,
        *(add(f"train/{number % 7}/{number}.txt", f"{number}") for number in range(60)),
        add("a-b"),
        add("a/b"),
    )
    head = commit(
        alice,
        repo,
        DeleteFolder("train/3"),
        add("train/new.txt"),
        add("a.txt"),
        summary="Ünïcode",
        description="Why\n\nso",
    )
    git(clone, "init", "-q")
    for entry in queries.all_files(head):
        target = clone / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(storage.read_blob(queries.blob_of(entry), 100_000))
    git(clone, "add", "-A")
    assert git(clone, "write-tree") == head.tree.oid
    assert git(clone, "hash-object", "-t", "commit", "--stdin", "--literally", text=bytes(head.raw)) == head.oid
    assert head.tree.file_count == 56
    assert head.summary == "Ünïcode"


def test_operations_apply_in_the_order_they_are_given(alice, repo) -> None:
    commit(alice, repo, add("folder/one", "1"), add("folder/two", "2"), add("plain", "p"))
    head = commit(
        alice, repo, DeleteFile("folder"), add("folder", "now a file"), DeleteFile("plain"), add("plain/below", "x")
    )
    assert files(head) == {"folder": b"now a file", "plain/below": b"x"}


@pytest.mark.parametrize(
    ("operations", "error"),
    [
        ([("add", "kept/x")], None),
        ([("add", "kept/a/b")], Invalid),
        ([("add", "kept")], Invalid),
        ([("delete", "missing")], EntryNotFound),
        ([("delete", "kept/missing")], EntryNotFound),
        ([("delete", "kept/a"), ("delete", "kept/a")], EntryNotFound),
        ([("folder", "kept/a")], EntryNotFound),
        ([("add", "new/x"), ("add", "new/x/y")], Invalid),
        ([("add", "new/x"), ("add", "new")], Invalid),
    ],
)
def test_a_refused_operation_leaves_the_branch_where_it_was(alice, repo, operations, error) -> None:
    before = commit(alice, repo, add("kept/a", "a"), add("kept/b", "b"))
    made = {"add": add, "delete": DeleteFile, "folder": DeleteFolder}
    if error is None:
        assert "kept/x" in files(commit(alice, repo, *(made[op](path) for op, path in operations)))
        return
    with pytest.raises(error):
        commit(alice, repo, add("other"), *(made[op](path) for op, path in operations))
    assert queries.head_of(repo).oid == before.oid
    assert files(queries.head_of(repo)) == {"kept/a": b"a", "kept/b": b"b"}


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../up", "a/../b", "a//b", "./a", "a/", "a\\b", "..\\up", "a\x00b", "a\nb", ".git/config", "x/.GIT/y", "git~1",
     "a/\ud800", "n" * 256, "d/" * 501 + "x"],
)  # fmt: skip
def test_hostile_paths_are_refused_and_nothing_is_written(alice, repo, path) -> None:
    before = (Commit.objects.count(), Tree.objects.count())
    with pytest.raises(PathNotAllowed):
        commit(alice, repo, add(path))
    assert (Commit.objects.count(), Tree.objects.count()) == before


def test_a_stale_parent_is_refused_and_the_right_one_accepted(alice, repo) -> None:
    first = commit(alice, repo, add("one"))
    second = commit(alice, repo, add("two"), parent=first.oid)
    with pytest.raises(StaleParent):
        commit(alice, repo, add("three"), parent=first.oid)
    assert queries.head_of(repo).oid == second.oid
    assert commit(alice, repo, add("three"), parent=second.oid[:12]).parents == [second.oid]


def test_a_commit_that_changes_nothing_returns_the_head(alice, repo) -> None:
    head = commit(alice, repo, add("one", "same"))
    assert commit(alice, repo, add("one", "same")).pk == head.pk


def test_one_changed_file_rewrites_one_page_and_the_folders_above_it(alice, repo) -> None:
    blob = storage.store_bytes(b"x")
    commit(alice, repo, *(AddFile(f"data/{number:05d}.txt", blob) for number in range(3000)))
    pages, trees = TreePage.objects.count(), Tree.objects.count()
    commit(alice, repo, add("data/01500.txt", "changed"))
    assert Tree.objects.count() - trees == 2
    assert TreePage.objects.count() - pages == 2
    assert TreePage.objects.filter(entry_count__gt=1).count() >= 4


def test_entries_know_the_commit_that_last_touched_them(alice, repo) -> None:
    first = commit(alice, repo, add("one", "1"), add("two", "2"))
    second = commit(alice, repo, add("one", "1"), add("two", "changed"))
    assert queries.entry_at(second, "one").commit_id == first.pk
    assert queries.entry_at(second, "two").commit_id == second.pk


def test_large_files_need_their_bytes_and_show_git_a_pointer(alice, repo) -> None:
    content = b"large " * 100
    blob = storage.store_blob([content])
    with pytest.raises(Invalid, match="has not been uploaded"):
        commit(alice, repo, AddLfs("big.bin", blob.sha256, len(content)))
    uploads.attach(repo, blob)
    entry = queries.entry_at(commit(alice, repo, AddLfs("big.bin", blob.sha256)), "big.bin")
    pointer = storage.pointer_of(blob.sha256, len(content))
    assert (entry.sha256, entry.size_bytes) == (blob.sha256, 600)
    assert entry.oid == subprocess.run(["git", "hash-object", "--stdin"], input=pointer, capture_output=True, check=True).stdout.decode().strip()  # fmt: skip


def test_copies_move_no_bytes(alice, repo) -> None:
    first = commit(alice, repo, add("one", "old"))
    commit(alice, repo, add("one", "new"))
    head = commit(alice, repo, CopyFile("one", "restored", first.oid), CopyFile("one", "again", "main"))
    assert files(head) == {"one": b"new", "restored": b"old", "again": b"new"}


def test_strangers_see_nothing_and_readers_may_not_write(alice, repo) -> None:
    stranger = actor_of(make_user("mallory"))
    with pytest.raises(RepoNotFound):
        commit(stranger, repo, add("x"))
    Repo.objects.filter(pk=repo.pk).update(visibility="public")
    with pytest.raises(Forbidden):
        commit(stranger, repo, add("x"))
    assert queries.head_of(repo).depth == 0


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_recursive_listing_in_pages_misses_and_repeats_nothing(alice, repo, limit) -> None:
    paths = ["a", "a.b", "a/b", "a/c/d", "a/c/e", "a0", "z/y/x/w", "z/y.x"]
    commit(alice, repo, *(add(path) for path in paths if path != "a"))
    head = queries.head_of(repo)
    seen, cursor = [], None
    while True:
        entries, cursor = queries.list_tree(head, recursive=True, cursor=cursor, limit=limit)
        assert len(entries) <= limit
        seen += [entry.path for entry in entries]
        if cursor is None:
            break
    assert sorted(seen) == sorted([".gitattributes", "a", "a.b", "a/b", "a/c", "a/c/d", "a/c/e", "a0", "z", "z/y", "z/y/x", "z/y/x/w", "z/y.x"])  # fmt: skip
    assert len(seen) == len(set(seen))


def test_history_follows_first_parents_in_pages(alice, repo) -> None:
    oids = [commit(alice, repo, add("file", str(number)), summary=f"Step {number}").oid for number in range(7)]
    rows, following = queries.history(queries.head_of(repo), limit=3)
    assert [row.oid for row in rows] == oids[:-4:-1]
    rest, end = queries.history(queries.resolve_revision(repo, following), limit=10)
    assert [row.summary for row in rest] == ["Step 3", "Step 2", "Step 1", "Step 0", "initial commit"]
    assert end is None


def test_revisions_resolve_by_branch_tag_id_and_prefix(alice, repo) -> None:
    head = commit(alice, repo, add("x"))
    for text in ("main", "refs/heads/main", head.oid, head.oid[:7]):
        assert queries.resolve_revision(repo, text).pk == head.pk
    for text in ("", "nope", head.oid[:4], "0" * 40, "refs/tags/main", "refs/heads/" + head.oid, "'; drop table"):
        with pytest.raises(RevisionNotFound):
            queries.resolve_revision(repo, text)


def test_the_database_refuses_to_change_a_commit(alice, repo) -> None:
    head = commit(alice, repo, add("x"))
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Commit.objects.filter(pk=head.pk).update(summary="rewritten")
    spare = commit(alice, repo, add("y"))
    Branch.objects.filter(repo=repo).update(head=head)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Commit.objects.filter(pk=spare.pk).delete()
    assert Commit.objects.get(pk=head.pk).summary == "Change"


@pytest.mark.django_db(transaction=True)
def test_commits_made_at_once_line_up_and_none_is_lost(alice, repo) -> None:
    def one(number: int) -> str:
        try:
            return commit(alice, repo, add(f"file-{number}", str(number))).oid
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        oids = list(pool.map(one, range(24)))
    rows, _ = queries.history(queries.head_of(repo), limit=50)
    assert len(set(oids)) == 24
    assert {row.oid for row in rows} >= set(oids)
    assert len(rows) == 25
    assert len(files(queries.head_of(repo))) == 24
    assert connection.vendor in {"sqlite", "postgresql"}
