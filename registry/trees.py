"""Trees in pages: reading directories and writing changed ones, in memory that follows the change and not the directory.

Ids are git's: a tree's id is the SHA-1 over its entries' raw bytes in git's order, so `git` and the site agree. Pages are cut
after a name whose hash says so (content-defined), so that adding a file moves no boundary but its neighbours'."""

import bisect
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from registry.models import Tree, TreePage

_CUT_MASK = 0x1FF
"""One name in 512 ends a page: pages of about 40 kB, small to rewrite, few to read."""
_PAGE_LIMIT = 4096
"""Longest page, should the hashes conspire."""
_FILE_MODE, _PROGRAM_MODE, _DIRECTORY_MODE = b"100644", b"100755", b"40000"


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of a directory. For a file: `ref` is its Blob's primary key, `sha256` is set when it is a large file (git sees
    a pointer to it), `is_program` when git is to make it executable. For a directory: `ref` is its Tree's primary key,
    `size_bytes` and `file_count` count everything below."""

    name: str
    is_dir: bool
    oid: str
    size_bytes: int
    sha256: str | None
    ref: int
    commit_id: int
    file_count: int = 1
    is_program: bool = False

    @property
    def mode(self) -> bytes:
        """What git writes before the name."""
        return _DIRECTORY_MODE if self.is_dir else _PROGRAM_MODE if self.is_program else _FILE_MODE

    @property
    def sort_key(self) -> bytes:
        """Git orders a directory as if its name ended in a slash."""
        return self.name.encode() + (b"/" if self.is_dir else b"")


@dataclass(slots=True)
class Change:
    """What happens to one directory: `nodes` maps a name to its new file, to None (gone) or to the Change of a directory.
    `is_cleared`: what was there before goes first."""

    nodes: "dict[str, Node | Change | None]" = field(default_factory=dict)
    is_cleared: bool = False


EMPTY_TREE_OID = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def pages_of(tree: Tree) -> list[int]:
    return [pk for _, pk in tree.pages]


def read_page(page: TreePage) -> list[Node]:
    """The entries of a page, in git's order."""
    extra = orjson.loads(zlib.decompress(bytes(page.extra)))
    nodes, raw, position = [], bytes(page.raw), 0
    for size_bytes, sha256, ref, commit_id, file_count in extra:
        space = raw.index(b" ", position)
        end = raw.index(b"\0", space)
        mode = raw[position:space]
        nodes.append(
            Node(
                name=raw[space + 1 : end].decode(),
                is_dir=mode == _DIRECTORY_MODE,
                oid=raw[end + 1 : end + 21].hex(),
                size_bytes=size_bytes,
                sha256=sha256,
                ref=ref,
                commit_id=commit_id,
                file_count=file_count,
                is_program=mode == _PROGRAM_MODE,
            )
        )
        position = end + 21
    return nodes


def find(tree: Tree, name: str) -> Node | None:
    """The entry called `name`, file or directory. At most two pages are read: the two spellings may sort apart."""
    wanted = {_page_index(tree, key) for key in (name.encode(), name.encode() + b"/")} - {-1}
    pages = TreePage.objects.in_bulk([tree.pages[index][1] for index in wanted])
    for page in pages.values():
        for node in read_page(page):
            if node.name == name:
                return node
    return None


def find_many(tree: Tree, names: Iterable[str]) -> dict[str, Node]:
    """The entries among `names` that exist; one query however many."""
    names = set(names)
    wanted = {_page_index(tree, key) for name in names for key in (name.encode(), name.encode() + b"/")} - {-1}
    pages = TreePage.objects.in_bulk([tree.pages[index][1] for index in wanted])
    return {node.name: node for page in pages.values() for node in read_page(page) if node.name in names}


def children(tree: Tree, after: bytes | None = None) -> Iterator[Node]:
    """Entries in git's order, those whose sort key is above `after` if it is given; one query a page, read lazily."""
    start = 0 if after is None else max(0, _page_index(tree, after))
    for _, pk in tree.pages[start:]:
        for node in read_page(TreePage.objects.get(pk=pk)):
            if after is None or node.sort_key > after:
                yield node


def _page_index(tree: Tree, key: bytes) -> int:
    """Index of the only page that may hold `key`; -1 when the tree is empty."""
    firsts = [first.encode() for first, _ in tree.pages]
    return max(0, bisect.bisect_right(firsts, key) - 1) if firsts else -1


def write(base: Tree | None, change: Change, commit_id: int) -> Tree | None:
    """The directory that `change` makes of `base` (None: of nothing); None when it comes out empty, since git has no empty
    directories. Writes new Tree and TreePage rows for what changed and nothing else. Unreferenced rows that an abandoned
    commit leaves are harmless and are collected later."""
    if change.is_cleared:
        base = None
    existing = find_many(base, change.nodes) if base else {}
    subtree_ids = [node.ref for node in existing.values() if node.is_dir]
    subtrees = Tree.objects.in_bulk(subtree_ids) if subtree_ids else {}
    settled: dict[str, Node | None] = {}
    for name, wanted in change.nodes.items():
        if isinstance(wanted, Change):
            before = existing.get(name)
            subtree = write(subtrees.get(before.ref) if before and before.is_dir else None, wanted, commit_id)
            settled[name] = _directory_node(name, subtree, commit_id) if subtree else None
        else:
            settled[name] = wanted
    return _merge(base, existing, settled)


