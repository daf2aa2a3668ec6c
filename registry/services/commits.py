"""Making commits: many operations, one atomic step of a branch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from django.db import transaction
from dulwich.objects import Commit as GitCommit
from dulwich.objects import ObjectID

from accounts.actors import Actor
from accounts.services import audit
from common.clock import now
from common.errors import Busy, Invalid, StaleParent
from registry import trees
from registry.errors import EntryNotFound, RevisionNotFound
from registry.models import Blob, Branch, Commit, Repo, Tree, new_commit_id
from registry.paths import check_path
from registry.policies import is_pull_branch, require_branch_write
from registry.queries import entry_at, find_entries, resolve_revision
from registry.services import cards, events, facts, holdings, quarantine, scans, storage, threads
from registry.trees import Change, Node

SUMMARY_LIMIT = 300

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class AddFile:
    """A plain file: git sees its bytes. The blob must have been attached to the repository or just been stored for it."""

    path: str
    blob: Blob


@dataclass(frozen=True, slots=True)
class AddLfs:
    """A large file, uploaded before: git sees a pointer."""

    path: str
    sha256: str
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteFile:
    """Remove a file, or a folder with all that is in it."""

    path: str


@dataclass(frozen=True, slots=True)
class DeleteFolder:
    """Remove a folder with all that is in it."""

    path: str


@dataclass(frozen=True, slots=True)
class CopyFile:
    """The file at `source_path` of `revision` (of this repository), at `path` too; no bytes move."""

    source_path: str
    path: str
    revision: str


Operation = AddFile | AddLfs | DeleteFile | DeleteFolder | CopyFile


def create_commit(
    actor: Actor,
    repo: Repo,
    branch: str,
    operations: Iterable[Operation],
    *,
    summary: str,
    description: str = "",
    parent: str | None = None,
) -> Commit:
    """Apply `operations`, in order, to the head of `branch` and move the branch. All or nothing. Needs the right to write; the branch
    of a pull request, `refs/pr/<number>`, takes commits of who opened it, too.

    `parent` (a commit id or its beginning), when given, must be the head, else StaleParent and nothing changes. Without it,
    commits made at once line up one after the other. A commit that changes nothing returns the head as it is. Writes pages,
    trees, the commit, the branch, audit; on the default branch also the card. Raises RevisionNotFound, EntryNotFound (a path to
    delete or copy is missing), PathNotAllowed, KnownMalware, Invalid (a large file was not uploaded, a file where a folder should be)."""
    repo = require_branch_write(actor, repo, branch)
    summary, description = check_message(summary, description)
    wanted = list(operations)
    prepared = prepare(repo, wanted)
    head = _head(repo, branch)
    check_parent(head, parent)
    commit_id = new_commit_id()
    # outside any lock: on a quiet branch, which is nearly always, the tree is ready before the branch is touched
    with transaction.atomic():
        # together: what can't be applied is not held either
        attach_all(repo, prepared)
        tree = apply_changes(head, prepared, commit_id)
    with transaction.atomic():
        # without a join: PostgreSQL checks the row again after waiting for it, and a join to its former head finds nothing then
        locked = Branch.objects.select_for_update().filter(repo=repo, name=branch).first()
        if locked is None:
            raise RevisionNotFound(f"There is no branch {branch}.")
        if locked.head_id != head.pk:
            head = Commit.objects.select_related("tree").get(pk=locked.head_id)
            check_parent(head, parent)
            tree = apply_changes(head, prepared, commit_id)
        if tree.oid == head.tree.oid:
            return head
        commit = write_commit(actor, repo, commit_id, tree, [head], summary, description)
        move_branch(locked, commit)
        announce_commit(actor, repo, branch, commit, count=len(wanted), before=head.oid)
    return commit


def squash_history(actor: Actor, repo: Repo, branch: str, message: str) -> Commit:
    """Replace the history of a branch by one commit without parents that holds the same files. Needs the right to commit there.
    Tags and versions keep the commits they name; the files go on telling which commit last touched them. Raises
    RevisionNotFound for anything but a branch, Busy when the branch moves at the same moment."""
    repo = require_branch_write(actor, repo, branch)
    summary, description = check_message(message, "")
    with transaction.atomic():
        locked = Branch.objects.select_for_update().filter(repo=repo, name=branch).first()
        if locked is None:
            raise RevisionNotFound(f"Invalid rev id: refs/heads/{branch[:100]}")
        head = Commit.objects.select_related("tree").get(pk=locked.head_id)
        commit = write_commit(actor, repo, new_commit_id(), head.tree, [], summary, description)
        move_branch(locked, commit)
        audit.record(
            actor,
            "registry:branch:rewritten",
            "repo",
            repo.uuid,
            namespace_id=repo.namespace_id,
            branch=branch,
            before=head.oid,
            after=commit.oid,
        )
        announce_commit(actor, repo, branch, commit, count=0, before=head.oid)
    return commit


def first_commit(actor: Actor, repo: Repo, files: Sequence[tuple[str, Blob]], summary: str) -> Commit:
    """The commit that a new repository begins with, and its default branch, in the caller's transaction."""
    commit_id = new_commit_id()
    prepared = [(AddFile(path, blob), _file_node(path, blob, None, commit_id)) for path, blob in files]
    holdings.hold(repo, [blob.pk for _, blob in files])
    change = Change()
    for operation, node in prepared:
        _place(change, None, operation.path, node, {})
    tree = trees.write(None, change, commit_id) or trees.empty()
    commit = write_commit(actor, repo, commit_id, tree, [], summary, "")
    Branch.objects.create(repo=repo, name=repo.default_branch, head=commit)
    scans.ask_for_scan(repo)
    return commit


