"""Fetching as the views answer it: the protocol's turns, and what they cost."""

import gzip
import io
import zlib

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from dulwich.object_format import SHA1
from dulwich.pack import PackData

from registry import queries
from registry.models import Blob, Repo
from registry.services import storage, uploads
from registry.services.commits import AddLfs, create_commit
from registry.services.refs import create_branch, create_tag
from tests.api.git.packs import BLOB, COMMIT, TAG, TREE, ZERO, Objects, Pusher, lines_of, oid_of, pkt
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo
from tests.support.queries import count_of, exactly

pytestmark = pytest.mark.django_db

V2 = {"Git-Protocol": "version=2"}
NAME = "alice/files"


@pytest.fixture
def alice(client) -> Pusher:
    return Pusher(client, make_user("alice"))


@pytest.fixture
def repo(alice) -> Repo:
    return make_repo(actor_of(alice.user), "files", kind="model", visibility="public")


def fetch(pusher: Pusher, *words: str, capabilities: str = "") -> bytes:
    """The raw answer to one fetch in version 2."""
    body = pkt("command=fetch") + pkt("object-format=sha1") + b"0001" + b"".join(pkt(word) for word in words) + b"0000"
    response = pusher.post(f"/{NAME}.git/git-upload-pack", body, **V2)
    assert response.status_code == 200
    return response.getvalue()


def objects_in(answer: bytes) -> dict[str, tuple[int, bytes]]:
    """The objects of the pack in an answer, by id."""
    raw = b"".join(line[1:] for line in lines_of(answer) if line and line[:1] == b"\x01" and len(line) > 1)
    found = {}
    with PackData.from_file(io.BytesIO(raw), SHA1, len(raw)) as data:
        data.check()
        for item in data.iter_unpacked():
            content = b"".join(item.decomp_chunks)
            found[oid_of(item.pack_type_num, content)] = (item.pack_type_num, content)
    return found


def kinds(objects: dict[str, tuple[int, bytes]]) -> dict[int, int]:
    counted: dict[int, int] = {}
    for kind, _ in objects.values():
        counted[kind] = counted.get(kind, 0) + 1
    return counted


def test_refs_cost_one_query_however_many(alice, repo) -> None:
    actor = actor_of(alice.user)
    made = commit(actor, repo, add("a"))
    path = f"/{NAME}/info/refs?service=git-upload-pack"
    for count in (3, 40):
        for number in range(count):
            create_branch(actor, repo, f"b{count}-{number}")
            create_tag(actor, repo, f"t{count}-{number}", made.oid)
        with exactly(2):
            # the repository, its refs
            answer = alice.client.get(path)
        assert len(lines_of(answer.content)) > 2 * count
        body = (
            pkt("command=ls-refs") + b"0001" + pkt("peel") + pkt("symrefs") + pkt("ref-prefix refs/tags/t3-") + b"0000"
        )
        with exactly(2):
            listed = alice.client.generic("POST", f"/{NAME}/git-upload-pack", body, headers=V2).getvalue()
        assert [line.decode() for line in lines_of(listed) if line] == [
            f"{made.oid} refs/tags/t3-{number}\n" for number in range(3)
        ]


def test_a_clone_costs_queries_by_pages_and_not_by_objects(alice, repo) -> None:
    actor = actor_of(alice.user)
    counts = []
    for count in (5, 600):
        files = {f"d{number % 5}/{number:04d}.txt": b"%d" % number for number in range(count)}
        head = commit(actor, repo, *(add(path, content) for path, content in files.items()))
        with CaptureQueriesContext(connection) as captured:
            objects = objects_in(fetch(Pusher(alice.client), f"want {head.oid}", "done"))
        counts.append(count_of(captured))
        assert {oid_of(BLOB, content) for content in files.values()} <= objects.keys()
        assert head.tree.oid in objects
    assert counts[1] <= counts[0] + 8, counts
    assert counts[1] < 30


