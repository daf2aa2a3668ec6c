"""What scanning leads to: badges, quarantine, known malware; and that nobody learns of others' bytes by it."""

import hashlib

import pytest

from accounts import actors
from backends.conformance.scanners import BINARY_PICKLE
from backends.scanners.sandboxed import FAILED
from common.errors import Forbidden, Invalid, NotFound
from notices.queries import notices_of
from registry import queries
from registry.errors import KnownMalware, Quarantined
from registry.models import BlobScan, BlockedDigest, Quarantine
from registry.services import duplicates, pulls, quarantine, scans, storage, uploads
from registry.services.commits import AddLfs, CopyFile
from registry.services.versions import publish_version
from registry.states import Origin
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo
from work.models import Task

pytestmark = pytest.mark.django_db

DIGEST = hashlib.sha256(BINARY_PICKLE).hexdigest()


@pytest.fixture
def alice():
    return actor_of(make_user("alice"))


@pytest.fixture
def staff():
    return actor_of(make_user("staff", is_staff=True))


@pytest.fixture
def repo(alice):
    repo = make_repo(alice, kind="model", visibility="public")
    commit(alice, repo, add("data.csv", "a,b\n1,2\n"), add("model.pkl", BINARY_PICKLE), add("note.txt", "hello"))
    return repo


def entry(repo, path):
    return queries.entry_at(queries.head_of(repo), path)


def verdicts(repo):
    commit = queries.head_of(repo)
    files = {each.path: each.ref for each in queries.all_files(commit)}
    found = queries.verdicts_of_blobs(repo, files.values())
    return {path: str(found[ref]) if ref in found else None for path, ref in files.items()}


def test_every_commit_asks_for_a_scan(alice, repo):
    assert Task.objects.filter(name="registry.scan_repo", key=f"scan-repo:{repo.pk}").count() == 1


def test_a_scan_gives_each_file_its_verdict_and_the_repository_the_worst(alice, repo):
    assert set(verdicts(repo).values()) == {None}
    scans.scan_repo(repo.pk)
    assert verdicts(repo) == {
        ".gitattributes": "data-only",
        "data.csv": "data-only",
        "model.pkl": "malicious",
        "note.txt": "data-only",
    }
    assert queries.repo_verdicts([repo.pk]) == {repo.pk: "malicious"}
    scan = queries.repo_scan(repo)
    assert (scan.commit, scan.counts) == (queries.head_of(repo), {"data-only": 3, "malicious": 1})
    reasons = queries.scans_of_blobs(repo, [entry(repo, "model.pkl").ref])[entry(repo, "model.pkl").ref].findings
    assert any("system" in reason["message"] for reason in reasons)


def test_a_scan_is_done_once_and_a_later_file_is_not_scanned_yet(alice, repo, monkeypatch):
    scans.scan_repo(repo.pk)
    before = BlobScan.objects.count()
    commit(alice, repo, add("later.txt", "later"))
    assert verdicts(repo)["later.txt"] is None
    scans.scan_repo(repo.pk)
    assert (BlobScan.objects.count(), verdicts(repo)["later.txt"]) == (before + 1, "data-only")
    monkeypatch.setattr(scans, "_reports", None)
    scans.scan_repo(repo.pk)


def test_nobody_learns_that_others_have_the_same_bytes(alice, repo):
    scans.scan_repo(repo.pk)
    bob = actor_of(make_user("bob"))
    other = make_repo(bob, "other")
    commit(bob, other, add("mine.csv", "a,b\n1,2\n"))
    assert verdicts(other)["mine.csv"] is None
    scans.scan_repo(other.pk)
    assert verdicts(other)["mine.csv"] == "data-only"


def test_new_rules_scan_again(alice, repo, monkeypatch):
    version = publish_version(alice, repo, "main", name="1.0")
    scans.scan_repo(repo.pk)
    scans.scan_version(version.pk)
    assert scans.rescan() == 0
    monkeypatch.setattr(scans, "rules", lambda: "newer")
    assert scans.rescan() == 4
    assert BlobScan.objects.filter(rules="newer").count() == 4
    assert Task.objects.filter(name="registry.scan_version", key=f"scan-version:{version.pk}").exists()
    assert scans.rescan() == 0


def test_a_scanner_that_fails_makes_unknown(alice, repo, monkeypatch):
    monkeypatch.setattr(scans, "_reports", lambda blobs: {blob.sha256: FAILED for blob in blobs})
    scans.scan_repo(repo.pk)
    assert set(verdicts(repo).values()) == {"unknown"}


def test_malware_is_held_back_at_once_and_its_owner_told(alice, repo):
    scans.scan_repo(repo.pk)
    row = Quarantine.objects.get()
    assert (row.origin, row.repo, row.blob.sha256) == (Origin.SCAN, None, DIGEST)
    with pytest.raises(Quarantined, match="under quarantine"):
        quarantine.require_free(repo, [entry(repo, "model.pkl").ref])
    quarantine.require_free(repo, [entry(repo, "data.csv").ref])
    [notice] = notices_of(alice).items
    assert "quarantine" in notice.text
    scans.scan_repo(repo.pk)
    assert Quarantine.objects.count() == 1