def check_message(summary: str, description: str) -> tuple[str, str]:
    summary, description = summary.strip().replace("\x00", ""), description.strip().replace("\x00", "")
    first, _, rest = summary.partition("\n")
    if not first:
        raise Invalid("Say in a line what the commit does.", fields={"summary": "empty"})
    description = "\n\n".join(part for part in (rest.strip(), description) if part)
    return first[:SUMMARY_LIMIT], description


Prepared = list[tuple[Operation, Node | None]]


def prepare(repo: Repo, operations: Sequence[Operation]) -> Prepared:
    """Check every path and look up what each operation names, in a number of queries that does not grow with them."""
    for operation in operations:
        check_path(operation.path.rstrip("/") if isinstance(operation, DeleteFile | DeleteFolder) else operation.path)
    digests = {operation.sha256 for operation in operations if isinstance(operation, AddLfs)}
    large: dict[str, Blob] = {}
    for batch in _batches(sorted(digests), 500):
        held = Blob.objects.filter(sha256__in=batch, repo_rows__repo=repo)
        large |= {blob.sha256: blob for blob in held}
    copies = _copied(repo, [operation for operation in operations if isinstance(operation, CopyFile)])
    prepared: Prepared = []
    for operation in operations:
        node: Node | None = None
        if isinstance(operation, AddFile):
            node = _file_node(operation.path, operation.blob, None, 0)
        elif isinstance(operation, AddLfs):
            blob = large.get(operation.sha256)
            if blob is None or operation.size_bytes not in (None, blob.size_bytes):
                raise Invalid(
                    f"The large file {operation.path} has not been uploaded: send its bytes first.", code="lfs_missing"
                )
            node = _file_node(operation.path, blob, blob.sha256, 0)
        elif isinstance(operation, CopyFile):
            node = copies[operation]
        prepared.append((operation, node))
    refuse_malware(prepared)
    return prepared


def refuse_malware(prepared: Prepared) -> None:
    """Raises KnownMalware when an operation would bring a file that is known to be malware."""
    quarantine.refuse_known_blobs([(operation.path, node.ref) for operation, node in prepared if node is not None])


