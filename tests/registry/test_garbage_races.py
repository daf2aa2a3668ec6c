"""Collection beside everything else: threads upload, commit, branch, squash, delete, restore, duplicate and push at random while
runs go on and days pass, and runs die half-way. At the end, and whenever a day passes, everything that a ref leads to is there.

`GARBAGE_OPERATIONS` sets how many operations there are (default 400; 20,000 and 200,000 on demand)."""

import hashlib
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import OperationalError, connections

from backends.stores.filesystem import FilesystemStore
from common import clock
from common.errors import DomainError
from registry import queries
from registry.models import Blob, Branch, Commit, Discussion, Repo, RepoBlob, Tag, Version
from registry.services import duplicates, garbage, integrity, pulls, refs, repos, storage, uploads
from registry.services.commits import AddFile, AddLfs, CopyFile, DeleteFile, create_commit, squash_history
from registry.services.versions import publish_version
from registry.states import BlobState
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import make_repo

OPERATIONS = int(os.environ.get("GARBAGE_OPERATIONS", "400"))  # noqa: TID251 - how long this test is
SEED = int(os.environ.get("GARBAGE_SEED", "0"))  # noqa: TID251
WORKERS = 4
CONTENTS = 40
"""So few that most uploads meet bytes that are there, condemned, being erased or gone."""


class Killed(BaseException):
    """The process dies here."""


class World:
    """The clock that all share, and what they do. Days pass only between operations: no request lasts a day."""

    def __init__(self) -> None:
        self.actor = actor_of(make_user("alice"))
        self.days = 0.0
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults: list[str] = []
        self.runs: Counter[str] = Counter()
        self.is_over = False
        self._turn = threading.Condition()
        self._inside = 0
        self._passing = False

    @contextmanager
    def at_work(self):
        with self._turn:
            self._turn.wait_for(lambda: not self._passing)
            self._inside += 1
        try:
            with clock.travel(timedelta(days=self.days)):
                yield
        finally:
            with self._turn:
                self._inside -= 1
                self._turn.notify_all()

    @contextmanager
    def at_rest(self):
        with self._turn:
            self._turn.wait_for(lambda: not self._passing)
            self._passing = True
            self._turn.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._turn:
                self._passing = False
                self._turn.notify_all()

    def repo(self, rng: random.Random) -> Repo:
        found = list(Repo.objects.filter(deleted_at=None).select_related("namespace").order_by("pk"))
        return rng.choice(found) if found else make_repo(self.actor, f"r{rng.randrange(10**9)}")


