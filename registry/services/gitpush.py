"""Taking a push: the refs that git wants moved, and the pack behind them.

Everything is checked before anything is stored, and files and trees are stored before a branch is touched; commits and refs are
written together at the end, under the locks and with the consequences of every other commit. What a refused push leaves are
files and trees that no commit names."""

import logging
import re
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from django.db import IntegrityError, OperationalError, transaction

from accounts.actors import Actor
from accounts.permissions import Action
from accounts.services import audit
from common.errors import Busy, Conflict, DomainError, Forbidden, Invalid, TooLarge, busy_database
from registry.errors import RevisionNotFound
from registry.models import Branch, Commit, Discussion, Repo, Tag, Version
from registry.paths import check_ref
from registry.policies import can, is_pull_branch, require_branch_write, require_participant, require_repo_by_uuid
from registry.services import refs, scans, threads
from registry.services.commits import announce_commit, move_branch
from registry.services.gitcommits import NewCommit, NewTag, parse_commit, parse_tag
from registry.services.gitobjects import COMMIT, TAG, Finder, History
from registry.services.gitpacks import IncomingPack
from registry.services.gittrees import Bring, Builder, Inspection
from registry.services.holdings import keep_commits
from registry.states import DiscussionState

logger = logging.getLogger(__name__)

NO_OID = "0" * 40
_ROWS_AT_ONCE = 500
_BUILDING_S = 0.5
_OID = re.compile(r"[0-9a-f]{40}")


@dataclass(slots=True)
class RefChange:
    """A ref that is to go from `old` to `new` (40 zeros: nothing). `refusal` says in a sentence why it does not; afterwards
    `is_rewrite` whether commits of the branch were dropped."""

    name: str
    old: str
    new: str
    refusal: str = ""
    is_rewrite: bool = False

    @property
    def branch(self) -> str | None:
        """The name of the branch here; None for a tag."""
        return None if self.name.startswith("refs/tags/") else self.name.removeprefix("refs/heads/")

    @property
    def tag(self) -> str:
        return self.name.removeprefix("refs/tags/")


@dataclass(slots=True)
class Push:
    """What a push brings, once it is read: new commits in the order of history, new tag objects."""

    commits: dict[str, NewCommit] = field(default_factory=dict)
    tags: dict[str, NewTag] = field(default_factory=dict)
    known: dict[str, Commit] = field(default_factory=dict)
    """Commits that the repository has, among parents and targets; at the end the new ones, too."""
    built: dict[str, int] = field(default_factory=dict)
    """Trees of the new commits (primary keys), by the commit's id."""
    keeps_rewritten: bool = False


def require_pusher(actor: Actor, repo: Repo) -> Repo:
    """The repository, which the caller has obtained, for whoever may push something: who may write, and who has opened a pull request
    that is not over. Raises Unauthenticated, Forbidden."""
    if not can(actor, repo, Action.REPO_WRITE):
        mine = Discussion.objects.filter(repo=repo, branch__isnull=False, author_id=actor.person_id)
        if mine.exclude(state__in=[DiscussionState.CLOSED, DiscussionState.MERGED]).exists():
            return require_participant(actor, repo)
    return require_repo_by_uuid(actor, repo.uuid, Action.REPO_WRITE)


def check(actor: Actor, repo: Repo, changes: Sequence[RefChange]) -> None:
    """What can be said of the refs before the pack is read: notes a refusal with each that can't be. The caller has obtained the
    repository."""
    seen: set[str] = set()
    for change in changes:
        try:
            if change.name in seen:
                raise Invalid("The same ref is named twice.")
            seen.add(change.name)
            _check_change(actor, repo, change)
        except DomainError as error:
            change.refusal = error.message