def _copied(repo: Repo, copies: Sequence[CopyFile]) -> dict[CopyFile, Node]:
    found = {}
    for copy in copies:
        entry = entry_at(resolve_revision(repo, copy.revision), copy.source_path)
        if entry.is_dir:
            raise EntryNotFound(f"{copy.source_path} is a folder; only files can be copied.")
        found[copy] = Node(copy.path.rsplit("/", 1)[-1], False, entry.oid, entry.size_bytes, entry.sha256, entry.ref, 0)
    return found


def _file_node(path: str, blob: Blob, sha256: str | None, commit_id: int) -> Node:
    if sha256 is None:
        oid = storage.git_oid_of(blob)
    else:
        pointer = storage.pointer_of(sha256, blob.size_bytes)
        oid = trees.blob_oid(pointer)
    return Node(path.rsplit("/", 1)[-1], False, oid, blob.size_bytes, sha256, blob.pk, commit_id)


def attach_all(repo: Repo, prepared: Prepared) -> None:
    """Plain files came with the commit itself, so the repository now holds them; and large and copied ones, which it held already,
    are in use again."""
    holdings.hold(repo, [node.ref for _, node in prepared if node is not None and not node.is_dir])


def _head(repo: Repo, branch: str) -> Commit:
    found = Branch.objects.select_related("head__tree").filter(repo=repo, name=branch).first()
    if found is None:
        raise RevisionNotFound(f"There is no branch {branch}.")
    return found.head


def check_parent(head: Commit, parent: str | None) -> None:
    if parent is not None and (len(parent) < 5 or not head.oid.startswith(parent.lower())):
        raise StaleParent(
            "The branch was updated since you opened this page. Please refresh and try again.", head=head.oid
        )


def apply_changes(head: Commit, prepared: Prepared, commit_id: int) -> Tree:
    """The tree that the operations make of the head's. Ancestors and paths to delete are looked up in the head in bulk."""
    paths = {part for operation, _ in prepared for part in _with_ancestors(operation.path.rstrip("/"))}
    present = find_entries(head.tree, paths)
    change = Change()
    for operation, node in prepared:
        path = operation.path.rstrip("/")
        if isinstance(operation, DeleteFile | DeleteFolder):
            _remove(change, present, path, must_be_folder=isinstance(operation, DeleteFolder))
        elif node is not None:
            before = present.get(path)
            same = before is not None and (before.oid, before.sha256) == (node.oid, node.sha256)
            # an unchanged file keeps the commit that last touched it, and any file stays the program that git made it
            touched = before.commit_id if same and before else node.commit_id or commit_id
            is_program = node.is_program or (before is not None and before.is_program)
            settled = replace(node, commit_id=touched, is_program=is_program)
            _place(change, head.tree, path, settled, present)
    return trees.write(head.tree, change, commit_id) or trees.empty()


def _place(change: Change, base: Tree | None, path: str, node: Node, present: dict[str, Node]) -> None:
    *folders, name = path.split("/")
    here, walked, cleared = change, "", change.is_cleared
    for folder in folders:
        walked = f"{walked}/{folder}" if walked else folder
        below = here.nodes.get(folder, _UNSET)
        before = None if cleared else present.get(walked)
        if (below is _UNSET and before is not None and not before.is_dir) or isinstance(below, Node):
            raise Invalid(f"{walked} is a file, so {path} can't be below it.", code="file_in_the_way")
        if not isinstance(below, Change):
            below = Change(is_cleared=below is None)
            here.nodes[folder] = below
        here = below
        cleared = cleared or here.is_cleared
    below = here.nodes.get(name, _UNSET)
    before = None if cleared else present.get(path)
    if (isinstance(below, Change) and (below.nodes or not below.is_cleared)) or (
        below is _UNSET and before is not None and before.is_dir
    ):
        raise Invalid(f"{path} is a folder: delete it first.", code="folder_in_the_way")
    here.nodes[name] = node