def test_only_staff_release_what_scanning_holds_and_it_stays_released(alice, staff, repo, monkeypatch):
    scans.scan_repo(repo.pk)
    row = Quarantine.objects.get()
    with pytest.raises(Forbidden):
        quarantine.release(alice, row.uuid, "it is mine")
    with pytest.raises(NotFound):
        quarantine.release(actor_of(make_user("bob")), row.uuid, "why not")
    with pytest.raises(Invalid):
        quarantine.release(staff, row.uuid, " ")
    quarantine.release(staff, row.uuid, "a test file")
    quarantine.release(staff, row.uuid, "a test file")
    quarantine.require_free(repo, [entry(repo, "model.pkl").ref])
    monkeypatch.setattr(scans, "rules", lambda: "newer")
    scans.scan_repo(repo.pk)
    assert Quarantine.objects.filter(released_at__isnull=True).count() == 0
    assert len(notices_of(alice).items) == 2


def test_an_owner_holds_back_in_the_own_repository_alone(alice, repo):
    bob = actor_of(make_user("bob"))
    other = make_repo(bob, "other")
    commit(bob, other, add("note.txt", "hello"))
    with pytest.raises(Forbidden):
        quarantine.quarantine_file(bob, repo, entry(repo, "note.txt"), "no")
    row = quarantine.quarantine_file(alice, repo, entry(repo, "note.txt"), "a mistake")
    assert quarantine.quarantine_file(alice, repo, entry(repo, "note.txt"), "again") == row
    with pytest.raises(Quarantined):
        quarantine.require_free(repo, [entry(repo, "note.txt").ref])
    quarantine.require_free(other, [entry(other, "note.txt").ref])
    assert len(notices_of(bob).items) == 0
    quarantine.release(alice, row.uuid, "mended")
    quarantine.require_free(repo, [entry(repo, "note.txt").ref])


def test_staff_hold_back_everywhere(alice, staff, repo):
    bob = actor_of(make_user("bob"))
    other = make_repo(bob, "other")
    commit(bob, other, add("note.txt", "hello"))
    row = quarantine.quarantine_file(staff, repo, entry(repo, "note.txt"), "an attack")
    for each in (repo, other):
        with pytest.raises(Quarantined):
            quarantine.require_free(each, [entry(each, "note.txt").ref])
    with pytest.raises(Forbidden):
        quarantine.release(alice, row.uuid, "mine")


def test_versions_and_models_that_are_held_back_are_known(alice, repo):
    version = publish_version(alice, repo, "main", name="1.0")
    assert queries.held_back_in([version.uuid]) is None
    quarantine.quarantine_file(alice, repo, entry(repo, "note.txt"), "a mistake")
    assert queries.held_back_in([version.uuid]).reason == "a mistake"
    digest = queries.blob_of(entry(repo, "note.txt")).sha256
    assert queries.held_back_models({(version.uuid, digest), (version.uuid, DIGEST)}) == {(version.uuid, digest)}
    assert queries.held_back_models({(version.uuid, DIGEST)}) == set()


@pytest.fixture
def blocked(db):
    return quarantine.block_digest(actors.system("operator"), DIGEST, "a worm", source="https://example.com/1")


def test_blocking_needs_a_digest_and_holds_back_what_is_here(alice, repo):
    with pytest.raises(Invalid):
        quarantine.block_digest(actors.system("operator"), "abc", "a worm")
    _, held = quarantine.block_digest(actors.system("operator"), DIGEST, "a worm")
    assert held == 1
    with pytest.raises(Quarantined):
        quarantine.require_free(repo, [entry(repo, "model.pkl").ref])
    assert quarantine.unblock_digest(actors.system("operator"), DIGEST, "a mistake")
    quarantine.require_free(repo, [entry(repo, "model.pkl").ref])
    assert not BlockedDigest.objects.exists()


def test_no_commit_brings_known_malware(alice, blocked):
    repo = make_repo(alice)
    with pytest.raises(KnownMalware, match="a worm"):
        commit(alice, repo, add("ok.txt"), add("model.pkl", BINARY_PICKLE))
    with pytest.raises(KnownMalware):
        uploads.begin(alice, repo, DIGEST, len(BINARY_PICKLE))
    uploads.attach(repo, storage.store_bytes(BINARY_PICKLE))
    with pytest.raises(KnownMalware):
        commit(alice, repo, AddLfs("model.pkl", DIGEST))
    assert [each.path for each in queries.all_files(queries.head_of(repo))] == [".gitattributes"]


def test_neither_copies_nor_duplicates_bring_it(alice, repo, blocked):
    with pytest.raises(KnownMalware):
        commit(alice, repo, CopyFile("model.pkl", "copy.pkl", "main"))
    with pytest.raises(KnownMalware):
        duplicates.duplicate_repo(alice, repo, "alice", "copy")


def test_nor_does_a_merge(alice):
    repo = make_repo(alice)
    pull = pulls.open_pull_request(alice, repo, "Add a model", "Please.")
    commit(alice, repo, add("model.pkl", BINARY_PICKLE), branch=f"refs/pr/{pull.number}")
    quarantine.block_digest(actors.system("operator"), DIGEST, "a worm")
    pull.refresh_from_db()
    with pytest.raises(KnownMalware):
        pulls.merge_pull_request(alice, repo, pull)