def receive(
    actor: Actor,
    repo: Repo,
    changes: Sequence[RefChange],
    pack: IncomingPack | None,
    *,
    atomic: bool = False,
    bring: Bring | None = None,
    keeps_rewritten: bool = False,
) -> Iterator[str]:
    """Store what `pack` brings and move the refs of `changes`; afterwards each has its `refusal` or none. Yields sentences on how
    far it is. With `atomic`, all refs move or none. `bring` fetches large files that the repository has not, which are refused
    without it. With `keeps_rewritten`, the former head of a rewritten branch stays under the tag `kept_tag` names. Needs the
    right to write; to rewrite a branch, the right to administer. A repeated push finds its commits there and changes nothing.
    Raises DomainError when the pack itself can't be taken: no ref has moved then."""
    check(actor, repo, changes)
    if atomic and any(change.refusal for change in changes):
        _refuse_rest(changes)
    if all(change.refusal for change in changes):
        return
    push = Push(keeps_rewritten=keeps_rewritten)
    if pack is not None:
        yield from _read(pack, push, repo, changes)
    _check_history(actor, repo, push, changes)
    if atomic and any(change.refusal for change in changes):
        _refuse_rest(changes)
    if pack is not None:
        yield from _store(pack, push, repo, _targets(push, changes), bring)
    _apply(actor, repo, push, changes, atomic=atomic)


def kept_tag(branch: str, oid: str) -> str:
    """The tag under which the head of a branch is kept that was rewritten."""
    return f"{refs.KEPT_PREFIX}{branch}/{oid[:10]}"


def bring_history(repo: Repo, pack: IncomingPack, tips: Iterable[str]) -> Push:
    """Store the commits of `pack` that lead to `tips` (commits or tag objects), with all that a push checks, and move no ref: for
    a caller that has the right to, and that names what was brought in its own transaction. Afterwards `known` of the result
    has every commit of the pack and every target. Safe to repeat: what is here is passed over. Raises DomainError; no
    commit was written then."""
    push = Push()
    for _ in pack.index():
        pass
    targets: list[str] = []
    for oid in dict.fromkeys(tips):
        packed = pack.find(oid)
        if packed is not None and packed.kind == TAG:
            push.tags[oid] = parse_tag(oid, pack.content(packed))
        targets.append(_target(push, oid))
    _collect(pack, push, repo, targets)
    if missing := next((oid for oid in targets if oid not in push.commits and oid not in push.known), None):
        raise Invalid(f"The history does not hold the commit {missing}.")
    if rootless := _rootless(push):
        raise Invalid(f"The history is not whole: commits before {min(rootless)} are missing.")
    for _ in _store(pack, push, repo, targets, None):
        pass
    try:
        with transaction.atomic():
            push.known |= _write(repo, push, push.commits)
    except IntegrityError as error:
        raise Busy("Somebody else brings the same commits at this moment: try again.", retry_after_s=30) from error
    return push


def _refuse_rest(changes: Iterable[RefChange]) -> None:
    for change in changes:
        change.refusal = change.refusal or "Nothing was pushed: another ref of this atomic push was refused."


# What can be said of a ref


def _check_change(actor: Actor, repo: Repo, change: RefChange) -> None:
    if not (_OID.fullmatch(change.old) and _OID.fullmatch(change.new)):
        raise Invalid("This is not an object id.")
    if change.branch is None:
        check_ref(change.tag)
        require_branch_write(actor, repo, repo.default_branch)
        _check_tag(repo, change)
    elif is_pull_branch(change.branch):
        require_branch_write(actor, repo, change.branch)
        _check_branch(repo, change)
    elif change.name.startswith("refs/heads/"):
        check_ref(change.branch)
        require_branch_write(actor, repo, change.branch)
        _check_branch(repo, change)
    else:
        raise Invalid("Only branches and tags can be pushed here.")


def _check_branch(repo: Repo, change: RefChange) -> None:
    assert change.branch is not None
    head = Branch.objects.filter(repo=repo, name=change.branch).values_list("head__oid", flat=True).first()
    _check_old(change, head or NO_OID)
    if change.new != NO_OID:
        return
    if head is None:
        raise RevisionNotFound("There is no such branch.")
    if change.branch == repo.default_branch:
        raise Forbidden("The default branch can't be deleted.")
    if is_pull_branch(change.branch):
        raise Forbidden("The branch of a pull request stays: close the pull request instead.")


def _check_tag(repo: Repo, change: RefChange) -> None:
    tag = Tag.objects.filter(repo=repo, name=change.tag).select_related("commit").first()
    present = NO_OID if tag is None else tag.oid or tag.commit.oid
    if tag is not None and change.new not in {NO_OID, present}:
        raise Conflict(
            "This tag is there already, and tags stay where they were put: delete it first, or take another name."
        )
    _check_old(change, present)
    if change.new == NO_OID:
        if tag is None:
            raise RevisionNotFound("There is no such tag.")
        if Version.objects.filter(repo=repo, name=change.tag).exists():
            raise Forbidden("This is the tag of a published version, which stays for good.")


