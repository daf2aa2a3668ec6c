"""What git sees of a repository: its refs, its history, and the objects below them, found in pages and written as a pack.

Memory grows with the number of commits (some hundred bytes each) and with nothing else: what was found is kept in a table on
disk, bytes pass in pieces, and the number of queries follows the number of pages."""

import hashlib
import os
import sqlite3
import tempfile
import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import CharField, F, Q, Value
from django.db.models.functions import Length
from dulwich.object_format import SHA1
from dulwich.pack import pack_header_chunks, pack_object_header

from common.errors import Invalid
from registry import trees
from registry.errors import Quarantined
from registry.models import Blob, Branch, Commit, Quarantine, Repo, Tag, Tree, TreePage
from registry.services import storage
from registry.states import BlobState
from registry.trees import Node

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4
"""Git's numbers of object types, as packs write them."""
_TREES_AT_ONCE = 64
_PAGES_AT_ONCE = 64
_ROWS_AT_ONCE = 500
_BASE_PAGES = 256
"""Two directories that differ in more pages than this are not compared: more is sent, less is held."""
_COMPRESSION = 1
"""The fastest: the processor is the narrow place of a clone, not the line."""


def spool_folder() -> Path:
    """Where git's temporary files lie. They have no name there while they are used, so nothing is left by a killed process."""
    folder = Path(settings.DATA) / "git"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def spool_database(schema: str) -> sqlite3.Connection:
    """An empty database of this request's own, in a file that has no name and goes with the connection."""
    handle, name = tempfile.mkstemp(dir=spool_folder())
    os.close(handle)
    # a streamed answer may be closed by another thread than the one that began it
    database = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    # one transaction that never ends: what fits into the cache is never written
    database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8000; BEGIN; {schema}")
    Path(name).unlink()
    return database


# Refs and history


@dataclass(frozen=True, slots=True)
class GitRef:
    """`peeled` is the commit that an annotated tag's object names; empty for everything else."""

    name: str
    oid: str
    peeled: str = ""


def full_name(branch: str) -> str:
    """What git calls a branch. Those of pull requests are kept under their full name."""
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"


def refs_of(repo: Repo) -> list[GitRef]:
    """Every branch and tag, by its full name in git's order; one query."""
    text: CharField[str, str] = CharField()
    branches = (
        Branch.objects.filter(repo=repo)
        .annotate(kind=Value("branch", text), commit_oid=F("head__oid"), object_oid=Value("", text))
        .values_list("kind", "name", "commit_oid", "object_oid")
    )
    tags = (
        Tag.objects.filter(repo=repo)
        .annotate(kind=Value("tag", text), commit_oid=F("commit__oid"), object_oid=F("oid"))
        .values_list("kind", "name", "commit_oid", "object_oid")
    )
    refs = []
    for kind, name, commit, tag_object in branches.union(tags, all=True):
        full = full_name(name) if kind == "branch" else f"refs/tags/{name}"
        refs.append(GitRef(full, tag_object or commit, commit if tag_object else ""))
    return sorted(refs, key=lambda ref: ref.name.encode())


class History:
    """The graph of a repository's commits, by position; one query."""

    def __init__(self, repo: Repo) -> None:
        self.keys: list[int] = []
        self.oids: list[str] = []
        self.tree_keys: list[int] = []
        rows = Commit.objects.filter(repo=repo).values_list("pk", "oid", "tree_id", "parents")
        named: list[list[str]] = []
        for key, oid, tree_key, parents in rows.iterator(chunk_size=2000):
            self.keys.append(key)
            self.oids.append(oid)
            self.tree_keys.append(tree_key)
            named.append(parents)
        self.at = {oid: position for position, oid in enumerate(self.oids)}
        self.parents = [tuple(self.at[oid] for oid in parents if oid in self.at) for parents in named]

    def reachable(self, starts: Iterable[int], *, cut: Collection[int] = ()) -> set[int]:
        """The commits from `starts` on into the past; those in `cut` count as having no parents."""
        seen = set(starts)
        pending = list(seen)
        while pending:
            position = pending.pop()
            if position in cut:
                continue
            for parent in self.parents[position]:
                if parent not in seen:
                    seen.add(parent)
                    pending.append(parent)
        return seen

    def is_ancestor(self, oid: str, of: Iterable[str]) -> bool:
        """Whether the commit is one of `of` or came before one of them."""
        return oid in self.at and self.at[oid] in self.reachable(self.at[each] for each in of if each in self.at)