def test_only_what_is_new_is_sent(alice, repo) -> None:
    actor = actor_of(alice.user)
    files = [add(f"data/{number:04d}.txt", b"%d" % number) for number in range(1500)]
    before = commit(actor, repo, *files, add("other/x", "x"))
    head = commit(actor, repo, add("data/0700.txt", "changed"))
    with CaptureQueriesContext(connection) as captured:
        answer = fetch(Pusher(alice.client), f"want {head.oid}", f"have {before.oid}", "done")
    objects = objects_in(answer)
    assert kinds(objects) == {COMMIT: 1, TREE: 2, BLOB: 1}
    assert objects[oid_of(BLOB, b"changed")] == (BLOB, b"changed")
    assert count_of(captured) <= 16
    assert objects_in(fetch(alice, f"want {head.oid}", f"have {head.oid}", "done")) == {}


def test_negotiation_goes_on_until_both_sides_have_something(alice, repo) -> None:
    head = commit(actor_of(alice.user), repo, add("a"))
    first = head.parents[0]
    unknown = "12" * 20
    assert lines_of(fetch(alice, f"want {head.oid}", f"have {unknown}")) == [b"acknowledgments\n", b"NAK\n", None]
    answer = lines_of(fetch(alice, f"want {head.oid}", f"have {unknown}", f"have {first}"))
    assert answer[:5] == [b"acknowledgments\n", f"ACK {first}\n".encode(), b"ready\n", None, b"packfile\n"]


def test_files_can_be_left_out_and_asked_for_later(alice, repo) -> None:
    actor = actor_of(alice.user)
    large = storage.store_blob([b"large" * 1000])
    uploads.attach(repo, large)
    head = commit(actor, repo, add("small", "s"), add("medium", b"m" * 2000), AddLfs("large.bin", large.sha256))
    pointer = storage.pointer_of(large.sha256, large.size_bytes)
    assert BLOB not in kinds(objects_in(fetch(alice, f"want {head.oid}", "filter blob:none", "done")))
    some = objects_in(fetch(alice, f"want {head.oid}", "filter blob:limit=1k", "done"))
    # a large file is a small pointer to git
    assert oid_of(BLOB, b"s") in some
    assert oid_of(BLOB, pointer) in some
    assert oid_of(BLOB, b"m" * 2000) not in some
    wanted = [b"m" * 2000, pointer]
    later = objects_in(fetch(alice, *(f"want {oid_of(BLOB, each)}" for each in wanted), "filter blob:none", "done"))
    assert sorted(content for _, content in later.values()) == sorted(wanted)
    tree = objects_in(fetch(alice, f"want {head.tree.oid}", "done"))
    assert kinds(tree) == {TREE: 1, BLOB: 4}
    assert b"ERR The filters known here" in fetch(alice, f"want {head.oid}", "filter tree:0", "done")


def test_history_can_be_cut(alice, repo) -> None:
    actor = actor_of(alice.user)
    made = [commit(actor, repo, add("file", str(number)), summary=f"Step {number}") for number in range(5)]
    oids = [made[0].parents[0], *(each.oid for each in made)]
    answer = fetch(alice, f"want {oids[5]}", "deepen 2", "done")
    lines = lines_of(answer)
    assert lines[:4] == [b"shallow-info\n", f"shallow {oids[4]}\n".encode(), None, b"packfile\n"]
    assert kinds(objects_in(answer)) == {COMMIT: 2, TREE: 2, BLOB: 3}
    more = fetch(
        alice, f"want {oids[5]}", f"have {oids[5]}", f"shallow {oids[4]}", "deepen 1", "deepen-relative", "done"
    )
    assert lines_of(more)[:4] == [
        b"shallow-info\n",
        f"shallow {oids[3]}\n".encode(),
        f"unshallow {oids[4]}\n".encode(),
        None,
    ]
    assert kinds(objects_in(more)) == {COMMIT: 1, TREE: 1, BLOB: 1}
    whole = fetch(alice, f"want {oids[5]}", f"have {oids[5]}", f"shallow {oids[4]}", "deepen 2147483647", "done")
    assert lines_of(whole)[:2] == [b"shallow-info\n", f"unshallow {oids[4]}\n".encode()]
    assert kinds(objects_in(whole))[COMMIT] == 4
    # without a word about depth a shallow clone stays one
    plain = objects_in(fetch(alice, f"want {oids[5]}", f"have {oids[4]}", f"shallow {oids[4]}", "done"))
    assert kinds(plain) == {COMMIT: 1, TREE: 1, BLOB: 1}
    create_branch(actor, repo, "old", oids[2])
    without = fetch(alice, f"want {oids[5]}", "deepen-not old", "done")
    assert kinds(objects_in(without))[COMMIT] == 3
    assert lines_of(without)[1] == f"shallow {oids[3]}\n".encode()
    assert b"ERR" in fetch(alice, f"want {oids[5]}", "deepen-not nothing", "done")
    assert b"ERR No commit is that young" in fetch(alice, f"want {oids[5]}", "deepen-since 99999999999", "done")
    assert kinds(objects_in(fetch(alice, f"want {oids[5]}", "deepen-since 1000", "done")))[COMMIT] == 6


