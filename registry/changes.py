"""What a commit changed: two trees walked side by side, passing by what they share."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from registry.models import Commit, Tree, TreePage
from registry.queries import Entry
from registry.trees import Node, pages_of, read_page

CHANGES_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Change:
    """One file. `before` is None when it was added, `after` when it was removed; folders do not appear."""

    path: str
    before: Entry | None
    after: Entry | None

    @property
    def kind(self) -> str:
        return "added" if self.before is None else "removed" if self.after is None else "changed"


def changes_of(commit: Commit, *, limit: int = CHANGES_LIMIT) -> tuple[list[Change], bool]:
    """The first `limit` files, in git's order, that differ from the first parent, and whether there are more. Pages of a folder
    that both have are not read, so the cost follows the change, and `limit`, and not the repository: a few queries for each
    folder in which something changed."""
    before = commit.first_parent.tree if commit.first_parent else None
    found = list(islice(_walk("", before, commit.tree), limit + 1))
    return found[:limit], len(found) > limit


def changes_between(before: Tree | None, after: Tree) -> Iterator[Change]:
    """The files that differ between any two states, in git's order, found as they are asked for."""
    return _walk("", before, after)


def _walk(folder: str, old: Tree | None, new: Tree | None) -> Iterator[Change]:
    shared = {*pages_of(old)} & {*pages_of(new)} if old and new else set()
    for before, after in _side_by_side(_nodes(old, shared), _nodes(new, shared)):
        node = after or before
        if node is None or (before and after and before.oid == after.oid):
            continue
        path = f"{folder}/{node.name}" if folder else node.name
        if node.is_dir:
            # a file and a folder of one name sort apart, so here both are folders
            yield from _walk(path, _tree(before), _tree(after))
        else:
            yield Change(path, _entry(path, before), _entry(path, after))


def _nodes(tree: Tree | None, shared: set[int]) -> Iterator[Node]:
    """Entries in git's order without those of the pages named; a page is read when it is reached."""
    for pk in pages_of(tree) if tree else ():
        if pk not in shared:
            yield from read_page(TreePage.objects.get(pk=pk))


def _side_by_side(old: Iterator[Node], new: Iterator[Node]) -> Iterator[tuple[Node | None, Node | None]]:
    before, after = next(old, None), next(new, None)
    while before or after:
        is_old = after is None or (before is not None and before.sort_key <= after.sort_key)
        is_new = before is None or (after is not None and after.sort_key <= before.sort_key)
        yield before if is_old else None, after if is_new else None
        before, after = next(old, None) if is_old else before, next(new, None) if is_new else after


def _tree(node: Node | None) -> Tree | None:
    return Tree.objects.get(pk=node.ref) if node else None


def _entry(path: str, node: Node | None) -> Entry | None:
    if node is None:
        return None
    return Entry(path, node.is_dir, node.oid, node.size_bytes, node.sha256, node.ref, node.commit_id, node.file_count)