# Objects below commits


class ObjectTable:
    """Objects that were found, each once, in the order they were found; on disk as soon as they are many."""

    def __init__(self) -> None:
        self._database = spool_database(
            "CREATE TABLE objects (oid BLOB UNIQUE, kind INT, ref INT, sha256 TEXT, size INT);"
            "CREATE TABLE pages (pk INTEGER PRIMARY KEY);"
        )

    def add(self, node: Node) -> bool:
        """Whether the object is new here."""
        row = (bytes.fromhex(node.oid), TREE if node.is_dir else BLOB, node.ref, node.sha256, node.size_bytes)
        return self._database.execute("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?, ?)", row).rowcount == 1

    def add_page(self, key: int) -> bool:
        """Whether the page is new here."""
        return self._database.execute("INSERT OR IGNORE INTO pages VALUES (?)", (key,)).rowcount == 1

    def get(self, oid: str) -> Node | None:
        """What was found under an id; without a name."""
        rows = self._database.execute("SELECT * FROM objects WHERE oid = ?", (bytes.fromhex(oid),)).fetchall()
        return _node(rows[0]) if rows else None

    def all_of(self, kind: int) -> Iterator[list[Node]]:
        """All objects of a kind, in batches."""
        cursor = self._database.execute("SELECT * FROM objects WHERE kind = ? ORDER BY rowid", (kind,))
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield [_node(row) for row in rows]

    def __len__(self) -> int:
        count: int = self._database.execute("SELECT count(*) FROM objects").fetchone()[0]
        return count

    def close(self) -> None:
        self._database.close()


def _node(row: tuple[bytes, int, int, str | None, int]) -> Node:
    oid, kind, ref, sha256, size_bytes = row
    return Node("", kind == TREE, oid.hex(), size_bytes, sha256, ref, 0)


Roots = Iterable[tuple[int, tuple[int, ...]]]
"""Trees (primary keys), each with others to compare it with: what these hold at the same path is passed over."""


def walk(table: ObjectTable, roots: Roots, keep: "Filter | None" = None) -> Iterator[Node]:
    """Every directory and file below `roots` that is new to `table`, which then has it. Pages are shared between the states of a
    directory, so each is read once however long the history is. Files that `keep` leaves out are not given out."""
    pending = deque((root, bases, True) for root, bases in roots)
    while pending:
        batch = [pending.popleft() for _ in range(min(_TREES_AT_ONCE, len(pending)))]
        rows = Tree.objects.in_bulk({key for root, bases, _ in batch for key in (root, *bases)})
        steps: list[tuple[list[int], list[int]]] = []
        for key, base_keys, is_root in batch:
            tree, bases = rows[key], [rows[base] for base in base_keys]
            if any(base.oid == tree.oid for base in bases):
                continue
            if is_root:
                root = Node("", True, tree.oid, tree.total_bytes, None, tree.pk, 0)
                if not table.add(root):
                    continue
                yield root
            shared = {page for base in bases for page in trees.pages_of(base)}
            own = trees.pages_of(tree)
            fresh = [page for page in own if page not in shared and table.add_page(page)]
            compared = sorted(shared.difference(own)) if fresh else []
            steps.append((fresh, compared if len(compared) <= _BASE_PAGES else []))
        pages = _pages([page for fresh, compared in steps for page in (*compared, *fresh)])
        for fresh, compared in steps:
            before: dict[str, list[Node]] = {}
            for _ in compared:
                for node in trees.read_page(next(pages)):
                    before.setdefault(node.name, []).append(node)
            for _ in fresh:
                for node in trees.read_page(next(pages)):
                    same = before.get(node.name, ())
                    if any(each.oid == node.oid for each in same) or (keep and keep.leaves_out(node)):
                        continue
                    if table.add(node):
                        if node.is_dir:
                            pending.append((node.ref, tuple(each.ref for each in same if each.is_dir), False))
                        yield node


def nodes_of(tree: Tree) -> Iterator[Node]:
    """The entries of one directory, in git's order."""
    for page in _pages(trees.pages_of(tree)):
        yield from trees.read_page(page)