def _check_old(change: RefChange, present: str) -> None:
    if change.old != present:
        raise _moved()


def _moved() -> Conflict:
    return Conflict("It has moved meanwhile: fetch first, then push again.", code="fetch_first")


# Reading the pack


def _read(pack: IncomingPack, push: Push, repo: Repo, changes: Iterable[RefChange]) -> Iterator[str]:
    for count in pack.index():
        yield f"Reading objects: {count} of {pack.count}"
    for change in changes:
        if change.refusal or change.new == NO_OID:
            continue
        try:
            _read_tip(pack, push, change)
        except DomainError as error:
            change.refusal = error.message
    _collect(pack, push, repo, _targets(push, changes))


def _read_tip(pack: IncomingPack, push: Push, change: RefChange) -> None:
    packed = pack.find(change.new)
    if packed is None or packed.kind == COMMIT:
        return
    if packed.kind != TAG or change.branch is not None:
        raise Invalid("A branch leads to a commit, and a tag to a commit or a tag object.")
    push.tags[change.new] = parse_tag(change.new, pack.content(packed))


def _targets(push: Push, changes: Iterable[RefChange]) -> list[str]:
    """The commits that refs shall lead to."""
    new = [change.new for change in changes if not change.refusal and change.new != NO_OID]
    return list(dict.fromkeys(_target(push, oid) for oid in new))


def _target(push: Push, oid: str) -> str:
    return push.tags[oid].commit if oid in push.tags else oid


def _collect(pack: IncomingPack, push: Push, repo: Repo, tips: Sequence[str]) -> None:
    """The commits of the pack that `tips` lead to and the repository has not, older ones first; and of those that it has, the
    parents and targets of what is new."""
    parsed: dict[str, NewCommit] = {}
    outside: set[str] = set()
    pending = list(tips)
    while pending:
        oid = pending.pop()
        if oid in parsed or oid in outside:
            continue
        packed = pack.find(oid)
        if packed is None or packed.kind != COMMIT:
            outside.add(oid)
            continue
        parsed[oid] = parse_commit(oid, pack.content(packed))
        pending.extend(parsed[oid].parents)
        if len(parsed) > pack.limits.commits:
            raise TooLarge(
                f"More than {pack.limits.commits} new commits can't be pushed at once. Push a part of the history first: git push origin "
                "<older commit>:refs/heads/<branch>."
            )
    push.known = _known(repo, [*parsed, *outside])
    push.commits = _in_order(parsed, tips, skip=push.known)


def _known(repo: Repo, oids: Sequence[str]) -> dict[str, Commit]:
    found: dict[str, Commit] = {}
    for start in range(0, len(oids), _ROWS_AT_ONCE):
        rows = Commit.objects.filter(repo=repo, oid__in=oids[start : start + _ROWS_AT_ONCE]).defer("raw", "description")
        found |= {row.oid: row for row in rows}
    return found


def _in_order(commits: dict[str, NewCommit], tips: Iterable[str], *, skip: Container[str] = ()) -> dict[str, NewCommit]:
    """Those that lead to `tips`, parents before children, without `skip` and what is only before these. (A commit's id covers its
    parents', so there is no circle.)"""
    ordered: dict[str, NewCommit] = {}
    pending = [(tip, False) for tip in tips]
    while pending:
        oid, is_done = pending.pop()
        if oid not in commits or oid in ordered or oid in skip:
            continue
        if is_done:
            ordered[oid] = commits[oid]
            continue
        pending.append((oid, True))
        pending.extend((parent, False) for parent in commits[oid].parents)
    return ordered


# Whether the refs may go there


