"""Repositories leave a site in an open layout and come to another without loss; what is cut, altered or hostile does not."""

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from random import Random

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import TransactionTestCase
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import User
from common.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from config import moving
from lineage.services.record import Ref, record_edge
from registry import build_queries
from registry.exports import layout
from registry.exports.reading import TarArchive, archive_at
from registry.exports.records import Snapshot
from registry.exports.writing import tar
from registry.models import Commit, Discussion, ImportedSignature, Repo, Version
from registry.policies import deleted_repos, require_repo, visible_repos
from registry.queries import all_files, version_named
from registry.services import (
    builds,
    collections,
    discussions,
    likes,
    measurements,
    pulls,
    quarantine,
    refs,
    repos,
    scans,
    sharing,
    signing,
    standing,
    storage,
    uploads,
)  # fmt: skip
from registry.services.commits import AddLfs
from registry.services.exports import outgoing_of
from registry.services.importing import Wish, import_archive
from registry.services.versions import publish_version
from registry.states import Origin
from tests.factories.accounts import SYSTEM, actor_of, make_organization, make_user
from tests.factories.builds import REPORT, make_build
from tests.factories.registry import add, commit, make_repo

LARGE = Random(7).randbytes(200_000)


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
    wrong = measurements.add_measurement(olga, newest, kind="metric", name="recall", values={"value": 0.1})
    measurements.withdraw_measurement(olga, newest, wrong.uuid, reason="Counted on other rows")
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
    scans.scan_version(newest.pk)
    signing.sign_version(newest.pk)
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
    signing.sign_version(Version.objects.get(name="1.1").pk)

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
            # this site scans for itself, soon
            assert ([each["verdict"] for each in records], there) == (["unknown"], [])
            continue
        assert there == records, name
    assert {path.name for path in (once / "lfs/objects").rglob("*")} == {
        path.name for path in (again / "lfs/objects").rglob("*")
    }
    assert git("show-ref", home=tmp_path, cwd=bare) == git(
        "show-ref", home=tmp_path, cwd=again / bare.relative_to(once)
    )


# What is cut, altered or hostile


@pytest.mark.django_db(transaction=True)
def test_builds_come_along_with_the_comparison_of_the_site_that_made_them(tmp_path, settings) -> None:
    people()
    olga = actor("olga")
    repo = small(olga, "graph", kind="model")
    version = version_named(repo, "1.0")
    kept = make_build(olga, version, LARGE[:1000])
    builds.withdraw_build(olga, kept, reason="Too early")
    builds.restore_build(olga, kept)
    record_edge(Ref("version", version.uuid), Ref("build", kept.uuid), "converted")
    builds.withdraw_build(olga, make_build(olga, version, LARGE[:1001]), reason="Too slow")
    held = make_build(olga, version, LARGE[:1002])
    blob = held.files.get().blob
    quarantine.hold_back(SYSTEM, blob, "Looks odd", Origin.OWNER, repo=repo)
    once, again = tmp_path / "once", tmp_path / "again"
    moving.export_to(once, repository="acme/graph")
    assert json.loads((once / "manifest.json").read_text())["left_out"] == [
        {"repository": "acme/graph", "sha256": blob.sha256, "reason": "The build stays here: Looks odd"}
    ]
    assert not (once / layout.lfs_name(blob.sha256)).exists()
    site = settings.PUBLIC_URL

    another_site(settings, tmp_path)
    assert moving.import_from(once)["repositories"][0]["left"] == {}
    assert moving.import_from(once)["repositories"][0]["outcome"] == "same"
    came = build_queries.build_by_uuid(kept.uuid)
    assert (came.came_from, came.created_by, came.equivalence) == (site, None, kept.equivalence)
    with storage.open_blob(came.files.get().blob) as reader:
        assert b"".join(reader) == LARGE[:1000]
    assert build_queries.withdrawal_of(came) is None
    with pytest.raises(Conflict, match="Too slow"):
        builds.refuse_withdrawn(build_queries.builds_of(came.version).exclude(pk=came.pk).get(), "deployed")
    moving.export_to(again, repository="acme/graph")
    first, second = documents(once), documents(again)
    folder = f"repositories/{repo.uuid}"
    assert len(first[f"{folder}/builds.jsonl"]) == 2
    assert len(first[f"{folder}/lineage.jsonl"]) == 1
    for name in ("builds", "lineage", "large_files", "versions"):
        assert second[f"{folder}/{name}.jsonl"] == first[f"{folder}/{name}.jsonl"], name