def test_tags_come_along_with_what_they_name(alice, repo) -> None:
    start = queries.head_of(repo).oid
    objects = Objects()
    tip = objects.files({"a": "1"}, start)
    tag = objects.tag(tip, "v1")
    assert alice.push(NAME, {"refs/heads/main": (start, tip), "refs/tags/v1": (ZERO, tag)}, objects).refs.keys()
    assert TAG not in kinds(objects_in(fetch(alice, f"want {tip}", "done")))
    assert tag in objects_in(fetch(alice, f"want {tip}", "include-tag", "done"))
    assert objects_in(fetch(alice, f"want {tag}", f"have {tip}", "done")).keys() == {tag}


def test_what_the_repository_has_not_is_not_given(alice, repo) -> None:
    mallory = actor_of(make_user("mallory"))
    hidden = make_repo(mallory, "hidden", kind="model")
    theirs = commit(mallory, hidden, add("secret", "secret"))
    for oid in (theirs.oid, theirs.tree.oid, oid_of(BLOB, b"secret"), "12" * 20):
        answer = fetch(alice, f"want {oid}", "done")
        assert lines_of(answer) == [f"ERR upload-pack: not our ref {oid}\n".encode()]
    own = queries.head_of(repo).oid
    assert b"ACK" not in fetch(alice, f"want {own}", f"have {theirs.oid}")


def test_lost_bytes_end_the_fetch_with_a_sentence(alice, repo) -> None:
    head = commit(actor_of(alice.user), repo, add("lost", b"lost" * 100))
    storage.store().delete(Blob.objects.get(git_oid=oid_of(BLOB, b"lost" * 100)).key)
    answer = fetch(alice, f"want {head.oid}", "done")
    assert b"\x03The storage has lost this file: ask the operator" in answer


@pytest.mark.parametrize(
    "body",
    [
        b"", b"0000", b"zz", b"00", b"0001", b"0005", pkt("command=nothing") + b"0000", pkt("command=fetch") + b"0001" + pkt("want x") + b"0000",
        pkt("command=fetch") + b"0001" + pkt("want " + "G" * 40) + b"0000", pkt("command=fetch") + b"0001" + pkt(b"\xff\xff") + b"0000",
        pkt("command=fetch") + b"0001" + pkt("deepen x") + b"0000", pkt("command=fetch") + b"0001" + pkt("deepen 99999999999999999999") + b"0000",
        pkt("command=fetch") + b"0001" + pkt("want " + "1" * 40), pkt("command=fetch") + b"0001" + pkt("have " + "1" * 40) * 400_000,
        pkt("command=ls-refs") + b"0001" + pkt("ref-prefix " + "x" * 60000) * 5 + b"0000", pkt("object-format=sha256") + b"0000",
        pkt("want " + "1" * 40 + " side-band-64k\n") + b"0000" + pkt("done"), pkt("have " + "1" * 40),
    ],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, V2])
