"""Importing from a running site, over git and over the Hugging Face protocol: into this process and its database, and into itself."""

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from accounts.models import AuditRecord
from common.clock import travel
from common.errors import Conflict, Invalid
from notices.models import Notice
from registry.models import Blob, Commit, Repo, RepoSource, Tag
from registry.policies import require_repo
from registry.queries import entry_at, resolve_revision
from registry.services import commits, gitpush, refs, sourcefetch, sources, storage
from registry.services.gitobjects import refs_of
from registry.services.gitpush import NO_OID, RefChange
from registry.services.sources import Wanted
from registry.services.versions import publish_version
from registry.states import SourceState
from tests.factories.accounts import actor_of, make_token, make_user
from tests.factories.registry import add
from tests.spaces.git_client import Git
from tests.spaces.hf_client import Hub
from tests.support.api import Caller, Person
from tests.support.front import Front
from tests.support.inference import eventually
from work.models import Task

LARGE = b"\x00large" * 20_000
LARGER = b"\x01larger" * 20_000


@pytest.fixture
def git(live_site, tmp_path: Path) -> Git:
    return Git(live_site, tmp_path / "alice", live_site.user("hf-alice"), live_site.token("hf-alice"))


@pytest.fixture
def front(live_site) -> Iterator[Front]:
    with Front(live_site.url) as server:
        yield server


@pytest.fixture
def carla(db, settings):
    """Somebody here, who reaches the running site."""
    settings.OUTGOING_ALLOW = ["127.0.0.0/8"]
    return actor_of(make_user("carla"))


def remote_refs(git: Git, repo: str) -> dict[str, str]:
    rows = git.run("ls-remote", "--heads", "--tags", "--refs", git.url(repo)).splitlines()
    return {name: oid for oid, name in (row.split("\t") for row in rows)}


def local_refs(repo: Repo) -> dict[str, str]:
    return {ref.name: ref.oid for ref in refs_of(repo)}


def history(git: Git, hub: Hub, repo: str, kind: str = "model") -> Path:
    """A history with large files, a merge, branches, tags of both sorts and a program."""
    adds = [
        CommitOperationAdd("a/model.bin", LARGE),
        CommitOperationAdd("b.bin", LARGER),
        CommitOperationAdd("run.sh", b"#!x"),
    ]
    hub.api.create_commit(repo, adds, commit_message="Weights", repo_type=kind)
    folder = git.clone(f"datasets/{repo}" if kind == "dataset" else repo)
    git.commit(folder, {"README.md": "---\nlicense: mit\n---\n# Hello\n", "a/b/ü.txt": "deep"}, "Card")
    git.run("tag", "v0", cwd=folder)
    git.run("checkout", "-q", "-b", "dev/one", cwd=folder)
    git.commit(folder, {"dev.txt": "dev"}, "On dev\n\nWith a reason.", GIT_AUTHOR_DATE="2001-02-03T04:05:06+0530")
    git.run("checkout", "-q", "main", cwd=folder)
    (folder / "run.sh").chmod(0o755)
    git.commit(folder, {"main.txt": "main"}, "On main")
    git.run("merge", "-q", "--no-ff", "-m", "Merge", "dev/one", cwd=folder)
    git.run("tag", "-a", "v1", "-m", "One", cwd=folder)
    git.run("push", "-q", "origin", "main", "dev/one", "v0", "v1", cwd=folder)
    return folder


def content(repo: Repo, path: str, revision: str = "main") -> bytes:
    entry = entry_at(resolve_revision(repo, revision), path)
    return storage.read_blob(Blob.objects.get(pk=entry.ref), 10_000_000)


def synced(repo: Repo) -> RepoSource:
    """The source after one run."""
    sources.sync_source(sources.source_of(repo).pk)
    return sources.source_of(repo)