def content(rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return b"only here %d" % rng.randrange(10**9)
    number = rng.randrange(CONTENTS)
    return b"content %d " % number * (1 + number)


def branch_of(world: World, rng: random.Random, repo: Repo) -> Branch:
    return rng.choice(list(Branch.objects.filter(repo=repo).select_related("head").order_by("pk")))


def op_store(world, rng):
    storage.store_blob([content(rng)])


def op_commit(world, rng):
    repo = world.repo(rng)
    files = [AddFile(f"f{rng.randrange(12)}.txt", storage.store_bytes(content(rng))) for _ in range(2)]
    create_commit(world.actor, repo, branch_of(world, rng, repo).name, files, summary="Files")


def op_upload(world, rng):
    repo, data = world.repo(rng), content(rng)
    upload = uploads.begin(world.actor, repo, hashlib.sha256(data).hexdigest(), len(data))
    if upload is not None:
        uploads.receive(upload.uuid, [data] if rng.random() < 0.8 else [data[:5]])


def op_commit_large(world, rng):
    repo = world.repo(rng)
    held = list(Blob.objects.filter(repo_rows__repo=repo).order_by("pk"))
    blob = rng.choice(held)
    operation = AddLfs(f"large{rng.randrange(5)}.bin", blob.sha256, blob.size_bytes)
    create_commit(world.actor, repo, branch_of(world, rng, repo).name, [operation], summary="Large")


def op_delete_file(world, rng):
    repo = world.repo(rng)
    branch = branch_of(world, rng, repo)
    names = [entry.path for entry in queries.all_files(branch.head)]
    create_commit(world.actor, repo, branch.name, [DeleteFile(rng.choice(names))], summary="Less")


def any_commit(rng, repo):
    return rng.choice(list(Commit.objects.filter(repo=repo).order_by("pk")))


def op_copy(world, rng):
    repo = world.repo(rng)
    commit = any_commit(rng, repo)
    names = [entry.path for entry in queries.all_files(commit)]
    operation = CopyFile(rng.choice(names), f"copy{rng.randrange(5)}", commit.oid)
    create_commit(world.actor, repo, branch_of(world, rng, repo).name, [operation], summary="Copy")


def op_branch(world, rng):
    repo = world.repo(rng)
    refs.create_branch(world.actor, repo, f"b{rng.randrange(6)}", any_commit(rng, repo).oid)


def op_tag(world, rng):
    repo = world.repo(rng)
    refs.create_tag(world.actor, repo, f"t{rng.randrange(6)}", any_commit(rng, repo).oid)


def op_version(world, rng):
    repo = world.repo(rng)
    if rng.random() < 0.2:
        publish_version(world.actor, repo, any_commit(rng, repo).oid, name=f"{rng.randrange(1000)}")


def op_drop_branch(world, rng):
    refs.delete_branch(world.actor, repo := world.repo(rng), branch_of(world, rng, repo).name)


def op_drop_tag(world, rng):
    repo = world.repo(rng)
    refs.delete_tag(world.actor, repo, rng.choice(list(Tag.objects.filter(repo=repo).order_by("pk"))).name)


def op_squash(world, rng):
    squash_history(world.actor, repo := world.repo(rng), branch_of(world, rng, repo).name, "one")


def op_delete_repo(world, rng):
    if rng.random() < 0.3:
        repos.delete_repo(world.actor, world.repo(rng))
        make_repo(world.actor, f"r{rng.randrange(10**9)}")


def op_restore_repo(world, rng):
    gone = list(Repo.objects.filter(deleted_at__isnull=False).order_by("-deleted_at")[:5])
    repos.restore_repo(world.actor, rng.choice(gone).uuid)


def op_duplicate(world, rng):
    duplicates.duplicate_repo(world.actor, world.repo(rng), "alice", f"d{rng.randrange(10**9)}")


def op_duplicate_files(world, rng):
    source = world.repo(rng)
    digests = Blob.objects.filter(repo_rows__repo=source).values_list("sha256", flat=True)[:10]
    duplicates.duplicate_files(world.actor, source, world.repo(rng), list(digests))


def op_propose(world, rng):
    repo = world.repo(rng)
    operation = AddFile(f"p{rng.randrange(12)}.txt", storage.store_bytes(content(rng)))
    parent = any_commit(rng, repo).oid if rng.random() < 0.3 else None
    pulls.propose_commit(world.actor, repo, "main", [operation], summary="Proposal", parent=parent)


def op_merge(world, rng):
    pull = rng.choice(list(Discussion.objects.filter(state="open", branch__isnull=False).select_related("repo")))
    if pull.repo.deleted_at is None:
        pulls.merge_pull_request(world.actor, pull.repo, pull)


def op_undo(world, rng):
    if rng.random() < 0.1:
        garbage.undo(world.actor)


DEEDS = [deed for name, deed in sorted(globals().items()) if name.startswith("op_")]
WEIGHTS = [4 if deed in {op_commit, op_upload, op_commit_large, op_store} else 1 for deed in DEEDS]


def perform(world: World, number: int) -> None:
    rng = random.Random(f"{SEED}-{number}")
    deed = rng.choices(DEEDS, WEIGHTS)[0]
    try:
        with world.at_work():
            deed(world, rng)
        world.done[deed.__name__] += 1
    except OperationalError as refused:
        _require_starved(refused)
        world.refused[f"{deed.__name__}: starved"] += 1
    except (DomainError, IndexError) as refused:
        # said in so many words, or there was nothing to do it with
        world.refused[f"{deed.__name__}: {type(refused).__name__}"] += 1
    except Exception as error:
        world.faults.append(f"{deed.__name__}: {error!r}")
        raise
    finally:
        connections.close_all()


def _require_starved(error: OperationalError) -> None:
    """On a machine that is busy enough, SQLite's one lock may not be had for as long as everybody waits. A deadlock is a fault."""
    if "database is locked" not in str(error):
        raise error


def collect_for_ever(world: World, monkeypatch) -> None:
    """Run after run; every fourth dies at one of its deletions."""
    rng = random.Random(f"{SEED}-collector")
    delete = FilesystemStore.delete
    try:
        while not world.is_over:
            dies_at = rng.randrange(1, 6) if rng.random() < 0.25 else 0
            left = [dies_at]

            def deadly(self, key, left=left):
                if key.startswith("blobs/") and left[0]:
                    left[0] -= 1
                    if not left[0]:
                        if rng.random() < 0.5:
                            delete(self, key)
                        raise Killed
                delete(self, key)

            monkeypatch.setattr(FilesystemStore, "delete", deadly)
            try:
                with world.at_work():
                    garbage.finish_erasing()
                    counts = garbage.collect(may_erase_many=True)
                world.runs.update({name: count for name, count in counts.items() if count})
                world.runs["whole"] += 1
            except Killed:
                world.runs["killed"] += 1
            except OperationalError as error:
                _require_starved(error)
                world.runs["starved"] += 1
            except Exception as error:
                world.faults.append(f"collect: {error!r}")
                raise
            time.sleep(0.01)
    finally:
        monkeypatch.setattr(FilesystemStore, "delete", delete)
        connections.close_all()


def let_files_age(world: World, monkeypatch) -> None:
    """Files, too, are as old as the days that have passed."""
    publish, abort_older = FilesystemStore._publish, FilesystemStore.abort_older

    def dated(self, draft, target):
        moment = time.time() + world.days * 86400
        os.utime(draft, (moment, moment))
        publish(self, draft, target)

    monkeypatch.setattr(FilesystemStore, "_publish", dated)
    monkeypatch.setattr(
        FilesystemStore, "abort_older", lambda self, before: abort_older(self, before - timedelta(days=world.days))
    )


def check(world: World) -> None:
    """Everything that is named is there, and is what it says."""
    seen: dict[int, str] = {}
    for repo in Repo.objects.filter(purged_at=None):
        heads = [
            *(row.head for row in Branch.objects.filter(repo=repo).select_related("head__tree")),
            *(row.commit for row in Tag.objects.filter(repo=repo).select_related("commit__tree")),
            *(row.commit for row in Version.objects.filter(repo=repo).select_related("commit__tree")),
        ]
        held = set(RepoBlob.objects.filter(repo=repo).values_list("blob_id", flat=True))
        before = {row.pk: row for row in Commit.objects.filter(repo=repo).select_related("tree")}
        pending, named = [head.pk for head in heads], set()
        by_oid = {row.oid: row.pk for row in before.values()}
        while pending:
            key = pending.pop()
            if key not in named:
                named.add(key)
                pending.extend(by_oid[oid] for oid in before[key].parents)
        for key in named:
            for entry in queries.all_files(before[key]):
                assert entry.ref in held, f"{repo} {entry.path} is not held any more"
                seen[entry.ref] = entry.path
    for blob in Blob.objects.filter(pk__in=seen):
        assert blob.state == BlobState.STORED, f"{seen[blob.pk]} is {blob.state}"
        with storage.store().open(blob.key) as reader:
            assert hashlib.sha256(reader.read()).hexdigest() == blob.sha256
    assert Blob.objects.filter(pk__in=seen).count() == len(seen)
    for blob in Blob.objects.filter(state=BlobState.STORED):
        assert storage.exists(blob), "a row promises bytes that are not there"


@pytest.mark.django_db(transaction=True)
def test_no_file_that_is_named_is_ever_lost(monkeypatch) -> None:
    monkeypatch.setattr("registry.services.discussions.slow_down", lambda actor: None)
    world = World()
    let_files_age(world, monkeypatch)
    for number in range(3):
        make_repo(world.actor, f"start{number}")
    collector = threading.Thread(target=collect_for_ever, args=(world, monkeypatch))
    collector.start()
    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            step = max(20, min(OPERATIONS // 40, 100))
            for start in range(0, OPERATIONS, step):
                numbers = range(start, min(start + step, OPERATIONS))
                list(pool.map(lambda number: perform(world, number), numbers))
                assert not world.faults, world.faults
                with world.at_rest():
                    check(world)
                    world.days += random.Random(f"{SEED}-{start}-day").choice([0.3, 0.6, 1.5, 4])
    finally:
        world.is_over = True
        collector.join()
    assert not world.faults, world.faults
    figures = f"{OPERATIONS} operations: {world.done.total()} done, {dict(world.refused)} refused; {dict(world.runs)}"
    print(figures)  # noqa: T201 - to be seen with -s
    # it was no idle run: files went, and runs died on the way
    assert world.runs["erased_files"] > 5
    assert sum(world.done.values()) > OPERATIONS / 2
    for days in (0, 2, 12, 22):
        with clock.travel(timedelta(days=world.days + days)):
            garbage.finish_erasing()
            garbage.collect(may_erase_many=True)
    check(world)
    with clock.travel(timedelta(days=world.days + 23)):
        assert integrity.check(with_bytes=True).counts == {}