def test_requests_that_are_none_get_a_sentence(alice, repo, body, headers) -> None:
    response = alice.post(f"/{NAME}.git/git-upload-pack", body, **headers)
    assert response.status_code == 200
    answer = response.getvalue()
    assert answer[:4] in {b"", b"0000"} or b"ERR " in answer or b"not our ref" in answer, answer[:100]
    assert b"PACK" not in answer


def test_a_compressed_request_is_read_within_its_limit(alice, repo) -> None:
    head = queries.head_of(repo).oid
    body = pkt("command=fetch") + b"0001" + pkt(f"want {head}") + pkt("done") + b"0000"
    zipped = alice.post(f"/{NAME}/git-upload-pack", gzip.compress(body), **V2, **{"Content-Encoding": "gzip"})
    assert head in objects_in(zipped.getvalue())
    bomb = gzip.compress(pkt("have " + "1" * 40) * 2_000_000)
    for sent, encoding in (
        (bomb, "gzip"),
        (bomb[:-50], "gzip"),
        (b"rubbish", "gzip"),
        (zlib.compress(body), "deflate"),
    ):
        answer = alice.post(f"/{NAME}/git-upload-pack", sent, **V2, **{"Content-Encoding": encoding})
        assert answer.status_code == 400 or b"ERR " in answer.getvalue()


def test_the_old_protocol_still_works(alice, repo) -> None:
    head = commit(actor_of(alice.user), repo, add("a", "a"))
    first = head.parents[0]
    path = f"/{NAME}.git/git-upload-pack"
    want = pkt(f"want {head.oid} multi_ack_detailed side-band-64k no-progress ofs-delta agent=git/2\n") + b"0000"
    asked = alice.post(path, want + pkt(f"have {'12' * 20}\n") + b"0000").getvalue()
    assert lines_of(asked) == [b"NAK\n"]
    asked = alice.post(path, want + pkt(f"have {first}\n") + b"0000").getvalue()
    assert lines_of(asked) == [f"ACK {first} common\n".encode(), f"ACK {first} ready\n".encode(), b"NAK\n"]
    done = alice.post(path, want + pkt(f"have {first}\n") + pkt("done\n")).getvalue()
    assert lines_of(done)[:2] == [f"ACK {first} common\n".encode(), f"ACK {first}\n".encode()]
    assert kinds(objects_in(done)) == {COMMIT: 1, TREE: 1, BLOB: 1}
    plain = alice.post(path, pkt(f"want {head.oid}\n") + b"0000" + pkt("done\n")).getvalue()
    assert plain.startswith(b"0008NAK\nPACK")
    cut = alice.post(
        path, pkt(f"want {head.oid} side-band-64k\n") + pkt("deepen 1\n") + b"0000" + pkt("done\n")
    ).getvalue()
    assert lines_of(cut)[:3] == [f"shallow {head.oid}\n".encode(), None, b"NAK\n"]


def test_a_clone_counts_as_a_download(alice, repo) -> None:
    head = queries.head_of(repo).oid
    fetch(alice, f"want {head}", "done")
    fetch(alice, f"want {head}", f"have {head}", "done")
    repo.refresh_from_db()
    assert repo.downloads == 1


def test_only_the_smart_protocol_is_spoken(alice, repo) -> None:
    for query in ("", "?service=", "?service=git-upload-archive", "?service=git-receive-pack%00"):
        answer = alice.client.get(f"/{NAME}.git/info/refs{query}", headers=alice.headers)
        assert answer.status_code == 400
        assert answer["Content-Type"].startswith("text/plain")


def test_create_commit_after_a_push_stands_on_it(alice, repo) -> None:
    start = queries.head_of(repo).oid
    objects = Objects()
    tip = objects.files({"a": "1"}, start)
    alice.push(NAME, {"refs/heads/main": (start, tip)}, objects)
    made = create_commit(actor_of(alice.user), repo, "main", [add("b", "2")], summary="More", parent=tip)
    assert made.parents == [tip]
    assert objects_in(fetch(alice, f"want {made.oid}", f"have {tip}", "done")).keys() >= {made.oid, oid_of(BLOB, b"2")}