def test_a_private_git_source_comes_whole(git: Git, hub: Hub, private_repo: str, carla, client, live_site) -> None:
    """Asked for with a wrong token, then with the right one; broken off once; the same ids, bytes and names in the end."""
    history(git, hub, private_repo, "dataset")
    script = Caller(client, make_token(carla_user := make_user("dora"), "*"))
    url = f"{live_site.url}/datasets/{private_repo}"
    asked = {
        "kind": "dataset",
        "namespace": "dora",
        "name": "copy",
        "url": url,
        "username": "hf-alice",
        "token": "hf_wrong-one",
    }
    answer = script.call("POST", "sources", asked)
    assert (answer.status_code, answer.json()["state"], answer.json()["has_login"]) == (201, "waiting", True)
    assert "wrong-one" not in answer.text
    mine = require_repo(actor_of(carla_user), "dataset", "dora", "copy", sources.Action.REPO_WRITE)
    with pytest.raises(Conflict, match="being imported"):
        commits.create_commit(actor_of(carla_user), mine, "main", [add("x.txt")], summary="Too early")

    failed = synced(mine)
    assert (failed.state, failed.failures_in_a_row) == (SourceState.FAILED, 1)
    assert "Give a user name and a token" in failed.problem
    assert Notice.objects.filter(user=carla_user, text__contains="failed").count() == 1
    place = "repos/dataset/dora/copy/source"
    again = script.call("POST", f"{place}/runs", {"username": "hf-alice", "token": git.token})
    assert (again.status_code, again.json()["state"]) == (201, "waiting")
    assert git.token not in RepoSource.objects.get(repo=mine).sealed_token

    def die(*_: object, **__: object) -> None:
        raise SystemExit("killed")

    with pytest.MonkeyPatch.context() as patch:
        # after the large files, before any ref has moved
        patch.setattr(gitpush, "_apply", die)
        with pytest.raises(SystemExit):
            synced(mine)
    assert (sources.source_of(mine).state, local_refs(mine).keys()) == (SourceState.RUNNING, {"refs/heads/main"})
    with pytest.MonkeyPatch.context() as patch:
        # they are here, and are not fetched again
        patch.setattr(sourcefetch.storage, "store_blob", die)
        done = synced(mine)
    assert (done.problem, done.skipped, done.state) == ("", [], SourceState.DONE)
    assert (done.username, done.sealed_token, done.next_at) == ("", "", None)
    assert local_refs(mine) == remote_refs(git, f"datasets/{private_repo}")
    assert set(local_refs(mine)) == {"refs/heads/main", "refs/heads/dev/one", "refs/tags/v0", "refs/tags/v1"}
    assert (content(mine, "a/model.bin"), content(mine, "b.bin")) == (LARGE, LARGER)
    assert entry_at(resolve_revision(mine, "main"), "a/model.bin").sha256 is not None
    assert Tag.objects.get(repo=mine, name="v1").message == "One"
    mine.refresh_from_db()
    assert mine.licence == "mit"

    count = Commit.objects.filter(repo=mine).count()
    synced(mine)
    assert (Commit.objects.filter(repo=mine).count(), local_refs(mine)) == (
        count,
        remote_refs(git, f"datasets/{private_repo}"),
    )
    assert script.call("POST", f"{place}/runs", {}).status_code == 409
    commits.create_commit(actor_of(carla_user), mine, "main", [add("x.txt")], summary="Mine now")
    tags = set(AuditRecord.objects.filter(subject_id=str(mine.uuid)).values_list("tag", flat=True))
    assert {"registry:import:asked", "registry:import:repeated", "registry:commit:created"} <= tags
    assert Task.objects.filter(name="registry.scan_repo").exists()


def test_a_mirror_follows_its_source(git: Git, hub: Hub, repo: str, carla, client, live_site) -> None:
    folder = history(git, hub, repo)
    git.run("push", "-q", "origin", "main:trunk", cwd=folder)
    mine = sources.import_repo(
        carla, "model", "carla", "mirror", Wanted("git", f"{live_site.url}/{repo}.git", every_h=6)
    )
    first = synced(mine)
    assert (first.problem, local_refs(mine)) == ("", remote_refs(git, repo))
    assert sources.start_due() == 0
    publish_version(carla, mine, "main", name="1.0.0")

    before = git.head(folder)
    git.commit(folder, {"new.txt": "new"}, "A new commit")
    git.run("push", "-q", "origin", "main", cwd=folder)
    git.run("checkout", "-q", "dev/one", cwd=folder)
    dropped = git.head(folder)
    git.run("commit", "-q", "--amend", "-m", "On dev, again", cwd=folder)
    git.run("push", "-q", "-f", "origin", "dev/one", cwd=folder)
    git.run("push", "-q", "origin", ":trunk", ":v0", cwd=folder)
    git.run("tag", "v0", "main", cwd=folder, check=False)
    git.run("tag", "-f", "v0", "main", cwd=folder)
    git.run("push", "-q", "origin", "v0", cwd=folder)
    with travel(timedelta(hours=7)):
        assert sources.start_due() == 1
        second = synced(mine)
    assert (second.problem, second.skipped) == ("", [])
    kept = gitpush.kept_tag("dev/one", dropped)
    own = {f"refs/tags/{kept}": dropped, "refs/tags/1.0.0": before}
    assert local_refs(mine) == remote_refs(git, repo) | own
    assert [(row["branch"], row["before"]) for row in second.rewritten] == [("dev/one", dropped)]
    assert AuditRecord.objects.filter(
        tag="registry:branch:rewritten", subject_id=str(mine.uuid), detail__before=dropped
    ).exists()

    # nobody else commits, pushes, or makes and removes branches and tags
    deeds = [
        lambda: commits.create_commit(carla, mine, "main", [add("x.txt")], summary="Mine"),
        lambda: commits.squash_history(carla, mine, "main", "Squash"),
        lambda: refs.create_branch(carla, mine, "other"),
        lambda: refs.delete_branch(carla, mine, "dev/one"),
        lambda: refs.create_tag(carla, mine, "mine", "main"),
        lambda: refs.delete_tag(carla, mine, "v1"),
    ]
    for deed in deeds:
        with pytest.raises(Conflict, match="This repository mirrors"):
            deed()
    change = RefChange("refs/heads/main", local_refs(mine)["refs/heads/main"], NO_OID)
    gitpush.check(carla, mine, [change])
    assert "mirrors" in change.refusal
    refs.delete_tag(carla, mine, kept)
    assert local_refs(mine) == remote_refs(git, repo) | {"refs/tags/1.0.0": before}

    client.force_login(mine.created_by)
    card = client.get("/carla/mirror").text
    assert f"{live_site.url}/{repo}.git" in card
    assert "Upload files" not in card
    page = client.get("/carla/mirror/source").text
    assert "Sync now" in page
    assert dropped[:10] in page
    assert client.post("/carla/mirror/source", {"every_h": "12", "token": "t", "username": ""}).status_code == 302
    changed = sources.source_of(mine)
    assert (changed.every_h, bool(changed.sealed_token)) == (12, True)
    assert client.post("/carla/mirror/source", {"every_h": "0"}).status_code == 400
    assert client.post("/carla/mirror/source/runs", {}).status_code == 302
    assert sources.source_of(mine).state == SourceState.WAITING
    assert client.post("/carla/mirror/source/stopping").status_code == 302
    ended = sources.source_of(mine)
    assert (ended.state, ended.sealed_token, ended.next_at) == (SourceState.STOPPED, "", None)
    commits.create_commit(carla, mine, "main", [add("x.txt")], summary="Mine now")
    assert synced(mine).state == SourceState.STOPPED
    assert "Upload files" in client.get("/carla/mirror").text