@pytest.fixture
def olga(db):
    people()
    return actor("olga")


def archive_of(repo: Repo) -> bytes:
    return b"".join(tar(outgoing_of(SYSTEM, [repo], "repository", "acme/digits").members(), 0))


def small(olga, name: str = "small", kind: str = "dataset") -> Repo:
    repo = make_repo(olga, name, kind=kind, namespace="acme")
    made = commit(olga, repo, add("a.txt", "text"), large(olga, repo, "b.bin", b"b" * 3000))
    publish_version(olga, repo, made.oid, name="1.0")
    return repo


def members_of(raw: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as source:
        return {each.name: source.extractfile(each).read() for each in source}


def packed(members: dict[str, bytes], *odd: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as target:
        for info, content in odd:
            target.addfile(info, io.BytesIO(content) if content else None)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
    return out.getvalue()


def sealed(members: dict[str, bytes]) -> bytes:
    """An archive whose digests fit what is in it: what somebody forges who can count."""
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in members.items()
        if name not in {layout.MANIFEST, layout.CHECKSUMS}
    ).encode()
    manifest = json.loads(members[layout.MANIFEST]) | {"checksums": hashlib.sha256(sums).hexdigest()}
    rest = {name: content for name, content in members.items() if name not in {layout.MANIFEST, layout.CHECKSUMS}}
    return packed(rest | {layout.CHECKSUMS: sums, layout.MANIFEST: json.dumps(manifest).encode()})


def brought(raw: bytes, who=SYSTEM, **wish) -> dict:
    with TarArchive(io.BytesIO(raw), "It") as archive:
        return import_archive(who, archive, Wish(**wish))


def told(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def test_an_archive_that_is_not_what_its_manifest_says_is_refused_by_the_name_of_the_file(olga) -> None:
    raw = archive_of(small(olga))
    good = members_of(raw)
    where = next(name for name in good if name.endswith("versions.jsonl"))
    lfs = next(name for name in good if name.startswith("lfs/"))
    cases = [
        (raw[: len(raw) // 2], "cut short"),
        (packed({name: good[name] for name in good if name != layout.MANIFEST}), "no manifest.json"),
        (packed(good | {where: good[where].replace(b"1.0", b"6.6")}), f"{where} was altered"),
        (packed(good | {lfs: b"x" * 3000}), f"{lfs} was altered"),
        (packed({name: good[name] for name in good if name != lfs}), f"{lfs} is missing"),
        (packed(good | {layout.CHECKSUMS: good[layout.CHECKSUMS] + b"\n"}), "SHA256SUMS was altered"),
        (packed(good | {layout.lfs_name("0" * 64): b"more"}), "was added"),
        (
            packed(good | {layout.MANIFEST: good[layout.MANIFEST].replace(b'"version": 1', b'"version": 2')}),
            "version 2",
        ),
        (packed(good | {"../../etc/passwd": b"x"}), "does not belong"),
        (packed(good | {"/etc/passwd": b"x"}), "does not belong"),
        (packed(good | {"repositories/../x": b"x"}), "does not belong"),
        (packed(good | {f"./{where}": good[where]}), "twice"),
        (packed(good, (told(where, kind=tarfile.SYMTYPE, link="/etc/passwd"), b"")), "a link"),
        (packed(good, (told(where, kind=tarfile.LNKTYPE, link="/etc/passwd"), b"")), "a link"),
        (packed(good, (told("dev", kind=tarfile.CHRTYPE), b"")), "no plain file"),
        (packed(good, (told("././@LongLink", 3, tarfile.GNUTYPE_LONGNAME), b"abc")), "no plain file"),
        (gzip.compress(raw), "not a tar"),
        (b"\0" * 100, "cut short"),
        (b"PK\3\4" + bytes(range(256)) * 4, "not a tar"),
    ]
    for hostile, said in cases:
        with pytest.raises(Invalid, match=re.escape(said)), TarArchive(io.BytesIO(hostile), "It"):
            pass
    bomb = told(where, 10 * 1024**4).tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    with pytest.raises(Invalid, match="cut short"), TarArchive(io.BytesIO(bomb), "It"):
        pass


def forged(good: dict[str, bytes], document: str, change) -> bytes:
    """The archive with one document changed, and digests that fit."""
    name = next(each for each in good if each.endswith(f"/{document}.jsonl"))
    records = [json.loads(line) for line in good[name].splitlines()]
    return sealed(good | {name: b"".join(json.dumps(each).encode() + b"\n" for each in change(records))})


def test_what_a_forged_archive_says_is_checked_as_a_push_and_a_release_are(olga, settings) -> None:
    repo = small(olga)
    good = members_of(archive_of(repo))
    signing.sign_version(version_named(repo, "1.0").pk)
    signed = members_of(archive_of(repo))
    digest = next(name for name in good if name.startswith("lfs/")).rpartition("/")[2]

    def first(**changes):
        return lambda records: [records[0] | changes, *records[1:]]

    oid = "0" * 40
    cases = [
        (forged(good, "versions", first(name="champion")), "not the name of a version"),
        (forged(good, "versions", first(commit=oid)), "does not hold the commit"),
        (forged(good, "versions", lambda records: [*records, records[0] | {"name": "v1"}]), "another spelling"),
        (forged(good, "versions", first(notes="x" * 20_001)), "is not as this layout has it"),
        (forged(good, "versions", first(extra=1)), "is not as this layout has it"),
        (forged(signed, "signatures", first(key_id="0" * 64)), "not one of its files"),
        (
            forged(signed, "signatures", lambda records: [records[0] | {"bundle": records[1]["bundle"]}]),
            "not one of its",
        ),
        (forged(signed, "versions", lambda records: []), "not one of its files"),
        (forged(good, "refs", first(ref="refs/heads/../x")), "not a valid branch"),
        (forged(good, "refs", first(ref="refs/remotes/x")), "neither a branch nor a tag"),
        (forged(good, "refs", first(commit=oid)), "does not hold the commit"),
        (forged(good, "refs", lambda records: [*records, records[0] | {"ref": f"{records[0]['ref']}/x"}]), "a folder"),
        (forged(good, "large_files", lambda records: []), "has not been uploaded"),
        (forged(good, "large_files", first(is_left_out=True)), "was left out"),
        (
            forged(good, "aliases", lambda _: [{"name": "latest", "version": "1.0", "moved_at": NOON}]),
            "An alias is a word",
        ),
        (forged(good, "discussions", lambda _: [TALK | {"target": "main"}]), "neither a discussion nor a pull request"),
        (forged(good, "refs", lambda records: [*records, records[0] | {"ref": "refs/pr/7"}]), "no pull request"),
        (forged(good, "grants", lambda _: ["no object"]), "is not as this layout has it"),
    ]
    repos.delete_repo(olga, repo)
    for hostile, said in cases:
        with pytest.raises(DomainError, match=said):
            brought(hostile)
        assert not visible_repos(SYSTEM).exists(), said
        assert list(deleted_repos(olga)) == [repo], said
    quarantine.block_digest(SYSTEM, digest, "Known")
    with pytest.raises(DomainError, match="known to be malware"):
        brought(sealed(good))
    quarantine.unblock_digest(SYSTEM, digest, "A mistake")
    settings.STORAGE_QUOTA_BYTES = 1000
    # what another repository of the namespace has costs nothing
    with pytest.raises(DomainError, match="quota"):
        brought(sealed(good), into="olga")
    settings.STORAGE_QUOTA_BYTES = 0
    # nobody says of somebody else's version what it was made of, nor who somebody is
    other = version_named(small(olga, "other"), "1.0")
    edge = {"source": {"kind": "version", "uuid": str(version_named(repo, "1.0").uuid), "title": ""},
            "target": {"kind": "version", "uuid": str(other.uuid), "title": ""}, "relation": "input"}  # fmt: skip
    assert brought(forged(good, "lineage", lambda _: [edge]), olga)["repositories"][0]["left"] == {"lineage": 1}
    with pytest.raises(Invalid, match="Only an operator"):
        brought(sealed(good), olga, people={"olga": "olga"})


def test_a_forged_build_is_refused(olga) -> None:
    repo = small(olga, kind="model")
    make_build(olga, version_named(repo, "1.0"), LARGE[:1000])
    good = members_of(archive_of(repo))

    def first(**changes):
        return lambda records: [records[0] | changes]

    other = [{"path": "../model.onnx", "sha256": "0" * 64}]
    cases = [
        (first(equivalence=REPORT | {"max_difference": 1.0}), "differs from the original"),
        (first(equivalence=REPORT | {"real_rows": 99}), "at least 100"),
        (first(equivalence={}), "not whole"),
        (first(sha256="0" * 64), "other files than its digest"),
        (first(files=other), "path"),
        (first(files=[{"path": "model.onnx", "sha256": "0" * 64}]), "large_files does not have"),
        (first(version="2.0"), "no version 2.0"),
        (first(format="exe"), "is not as this layout has it"),
    ]
    repos.delete_repo(olga, repo)
    for change, said in cases:
        with pytest.raises(DomainError, match=said):
            brought(forged(good, "builds", change))
    assert brought(sealed(good))["repositories"][0]["outcome"] == "imported"


NOON = "2026-01-31T12:00:00.000000+00:00"
TALK = {
    "uuid": "00000000-0000-4000-8000-000000000001", "number": 1, "title": "Talk", "state": "open", "author": "zoe", "target": "",
    "base": None, "merge_commit": None, "created_at": NOON, "updated_at": NOON,
}  # fmt: skip


def test_an_import_under_another_name_is_a_repository_of_its_own_and_a_changed_one_is_a_conflict(olga) -> None:
    repo = small(olga)
    discussions.open_discussion(actor("ben"), repos.update_settings(olga, repo, visibility="public"), "A talk", "Hello")
    sharing.share(olga, repo, User.objects.get(username="ben"))
    raw = archive_of(repo)
    assert brought(raw)["repositories"][0]["outcome"] == "same"
    done = brought(raw, renames={"acme/small": "olga/copy"}, people={"ben": "ben"})
    assert (done["repositories"][0]["name"], done["repositories"][0]["left"]) == ("olga/copy", {})
    copy = require_repo(olga, "dataset", "olga", "copy", moving.Action.REPO_READ)
    assert copy.uuid != repo.uuid
    assert version_named(copy, "1.0").uuid != version_named(repo, "1.0").uuid
    assert version_named(copy, "1.0").created_by is None
    assert copy.discussions.get().author.username == "ben"
    assert require_repo(actor("ben"), "dataset", "olga", "copy", moving.Action.REPO_READ)
    commit(olga, repo, add("new.txt", "new"))
    with pytest.raises(DomainError, match="There is another dataset acme/small here: its refs differ"):
        brought(raw)
    with pytest.raises(NotFound, match="an import makes no accounts"):
        brought(raw, into="nobody")
    with pytest.raises(Forbidden):
        brought(raw, actor("ben"))


def test_what_is_under_quarantine_is_left_out_and_said(olga, tmp_path) -> None:
    repo, plain = small(olga), small(olga, "plain")
    held = [entry for entry in all_files(version_named(repo, "1.0").commit) if entry.path == "b.bin"]
    quarantine.quarantine_file(olga, repo, held[0], "Not mine")
    held = [entry for entry in all_files(version_named(plain, "1.0").commit) if entry.path == "a.txt"]
    quarantine.quarantine_file(olga, plain, held[0], "A secret in it")
    said = moving.export_to(tmp_path / "all", namespace="acme")
    assert said["left_out"] == [{"repository": "acme/small", "sha256": held_digest(repo), "reason": "Not mine"}]
    assert [each["repository"] for each in said["refused"]] == ["acme/plain"]
    assert "A secret in it" in said["refused"][0]["reason"]
    assert not [path for path in (tmp_path / "all").rglob("*") if path.name == held_digest(repo)]
    with pytest.raises(DomainError, match="under quarantine"):
        moving.export_to(tmp_path / "one.tar", repository="acme/plain")
    assert not (tmp_path / "one.tar").exists()
    with pytest.raises(DomainError, match="was left out"):
        moving.import_from(tmp_path / "all", into="olga")


def held_digest(repo: Repo) -> str:
    return next(entry.sha256 for entry in all_files(version_named(repo, "1.0").commit) if entry.sha256)


def test_a_folder_that_was_begun_goes_on_and_a_tar_is_there_when_it_is_whole(olga, tmp_path) -> None:
    small(olga)
    whole, folder = tmp_path / "all.tar", tmp_path / "all"
    said = moving.export_to(whole)
    assert (said["counts"]["repositories"], said["counts"]["lfs_objects"]) == (1, 1)
    moving.export_to(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(DomainError, match="not empty"):
        moving.export_to(folder)
    moving.export_to(folder, resume=True)
    for source in (whole, folder):
        with archive_at(source) as archive:
            assert archive.manifest["scope"] == {"kind": "everything", "name": ""}
    with pytest.raises(DomainError, match="whole export already"):
        moving.export_to(folder, resume=True)
    (folder / "lfs/objects/link").symlink_to("/etc/passwd")
    with pytest.raises(Invalid, match="a link"), archive_at(folder):
        pass
    (folder / "manifest.json").unlink()
    with pytest.raises(DomainError, match="does not belong"):
        moving.export_to(folder, resume=True)


FILES = st.dictionaries(
    st.text("abcü.-_", min_size=1, max_size=6).filter(lambda name: name.strip(".") and not name.startswith("git~")),
    st.tuples(st.binary(max_size=400), st.booleans()),
    min_size=1, max_size=4,
)  # fmt: skip


@pytest.mark.django_db
@hypothesis_settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(FILES, min_size=1, max_size=4), tags=st.sets(st.sampled_from(["a", "b/c", "v"]), max_size=2))
def test_any_small_repository_comes_back_with_the_same_commits(olga, steps, tags) -> None:
    with transaction.atomic():
        repo = make_repo(olga, "any", namespace="acme")
        for number, files in enumerate(steps):
            operations = [
                large(olga, repo, f"d{number}/{name}", content) if is_large else add(f"d/{name}", content)
                for name, (content, is_large) in files.items()
            ]
            made = commit(olga, repo, *operations)
        for tag in tags:
            refs.create_tag(olga, repo, tag, made.oid)
        publish_version(olga, repo, made.oid, name=f"1.{len(steps)}")
        raw = archive_of(repo)
        brought(raw, renames={"acme/any": "olga/any"})
        came = Repo.objects.get(namespace__name="olga", name="any")
        assert {*Commit.objects.filter(repo=came).values_list("oid", "raw")} == {
            *Commit.objects.filter(repo=repo).values_list("oid", "raw")
        }
        assert Snapshot(came).refs == Snapshot(repo).refs
        transaction.set_rollback(True)
