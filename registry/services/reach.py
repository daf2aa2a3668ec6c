"""What is reachable: the one place that knows everything by which a commit, a tree or a blob is named.

Commits are named by rows with a foreign key to them and by their children. Trees and pages are named by commits and trees.
Blobs are named by the trees of living commits and by rows with a foreign key to them. The foreign keys are read off the models, so
that a new table counts from its first day; tests/registry/test_garbage.py insists that a digest is never kept as mere text."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Self

from django.db.models import Exists, ForeignObjectRel, OuterRef, QuerySet

from registry import trees
from registry.models import (
    Blob,
    BlobPreview,
    BlobScan,
    BuildFile,
    Commit,
    LostCommit,
    Quarantine,
    Repo,
    RepoBlob,
    RepoScan,
    Tree,
    TreePage,
)
from registry.services.gitobjects import spool_database

ABOUT_BLOBS = {BlobScan, BlobPreview, Quarantine, BuildFile}
"""What is said of bytes does not keep them. The files of builds are kept like those of commits: alive in their repository, whose holding
keeps the bytes, and gone with it."""
ABOUT_COMMITS = {LostCommit, Commit, RepoScan}
"""Of commits neither; and a child keeps its parents only while something keeps the child."""
_AT_ONCE = 500
_SCHEMA = """
CREATE TABLE commits (id INTEGER PRIMARY KEY, oid TEXT UNIQUE, tree INT, is_root INT NOT NULL DEFAULT 0);
CREATE TABLE parents (child TEXT, parent TEXT);
CREATE INDEX by_child ON parents (child);
CREATE TABLE lost (id INTEGER PRIMARY KEY);
CREATE TABLE trees (id INTEGER PRIMARY KEY);
CREATE TABLE pages (id INTEGER PRIMARY KEY);
CREATE TABLE blobs (id INTEGER PRIMARY KEY);
CREATE TABLE all_trees (id INTEGER PRIMARY KEY);
CREATE TABLE all_pages (id INTEGER PRIMARY KEY);
"""


def keepers_of_blobs() -> list[ForeignObjectRel]:
    """Foreign keys by which a row keeps bytes."""
    return _keepers(Blob, ABOUT_BLOBS)


def keepers_of_commits() -> list[ForeignObjectRel]:
    """Foreign keys by which a row keeps a commit."""
    return _keepers(Commit, ABOUT_COMMITS)


def _keepers(model: Any, about: Any) -> list[ForeignObjectRel]:
    return [rel for rel in foreign_keys_to(model) if rel.related_model not in about]


def foreign_keys_to(model: Any) -> list[ForeignObjectRel]:
    """Foreign keys of all tables to the model's."""
    # with those that have no name on this side: most of them
    found = model._meta.get_fields(include_hidden=True)
    return [rel for rel in found if isinstance(rel, ForeignObjectRel)]


def unnamed_blobs(holdings: QuerySet[RepoBlob]) -> QuerySet[Blob]:
    """Blobs that no row keeps; of the holdings, only `holdings` count."""
    found = Blob.objects.all()
    for rel in keepers_of_blobs():
        model: Any = rel.related_model
        rows = holdings if model is RepoBlob else model.objects.all()
        found = found.filter(~Exists(rows.filter(**{rel.field.name: OuterRef("pk")})))
    return found


