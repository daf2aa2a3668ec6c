"""Quotas: counted once a namespace, refused early and at the commit in words that say how much, set by staff alone."""

import hashlib
import json

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import AuditRecord, Namespace
from common.errors import Forbidden
from registry.errors import QuotaExceeded
from registry.models import RepoBlob
from registry.services import quotas, repos, storage, uploads
from registry.services.duplicates import duplicate_files
from tests.factories.accounts import actor_of, make_organization, make_token, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db

STAFF = "/-/storage"


@pytest.fixture
def alice():
    return actor_of(make_user("alice"))


@pytest.fixture
def repo(alice):
    return make_repo(alice)


@pytest.fixture
def staff():
    return make_user("steve", is_staff=True)


def limit(staff, name: str, size: int | None) -> None:
    quotas.set_quota(actor_of(staff), Namespace.objects.get(name=name), size)


def used(name: str) -> int:
    return quotas.stored_bytes(Namespace.objects.get(name=name).pk)


def test_a_file_counts_once_in_however_many_repositories_and_commits(alice, repo) -> None:
    empty = used("alice")
    other = make_repo(alice, "other")
    for each in (repo, other):
        commit(alice, each, add("a.txt", b"x" * 1000))
        commit(alice, each, add("b.txt", b"x" * 1000))
    assert used("alice") == empty + 1000


def test_a_commit_above_the_quota_is_refused_with_figures_and_changes_nothing(alice, repo, staff) -> None:
    commit(alice, repo, add("a.txt", b"x" * 1000))
    before = used("alice")
    limit(staff, "alice", before + 500)
    with pytest.raises(QuotaExceeded) as refused:
        commit(alice, repo, add("b.txt", b"y" * 501))
    assert refused.value.fields == {"used_bytes": before, "limit_bytes": before + 500, "needed_bytes": 501}
    assert "501 bytes" in refused.value.message
    assert used("alice") == before
    commit(alice, repo, add("b.txt", b"y" * 500), add("copy.txt", b"x" * 1000))
    limit(staff, "alice", None)
    commit(alice, repo, add("c.txt", b"z" * 5000))


def test_moving_and_duplicating_into_a_full_namespace_is_refused(alice, repo, staff) -> None:
    owner = make_user("olga")
    make_organization("acme", owner)
    commit(alice, repo, add("a.txt", b"x" * 1000))
    target = make_repo(actor_of(owner), "target", namespace="acme")
    limit(staff, "acme", used("acme") + 100)
    theirs = make_repo(actor_of(owner), "theirs")
    commit(actor_of(owner), theirs, add("big.txt", b"q" * 1000))
    blob = storage.store_bytes(b"q" * 1000)
    with pytest.raises(QuotaExceeded):
        duplicate_files(actor_of(owner), theirs, target, [blob.sha256])
    with pytest.raises(QuotaExceeded):
        repos.rename_repo(actor_of(owner), theirs, "acme", "theirs")
    assert not RepoBlob.objects.filter(repo=target, blob=blob).exists()
    limit(staff, "acme", None)
    assert repos.rename_repo(actor_of(owner), theirs, "acme", "theirs").namespace.name == "acme"


def test_large_files_are_refused_before_they_are_sent_in_the_shape_of_git_lfs(alice, repo, staff) -> None:
    limit(staff, "alice", used("alice") + 100)
    digest = hashlib.sha256(b"large").hexdigest()
    with pytest.raises(QuotaExceeded):
        uploads.begin(alice, repo, digest, 101)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {make_token(alice_user())}"}
    answer = Client().post(
        "/datasets/alice/digits.git/info/lfs/objects/batch",
        json.dumps({"operation": "upload", "transfers": ["basic"], "objects": [{"oid": digest, "size": 101}]}),
        content_type="application/vnd.git-lfs+json",
        **headers,
    )
    error = answer.json()["objects"][0]["error"]
    assert error["code"] == 413
    assert "101 bytes" in error["message"]


def alice_user():
    return Namespace.objects.get(name="alice").user


def test_a_full_namespace_is_told_at_the_first_question_of_a_client(alice, repo, staff) -> None:
    limit(staff, "alice", 0)
    headers = {"HTTP_AUTHORIZATION": f"Bearer {make_token(alice_user())}"}
    body = json.dumps({"files": [{"path": "a.txt", "size": 3, "sample": "YWJj"}]})
    asked = [
        Client().post("/api/datasets/alice/digits/preupload/main", body, content_type="application/json", **headers),
        Client().get("/api/datasets/alice/digits/xet-write-token/main", **headers),
    ]
    for answer in asked:
        assert answer.status_code == 413
        assert "storage quota is used up" in answer.headers["X-Error-Message"]