def test_a_hub_without_git_is_walked(git: Git, hub: Hub, repo: str, carla, front: Front) -> None:
    """Its commits are made anew: the same trees, words, dates and authors, and the same ids whenever they are made."""
    folder = history(git, hub, repo)
    front.refuse = lambda path: 404 if ".git/" in path else None
    mine, twin = (
        sources.import_repo(
            carla, "model", "carla", name, Wanted("hub", front.url, repo, token=hub.token, every_h=every_h)
        )
        for name, every_h in (("walked", 1), ("twin", 0))
    )
    for each in (mine, twin):
        done = synced(each)
        assert (done.problem, done.skipped, done.is_without_git) == ("", [], True)
    assert local_refs(mine) == local_refs(twin)
    assert local_refs(mine).keys() == remote_refs(git, repo).keys()

    for name in ("dev/one", "v0"):
        made, told = resolve_revision(mine, name), git.run("log", "-1", "--format=%H|%T|%s|%an|%ct", name, cwd=folder)
        oid, *rest = told.split("|")
        assert [made.tree.oid, made.summary, made.author_name, str(int(made.created_at.timestamp()))] == rest
        assert made.description.splitlines()[-1] == f"Imported-from: {oid}"
    assert (content(mine, "a/model.bin"), content(mine, "b.bin"), content(mine, "a/b/ü.txt")) == (
        LARGE,
        LARGER,
        b"deep",
    )

    count = Commit.objects.filter(repo=mine).count()
    git.run("checkout", "-q", "-f", "main", cwd=folder)
    git.commit(folder, {"new.txt": "new"}, "A new commit")
    git.run("push", "-q", "origin", "main", cwd=folder)
    assert synced(mine).problem == ""
    assert Commit.objects.filter(repo=mine).count() == count
    sources.run_now(carla, mine)
    assert synced(mine).problem == ""
    assert Commit.objects.filter(repo=mine).count() == count + 1
    assert content(mine, "new.txt") == b"new"