def _remove(change: Change, present: dict[str, Node], path: str, *, must_be_folder: bool) -> None:
    *folders, name = path.split("/")
    here, walked, cleared = change, "", change.is_cleared
    missing = EntryNotFound(f"A file with this name doesn't exist: {path}", path=path)
    for folder in folders:
        walked = f"{walked}/{folder}" if walked else folder
        below = here.nodes.get(folder, _UNSET)
        if below is None or isinstance(below, Node):
            raise missing
        if below is _UNSET:
            before = None if cleared else present.get(walked)
            if before is None or not before.is_dir:
                raise missing
            below = here.nodes[folder] = Change()
        assert isinstance(below, Change)
        here = below
        cleared = cleared or here.is_cleared
    below = here.nodes.get(name, _UNSET)
    before = None if cleared else present.get(path)
    exists = below is not None if below is not _UNSET else before is not None
    is_folder = isinstance(below, Change) if below is not _UNSET else before is not None and before.is_dir
    if not exists or (must_be_folder and not is_folder):
        raise missing
    here.nodes[name] = None


_UNSET = object()


def _with_ancestors(path: str) -> Iterable[str]:
    yield path
    while "/" in path:
        path = path.rsplit("/", 1)[0]
        yield path


def write_commit(
    actor: Actor, repo: Repo, commit_id: int, tree: Tree, parents: list[Commit], summary: str, description: str
) -> Commit:
    moment = now().replace(microsecond=0)
    author = f"{actor.label} <{actor.label}@users.noreply.invalid>"
    git = GitCommit()
    git.tree = tree.oid.encode()
    git.parents = [ObjectID(parent.oid.encode()) for parent in parents]
    git.author = git.committer = author.encode()
    git.author_time = git.commit_time = int(moment.timestamp())
    git.author_timezone = git.commit_timezone = 0
    git.encoding = b"UTF-8"
    git.message = (f"{summary}\n\n{description}\n" if description else f"{summary}\n").encode()
    try:
        oid = git.id.decode()
        raw = git.as_raw_string()
    except (ValueError, UnicodeError) as error:
        raise Invalid("The message holds a character that can't be stored.", fields={"summary": "not text"}) from error
    # the same change of the same commit, with the same words in the same second, is the same commit: on another branch, perhaps
    commit, is_new = Commit.objects.get_or_create(
        repo=repo,
        oid=oid,
        defaults={
            "id": commit_id,
            "tree": tree,
            "parents": [parent.oid for parent in parents],
            "first_parent": parents[0] if parents else None,
            "depth": parents[0].depth + 1 if parents else 0,
            "summary": summary,
            "description": description,
            "author_id": actor.user_id,
            "author_name": actor.label,
            "raw": raw,
            "created_at": moment,
        },
    )
    if not is_new:
        holdings.keep_commits(repo, [commit])
    return commit


def move_branch(branch: Branch, commit: Commit) -> None:
    """The head moves only from the commit it was read at: without row locks, too, a lost race shows."""
    moved = Branch.objects.filter(pk=branch.pk, head_id=branch.head_id).update(head=commit, updated_at=now())
    if not moved:
        raise Busy("The branch moved at this moment: try again.")


def announce_commit(actor: Actor, repo: Repo, branch: str, commit: Commit, *, count: int, before: str) -> None:
    """What follows from a branch having moved from the commit `before`: audit, the card, the thread of a pull request, and
    those who watch. `count`: operations, for the audit trail."""
    Repo.objects.filter(pk=repo.pk).update(updated_at=now())
    audit.record(
        actor,
        "registry:commit:created",
        "repo",
        repo.uuid,
        namespace_id=repo.namespace_id,
        branch=branch,
        commit=commit.oid,
        operations=count,
    )
    scans.ask_for_scan(repo)
    if branch == repo.default_branch:
        cards.refresh_card(repo, commit)
        facts.ask_for_refresh(repo)
    if is_pull_branch(branch):
        threads.note_commit(actor, repo, branch, commit)
    events.announce_ref(repo, branch if branch.startswith("refs/") else f"refs/heads/{branch}", before, commit.oid)


def _batches(items: Sequence[Key], size: int) -> Iterable[Sequence[Key]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