def test_only_staff_set_quotas_and_every_change_is_in_the_trail(alice, repo, staff, capsys) -> None:
    with pytest.raises(Forbidden):
        quotas.set_quota(alice, repo.namespace, 1)
    limit(staff, "alice", 5)
    limit(staff, "alice", None)
    found = [record.detail for record in AuditRecord.objects.filter(tag="registry:quota:set").order_by("pk")]
    assert found == [{"before": None, "after": 5}, {"before": 5, "after": None}]
    call_command("quota", "ALICE", "0.5")
    assert json.loads(capsys.readouterr().out)["limit_bytes"] == 500_000_000


def test_the_default_of_the_site_holds_for_everybody_else(alice, repo, staff, settings) -> None:
    settings.STORAGE_QUOTA_BYTES = used("alice")
    with pytest.raises(QuotaExceeded):
        commit(alice, repo, add("a.txt", b"x"))
    limit(staff, "alice", 10**9)
    commit(alice, repo, add("a.txt", b"x"))


def page(user, address: str, **data: str):
    browser = Client()
    browser.force_login(user)
    return browser.post(address, data) if data else browser.get(address)


def test_the_report_says_what_history_holds_and_brings_deleted_repositories_back(alice, repo) -> None:
    commit(alice, repo, add("a.txt", b"x" * 7000))
    commit(alice, repo, add("a.txt", b"y" * 2000))
    gone = make_repo(alice, "gone")
    repos.delete_repo(alice, gone)
    shown = page(alice_user(), "/storage").content.decode()
    assert "7.0 kB" in shown
    assert "alice/gone" in shown
    lines = b"".join(page(alice_user(), "/storage/repositories.csv").streaming_content).decode().splitlines()
    assert lines[1].startswith('"alice/digits","dataset",3,')
    assert page(alice_user(), "/storage/restoration", uuid=str(gone.uuid)).status_code == 302
    gone.refresh_from_db()
    assert gone.deleted_at is None
    assert AuditRecord.objects.filter(tag="registry:repo:restored").count() == 1


def test_nobody_else_sees_the_report_or_restores(alice, repo) -> None:
    repos.delete_repo(alice, repo)
    stranger = make_user("mallory")
    assert page(stranger, "/storage?owner=alice").status_code == 403
    assert page(stranger, "/storage/restoration", uuid=str(repo.uuid)).status_code == 404
    assert page(stranger, STAFF).status_code == 403
    assert page(stranger, STAFF, namespace="mallory", gigabytes="1").status_code == 403


def test_a_name_that_was_taken_meanwhile_stands_in_the_way(alice, repo) -> None:
    repos.delete_repo(alice, repo)
    make_repo(alice, "digits")
    assert page(alice_user(), "/storage/restoration", uuid=str(repo.uuid)).status_code == 409


def test_staff_see_who_stores_most_and_set_quotas_on_a_page(alice, repo, staff) -> None:
    commit(alice, repo, add("a.txt", b"x" * 7000))
    assert page(staff, STAFF, namespace="alice", gigabytes="1.5").status_code == 302
    shown = page(staff, STAFF).content.decode()
    assert "1.5 GB" in shown
    assert page(staff, STAFF, namespace="nobody", gigabytes="1").status_code == 400


def test_the_api_reports_and_sets(alice, repo, staff) -> None:
    commit(alice, repo, add("a.txt", b"x" * 7000))
    owner = {"HTTP_AUTHORIZATION": f"Bearer {make_token(alice_user())}"}
    boss = {"HTTP_AUTHORIZATION": f"Bearer {make_token(staff)}"}
    found = Client().get("/api/v1/namespaces/alice/storage", **owner).json()
    assert found["used_bytes"] == used("alice")
    assert found["repositories"][0]["stored_bytes"] == used("alice")
    address = "/api/v1/namespaces/alice/quota"
    body = {"data": json.dumps({"limit_bytes": 10}), "content_type": "application/json"}
    assert Client().put(address, **body, **owner).status_code == 403
    assert Client().put(address, **body, **boss).json()["limit_bytes"] == 10
    repos.delete_repo(alice, repo)
    back = Client().post(f"/api/v1/deleted-repos/{repo.uuid}/restoration", **owner)
    assert (back.status_code, back.json()["name"]) == (200, "digits")
