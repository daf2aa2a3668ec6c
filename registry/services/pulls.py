"""Pull requests: a change that is proposed on a branch of its own, looked at, and merged or not.

Merging works on files: what the request changes since its branch began is applied to the target as it is now. A file that both
sides have changed is merged line by line when it is a text of moderate length; else the request says that it conflicts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Busy, Invalid
from registry.changes import Change, changes_between
from registry.differences import merged_text, text_of
from registry.errors import MergeConflict, RevisionNotFound
from registry.models import Branch, Commit, Discussion, Repo, new_commit_id
from registry.paths import PULL_PREFIX
from registry.policies import require_no_source, require_participant, require_repo_by_uuid
from registry.queries import Entry, find_entries, resolve_revision
from registry.services import discussions, storage
from registry.services.commits import (
    AddFile,
    CopyFile,
    DeleteFile,
    Operation,
    Prepared,
    announce_commit,
    apply_changes,
    attach_all,
    check_message,
    move_branch,
    prepare,
    refuse_malware,
    write_commit,
)
from registry.services.holdings import keep_commits
from registry.services.threads import write_event
from registry.states import DISCUSSIONS, DiscussionState, EventKind
from registry.trees import Node

CHANGES_LIMIT = 20_000
"""Files that one request may change: they are merged in memory."""


def open_pull_request(actor: Actor, repo: Repo, title: str, text: str, *, target: str = "") -> Discussion:
    """Begin a request without changes, a draft: commits to its branch `refs/pr/<number>` follow. Needs the right to read the
    content. Raises Invalid, TooMany, RevisionNotFound."""
    repo = require_participant(actor, repo)
    discussions.slow_down(actor)
    title, text = discussions.checked_title(title), discussions.checked_text(text)
    branch = _target(repo, target)
    with transaction.atomic():
        return _open(actor, repo, title, text, branch, branch.head, DiscussionState.DRAFT)


def propose_commit(
    actor: Actor,
    repo: Repo,
    target: str,
    operations: Iterable[Operation],
    *,
    summary: str,
    description: str = "",
    parent: str | None = None,
) -> tuple[Discussion, Commit]:
    """Open a request that consists of one commit, as `create_commit` makes it, on top of `parent` or of the target branch. Both or
    neither. Raises what `create_commit` raises, and Invalid when nothing would change."""
    repo = require_participant(actor, repo)
    discussions.slow_down(actor)
    branch = _target(repo, target)
    summary, description = check_message(summary, description)
    base = resolve_revision(repo, parent) if parent else branch.head
    wanted = list(operations)
    prepared = prepare(repo, wanted)
    commit_id = new_commit_id()
    with transaction.atomic():
        attach_all(repo, prepared)
        tree = apply_changes(base, prepared, commit_id)
    if tree.oid == base.tree.oid:
        raise Invalid("These files are there already: there is nothing to propose.", code="nothing_changed")
    with transaction.atomic():
        text = description[: discussions.TEXT_LIMIT]
        pull = _open(actor, repo, summary[:200], text, branch, base, DiscussionState.OPEN)
        own = pull.branch
        assert own is not None
        commit = write_commit(actor, repo, commit_id, tree, [base], summary, description)
        move_branch(own, commit)
        announce_commit(actor, repo, own.name, commit, count=len(wanted), before=base.oid)
    return pull, commit


@dataclass
class Merge:
    """What merging would do. `prepared` are whole files and removals; `texts` files whose lines were brought together; `conflicts`
    the paths that stand in the way."""

    target: Branch
    head: Commit
    prepared: Prepared = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)


def merge_of(pull: Discussion) -> Merge:
    """How an open request and its target fit together at this moment. Reads only. Raises RevisionNotFound when the target is gone,
    Invalid when it changes too many files."""
    assert pull.branch is not None
    assert pull.base is not None
    head = pull.branch.head
    target = Branch.objects.select_related("head__tree").filter(repo_id=pull.repo_id, name=pull.target).first()
    if target is None:
        raise RevisionNotFound(f"The branch {pull.target} is not there any more.", revision=pull.target)
    changes = list(islice(changes_between(pull.base.tree, head.tree), CHANGES_LIMIT + 1))
    if len(changes) > CHANGES_LIMIT:
        raise Invalid(f"This request changes more than {CHANGES_LIMIT} files: propose it in parts.")
    paths = [change.path for change in changes]
    wanted, present = find_entries(head.tree, paths), find_entries(target.head.tree, paths)
    merge = Merge(target, head)
    # what goes makes room for what comes
    for change in sorted(changes, key=lambda each: each.after is not None):
        _fit(merge, change, wanted.get(change.path), present)
    return merge


def merge_pull_request(actor: Actor, repo: Repo, pull: Discussion, *, text: str = "") -> Commit:
    """Bring the request into its target: a commit with both as parents. Needs the right to write. Raises MergeConflict with the
    paths, Invalid when there is nothing to merge, Conflict when it is closed or merged, Busy when a branch moves meanwhile."""
    repo = require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)
    require_no_source(actor, repo)
    if not pull.is_pull_request:
        raise Invalid("This is a discussion: there is nothing to merge.")
    DISCUSSIONS.ensure(DiscussionState(pull.state), DiscussionState.MERGED)
    merge = merge_of(pull)
    if merge.conflicts:
        shown = ", ".join(merge.conflicts[:5])
        raise MergeConflict(f"Both sides have changed: {shown}.", paths=merge.conflicts)
    if merge.head.pk == pull.base_id:
        raise Invalid("Nothing has been committed to this pull request yet.", code="nothing_changed")
    for path, content in merge.texts.items():
        merge.prepared += prepare(repo, [AddFile(path, storage.store_bytes(content))])
    refuse_malware(merge.prepared)
    attach_all(repo, merge.prepared)
    with transaction.atomic():
        target = Branch.objects.select_for_update().get(pk=merge.target.pk)
        pull = discussions.locked(pull)
        DISCUSSIONS.ensure(DiscussionState(pull.state), DiscussionState.MERGED)
        own = Branch.objects.select_for_update(of=("self",)).get(pull_request=pull)
        if (target.head_id, own.head_id) != (merge.target.head_id, merge.head.pk):
            raise Busy("A branch moved at this moment: try again.")
        commit = _write_merge(actor, repo, pull, merge)
        move_branch(target, commit)
        announce_commit(actor, repo, target.name, commit, count=len(merge.prepared), before=merge.target.head.oid)
        pull.merge_commit = commit
        if text.strip():
            write_event(actor, pull, EventKind.COMMENT, text=discussions.checked_text(text))
        discussions.settle(actor, repo, pull, DiscussionState.MERGED)
    return commit


def _target(repo: Repo, name: str) -> Branch:
    name = name or repo.default_branch
    branch = Branch.objects.select_related("head__tree").filter(repo=repo, name=name).first()
    if branch is None or name.startswith("refs/"):
        raise RevisionNotFound(f"Invalid rev id: {name[:100]}", revision=name[:100])
    return branch


def _open(
    actor: Actor, repo: Repo, title: str, text: str, target: Branch, base: Commit, state: DiscussionState
) -> Discussion:
    keep_commits(repo, [base])
    number = discussions.next_number(repo)
    own = Branch.objects.create(repo=repo, name=f"{PULL_PREFIX}{number}", head=base)
    pull = Discussion.objects.create(
        repo=repo,
        number=number,
        title=title,
        state=state,
        author_id=actor.user_id,
        branch=own,
        target=target.name,
        base=base,
    )
    discussions.note_opening(actor, repo, pull, text)
    return pull


def _fit(merge: Merge, change: Change, wanted: Node | None, present: dict[str, Node]) -> None:
    """Decide what becomes of one changed file in the target."""
    path, here = change.path, present.get(change.path)
    if _is(here, change.after):
        return
    if _is(here, change.before) and not _is_blocked(path, present, merge):
        if wanted is None:
            merge.removed.add(path)
        operation = CopyFile(path, path, merge.head.oid) if wanted else DeleteFile(path)
        merge.prepared.append((operation, wanted))
    elif (text := _merged(merge, path, change)) is not None:
        merge.texts[path] = text
    else:
        merge.conflicts.append(path)


def _is(node: Node | None, file: Entry | None) -> bool:
    if node is None or file is None:
        return node is None and file is None
    return (node.is_dir, node.oid, node.sha256) == (file.is_dir, file.oid, file.sha256)


def _is_blocked(path: str, present: dict[str, Node], merge: Merge) -> bool:
    """Whether the target has a file where `path` needs a folder, and keeps it."""
    parts = path.split("/")
    above = ("/".join(parts[:length]) for length in range(1, len(parts)))
    return any(part in present and not present[part].is_dir and part not in merge.removed for part in above)


def _merged(merge: Merge, path: str, change: Change) -> bytes | None:
    found = find_entries(merge.target.head.tree, [path]).get(path)
    if found is None or found.is_dir or change.before is None or change.after is None:
        return None
    here = Entry(path, False, found.oid, found.size_bytes, found.sha256, found.ref, found.commit_id, 1)
    if any(file.sha256 is not None for file in (here, change.before, change.after)):
        return None
    sides = [text_of(file) for file in (change.before, here, change.after)]
    if any(side is None for side in sides):
        return None
    base, ours, theirs = (side or b"" for side in sides)
    return merged_text(base, ours, theirs)


def _write_merge(actor: Actor, repo: Repo, pull: Discussion, merge: Merge) -> Commit:
    commit_id = new_commit_id()
    try:
        tree = apply_changes(merge.target.head, merge.prepared, commit_id)
    except Invalid as error:
        raise MergeConflict(error.message, paths=[]) from error
    summary = f"{pull.title} (#{pull.number})"
    return write_commit(actor, repo, commit_id, tree, [merge.target.head, merge.head], summary, "")