def _check_history(actor: Actor, repo: Repo, push: Push, changes: Iterable[RefChange]) -> None:
    wanted = [change for change in changes if not change.refusal and change.new != NO_OID]
    # a tag object that is here under another name is not sent again
    for row in Tag.objects.filter(repo=repo, oid__in=[change.new for change in wanted]):
        push.tags.setdefault(row.oid, parse_tag(row.oid, bytes(row.raw)))
    push.known |= _known(repo, [oid for oid in _targets(push, wanted) if oid not in push.commits])
    rootless = _rootless(push)
    for change in wanted:
        target = _target(push, change.new)
        if target not in push.commits and target not in push.known:
            change.refusal = "The push does not hold the commit that this should lead to."
        elif target in rootless:
            change.refusal = (
                "Older commits are missing in the push. In a shallow clone, run git fetch --unshallow first."
            )
        elif change.branch is None or change.old == NO_OID or _is_forward(repo, push, change):
            continue
        elif not can(actor, repo, Action.REPO_ADMIN):
            change.refusal = (
                "This would drop commits of the branch (non-fast-forward). Run git pull --rebase, then push again; only who "
                "administers the repository may rewrite a branch."
            )


def _rootless(push: Push) -> set[str]:
    """New commits with an ancestor whose parent is neither in the push nor here."""
    found: set[str] = set()
    for oid, commit in push.commits.items():
        here = (parent in push.commits or parent in push.known for parent in commit.parents)
        if not all(here) or not found.isdisjoint(commit.parents):
            found.add(oid)
    return found


def _is_forward(repo: Repo, push: Push, change: RefChange) -> bool:
    """Whether the branch keeps all that it has."""
    target = _target(push, change.new)
    new = _in_order(push.commits, [target])
    below = {parent for commit in new.values() for parent in commit.parents if parent not in new} if new else {target}
    return change.old in below or History(repo).is_ancestor(change.old, below)


# Storing


def _store(pack: IncomingPack, push: Push, repo: Repo, tips: Sequence[str], bring: Bring | None) -> Iterator[str]:
    """Files and trees of the new commits that lead to `tips`."""
    push.commits = _in_order(push.commits, tips)
    if not push.commits:
        return
    yield f"Checking {len(push.commits)} commits"
    inspection = Inspection(pack, repo, bring)
    for commit in push.commits.values():
        inspection.look(commit.tree)
    inspection.finish()
    yield f"Storing {inspection.file_count} files"
    inspection.store_files()
    finder = Finder(repo)
    try:
        builder = Builder(pack, finder)
        keys: set[int] = set()
        rest = deque(push.commits.values())
        while rest:
            # many small commits share a transaction, none keeps others waiting for long
            with transaction.atomic():
                until = monotonic() + _BUILDING_S
                while rest and monotonic() < until:
                    commit = rest.popleft()
                    commit.take_key(keys)
                    push.built[commit.oid] = builder.build(commit, [_tree_key(push, oid) for oid in commit.parents])
            yield f"Storing commits: {len(push.built)} of {len(push.commits)}"
    finally:
        finder.close()


def _tree_key(push: Push, oid: str) -> int:
    return push.built[oid] if oid in push.built else push.known[oid].tree_id


# Moving the refs


def _apply(actor: Actor, repo: Repo, push: Push, changes: Sequence[RefChange], *, atomic: bool) -> None:
    # first what goes: a name may be free then for a folder of names
    wanted = sorted(
        (change for change in changes if not change.refusal), key=lambda each: (each.new != NO_OID, each.name)
    )
    if not atomic:
        for change in wanted:
            _apply_one(actor, repo, push, change)
        return
    with transaction.atomic():
        branches = [change.branch for change in wanted if change.branch is not None]
        # all at once, in the order of their names: two atomic pushes never wait for each other in a circle
        list(Branch.objects.select_for_update().filter(repo=repo, name__in=branches).order_by("name"))
        # before the audit trail, as whoever publishes a version does
        Repo.objects.select_for_update().only("pk").get(pk=repo.pk)
        for change in wanted:
            _apply_one(actor, repo, push, change)
            if change.refusal:
                transaction.set_rollback(True)
                _refuse_rest(changes)
                break


