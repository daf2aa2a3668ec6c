"""Content from elsewhere: what comes into a repository by a task, once, and what never does."""

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest
from moto.server import ThreadedMotoServer

from accounts.services import tokens
from common.clock import now
from common.errors import Conflict, DomainError, Forbidden, Invalid
from lineage.queries import ancestors, visible_subgraph
from lineage.services.record import Ref
from registry.models import BlockedDigest, Preparation, PreparedFile, RepoBlob
from registry.queries import all_files, blob_of, resolve_revision
from registry.services import fetching, quotas, storage
from registry.services import preparations as asking
from registry.services.versions import publish_version
from tests.factories.accounts import SYSTEM
from tests.factories.market import make_person
from tests.factories.registry import add, commit, make_repo
from tests.support.archives import CASES, tarred, zipped
from tests.support.elsewhere import HOST, RUN, Elsewhere, Said, hub, mlflow, plain
from work import claims
from work.models import Task
from work.running import perform

FILES = {"train/a.csv": b"id\n1\n", "train/b.bin": b"\0\1" * 3000, "README.md": b"# From elsewhere\n"}


@pytest.fixture
def ada(db):
    return make_person("ada").actor


@pytest.fixture
def repo(ada):
    return make_repo(ada, "rows")


@pytest.fixture
def opened(settings) -> None:
    settings.OUTGOING_ALLOW = [f"{HOST}/32"]


def content(repo, revision: str = "main") -> dict[str, bytes]:
    entries = list(all_files(resolve_revision(repo, revision)))
    return {entry.path: storage.read_blob(blob_of(entry), entry.size_bytes) for entry in entries}


def run_own() -> None:
    """The tasks of preparations that are due, without the scans that everything that comes asks for."""
    for task in Task.objects.filter(name="registry.prepare_content", state="queued", run_at__lte=now()):
        claimed = claims.claim_one(task.pk, "test")
        assert claimed is not None
        perform(claimed, None)


def brought(ada, repo, source: str, given: dict[str, str], **options) -> Preparation:
    row = asking.ask_for_preparation(ada, repo, source, given, **options)
    return fetching.prepare_content(row.pk)


def test_a_file_at_an_address_becomes_one_commit_with_its_source(ada, repo, opened):
    with Elsewhere(plain({"sets/rows.csv": FILES["train/a.csv"]}, secret="hidden")) as server:
        row = brought(
            ada, repo, "url", {"url": f"{server.url}/sets/rows.csv?key=hidden"}, folder="data", summary="Bring rows"
        )
    assert (row.state, row.problem) == ("done", "")
    assert content(repo)["data/rows.csv"] == FILES["train/a.csv"]
    head = resolve_revision(repo, "main")
    assert (head.summary, head.oid) == ("Bring rows", row.commit_oid)
    assert (row.file_count, row.files_done, row.bytes_done) == (1, 1, len(FILES["train/a.csv"]))
    assert row.sealed == ""
    assert "hidden" not in f"{row.options} {row.address} {row.facts} {head.description}"
    assert not PreparedFile.objects.exists()
    version = publish_version(ada, repo, "main", name="1.0")
    assert Ref("source", row.uuid) in ancestors(Ref("version", version.uuid))
    assert Ref("source", row.uuid) in ancestors(Ref("dataset", repo.uuid))
    graph = visible_subgraph(ada, Ref("version", version.uuid))
    assert row.address in {node.title for node in graph.nodes}
    stranger = make_person("sam").actor
    assert row.address not in {node.title for node in visible_subgraph(stranger, Ref("version", version.uuid)).nodes}


def test_versions_name_only_the_sources_that_came_since_the_one_before(ada, repo, opened):
    with Elsewhere(plain(FILES)) as server:
        first = brought(ada, repo, "url", {"url": f"{server.url}/train/a.csv"})
        one = publish_version(ada, repo, "main", name="1.0")
        second = brought(ada, repo, "url", {"url": f"{server.url}/README.md"})
        two = publish_version(ada, repo, "main", name="2.0")
    into_two = visible_subgraph(ada, Ref("version", two.uuid))
    titles = {node.key: node.title for node in into_two.nodes}
    imported = {(titles[edge.source], titles[edge.target]) for edge in into_two.edges if edge.relation == "imported"}
    assert imported == {(first.address, "ada/rows 1.0"), (second.address, "ada/rows 2.0")}
    assert Ref("source", second.uuid) not in ancestors(Ref("version", one.uuid))
    assert {Ref("source", first.uuid), Ref("source", second.uuid)} <= ancestors(Ref("version", two.uuid))


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )
    client.create_bucket(Bucket="lake")
    for path, data in FILES.items():
        client.put_object(Bucket="lake", Key=f"sets/{path}", Body=data)
    yield f"http://{host}:{port}"
    server.stop()


