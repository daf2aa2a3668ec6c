"""Repositories leave a site in an open layout and come to another without loss; what is cut, altered or hostile does not."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import TransactionTestCase
from hypothesis import HealthCheck, given, settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from common.errors import DomainError, Forbidden, Invalid, NotFound
from config import moving
from registry.exports import layout
from registry.exports.reading import TarArchive, archive_at
from registry.exports.writing import tar
from registry.models import Commit, Discussion, ImportedSignature, Repo, Version
from registry.policies import deleted_repos, require_repo, visible_repos
from registry.queries import version_named
from registry.services import (
    collections, discussions, exports, imports, likes, measurements, pulls, quarantine, refs, repos, sharing, signing,
    standing, storage, uploads,
)  # fmt: skip
from registry.services.commits import AddLfs
from registry.services.exports import outgoing_of
from registry.services.versions import publish_version
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_user
from tests.factories.registry import add, commit, make_repo
from work.loops import run_due

LARGE = os.urandom(200_000)
DATES = ("created_at", "checksums")


def large(actor, repo: Repo, path: str, content: bytes) -> AddLfs:
    blob = storage.store_blob([content])
    uploads.attach(repo, blob)
    return AddLfs(path, blob.sha256, blob.size_bytes)


def people() -> None:
    """The accounts that both sites have: the owner, and somebody who is a stranger on the second one."""
    olga, ben = make_user("olga"), make_user("ben")
    make_organization("acme", olga)
    assert ben.pk


def actor(name: str):
    return actor_of(User.objects.get(username=name))


def make_history() -> Repo:
    """A repository with everything that an export has a document for."""
    olga, ben = actor("olga"), actor("ben")
    repo = make_repo(olga, "digits", namespace="acme", visibility="public", description="Handwritten")
    rules = "version: 1\ntables: {}\n"
    commit(
        olga, repo, add("README.md", "---\nlicense: mit\ntags: [digits]\n---\n# Digits"), add("data-rules.yaml", rules)
    )
    first = commit(olga, repo, large(olga, repo, "data/all.bin", LARGE), add("a/b/ünï.txt", "x"), summary="Data")
    publish_version(
        olga, repo, first.oid, name="1.0", notes="First *notes*", metrics={"accuracy": {"value": 0.9, "n": 10}}
    )
    second = commit(olga, repo, large(olga, repo, "data/more.bin", LARGE[:99_000]), add("tables.csv", "a,b\n1,2\n"))
    newest = publish_version(olga, repo, second.oid, name="1.1", intended_use="Tests")
    publish_version(olga, repo, first.oid, name="1.2-rc.1")
    refs.create_branch(olga, repo, "side/line", first.oid)
    commit(olga, repo, add("side.txt"), branch="side/line")
    refs.create_tag(olga, repo, "checked", first.oid, message="Seen by people")
    standing.set_alias(olga, repo, "champion", "1.0")
    standing.set_alias(olga, repo, "champion", "1.1")
    standing.deprecate(olga, version_named(repo, "1.0"), message="Old", successor="1.1")
    standing.yank(olga, version_named(repo, "1.2-rc.1"), reason="Wrong rows")
    measurements.add_measurement(olga, newest, kind="metric", name="f1", values={"value": 0.8})
    talk = discussions.open_discussion(ben, repo, "A question", "Why **this**?")
    event = discussions.comment(olga, repo, talk, "Becuase")
    discussions.edit_comment(olga, repo, talk, event.uuid, "Because")
    pull, _ = pulls.propose_commit(ben, repo, "main", [add("proposed.txt")], summary="Propose")
    pulls.merge_pull_request(olga, repo, Discussion.objects.get(pk=pull.pk))
    pulls.propose_commit(ben, repo, "main", [add("open.txt")], summary="Still open")
    likes.like(ben, repo)
    sharing.share(olga, repo, User.objects.get(username="ben"))
    shelf = collections.create_collection(olga, "acme", "Shelf", description="Good ones")
    collections.add_item(olga, shelf, repo, note="The best")
    run_due()
    assert signing.signature_of(newest, "ed25519")
    return Repo.objects.get(pk=repo.pk)


def another_site(settings, folder: Path) -> None:
    """The database and the store of an empty installation."""
    TransactionTestCase._fixture_teardown(None)
    settings.STORAGE_URL = f"file://{folder / 'elsewhere'}"
    settings.PUBLIC_URL = "https://elsewhere.example"
    people()


def documents(folder: Path) -> dict[str, list]:
    """Everything that is JSON in an export, by its place."""
    found = {}
    for path in sorted(folder.rglob("*.json*")):
        text = path.read_text()
        lines = text.splitlines() if path.suffix == ".jsonl" else [text]
        found[path.relative_to(folder).as_posix()] = [json.loads(line) for line in lines]
    return found


def git(*words: object, home: Path, cwd: Path | None = None, **extra: str) -> str:
    done = subprocess.run(
        ["git", *map(str, words)],
        cwd=cwd or home, capture_output=True, text=True, timeout=120, check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", **extra},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.django_db(transaction=True)
def test_an_export_is_read_by_git_and_comes_back_whole_on_another_site(tmp_path, settings) -> None:
    people()
    repo = make_history()
    once, again = tmp_path / "once", tmp_path / "again"
    call_command("export_repository", "acme/digits", "--to", str(once), stdout=io.StringIO())

    # by git and git-lfs alone
    bare = once / "repositories" / str(repo.uuid) / "git"
    git("lfs", "install", home=tmp_path)
    assert not git("fsck", "--strict", "--no-dangling", home=tmp_path, cwd=bare).strip()
    git("clone", "-q", "-c", f"lfs.storage={once / 'lfs'}", bare, "clone", home=tmp_path)
    clone = tmp_path / "clone"
    assert (clone / "data/all.bin").read_bytes() == LARGE
    assert "Git LFS fsck OK" in git("lfs", "fsck", home=tmp_path, cwd=clone)
    names = git("ls-remote", bare, home=tmp_path)
    wanted = (
        "HEAD",
        "refs/heads/main",
        "refs/heads/side/line",
        "refs/pr/2",
        "refs/pr/3",
        "refs/tags/1.0",
        "refs/tags/checked",
    )
    assert all(f"\t{name}\n" in names for name in wanted)
    sums = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=once, capture_output=True, check=True)
    assert not sums.stdout

    heads = dict(Commit.objects.filter(repo=repo).values_list("oid", "summary"))
    another_site(settings, tmp_path)
    dry = moving.import_from(once, is_dry=True)
    assert (dry["repositories"][0]["outcome"], Repo.objects.count()) == ("new", 0)
    done = moving.import_from(once)
    assert [each["outcome"] for each in done["repositories"]] == ["imported"]
    assert done["repositories"][0]["left"] == {"grants": 1}
    assert moving.import_from(once)["repositories"][0]["outcome"] == "same"
    run_due()

    came = require_repo(actor("olga"), "dataset", "acme", "digits", moving.Action.REPO_READ)
    assert came.uuid == repo.uuid
    assert dict(Commit.objects.filter(repo=came).values_list("oid", "summary")) == heads
    newest = version_named(came, "1.1")
    # nobody here is taken for somebody there
    assert (newest.created_by, came.discussions.get(number=1).author) == (None, None)
    brought = ImportedSignature.objects.filter(version=newest)
    assert {row.signer for row in brought} == {"acme"}
    assert brought.count() == 2
    assert not set(brought.values_list("key_id", flat=True)) & {key.key_id for key in signing.keys_of(SYSTEM, "acme")}

    moving.export_to(again, repository="acme/digits")
    first, second = documents(once), documents(again)
    assert first.keys() == second.keys()
    for name, records in first.items():
        if name == "manifest.json":
            continue
        there = second[name]
        if name.endswith("repository.json"):
            assert there[0].pop("origin")[0]["name"] == "acme/digits"
            assert records[0].pop("origin") == []
        if name.endswith("signatures.jsonl"):
            # what came along, then what this site has signed
            there = there[: len(records)]
        if name.endswith("scans.jsonl"):
            records, there = ([each | {"created_at": ""} for each in some] for some in (records, there))
        assert there == records, name
    assert {path.name for path in once.rglob("lfs/**/*")} == {path.name for path in again.rglob("lfs/**/*")}
    packs = [next(folder.rglob("*.pack")).name for folder in (once, again)]
    assert git("show-ref", home=tmp_path, cwd=bare) == git(
        "show-ref", home=tmp_path, cwd=again / bare.relative_to(once)
    )
    assert len(packs) == 2