def test_a_source_that_goes_away_is_tried_again(git: Git, hub: Hub, repo: str, carla, front: Front) -> None:
    history(git, hub, repo)
    mine = sources.import_repo(carla, "model", "carla", "copy", Wanted("git", f"{front.url}/{repo}"))
    for number, front.cut in enumerate(("git-upload-pack", "api/lfs/download"), 1):
        broken = synced(mine)
        assert (broken.state, broken.failures_in_a_row) == (SourceState.WAITING, number)
        assert "did not finish" in broken.problem
        assert local_refs(mine).keys() == {"refs/heads/main"}
    front.cut = ""
    done = synced(mine)
    assert (done.state, done.problem, done.failures_in_a_row) == (SourceState.DONE, "", 0)
    assert local_refs(mine) == remote_refs(git, repo)

    given_up = sources.import_repo(carla, "model", "carla", "other", Wanted("git", f"{front.url}/{repo}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources.GitSource, "bring", lambda *_: sources.stop(carla, given_up))
        patch.setattr(sources, "_TELL_S", 0.0)
        ended = synced(given_up)
    assert (ended.state, local_refs(given_up).keys()) == (SourceState.CANCELLED, {"refs/heads/main"})
    commits.create_commit(carla, given_up, "main", [add("x.txt")], summary="Mine now")


def test_a_mirror_that_fails_waits_longer_and_tells_its_owner(carla, front: Front) -> None:
    front.refuse = lambda _: 503
    mine = sources.import_repo(carla, "model", "carla", "mirror", Wanted("git", f"{front.url}/a/b", every_h=2))
    pauses, away = [], timedelta(0)
    for _ in range(4):
        with travel(away):
            sources.start_due()
            failed = synced(mine)
        assert "503" in failed.problem
        pauses.append(failed.next_at - failed.ended_at)
        away += pauses[-1] + timedelta(minutes=1)
    assert pauses == [timedelta(hours=hours) for hours in (2, 4, 8, 16)]
    assert Notice.objects.filter(user_id=carla.user_id, text__contains="3 times in a row").count() == 1
    with travel(away):
        RepoSource.objects.filter(repo=mine).update(user=make_user("sam"))
        sources.start_due()
        assert "may not write" in synced(mine).problem


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost:8000/a/b", "not on the public internet"),
        ("http://169.254.169.254/a/b", "not on the public internet"),
        ("{front}/redirect", "not on the public internet"),
        ("{front}/{repo}", "not on the public internet"),
        ("{front}/models", "nothing at this address"),
    ],
)
def test_addresses_behind_our_walls_are_refused(
    git: Git, hub: Hub, repo: str, carla, front: Front, settings, live_site, url: str, said: str
) -> None:
    """Typed, redirected to, or given for a large file: nothing but the one open address is asked, and no login leaves it."""
    settings.OUTGOING_ALLOW = ["127.0.0.2/32"]
    if "{repo}" in url:
        history(git, hub, repo)
        # the addresses of large files are the site's own then
        front.renames = False
    front.refuse = lambda path: (302, {"Location": f"{live_site.url}/{repo}/info/refs"}) if "redirect" in path else None
    mine = sources.import_repo(carla, "model", "carla", "x", Wanted("git", url.format(front=front.url, repo=repo)))
    failed = synced(mine)
    assert (failed.state, local_refs(mine).keys()) == (SourceState.FAILED, {"refs/heads/main"})
    assert said in failed.problem


def test_what_cannot_be_asked_for(carla) -> None:
    wrong = [
        Wanted("git", "ssh://git@example.org/x"), Wanted("git", "https://me:pass@example.org/x"), Wanted("git", "https://e.org/x?y=1"),
        Wanted("svn", "https://example.org/"), Wanted("git", "https://example.org/x", "a/b"), Wanted("hub", "https://example.org"),
        Wanted("hub", "https://example.org", "../x"), Wanted("git", "https://example.org/x", every_h=721),
        Wanted("git", "https://example.org/x", username="a:b"), Wanted("git", "https://example.org/x", token="a\nb"),
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(Invalid):
            sources.import_repo(carla, "model", "carla", "x", each)
    assert not Repo.objects.filter(name="x").exists()


def test_a_site_imports_from_itself(git: Git, hub: Hub, repo: str, front: Front, live_site) -> None:
    """By its own worker, over the address that it may reach."""
    history(git, hub, repo)
    alice = Person(live_site, hub.user)
    name = f"copy-{secrets.token_hex(4)}"
    place = {"kind": "model", "namespace": hub.user, "name": name}
    alice.post("sources", {**place, "protocol": "hub", "url": front.url, "remote_name": repo})

    def ended() -> dict | None:
        found = alice.get(f"repos/model/{hub.user}/{name}/source")
        return found if found["state"] not in {"waiting", "running"} else None

    found = eventually(ended, limit_s=120)
    assert (found["problem"], found["state"], found["keeps_ids"]) == ("", "done", True)
    assert remote_refs(git, f"{hub.user}/{name}") == remote_refs(git, repo)
    copied = hub.api.hf_hub_download(f"{hub.user}/{name}", "a/model.bin", cache_dir=hub.home)
    assert Path(copied).read_bytes() == LARGE
    again = live_site.manage("import_repo", f"{hub.user}/{name}-2", f"{front.url}/{repo}", "--as", hub.user, "--wait")
    assert (again["state"], again["skipped"]) == ("done", [])
    for each in (name, f"{name}-2"):
        hub.api.delete_repo(f"{hub.user}/{each}")