class Marks:
    """What one repository after the other reaches, kept in a file: memory does not grow with them. Use it in a `with`."""

    def __init__(self) -> None:
        self._base = spool_database(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def mark(self, repo: Repo, *, young_from: int, is_purged: bool) -> None:
        """Find what is alive in `repo`, forgetting the repository before. Commits with a key from `young_from` on count as
        named: what they are made for may not be written yet. Of a purged one nothing is alive but what its history is made of."""
        for table in ("commits", "parents", "lost", "trees", "pages", "blobs"):
            self._base.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this module
        self._read_commits(repo, young_from)
        self._base.execute(
            "INSERT INTO lost WITH RECURSIVE kept(oid) AS (SELECT oid FROM commits WHERE is_root UNION "
            "SELECT parent FROM parents JOIN kept ON child = kept.oid) "
            "SELECT id FROM commits WHERE oid NOT IN (SELECT oid FROM kept)"
        )
        if not is_purged:
            self._walk("SELECT tree FROM commits WHERE id NOT IN (SELECT id FROM lost)", with_blobs=True)
            builds = BuildFile.objects.filter(build__version__repo=repo).values_list("blob_id", flat=True)
            self._new("blobs", builds.iterator(chunk_size=2000))
        # trees belong to the commits, which are kept for good
        self._walk("SELECT tree FROM commits", with_blobs=False)
        self._base.execute("INSERT OR IGNORE INTO all_trees SELECT id FROM trees")
        self._base.execute("INSERT OR IGNORE INTO all_pages SELECT id FROM pages")

    def _read_commits(self, repo: Repo, young_from: int) -> None:
        rows = Commit.objects.filter(repo=repo).values_list("pk", "oid", "tree_id", "parents")
        for key, oid, tree, parents in rows.iterator(chunk_size=2000):
            self._base.execute("INSERT INTO commits VALUES (?, ?, ?, ?)", (key, oid, tree, key >= young_from))
            self._base.executemany("INSERT INTO parents VALUES (?, ?)", [(oid, parent) for parent in parents])
        for rel in keepers_of_commits():
            name = rel.field.attname
            model: Any = rel.related_model
            named = model.objects.filter(**{f"{rel.field.name}__repo": repo}).values_list(name, flat=True)
            self._base.executemany(
                "UPDATE commits SET is_root = 1 WHERE id = ?", ((key,) for key in named.iterator(chunk_size=2000))
            )

    def lost(self) -> Iterator[list[int]]:
        """Commits of the repository that nothing leads to, some at a time."""
        return self._batches("SELECT id FROM lost ORDER BY id")

    def is_lost(self, keys: Iterable[int]) -> set[int]:
        return {key for key in keys if self._has("lost", key)}

    def is_alive(self, keys: Iterable[int]) -> set[int]:
        """Those of the blobs that a living commit or a build of the repository names."""
        return {key for key in keys if self._has("blobs", key)}

    def unused_trees(self, keys: Iterable[int]) -> list[int]:
        """Those of the trees that no commit marked so far holds."""
        return [key for key in keys if not self._has("all_trees", key)]

    def unused_pages(self, keys: Iterable[int]) -> list[int]:
        return [key for key in keys if not self._has("all_pages", key)]

    def _has(self, table: str, key: int) -> bool:
        return self._base.execute(f"SELECT 1 FROM {table} WHERE id = ?", (key,)).fetchone() is not None  # noqa: S608

    def _new(self, table: str, keys: Iterable[int]) -> list[int]:
        insert = f"INSERT OR IGNORE INTO {table} VALUES (?)"  # noqa: S608
        return [key for key in keys if self._base.execute(insert, (key,)).rowcount]

    def _batches(self, query: str) -> Iterator[list[int]]:
        cursor = self._base.execute(query)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield [row[0] for row in rows]

    def _walk(self, roots: str, *, with_blobs: bool) -> None:
        for batch in self._batches(roots):
            pending = deque(self._new("trees", batch))
            while pending:
                keys = [pending.popleft() for _ in range(min(_AT_ONCE, len(pending)))]
                pages = [page for tree in Tree.objects.filter(pk__in=keys) for page in trees.pages_of(tree)]
                fresh = self._new("pages", pages)
                for start in range(0, len(fresh), _AT_ONCE):
                    rows = TreePage.objects.filter(pk__in=fresh[start : start + _AT_ONCE]).only("raw", "extra")
                    for page in rows.iterator(chunk_size=64):
                        pending.extend(self._take(page, with_blobs=with_blobs))

    def _take(self, page: TreePage, *, with_blobs: bool) -> list[int]:
        nodes = trees.read_page(page)
        if with_blobs:
            self._new("blobs", (node.ref for node in nodes if not node.is_dir))
        return self._new("trees", (node.ref for node in nodes if node.is_dir))


def commit_key_at(moment: datetime) -> int:
    """The least key that a commit made at `moment` can have (registry/models/history.py)."""
    return int(moment.timestamp() * 1000) << 22