def _apply_one(actor: Actor, repo: Repo, push: Push, change: RefChange) -> None:
    """Write the commits that lead to the ref, unless a ref before has brought them, and move it; or note why not."""
    try:
        with transaction.atomic():
            if change.new == NO_OID:
                _delete(actor, repo, change)
                return
            branch = _locked(repo, change) if change.branch is not None and change.old != NO_OID else None
            target = _target(push, change.new)
            keep_commits(repo, _parents_and_target(push, target))
            fresh = _write(repo, push, _in_order(push.commits, [target], skip=push.known))
            head = fresh.get(target) or push.known[target]
            if branch is not None:
                _advance(actor, repo, push, change, branch, head, list(fresh.values()))
            else:
                _create(actor, repo, push, change, head, len(fresh))
    except DomainError as error:
        change.refusal = error.message
    except OperationalError:
        logger.exception("The database gave up in a push")
        change.refusal = busy_database().message
    except IntegrityError:
        change.refusal = "Somebody else pushed the same commits at this moment: fetch, then push again."
    else:
        push.known |= fresh


def _parents_and_target(push: Push, target: str) -> list[Commit]:
    """Commits that were here before the push, and that it leads to."""
    new = _in_order(push.commits, [target], skip=push.known)
    named = {target, *(parent for commit in new.values() for parent in commit.parents)}
    return [push.known[oid] for oid in named if oid in push.known]


def _locked(repo: Repo, change: RefChange) -> Branch:
    # without a join: PostgreSQL checks the row again after waiting for it, and a join to its former head finds nothing then
    branch = Branch.objects.select_for_update().filter(repo=repo, name=change.branch).first()
    if branch is None or Commit.objects.only("oid").get(pk=branch.head_id).oid != change.old:
        raise _moved()
    return branch


def _delete(actor: Actor, repo: Repo, change: RefChange) -> None:
    if change.branch is not None:
        _locked(repo, change)
        refs.delete_branch(actor, repo, change.branch)
        return
    tag = Tag.objects.select_for_update().filter(repo=repo, name=change.tag).first()
    if tag is None or change.old != (tag.oid or Commit.objects.only("oid").get(pk=tag.commit_id).oid):
        raise _moved()
    refs.delete_tag(actor, repo, change.tag)


def _create(actor: Actor, repo: Repo, push: Push, change: RefChange, head: Commit, count: int) -> None:
    if change.branch is None:
        tag = push.tags.get(change.new)
        if tag is None:
            refs.create_tag(actor, repo, change.tag, head.oid)
        else:
            refs.create_tag(actor, repo, change.tag, head.oid, message=tag.message, oid=tag.oid, raw=tag.raw)
    else:
        refs.create_branch(actor, repo, change.branch, head.oid)
    if count:
        scans.ask_for_scan(repo)
        audit.record(
            actor,
            "registry:commit:created",
            "repo",
            repo.uuid,
            namespace_id=repo.namespace_id,
            branch=change.name,
            commit=head.oid,
            operations=count,
        )


def _write(repo: Repo, push: Push, new: dict[str, NewCommit]) -> dict[str, Commit]:
    rows: dict[str, Commit] = {}
    for oid, commit in new.items():
        first = None
        if commit.parents:
            first = rows.get(commit.parents[0]) or push.known[commit.parents[0]]
        rows[oid] = Commit(
            id=commit.key,
            oid=oid,
            repo=repo,
            tree_id=push.built[oid],
            parents=commit.parents,
            first_parent=first,
            depth=first.depth + 1 if first else 0,
            summary=commit.summary,
            description=commit.description,
            author_name=commit.author_name,
            raw=commit.raw,
            created_at=commit.committed_at,
        )
    Commit.objects.bulk_create(rows.values(), batch_size=200)
    return rows


def _advance(
    actor: Actor, repo: Repo, push: Push, change: RefChange, branch: Branch, head: Commit, new: Sequence[Commit]
) -> None:
    move_branch(branch, head)
    change.is_rewrite = not _is_forward(repo, push, change)
    if change.is_rewrite:
        if push.keeps_rewritten:
            # the same state may have been kept before; and what no tag can be called is told by the audit trail
            with suppress(Conflict, Invalid):
                refs.create_tag(actor, repo, kept_tag(branch.name, change.old), change.old)
        audit.record(
            actor,
            "registry:branch:rewritten",
            "repo",
            repo.uuid,
            namespace_id=repo.namespace_id,
            branch=branch.name,
            before=change.old,
            after=head.oid,
        )
    if is_pull_branch(branch.name):
        for commit in new[:-1]:
            threads.note_commit(actor, repo, branch.name, commit)
    announce_commit(actor, repo, branch.name, head, count=len(new), before=change.old)
