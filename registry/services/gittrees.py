"""The trees and files of a push, on their way into the registry: looked through, stored, and built into trees in pages that have
the very ids that were pushed."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from dulwich.errors import ObjectFormatException
from dulwich.objects import parse_tree

from common.errors import Invalid, TooLarge
from registry import trees
from registry.errors import PathNotAllowed
from registry.models import Blob, Repo, Tree
from registry.paths import PATH_LIMIT, check_path
from registry.services import holdings, quarantine, storage
from registry.services.gitcommits import NewCommit
from registry.services.gitobjects import BLOB, TREE, Finder, nodes_of
from registry.services.gitpacks import MAX_FILE_BYTES, IncomingPack, Packed, too_large_file
from registry.trees import EMPTY_TREE_OID, Change, Node

MAX_FILES = 10_000_000
"""In one commit. A few objects can name more files than any disk holds."""
MAX_ENTRIES = 20_000_000
"""Entries of folders that one push may make the server compare."""
_BATCH_FILES, _BATCH_BYTES = 200, 16 * 1024**2
_ROWS_AT_ONCE = 500
_POINTER_BYTES = 1024
"""As far as git lfs reads to tell a pointer from a file."""

_DIRECTORY, _FILE, _PROGRAM, _LINK, _SUBMODULE = 0o40000, 0o100644, 0o100755, 0o120000, 0o160000
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize (0|[1-9][0-9]{0,17})\n"
)
_LIKE_POINTER = re.compile(rb"version [^\n]*(?:git-lfs|hawser|git-media)[^\n]*\n.*\bsize ", re.DOTALL)

Entry = tuple[str, int, str]
"""Name, mode and id."""
Bring = Callable[[Sequence[tuple[str, str, int]]], None]
"""Makes the repository hold large files: paths, SHA-256 (hex) and sizes in bytes."""


def read_entries(raw: bytes, folder: str) -> list[Entry]:
    """The entries of a tree object. Raises PathNotAllowed for a name that no commit may hold, Invalid for what is not a file or a
    folder, and for a tree that git would not have written."""
    broken = Invalid(f"The tree of {folder or 'the top folder'} is malformed: git fsck on your side tells more.")
    try:
        rows = list(parse_tree(raw, sha_len=20, strict=True))
    except (ObjectFormatException, ValueError) as error:
        raise broken from error
    entries: list[Entry] = []
    names: set[bytes] = set()
    last = b""
    for name, mode, oid in rows:
        key = name + b"/" if mode == _DIRECTORY else name
        if key <= last or name in names or b"/" in name:
            raise broken
        names.add(name)
        last = key
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            shown = name.decode("ascii", "backslashreplace")[:80]
            raise PathNotAllowed(
                f"The name {shown} in {folder or 'the top folder'} is not UTF-8: rename the file."
            ) from error
        path = check_path(f"{folder}/{text}" if folder else text)
        if mode == _LINK:
            raise Invalid(f"{path} is a symbolic link; only files can be kept here: put the file itself in its place.")
        if mode == _SUBMODULE:
            raise Invalid(f"{path} is a submodule; only files can be kept here: remove it, or add its files.")
        if mode not in {_DIRECTORY, _FILE, _PROGRAM}:
            raise Invalid(f"{path} has the mode {mode:o}; only files and folders can be kept here.")
        if oid.decode() == EMPTY_TREE_OID:
            raise Invalid(f"{path} is an empty folder, which git never writes.")
        entries.append((text, mode, oid.decode()))
    return entries


class Inspection:
    """Looks through what a push brings before any of it is stored: names, kinds, sizes, and whether large files have arrived."""

    def __init__(self, pack: IncomingPack, repo: Repo, bring: Bring | None = None) -> None:
        self._pack = pack
        self._repo = repo
        self._bring = bring
        self._seen: set[str] = set()
        self.file_count = 0

    def look(self, root: str) -> None:
        """Go through the trees below `root` that the pack holds. Raises Invalid, TooLarge, PathNotAllowed."""
        pending = deque([(root, "")])
        while pending:
            oid, folder = pending.popleft()
            if oid in self._seen:
                continue
            self._seen.add(oid)
            packed = self._pack.find(oid)
            if packed is None:
                continue
            if packed.kind != TREE:
                raise Invalid(f"{folder or 'The top folder'} is not a tree.")
            for name, mode, entry in read_entries(self._pack.content(packed), folder):
                path = f"{folder}/{name}" if folder else name
                if mode == _DIRECTORY:
                    pending.append((entry, path))
                else:
                    self._look_at_file(entry, path)

    def _look_at_file(self, oid: str, path: str) -> None:
        packed = self._pack.find(oid)
        if packed is None:
            return
        if packed.kind != BLOB:
            raise Invalid(f"{path} is not a file.")
        if packed.size_bytes > MAX_FILE_BYTES:
            raise TooLarge(too_large_file(path, packed.size_bytes))
        self._pack.want_file(packed, path)

    def finish(self) -> None:
        """Count the files and settle the pointers among them: the large file must have been uploaded into this repository. Raises
        Invalid, TooLarge."""
        if self._pack.too_large is not None:
            raise self._pack.too_large
        pointers: list[tuple[Packed, str, str, int]] = []
        for packed, path in self._pack.wanted_files():
            self.file_count += 1
            if packed.size_bytes <= _POINTER_BYTES and (match := _POINTER.fullmatch(self._pack.content(packed))):
                pointers.append((packed, path, match[1].decode(), int(match[2])))
            if len(pointers) == _ROWS_AT_ONCE:
                self._settle(pointers)
                pointers = []
        self._settle(pointers)

    def _settle(self, pointers: Sequence[tuple[Packed, str, str, int]]) -> None:
        quarantine.refuse_known((path, sha256) for _, path, sha256, _ in pointers)
        held = self._held(pointers)
        if self._bring is not None and (
            missing := {
                sha256: (path, sha256, size_bytes) for _, path, sha256, size_bytes in pointers if sha256 not in held
            }
        ):
            self._bring(list(missing.values()))
            held = self._held(pointers)
        holdings.hold(self._repo, [blob.pk for blob in held.values()])
        for packed, path, sha256, size_bytes in pointers:
            blob = held.get(sha256)
            if blob is None or blob.size_bytes != size_bytes:
                raise Invalid(
                    f"The large file {path} has not been uploaded. Run git lfs push --all <remote>, then push again.",
                    code="lfs_missing",
                )
            self._pack.keep_file(packed, blob.pk, size_bytes, sha256)

    def _held(self, pointers: Sequence[tuple[Packed, str, str, int]]) -> dict[str, Blob]:
        digests = {sha256 for _, _, sha256, _ in pointers}
        return {blob.sha256: blob for blob in Blob.objects.filter(sha256__in=digests, repo_rows__repo=self._repo)}

    def store_files(self) -> None:
        """Store the bytes of the files that are no pointers, some at a time, and note that the repository has them."""
        batch: list[tuple[Packed, str, bytes]] = []
        size = 0
        for packed, path in self._pack.wanted_files():
            if self._pack.kept_file(packed.oid) is not None:
                continue
            content = self._pack.content(packed)
            if _LIKE_POINTER.match(content[:_POINTER_BYTES].lstrip()):
                # git lfs would fetch another file for it than the one that people see and scanners read here
                raise Invalid(
                    f"{path} looks like a pointer of git lfs, but not as git lfs writes it: check the file out, and add it again."
                )
            batch.append((packed, path, content))
            size += len(content)
            if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
                self._store(batch)
                batch, size = [], 0
        self._store(batch)

    def _store(self, batch: Sequence[tuple[Packed, str, bytes]]) -> None:
        if not batch:
            return
        blobs = storage.store_many([content for _, _, content in batch])
        quarantine.refuse_known((path, blob.sha256) for (_, path, _), blob in zip(batch, blobs, strict=True))
        holdings.hold(self._repo, [blob.pk for blob in blobs])
        for (packed, _, _), blob in zip(batch, blobs, strict=True):
            self._pack.keep_file(packed, blob.pk, blob.size_bytes, None)


class Builder:
    """Builds the trees of new commits, each from those of its parents: what did not change keeps its rows, and the commit that
    last touched it."""

    def __init__(self, pack: IncomingPack, finder: Finder) -> None:
        self._pack = pack
        self._finder = finder
        self._commit_id = 0
        self._entries = 0
        self._built: dict[tuple[str, tuple[int, ...]], Tree] = {}

    def build(self, commit: NewCommit, base_keys: Sequence[int]) -> int:
        """The tree (primary key) of a commit whose parents have the trees `base_keys`, in the caller's transaction. Raises Invalid
        when something is missing."""
        self._commit_id, self._built = commit.key, {}
        rows = Tree.objects.in_bulk(base_keys)
        tree = self._tree(commit.tree, [rows[key] for key in base_keys], "")
        return tree.pk

    def _tree(self, oid: str, bases: Sequence[Tree], path: str) -> Tree:
        for base in bases:
            if base.oid == oid:
                return base
        at = (oid, tuple(base.pk for base in bases))
        if (known := self._built.get(at)) is not None:
            return known
        packed = self._pack.find(oid)
        if packed is None:
            tree = self._elsewhere(oid, path)
        else:
            entries = read_entries(self._pack.content(packed), path)
            if not entries:
                return trees.empty()
            tree = self._changed(entries, bases, path)
            if tree.oid != oid:
                raise Invalid(f"The tree of {path or 'the top folder'} is malformed: git fsck on your side tells more.")
        self._built[at] = tree
        return tree

    def _changed(self, entries: Sequence[Entry], bases: Sequence[Tree], path: str) -> Tree:
        """The tree that `entries` are, as a change of the first of `bases`."""
        self._entries += len(entries)
        if self._entries > MAX_ENTRIES:
            raise TooLarge("This push changes too much at once. Push a part of the history first.")
        before = {node.name: node for node in nodes_of(bases[0])} if bases else {}
        gone = dict(before)
        new: list[Entry] = []
        for entry in entries:
            was = gone.pop(entry[0], None)
            if was is None or not _same(was, entry):
                new.append(entry)
        names = [name for name, _, _ in new]
        beside = [trees.find_many(base, names) for base in bases[1:]] if new else []
        change = Change(nodes=dict.fromkeys(gone))
        missing: list[Entry] = []
        folders: list[Entry] = []
        for entry in new:
            name, mode, oid = entry
            was = before.get(name)
            merged = next((found[name] for found in beside if name in found and _same(found[name], entry)), None)
            if merged is not None:
                # it came by way of another parent, and so did the commit that last touched it
                change.nodes[name] = merged
            elif mode == _DIRECTORY:
                folders.append(entry)
            elif was is not None and was.oid == oid and not was.is_dir:
                change.nodes[name] = replace(was, is_program=mode == _PROGRAM, commit_id=self._commit_id)
            elif (kept := self._pack.kept_file(oid)) is not None:
                blob, size_bytes, sha256 = kept
                change.nodes[name] = self._file(entry, blob, size_bytes, sha256)
            else:
                missing.append(entry)
        found = self._finder.find(oid for _, _, oid in missing)
        here = [(entry[0], found[entry[2]]) for entry in missing if entry[2] in found]
        quarantine.refuse_known_blobs([(name, node.ref) for name, node in here if not node.is_dir])
        holdings.hold(self._finder.repo, [node.ref for node in found.values() if not node.is_dir])
        for entry in missing:
            node = found.get(entry[2])
            if node is None or node.is_dir:
                raise _missing(f"{path}/{entry[0]}" if path else entry[0])
            change.nodes[entry[0]] = self._file(entry, node.ref, node.size_bytes, node.sha256)
        for name, folder in self._folders(folders, [before, *beside], path):
            change.nodes[name] = folder
        tree = trees.write(bases[0] if bases else None, change, self._commit_id)
        assert tree is not None
        if tree.file_count > MAX_FILES:
            raise TooLarge(f"A commit may have {MAX_FILES:,} files.")
        return tree

    def _folders(
        self, entries: Sequence[Entry], beside: Sequence[dict[str, Node]], path: str
    ) -> Iterator[tuple[str, Node]]:
        present = {
            name: [found[name].ref for found in beside if name in found and found[name].is_dir]
            for name, _, _ in entries
        }
        rows = Tree.objects.in_bulk({key for keys in present.values() for key in keys})
        for name, _, oid in entries:
            below = f"{path}/{name}" if path else name
            if len(below) > PATH_LIMIT:
                raise PathNotAllowed(f"A path is longer than {PATH_LIMIT} characters.")
            tree = self._tree(oid, [rows[key] for key in present[name]], below)
            yield name, Node(name, True, oid, tree.total_bytes, None, tree.pk, self._commit_id, tree.file_count)

    def _file(self, entry: Entry, blob: int, size_bytes: int, sha256: str | None) -> Node:
        name, mode, oid = entry
        return Node(name, False, oid, size_bytes, sha256, blob, self._commit_id, is_program=mode == _PROGRAM)

    def _elsewhere(self, oid: str, path: str) -> Tree:
        """A tree that the repository has already, at another place or in another commit."""
        if oid == EMPTY_TREE_OID:
            return trees.empty()
        node = self._finder.find([oid]).get(oid)
        if node is None or not node.is_dir:
            raise _missing(path or "the top folder")
        return Tree.objects.get(pk=node.ref)


def _same(node: Node, entry: Entry) -> bool:
    _, mode, oid = entry
    return node.oid == oid and node.mode == b"%o" % mode


def _missing(path: str) -> Invalid:
    return Invalid(f"The push does not hold the content of {path}: push again, or run git fsck on your side.")