def test_a_bucket_comes_with_large_files_as_large_ones_and_secrets_go(ada, repo, opened, s3_server):
    given = {"endpoint": s3_server, "bucket": "lake", "prefix": "sets/", "access_key": "k", "secret_key": "s"}
    asked = asking.ask_for_preparation(ada, repo, "s3", given)
    assert asked.sealed
    assert "secret_key" not in asked.options
    run_own()
    asked.refresh_from_db()
    assert (asked.state, asked.problem, asked.sealed) == ("done", "", "")
    assert FILES.items() <= content(repo).items()
    entries = {entry.path: entry for entry in all_files(resolve_revision(repo, "main"))}
    assert entries["train/b.bin"].sha256 == hashlib.sha256(FILES["train/b.bin"]).hexdigest()
    assert entries["train/a.csv"].sha256 is None
    # again: the same state of the bucket changes nothing
    head = resolve_revision(repo, "main").oid
    again = brought(ada, repo, "s3", given)
    assert (again.state, again.commit_oid) == ("done", head)


def test_a_run_of_mlflow_brings_its_files_and_what_is_known_of_it(ada, opened):
    model = make_repo(ada, "net", kind="model")
    with Elsewhere(mlflow({"model/MLmodel": b"x: 1\n", "model/data/w.bin": b"\0" * 2000}, password="pw")) as server:
        given = {"server": server.url, "run_id": RUN, "path": "model", "username": "ada", "password": "pw"}
        row = brought(ada, model, "mlflow", given)
    assert (row.state, row.problem) == ("done", "")
    assert set(content(model)) >= {"MLmodel", "data/w.bin"}
    assert row.facts["params"] == {"depth": "6"}
    assert row.facts["metrics"] == {"auc": 0.93}


def test_another_hub_is_asked_once_for_what_is_not_here_and_its_redirects_lead_nowhere_private(
    ada, repo, opened, settings
):
    with Elsewhere(plain(FILES)) as store, Elsewhere(hub(FILES, token="tok", store=store.url)) as server:
        row = brought(ada, repo, "hub", {"endpoint": server.url, "repo": "ann/set", "token": "tok"})
        assert (row.state, row.problem) == ("done", "")
        assert FILES.items() <= content(repo).items()
        assert len(store.asked) == 1
        # bytes that may be read here already are not fetched again
        other = make_repo(ada, "copy")
        assert brought(ada, other, "hub", {"endpoint": server.url, "repo": "ann/set", "token": "tok"}).state == "done"
        assert len(store.asked) == 1
    with Elsewhere(hub(FILES, store="http://127.0.0.1:9000")) as server:
        eve = make_person("eve").actor
        third = make_repo(eve, "third")
        row = brought(eve, third, "hub", {"endpoint": server.url, "repo": "ann/set"})
        assert row.state == "failed"
        assert "not on the public internet" in row.problem
        assert set(content(third)) & set(FILES) == set()


@pytest.mark.parametrize("unpack", ["while it comes", "from the repository", "uploaded for it"])
def test_an_archive_is_unpacked_into_one_commit(ada, repo, opened, unpack):
    packed = tarred(list(FILES.items()))
    if unpack == "while it comes":
        with Elsewhere(plain({"set.tar": packed})) as server:
            row = brought(ada, repo, "url", {"url": f"{server.url}/set.tar"}, unpack=True, folder="in")
    elif unpack == "from the repository":
        commit(ada, repo, add("set.tar", packed))
        row = brought(ada, repo, "archive", {"path": "set.tar"}, folder="in")
    else:
        blob = asking.store_archive(ada, repo, [packed], len(packed))
        row = brought(ada, repo, "archive", {"path": "set.tar"}, archive=blob, folder="in")
    assert (row.state, row.problem) == ("done", "")
    assert {f"in/{path}": data for path, data in FILES.items()}.items() <= content(repo).items()
    assert "in/set.tar" not in content(repo)
    assert (row.archive_id, row.file_count, row.files_done) == (None, 3, 3)


@pytest.mark.parametrize("name", ["zip traversal", "tar symlink"])
def test_a_hostile_archive_fails_with_its_sentence_and_commits_nothing(ada, repo, name):
    case = next(each for each in CASES if each.name == name)
    commit(ada, repo, add("bad", case.make()))
    head = resolve_revision(repo, "main").oid
    row = brought(ada, repo, "archive", {"path": "bad"})
    assert row.state == "failed"
    assert case.said in row.problem
    assert resolve_revision(repo, "main").oid == head


def test_a_path_that_git_keeps_for_itself_is_refused_before_anything_is_stored(ada, repo):
    commit(ada, repo, add("bad.zip", zipped([(".git/hooks/x", b"x")])))
    row = brought(ada, repo, "archive", {"path": "bad.zip"})
    assert row.state == "failed"
    assert "git keeps that name" in row.problem