def _pages(keys: Sequence[int], *columns: str) -> Iterator[TreePage]:
    """Pages in the order of `keys`, some at a time."""
    for start in range(0, len(keys), _PAGES_AT_ONCE):
        batch = keys[start : start + _PAGES_AT_ONCE]
        pages = (TreePage.objects.only(*columns) if columns else TreePage.objects).in_bulk(batch)
        yield from (pages[key] for key in batch)


class Finder:
    """Looks up objects that the commits of one repository hold, by git's ids. What other repositories hold is not found."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo
        self._table = ObjectTable()
        self._rest = self._walk()

    def find(self, oids: Iterable[str]) -> dict[str, Node]:
        """Those of `oids` that are there, without names. Plain files are found by their index; for pointers and directories the
        pages of the branches are read, then those of all commits that something leads to, until each was seen."""
        missing = set(oids)
        found: dict[str, Node] = {}
        for batch in _batches(sorted(missing)):
            for blob in Blob.objects.filter(git_oid__in=batch, repo_rows__repo=self.repo, state=BlobState.STORED):
                found[blob.git_oid] = Node("", False, blob.git_oid, blob.size_bytes, None, blob.pk, 0)
        missing -= found.keys()
        for oid in missing:
            if node := self._table.get(oid):
                found[oid] = node
        missing -= found.keys()
        while missing and (node := next(self._rest, None)):
            if node.oid in missing:
                found[node.oid] = node
                missing.discard(node.oid)
        return found

    def _walk(self) -> Iterator[Node]:
        heads = Branch.objects.filter(repo=self.repo).values_list("head__tree_id", flat=True)
        yield from walk(self._table, ((key, ()) for key in heads))
        # a lost commit may have given up its files; nobody who pushes relies on one, because no ref tells of it
        commits = Commit.objects.filter(repo=self.repo, lost=None).order_by("-pk").values_list("tree_id", flat=True)
        yield from walk(self._table, ((key, ()) for key in commits))

    def close(self) -> None:
        self._table.close()


# Fetching


@dataclass(frozen=True, slots=True)
class Filter:
    """Leaves out files that are `from_bytes` long or longer, for git to ask for when they are needed."""

    from_bytes: int

    def leaves_out(self, node: Node) -> bool:
        if node.is_dir:
            return False
        size = len(storage.pointer_of(node.sha256, node.size_bytes)) if node.sha256 else node.size_bytes
        return size >= self.from_bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """How much of the past is wanted. `depth`: so many commits from each tip, or, when `is_relative`, beyond what there is.
    `since`: seconds since 1970. `without`: branches or tags whose past is not wanted."""

    depth: int = 0
    is_relative: bool = False
    since: int = 0
    without: tuple[str, ...] = ()


@dataclass
class Plan:
    """What a pack is to hold."""

    commits: list[int]
    tags: list[bytes]
    table: ObjectTable

    def __len__(self) -> int:
        return len(self.commits) + len(self.tags) + len(self.table)


@dataclass
class Fetch:
    """One client's wish: the objects `wants`, and how much of their past. `shallow`: commits that the client has without their
    parents. The caller has checked the right to read. Raises Invalid for what the repository has not."""

    repo: Repo
    wants: Sequence[str]
    shallow: Sequence[str] = ()
    cut: Cut | None = None
    keep: Filter | None = None
    with_tags: bool = False
    _tips: set[int] = field(default_factory=set)
    _tags: list[bytes] = field(default_factory=list)
    _single: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        others = []
        for oid in dict.fromkeys(self.wants):
            if oid in self.history.at:
                self._tips.add(self.history.at[oid])
            elif oid in self._tag_objects:
                commit, raw = self._tag_objects[oid]
                self._tips.add(self.history.at[commit])
                self._tags.append(raw)
            else:
                others.append(oid)
        if others:
            finder = Finder(self.repo)
            found = finder.find(others)
            finder.close()
            if missing := next((oid for oid in others if oid not in found), None):
                raise Invalid(f"upload-pack: not our ref {missing}")
            self._single = list(found.values())

    @cached_property
    def history(self) -> History:
        return History(self.repo)

    @cached_property
    def _tag_objects(self) -> dict[str, tuple[str, bytes]]:
        rows = Tag.objects.filter(repo=self.repo).exclude(oid="").values_list("oid", "commit__oid", "raw")
        return {oid: (commit, bytes(raw)) for oid, commit, raw in rows}

    def common(self, haves: Iterable[str]) -> list[str]:
        """The commits among `haves` that this repository has, too."""
        return [oid for oid in haves if oid in self.history.at]

    def is_ready(self, common: Sequence[str]) -> bool:
        """Whether every wish leads back to something that both sides have, so that more questions would change little."""
        shared = {self.history.at[oid] for oid in common}
        return bool(shared) and all(
            not shared.isdisjoint(self.history.reachable([tip], cut=shared)) for tip in self._tips
        )

    @cached_property
    def _client_shallow(self) -> set[int]:
        return {self.history.at[oid] for oid in self.shallow if oid in self.history.at}

    @cached_property
    def _included(self) -> tuple[set[int], set[int]]:
        """The commits that the client shall have in the end, and those of them whose parents it shall not have."""
        history, cut = self.history, self.cut
        if cut is None:
            return history.reachable(self._tips, cut=self._client_shallow), set()
        if cut.depth:
            return self._by_depth(cut)
        if cut.since:
            moment = datetime.fromtimestamp(min(cut.since, 253_402_300_799), UTC)
            young = Commit.objects.filter(repo=self.repo, created_at__gte=moment).values_list("oid", flat=True)
            allowed = {history.at[oid] for oid in young if oid in history.at}
        else:
            refs = {ref.name: ref.peeled or ref.oid for ref in refs_of(self.repo)}
            unwanted = [oid for name in cut.without if (oid := _named(refs, name))]
            if len(unwanted) < len(cut.without):
                raise Invalid("deepen-not names a branch or tag that is not there.")
            allowed = set(range(len(history.oids))) - history.reachable(history.at[oid] for oid in unwanted)
        outside = {parent for position in allowed for parent in history.parents[position]} - allowed
        included = history.reachable(self._tips & allowed, cut=outside) & allowed
        if not included:
            raise Invalid("No commit is that young, or outside of what is not wanted.")
        return included, {position for position in included if outside.intersection(history.parents[position])}

    def _by_depth(self, cut: Cut) -> tuple[set[int], set[int]]:
        """Breadth first. Relative: everything that the client has is at no distance."""
        history = self.history
        distance: dict[int, int] = {}
        if cut.is_relative:
            distance = dict.fromkeys(history.reachable(self._tips, cut=self._client_shallow), 0)
            pending = deque(self._client_shallow & distance.keys())
        else:
            distance = dict.fromkeys(self._tips, 1)
            pending = deque(self._tips)
        while pending:
            position = pending.popleft()
            if distance[position] >= cut.depth:
                continue
            for parent in history.parents[position]:
                if parent not in distance:
                    distance[parent] = distance[position] + 1
                    pending.append(parent)
        ends = {position for position, length in distance.items() if length >= cut.depth and history.parents[position]}
        return set(distance), ends

    def shallow_changes(self) -> tuple[list[str], list[str]]:
        """The commits that the client has to note as being without parents, and those that it need not any more."""
        if self.cut is None:
            return [], []
        included, ends = self._included
        oids = self.history.oids
        return (
            sorted(oids[position] for position in ends),
            sorted(oids[position] for position in (self._client_shallow & included) - ends),
        )

    def plan(self, haves: Iterable[str]) -> Plan:
        """What to send to a client that has `haves` and what came before them. Close its table when the pack is written."""
        history = self.history
        had = history.reachable({history.at[oid] for oid in self.common(haves)}, cut=self._client_shallow)
        send = self._included[0] - had
        there = send | had
        table = ObjectTable()
        for node in self._single:
            if not node.is_dir:
                table.add(node)
        # a commit is compared with its parents, and one that comes before a shallow end with the commit at that end
        beside = {position: [each for each in history.parents[position] if each in there] for position in send}
        for end in self._client_shallow & had:
            for position in send.intersection(history.parents[end]):
                beside[position].append(end)
        tree_keys = history.tree_keys
        roots: list[tuple[int, tuple[int, ...]]] = [
            (tree_keys[position], tuple(tree_keys[each] for each in others)) for position, others in beside.items()
        ]
        roots += [(node.ref, ()) for node in self._single if node.is_dir]
        for _ in walk(table, roots, self.keep):
            pass
        tags = dict.fromkeys(self._tags)
        if self.with_tags:
            sent = {history.oids[position] for position in send}
            tags |= dict.fromkeys(raw for commit, raw in self._tag_objects.values() if commit in sent)
        self._refuse_held_back(table)
        return Plan([history.keys[position] for position in sorted(send, reverse=True)], list(tags), table)

    def _refuse_held_back(self, table: ObjectTable) -> None:
        """A pack is whole or not at all: with a file under quarantine in it, it is refused. (Of large files it has the pointers only.)"""
        in_force = Q(repo__isnull=True) | Q(repo=self.repo)
        rows = Quarantine.objects.filter(in_force, released_at__isnull=True, blob__repo_rows__repo=self.repo)
        held = dict(rows.values_list("blob_id", "reason"))
        if not held:
            return
        for nodes in table.all_of(BLOB):
            for node in nodes:
                if node.sha256 is None and node.ref in held:
                    table.close()
                    raise Quarantined(
                        f"The file with the git id {node.oid} is under quarantine ({held[node.ref]}), so it can't be fetched. The rest of the "
                        "repository can: git clone --filter=blob:none --no-checkout."
                    )


def _named(refs: dict[str, str], name: str) -> str | None:
    return next((refs[full] for full in (name, f"refs/heads/{name}", f"refs/tags/{name}") if full in refs), None)


def pack(plan: Plan) -> Iterator[bytes]:
    """The pack in pieces of any length, ended by its digest. Whole objects, no deltas: nothing is held and compared."""
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in _pack(plan):
        digest.update(piece)
        yield piece
    yield digest.digest()


def _pack(plan: Plan) -> Iterator[bytes]:
    yield from pack_header_chunks(len(plan))
    for _, pieces in packed_objects(plan):
        yield from pieces


def packed_objects(plan: Plan) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The objects of a pack in their order: git's id, and the bytes as they stand in the pack, to be read before the next is
    asked for."""
    for keys in _batches(plan.commits, 200):
        raws = {key: (oid, raw) for key, oid, raw in Commit.objects.filter(pk__in=keys).values_list("pk", "oid", "raw")}
        for key in keys:
            oid, raw = raws[key]
            yield oid, packed_object(COMMIT, bytes(raw))
    for raw in plan.tags:
        yield hashlib.sha1(b"tag %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest(), packed_object(TAG, raw)
    for directories in plan.table.all_of(TREE):
        yield from _tree_objects(directories)
    for files in plan.table.all_of(BLOB):
        plain = Blob.objects.in_bulk([node.ref for node in files if node.sha256 is None])
        for node in files:
            yield node.oid, _file(node, plain)


def _file(node: Node, plain: dict[int, Blob]) -> Iterator[bytes]:
    if node.sha256 is not None:
        yield from packed_object(BLOB, storage.pointer_of(node.sha256, node.size_bytes))
        return
    with storage.open_blob(plain[node.ref]) as reader:
        yield from _deflated(BLOB, node.size_bytes, reader)


def _tree_objects(directories: Sequence[Node]) -> Iterator[tuple[str, Iterator[bytes]]]:
    for batch in _batches(directories, _TREES_AT_ONCE):
        rows = Tree.objects.in_bulk([node.ref for node in batch])
        listed = [page for node in batch for page in trees.pages_of(rows[node.ref])]
        lengths: dict[int, int] = {}
        for some in _batches(listed):
            lengths |= dict(TreePage.objects.filter(pk__in=some).values_list("pk", Length("raw")))
        pages = _pages(listed, "raw")
        for node in batch:
            own = trees.pages_of(rows[node.ref])
            raws = (bytes(next(pages).raw) for _ in own)
            yield node.oid, _deflated(TREE, sum(lengths[page] for page in own), raws)


def packed_object(kind: int, content: bytes) -> Iterator[bytes]:
    """An object as a pack holds it, whole."""
    yield bytes(pack_object_header(kind, None, len(content), SHA1)) + zlib.compress(content, _COMPRESSION)


def _deflated(kind: int, size_bytes: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_COMPRESSION)
    yield bytes(pack_object_header(kind, None, size_bytes, SHA1))
    for chunk in chunks:
        if piece := packer.compress(chunk):
            yield piece
    yield packer.flush()


def _batches(items: Sequence[Any], size: int = _ROWS_AT_ONCE) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