def _directory_node(name: str, tree: Tree, commit_id: int) -> Node:
    return Node(name, True, tree.oid, tree.total_bytes, None, tree.pk, commit_id, tree.file_count)


def _merge(base: Tree | None, existing: dict[str, Node], settled: dict[str, Node | None]) -> Tree | None:
    """Replace the pages that hold changed entries; keep every other page as it is."""
    by_page: dict[int, list[tuple[bytes, Node | None]]] = {}
    for name, node in settled.items():
        before = existing.get(name)
        keys: dict[bytes, Node | None] = {}
        if before is not None:
            keys[before.sort_key] = None
        if node is not None:
            keys[node.sort_key] = node
        for key, value in keys.items():
            by_page.setdefault(_page_index(base, key) if base else -1, []).append((key, value))
    if base is None:
        fresh = dict(pair for changes in by_page.values() for pair in changes)
        return _assemble([_cut(sorted((node for node in fresh.values() if node), key=lambda node: node.sort_key))])
    touched = TreePage.objects.in_bulk([base.pages[index][1] for index in by_page if index >= 0])
    groups: list[list[list[Node]] | tuple[str, int]] = []
    for index, (first, pk) in enumerate(base.pages):
        changes = by_page.get(index)
        if changes is None:
            groups.append((first, pk))
            continue
        entries = {node.sort_key: node for node in read_page(touched[pk])}
        for key, value in changes:
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
        groups.append(_cut([entries[key] for key in sorted(entries)]))
    if -1 in by_page:
        groups.append(_cut([node for _, node in sorted(by_page[-1], key=lambda pair: pair[0]) if node]))
    return _assemble(groups)


def _cut(nodes: list[Node]) -> list[list[Node]]:
    """Sorted entries as pages, cut after each name whose hash ends in nine zero bits."""
    pages: list[list[Node]] = []
    current: list[Node] = []
    for node in nodes:
        current.append(node)
        if zlib.crc32(node.name.encode()) & _CUT_MASK == 0 or len(current) >= _PAGE_LIMIT:
            pages.append(current)
            current = []
    if current:
        pages.append(current)
    return pages


def _assemble(groups: "list[list[list[Node]] | tuple[str, int]]") -> Tree | None:
    """Store the new pages, and the Tree over new and kept ones. The id needs the raw bytes of all pages, which are read in
    order, a few at a time."""
    fresh = [page for group in groups if isinstance(group, list) for page in group]
    rows = TreePage.objects.bulk_create([_page_row(page) for page in fresh], batch_size=64)
    stored = iter(zip(fresh, rows, strict=True))
    listing: list[tuple[str, int]] = []
    for group in groups:
        if isinstance(group, tuple):
            listing.append(group)
        else:
            listing.extend((_first(page), row.pk) for page, row in (next(stored) for _ in group))
    if not listing:
        return None
    known = {row.pk: row for row in rows}
    entry_count = file_count = total_bytes = 0
    chunks: list[bytes] = []
    for start in range(0, len(listing), 64):
        batch = [pk for _, pk in listing[start : start + 64]]
        missing = [pk for pk in batch if pk not in known]
        pages = known | (
            TreePage.objects.only("raw", "entry_count", "file_count", "total_bytes").in_bulk(missing) if missing else {}
        )
        for pk in batch:
            page = pages[pk]
            chunks.append(bytes(page.raw))
            entry_count += page.entry_count
            file_count += page.file_count
            total_bytes += page.total_bytes
    # git puts the length before the bytes: 40 MB for a flat directory of a million files, held for a moment
    digest = hashlib.sha1(b"tree %d\0" % sum(map(len, chunks)), usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return Tree.objects.create(
        oid=digest.hexdigest(), pages=listing, entry_count=entry_count, file_count=file_count, total_bytes=total_bytes
    )


def _first(page: list[Node]) -> str:
    return page[0].sort_key.decode()


def _page_row(nodes: list[Node]) -> TreePage:
    raw = b"".join(node.mode + b" " + node.name.encode() + b"\0" + bytes.fromhex(node.oid) for node in nodes)
    extra = orjson.dumps([(node.size_bytes, node.sha256, node.ref, node.commit_id, node.file_count) for node in nodes])
    return TreePage(
        raw=raw,
        extra=zlib.compress(extra, 1),
        entry_count=len(nodes),
        file_count=sum(node.file_count for node in nodes),
        total_bytes=sum(node.size_bytes for node in nodes),
    )


def empty() -> Tree:
    """The directory with nothing in it, which only the top of a commit can be."""
    return Tree.objects.create(oid=EMPTY_TREE_OID, pages=[], entry_count=0, file_count=0, total_bytes=0)


def blob_oid(content: bytes) -> str:
    """The SHA-1 hex that git gives `content` as a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