PRIVATE = [
    "http://127.0.0.1:8000",
    "http://10.0.0.1",
    "http://169.254.169.254",
    "http://[::1]:9000",
    "http://inside.example.org",
]
ASKED = {
    "url": lambda base: {"url": f"{base}/a.csv"},
    "s3": lambda base: {"endpoint": base, "bucket": "lake"},
    "mlflow": lambda base: {"server": base, "run_id": RUN},
    "hub": lambda base: {"endpoint": base, "repo": "a/b"},
}


@pytest.mark.parametrize("source", sorted(ASKED))
def test_no_source_reaches_behind_the_walls(ada, repo, settings, monkeypatch, source):
    settings.OUTGOING_ALLOW = [f"{HOST}/32"]
    reached: list[object] = []
    real_connect, real_lookup = socket.create_connection, socket.getaddrinfo

    def connect(address, *rest, **named):
        reached.append(address[0])
        return real_connect(address, *rest, **named)

    def look_up(host, port, *rest, **named):
        if host == "inside.example.org":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.1.2.3", port))]
        return real_lookup(host, port, *rest, **named)

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    for base in PRIVATE:
        row = brought(ada, repo, source, ASKED[source](base))
        assert row.state == "failed", base
        assert "not on the public internet" in row.problem, base
    for base in ("http://127.0.0.2:22", "ftp://example.org", "http://a:b@example.org"):
        with pytest.raises(Invalid):
            asking.ask_for_preparation(ada, repo, source, ASKED[source](base))
    assert reached == []
    with Elsewhere(lambda _: Said(302, b"", {"Location": "http://127.0.0.1:9/x"})) as server:
        row = brought(ada, repo, source, ASKED[source](server.url))
    assert row.state == "failed"
    assert set(reached) == {HOST}


