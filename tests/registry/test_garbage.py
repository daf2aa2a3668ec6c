"""The collection of garbage: what is named stays, what is not waits and goes, and nothing is removed on the word of a broken store."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import models

from backends.stores.filesystem import FilesystemStore
from common import clock
from common.errors import Busy, Conflict, Gone, Invalid, Unavailable
from registry import queries
from registry.models import Blob, Commit, GarbageRun, LostCommit, Repo, RepoBlob, Tree, TreePage
from registry.services import garbage, integrity, reach, refs, repos, storage, uploads
from registry.services.commits import AddLfs, CopyFile, DeleteFile, squash_history
from registry.services.versions import publish_version
from registry.states import BlobState
from tests.factories.accounts import SYSTEM, actor_of, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db

DIGESTS = {
    "registry.Blob.sha256": "the blob itself",
    "registry.Upload.sha256": "announced: from its arrival on, a holding names the bytes",
    "registry.UploadPart.sha256": "of a part, which lies under the key of its upload",
    "registry.Build.sha256": "of a list: the files themselves are named by BuildFile",
    "registry.Build.program_sha256": "of a program, which is no file of a repository",
    "market.RecallEvent.audit_sha256": "of a record of the audit trail",
    "registry.Export.sha256": "of an archive, which lies under a key of its own, outside the blobs",
    "registry.CustomLicence.text_sha256": "of a text, which stands in the same row",
    "registry.BlockedDigest.sha256": "of malware, wherever it is: it keeps nothing",
}
"""Columns of the registry and above that hold a digest as text, and why none of them has to keep bytes."""


@pytest.fixture
def alice():
    return actor_of(make_user("alice"))


@pytest.fixture
def repo(alice) -> Repo:
    return make_repo(alice)


def later(days: float):
    return clock.travel(timedelta(days=days))


def passed() -> None:
    """Everything that is garbage now is marked, waits and goes."""
    with later(2):
        garbage.collect()
    with later(10):
        garbage.collect()


def blob_of(content: bytes) -> Blob:
    return Blob.objects.get(git_oid=storage.trees.blob_oid(content))


def is_there(content: bytes) -> bool:
    blob = blob_of(content)
    assert storage.exists(blob) == (blob.state == BlobState.STORED)
    return storage.exists(blob)


def test_what_a_branch_a_tag_or_a_version_leads_to_stays_for_ever(alice, repo) -> None:
    commit(alice, repo, add("old.txt", "in history"))
    tagged = commit(alice, repo, DeleteFile("old.txt"), add("tagged.txt", "tagged"))
    refs.create_tag(alice, repo, "t", tagged.oid)
    released = commit(alice, repo, add("released.txt", "released"))
    publish_version(alice, repo, released.oid, name="1")
    commit(alice, repo, add("new.txt", "new"))
    squash_history(alice, repo, "main", "one")
    passed()
    assert all(is_there(text) for text in (b"in history", b"tagged", b"released", b"new"))
    assert integrity.check(with_bytes=True).counts == {}


def test_squashed_history_is_given_up_after_grace_and_window_and_not_before(alice, repo) -> None:
    commit(alice, repo, add("secret.txt", "a secret"))
    before = commit(alice, repo, DeleteFile("secret.txt"), add("a.txt", "kept"))
    squash_history(alice, repo, "main", "one")
    assert garbage.collect()["lost_commits"] == 0  # within the grace
    with later(2):
        assert garbage.collect()["condemned_files"] == 1
    with later(8):
        assert garbage.collect()["erased_files"] == 0
    assert is_there(b"a secret")
    with later(10):
        counts = garbage.collect()
        assert (counts["released_files"], counts["erased_files"], counts["erased_bytes"]) == (1, 1, len("a secret"))
    assert not is_there(b"a secret")
    assert is_there(b"kept")
    old = Commit.objects.get(pk=before.first_parent_id)
    with pytest.raises(Gone, match="removed for good"):
        storage.read_blob(queries.blob_of(queries.entry_at(old, "secret.txt")), 10)
    for act in (refs.create_branch, refs.create_tag):
        with pytest.raises(Gone):
            act(alice, repo, "again", old.oid)
    with pytest.raises(Gone):
        publish_version(alice, repo, old.oid, name="1")
    with pytest.raises(Invalid, match="send their bytes again"):
        commit(alice, repo, CopyFile("secret.txt", "copy.txt", old.oid))
    assert integrity.check().counts == {}


def test_naming_a_lost_commit_anew_brings_its_files_back(alice, repo) -> None:
    refs.create_branch(alice, repo, "side")
    tip = commit(alice, repo, add("side.txt", "on the side"), branch="side")
    refs.delete_branch(alice, repo, "side")
    with later(2):
        garbage.collect()
    assert LostCommit.objects.filter(commit=tip).exists()
    with later(8.9):
        refs.create_branch(alice, repo, "back", tip.oid)
    with later(10):
        garbage.collect()
    assert is_there(b"on the side")
    assert not LostCommit.objects.exists()


def test_undo_lets_everything_wait_anew(alice, repo) -> None:
    store_unused(alice, repo)
    with later(2):
        garbage.collect()
    with later(9.5):
        assert garbage.undo(SYSTEM)["rescued_files"] == 1
        garbage.collect()
    assert is_there(b"unused")
    with later(17):
        garbage.collect()
    assert not is_there(b"unused")


def store_unused(alice, repo) -> Blob:
    """A large file that was uploaded and never committed."""
    blob = storage.store_bytes(b"unused")
    uploads.attach(repo, blob)
    return blob


def test_a_condemned_file_that_is_sent_or_used_again_is_rescued(alice, repo) -> None:
    blob = store_unused(alice, repo)
    with later(2):
        garbage.collect()
    assert RepoBlob.objects.get(repo=repo, blob=blob).condemned_at is not None
    with later(9.5):
        assert uploads.begin(alice, repo, blob.sha256, blob.size_bytes) is None
        garbage.collect()
        assert RepoBlob.objects.get(repo=repo, blob=blob).condemned_at is None
        commit(alice, repo, AddLfs("large.bin", blob.sha256, blob.size_bytes))
    with later(40):
        garbage.collect()
    assert is_there(b"unused")


def test_collected_bytes_that_are_sent_again_are_the_same_blob(alice, repo) -> None:
    blob = store_unused(alice, repo)
    passed()
    assert not is_there(b"unused")
    assert uploads.held(repo, [blob.sha256]) == {}
    with later(11):
        assert uploads.begin(alice, repo, blob.sha256, blob.size_bytes) is not None
        for again in (storage.store_bytes(b"unused"), storage.store_blob([b"unused"])):
            assert again.pk == blob.pk
        assert is_there(b"unused")


def test_what_was_stored_and_never_held_goes_too(repo) -> None:
    storage.store_blob([b"orphan"])
    with later(6):
        garbage.collect()
    blob = Blob.objects.get(size_bytes=6)
    assert storage.exists(blob)
    with later(8):
        assert garbage.collect()["erased_files"] == 1
    assert not storage.exists(blob)


def test_bytes_that_two_repositories_hold_stay_until_both_let_go(alice, repo) -> None:
    other = make_repo(alice, "other")
    commit(alice, repo, add("a.txt", "shared"))
    commit(alice, other, add("a.txt", "shared"))
    repos.delete_repo(alice, other)
    passed()
    assert is_there(b"shared")
    with later(11):
        repos.delete_repo(alice, repo)
    with later(20):
        assert garbage.collect()["purged_repositories"] == 1
    assert not is_there(b"shared")


def test_a_deleted_repository_comes_back_whole_within_the_window(alice, repo) -> None:
    commit(alice, repo, add("a.txt", "content"))
    repos.delete_repo(alice, repo)
    with later(6):
        garbage.collect()
        back = repos.restore_repo(alice, repo.uuid)
    passed()
    assert is_there(b"content")
    repos.delete_repo(alice, back)
    passed()
    assert not is_there(b"content")
    with pytest.raises(Gone):
        repos.restore_repo(alice, repo.uuid)


def test_a_dry_run_says_what_a_run_does_and_changes_nothing(alice, repo) -> None:
    store_unused(alice, repo)
    other = make_repo(alice, "other")
    commit(alice, other, add("b.txt", "of the other"))
    repos.delete_repo(alice, other)
    with later(2):
        dry = garbage.collect(dry_run=True)
        assert dry["condemned_files"] == 1
        assert not RepoBlob.objects.filter(condemned_at__isnull=False).exists()
        assert garbage.collect() == dry | {"dry_run": False}
    with later(10):
        dry = garbage.collect(dry_run=True)
        # the unused file, and that of the other repository; both have .gitattributes
        assert (dry["erased_files"], dry["purged_repositories"]) == (2, 1)
        assert is_there(b"unused")
        wet = garbage.collect()
    for name in ("erased_files", "erased_bytes", "released_files", "purged_repositories"):
        assert wet[name] == dry[name], name


@pytest.mark.parametrize("fault", ["empty", "half", "broken"])
def test_a_store_that_shows_too_little_stops_the_run(alice, repo, fault, monkeypatch) -> None:
    commit(alice, repo, *(add(f"{number}.txt", f"{number}") for number in range(30)))
    store_unused(alice, repo)
    with later(2):
        garbage.collect()
    listing = FilesystemStore.list

    def faulty(self, prefix=""):
        for number, item in enumerate(listing(self, prefix)):
            if fault == "empty":
                return
            if number == 15:
                if fault == "half":
                    return
                raise storage.Transient("the listing broke off")
            yield item

    monkeypatch.setattr(FilesystemStore, "list", faulty)
    with later(10), pytest.raises(Unavailable, match="nothing was removed"):
        garbage.collect()
    monkeypatch.undo()
    assert is_there(b"unused")
    assert "nothing was removed" in GarbageRun.objects.latest("pk").problem
    assert RepoBlob.objects.filter(condemned_at__isnull=False).count() == 1


def test_an_unusual_amount_needs_a_word(alice, repo, monkeypatch) -> None:
    monkeypatch.setattr(garbage, "SHARE_FROM", 0)
    store_unused(alice, repo)
    with later(2):
        garbage.collect()
    with later(10):
        with pytest.raises(Conflict, match="1 of 2 files"):
            garbage.collect()
        assert is_there(b"unused")
        assert garbage.collect(may_erase_many=True)["erased_files"] == 1


def test_an_interrupted_deletion_leaves_no_promise_and_is_finished(alice, repo, monkeypatch) -> None:
    blob = store_unused(alice, repo)
    with later(2):
        garbage.collect()
    with later(10):
        with monkeypatch.context() as patch:
            patch.setattr(FilesystemStore, "delete", _die)
            with pytest.raises(KeyboardInterrupt):
                garbage.collect()
        assert Blob.objects.get(pk=blob.pk).state == BlobState.ERASING
        with pytest.raises(Busy):
            storage.store_bytes(b"unused")
        assert garbage.finish_erasing() == 0  # whoever began may still be at it
    with later(10.1):
        assert garbage.finish_erasing() == 1
        assert storage.store_bytes(b"unused").state == BlobState.STORED
    assert is_there(b"unused")


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_bytes_that_no_row_knows_go_when_they_are_old(repo) -> None:
    content = b"stray"
    stray = Blob(sha256=storage.hashlib.sha256(content).hexdigest(), size_bytes=5)
    storage.store().put(stray.key, [content])
    storage.store().put("staging/00000000-0000-0000-0000-000000000000", [b"left"])
    storage.store().begin_multipart("blobs/left")
    with later(0.5):
        garbage.collect()
    assert storage.exists(stray)
    with later(8):
        counts = garbage.collect()
    assert (counts["stray_objects"], counts["left_uploads"]) == (1, 2)
    assert not storage.exists(stray)
    assert [item.key for item in storage.store().list("staging/")] == []


def test_trees_of_abandoned_commits_go(alice, repo) -> None:
    head = commit(alice, repo, add("a/b/c.txt", "x"))
    kept = (Tree.objects.count(), TreePage.objects.count())
    page = TreePage.objects.first()
    page.pk = None
    page.save()
    Tree.objects.create(oid="0" * 40, pages=[["a", page.pk]], entry_count=1, file_count=1, total_bytes=1)
    garbage.collect()
    assert Tree.objects.count() == kept[0] + 1
    with later(2):
        garbage.collect()
    assert (Tree.objects.count(), TreePage.objects.count()) == kept
    assert len(list(queries.all_files(head))) == 2


def test_a_backup_beside_a_run_can_be_restored(alice, repo) -> None:
    """The rows of a backup are older than its bytes: what was waiting to be removed may be missing, and nothing else."""
    commit(alice, repo, add("a.txt", "kept"))
    unused, kept = store_unused(alice, repo), blob_of(b"kept")
    with later(2):
        garbage.collect()
    for blob in (unused, kept):
        storage.store().delete(blob.key)
    assert garbage.collected_since(unused)
    assert not garbage.collected_since(kept)
    assert integrity.check().counts == {"missing": 1}


def test_every_table_that_names_bytes_or_commits_is_known() -> None:
    """Foreign keys are followed as they are found; here, that none is taken for mere talk about its target without being listed."""
    blobs = {rel.related_model._meta.label for rel in reach.keepers_of_blobs()}
    assert blobs == {
        "registry.RepoBlob",
        "registry.Preparation",
        "registry.PreparedFile",
        "compute.Artifact",
        "compute.Attempt",
        "market.ListingImage",
    }
    commits = {f"{rel.related_model._meta.label}.{rel.field.name}" for rel in reach.keepers_of_commits()}
    assert {
        "registry.Branch.head",
        "registry.Tag.commit",
        "registry.Version.commit",
        "registry.Discussion.base",
    } <= commits
    assert [rel.related_model for rel in reach.foreign_keys_to(Tree)] == [Commit]
    assert reach.foreign_keys_to(TreePage) == []


def test_no_digest_is_kept_as_mere_text() -> None:
    found = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.fields
        if isinstance(field, models.CharField) and "sha256" in field.name and model._meta.app_label != "accounts"
    }
    assert found == set(DIGESTS)


def test_the_command_speaks_json(alice, repo, capsys) -> None:
    call_command("gc", "--dry-run")
    assert '"dry_run": true' in capsys.readouterr().out
    call_command("gc", "--undo")
    assert '"rescued_files": 0' in capsys.readouterr().out


def test_fsck_finds_every_planted_fault(alice, repo, capsys) -> None:
    head = commit(alice, repo, *(add(f"{number}.txt", f"file {number}") for number in range(100)))
    call_command("fsck", "--bytes")
    assert '"sound": true' in capsys.readouterr().out
    blobs = [queries.blob_of(entry) for entry in queries.all_files(head) if entry.path != ".gitattributes"]
    store = storage.store()
    for number, blob in enumerate(blobs):
        match number % 4:
            case 0:
                store.delete(blob.key)
            case 1:
                store.put(blob.key, [b"x" * (blob.size_bytes + 1)])
            case 2:
                store.put(blob.key, [b"x" * blob.size_bytes])
            case 3:
                store.put(Blob(sha256=f"{number:064x}").key, [b"extra"])
    assert integrity.check().counts == {"missing": 25, "wrong_size": 25, "extra": 25}
    found = integrity.check(with_bytes=True)
    assert found.counts == {"missing": 25, "wrong_size": 25, "extra": 25, "corrupt": 25}
    Blob.objects.filter(pk=blobs[3].pk).update(state=BlobState.ABSENT)
    assert integrity.check().counts["unnamed"] == 1
    with pytest.raises(SystemExit) as ended:
        call_command("fsck")
    assert ended.value.code == 1
    assert '"sound": false' in capsys.readouterr().out


def test_extra_bytes_are_waste_and_no_loss(repo) -> None:
    storage.store().put(Blob(sha256="0" * 64).key, [b"extra"])
    assert integrity.check().is_sound