def test_a_crash_in_the_middle_and_a_repeat_double_nothing(ada, repo, opened, monkeypatch):
    files = {f"{number}.txt": b"%d" % number for number in range(6)}
    with Elsewhere(hub(files, page=10)) as server:
        row = asking.ask_for_preparation(ada, repo, "hub", {"endpoint": server.url, "repo": "ann/set"})
        real, done = fetching._fetch, []

        def dying(*args):
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(args[-1].path)
            return real(*args)

        monkeypatch.setattr(fetching, "_fetch", dying)
        with pytest.raises(KeyboardInterrupt):
            fetching.prepare_content(row.pk)
        row.refresh_from_db()
        assert (row.state, row.files_done) == ("running", 3)
        before = len(server.asked)
        monkeypatch.setattr(fetching, "_fetch", real)
        # the second time it dies after the commit, in the same transaction
        monkeypatch.setattr(fetching, "_ended", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetching.prepare_content(row.pk)
        assert set(content(repo)) & set(files) == set()
        monkeypatch.undo()
        for _ in range(2):
            fetching.prepare_content(row.pk)
        assert len(server.asked) == before + 3
    row.refresh_from_db()
    assert (row.state, row.files_done) == ("done", 6)
    assert files.items() <= content(repo).items()
    assert repo.commits.filter(summary__startswith="Import").count() == 1


def test_cancelling_stops_it_within_a_file_and_it_can_be_tried_again_with_its_secrets(ada, repo, opened, monkeypatch):
    monkeypatch.setattr(fetching, "_WATCH_S", 0.0)
    with Elsewhere(plain({"a.bin": b"\0" * 300_000}, secret="hidden")) as server:
        row = asking.ask_for_preparation(ada, repo, "url", {"url": f"{server.url}/a.bin?key=hidden"})
        real = fetching._Watch.look

        def cancelling(self, seen=0, **options):
            if seen and Preparation.objects.get(pk=row.pk).state == "running":
                asking.cancel_preparation(ada, Preparation.objects.select_related("repo__namespace").get(pk=row.pk))
            return real(self, seen, **options)

        monkeypatch.setattr(fetching._Watch, "look", cancelling)
        run_own()
        row.refresh_from_db()
        assert (row.state, row.sealed, row.commit_oid) == ("cancelled", "", "")
        assert not RepoBlob.objects.filter(repo=repo, blob__size_bytes=300_000).exists()
        monkeypatch.setattr(fetching._Watch, "look", real)
        with pytest.raises(Invalid, match="thrown away"):
            asking.retry_preparation(ada, row, {})
        with pytest.raises(Invalid, match="without line breaks"):
            asking.retry_preparation(ada, row, {"query": "key=hidden\nurl=http://example.org/"})
        asking.retry_preparation(ada, row, {"query": "key=hidden"})
        run_own()
    row.refresh_from_db()
    assert (row.state, row.problem) == ("done", "")
    assert len(content(repo)["a.bin"]) == 300_000
    with pytest.raises(Conflict):
        asking.cancel_preparation(ada, row)


def test_what_fails_in_passing_is_tried_again_and_then_told(ada, repo, opened, monkeypatch):
    answers = [Said(503), Said(503), Said(200, b"a\n")]
    with Elsewhere(lambda _: answers.pop(0) if len(answers) > 1 else answers[0]) as server:
        row = asking.ask_for_preparation(ada, repo, "url", {"url": f"{server.url}/a.csv"})
        for _ in range(3):
            run_own()
            Task.objects.filter(state="queued").update(run_at=now() - timedelta(seconds=1))
        row.refresh_from_db()
        assert row.state == "done"
    row = asking.ask_for_preparation(ada, repo, "url", {"url": f"{server.url}/a.csv"})  # nobody is there any more
    for _ in range(fetching.ATTEMPTS):
        run_own()
        Task.objects.filter(state="queued").update(run_at=now() - timedelta(seconds=1))
    row.refresh_from_db()
    assert row.state == "failed"
    assert f"It was tried {fetching.ATTEMPTS} times." in row.problem


def test_blocked_bytes_and_a_full_quota_stop_it(ada, repo, opened):
    BlockedDigest.objects.create(sha256=hashlib.sha256(FILES["train/b.bin"]).hexdigest(), reason="malware")
    with Elsewhere(plain(FILES)) as server:
        row = brought(ada, repo, "url", {"url": f"{server.url}/train/b.bin"})
        assert row.state == "failed"
        assert "malware" in row.problem
        quotas.set_quota(SYSTEM, repo.namespace, 10)
        row = brought(ada, repo, "url", {"url": f"{server.url}/README.md"})
    assert row.state == "failed"
    assert "quota" in row.problem or "store" in row.problem
    assert repo.commits.count() == 1


def test_who_may_not_write_may_not_ask_and_who_lost_the_right_brings_nothing(ada, repo, opened):
    stranger = make_person("sam").actor
    public = make_repo(ada, "open", visibility="public")
    with pytest.raises(Forbidden):
        asking.ask_for_preparation(stranger, public, "url", {"url": "https://example.org/a"})
    with Elsewhere(plain(FILES)) as server:
        token, _ = tokens.issue(ada, name="x", scopes=["repo:write"])
        row = asking.ask_for_preparation(
            replace(ada, token_id=token.pk), repo, "url", {"url": f"{server.url}/README.md"}
        )
        tokens.revoke(ada, token.uuid)
        run_own()
    row.refresh_from_db()
    assert row.state == "failed"
    assert "has ended" in row.problem
    assert server.asked == []


@pytest.mark.parametrize(
    ("source", "given", "options", "said"),
    [
        ("tape", {}, {}, "no source tape"),
        ("url", {}, {}, "Address is missing"),
        ("url", {"url": "https://example.org/a"}, {"branch": "nope"}, "no branch nope"),
        ("url", {"url": "https://example.org/a"}, {"folder": "../x"}, "not allowed"),
        ("hub", {"repo": "a/b"}, {"unpack": True}, "Only a file at an address"),
        ("archive", {}, {}, "Name an archive"),
        ("archive", {"path": "nope.zip"}, {}, "does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_a_task_is_made(ada, repo, source, given, options, said):
    with pytest.raises(DomainError, match=said):
        asking.ask_for_preparation(ada, repo, source, given, **options)
    assert not Preparation.objects.exists()


def test_files_of_what_never_came_to_a_commit_go_after_a_week(ada, repo, opened):
    with Elsewhere(hub({"a.txt": b"a", "b.txt": b"b"})) as server:
        row = asking.ask_for_preparation(ada, repo, "hub", {"endpoint": server.url, "repo": "ann/set"})
        whole = server.answer
        server.answer = lambda asked: Said(404) if asked.path.endswith("b.txt") else whole(asked)
        run_own()
    row.refresh_from_db()
    assert row.state == "failed"
    assert row.files.exclude(blob=None).count() == 1
    assert asking.forget_preparations() == 0
    Preparation.objects.filter(pk=row.pk).update(ended_at=now() - timedelta(days=8))
    assert asking.forget_preparations() == 1
    assert not row.files.exists()
    assert asking.forget_preparations() == 0


def test_a_repository_has_a_few_under_way_at_most(ada, repo):
    for _ in range(asking.AT_ONCE):
        asking.ask_for_preparation(ada, repo, "url", {"url": "https://example.org/a"})
    with pytest.raises(Conflict, match="under way"):
        asking.ask_for_preparation(ada, repo, "url", {"url": "https://example.org/a"})
