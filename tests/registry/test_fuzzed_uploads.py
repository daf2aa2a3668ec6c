"""Whatever is sent to the addresses that take files: an answer, never an error of ours; nothing is written outside of the data folder;
and what is refused has moved nothing.

Bodies begin as honest ones and are then spoilt: values replaced by what parsers choke on, lines left out and doubled, bytes flipped and
cut. `FUZZ_EXAMPLES` sets how many each address gets (2,000 and more on demand, at random then)."""

import base64
import copy
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.hf import views_lfs
from api.hf.xet.spool import spool_folder
from registry import queries
from registry.models import Commit, RepoBlob
from registry.services import integrity, storage
from tests.api.git.packs import FILE, ZERO, Objects, pkt
from tests.api.hf.xet_writer import LZ4, STORED, File, ShardBody, xorb
from tests.factories.accounts import actor_of, make_token, make_user
from tests.factories.registry import add, commit, make_repo

pytestmark = pytest.mark.django_db

ON_DEMAND = "FUZZ_EXAMPLES" in os.environ  # noqa: TID251 - how long this test is
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))  # noqa: TID251
LARGE, SECRET, PLAIN = b"a large file of ours" * 20, b"a file of somebody else" * 20, b"plain\n"
DEEP: Any = "deep"
for _ in range(80):
    DEEP = [DEEP]
NASTY: list[Any] = [
    None, True, -1, 0, 1, 2**63 - 1, 2**63, 10**30, 1.5, float("nan"), float("inf"), "", " ", "\x00", "a\x00b", "\ud800", "x" * 300, "y" * 5000,
    [], {}, [None], {"a": {"b": []}}, DEEP, "..", "../x", "/etc/passwd", "a//b", "a/./b", ".git/config", "a\\b", "README.md", "README.md/x",
    "data", "data/", "data/a.txt", "data/a.txt/b", "new.txt", "ä" * 200, "\u202e", "0" * 64, "z" * 64, "A" * 64, "0" * 40, "main", "refs/heads/main",
    "%2e%2e%2f", "=", "QQ=", "QQ==QQ==", "Q" * 4001, hashlib.sha256(LARGE).hexdigest(), hashlib.sha256(SECRET).hexdigest(), "QUJD" * 300_000,
    "file", "lfsFile", "deletedFile", "deletedFolder", "copyFile", "header", "sha1", "utf-8", "upload", "download", "add", "copy", "delete",
]  # fmt: skip
BYTES = [
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\n",
    b"\n\n",
    b"0000",
    b"0001",
    b"ffff",
    b"\xed\xa0\x80",
    b'"',
    b"{",
    b"]" * 50,
    b"PACK",
    b"\x80" * 20,
    b"9" * 400,
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a document with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@st.composite
def spoilt(draw, document: Any, *, strength: int = 3) -> Any:
    """The document with some of its values replaced, left out or doubled."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, strength))):
        found = list(places(document))
        if not found:
            break
        holder, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["replace", "replace", "remove", "double"])):
            case "replace":
                holder[key] = copy.deepcopy(draw(st.sampled_from(NASTY)))
            case "remove":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.insert(draw(st.integers(0, len(holder))), copy.deepcopy(holder[key]))
            case _:
                holder[f"{key}_"] = holder[key]
    return document


DAMAGES = st.tuples(
    st.sampled_from(["whole", "whole", "cut", "overwrite", "insert", "drop", "double"]),
    st.integers(0, 1000),
    st.binary(min_size=1, max_size=8),
    st.sampled_from(BYTES),
)
"""What is done to bytes and where, in thousandths: nothing depends on the bytes, which hold ids that differ each time."""


def damage(raw: bytes, how: tuple[str, int, bytes, bytes]) -> bytes:
    """The bytes as they are, or cut, overwritten, or with something in the middle."""
    kind, place, piece, insert = how
    at = len(raw) * place // 1000
    match kind:
        case "cut":
            return raw[:at]
        case "overwrite":
            return raw[:at] + piece + raw[at + len(piece) :]
        case "insert":
            return raw[:at] + insert + raw[at:]
        case "drop":
            return raw[:at] + raw[at + len(piece) * 3 :]
        case "double":
            return raw + raw
    return raw


def damaged(raw: bytes) -> st.SearchStrategy[bytes]:
    return DAMAGES.map(lambda how: damage(raw, how))


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


class Target:
    """A repository with some files, its owner by HTTP, and what must not move."""

    def __init__(self, client) -> None:
        self.user = make_user("alice")
        mallory = actor_of(make_user("mallory"))
        self.repo = make_repo(actor_of(self.user), "net", kind="model")
        commit(
            actor_of(self.user), self.repo, add("README.md", "# Net"), add("data/a.txt", "a"), add("data/b/c.txt", "c")
        )
        commit(mallory, make_repo(mallory, "hidden", kind="model"), add("secret", SECRET))
        self.client, self.headers = client, {"Authorization": f"Bearer {make_token(self.user, '*')}"}
        client.raise_request_exception = False
        objects = [{"oid": hashlib.sha256(LARGE).hexdigest(), "size": len(LARGE)}]
        told = self.send(
            "POST", "/alice/net.git/info/lfs/objects/batch", text({"operation": "upload", "objects": objects})
        )
        href = told.json()["objects"][0]["actions"]["upload"]["href"]
        assert self.send("PUT", href.removeprefix("http://testserver"), LARGE).status_code == 200

    def send(self, method: str, path: str, body: bytes = b"", content_type: str = "application/json", **headers: str):
        return self.client.generic(method, path, body, content_type=content_type, headers=self.headers | headers)

    def state(self) -> tuple[Any, ...]:
        branches, tags = queries.refs_of(self.repo)
        held = set(RepoBlob.objects.filter(repo=self.repo).values_list("blob_id", flat=True))
        return (
            [(row.name, row.head.tree.oid, row.head.oid) for row in branches],
            list(tags),
            Commit.objects.count(),
            held,
        )

    @property
    def head(self) -> str:
        return queries.resolve_revision(self.repo, "main").oid

    def check(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json", **headers: str
    ) -> bool:
        """Send it; whether it was taken. What is refused has moved nothing."""
        before = self.state()
        answer = self.send(method, path, body, content_type, **headers)
        said = answer.getvalue()
        assert answer.status_code < 500, (method, path, body[:2000], said)
        assert b"Something went wrong" not in said, (method, path, body[:2000])
        is_taken = answer.status_code < 300 and b"ng refs" not in said
        if not is_taken and b"\nok refs" not in said:
            assert self.state() == before, (method, path, body[:2000])
        return is_taken


@pytest.fixture
def target(client, monkeypatch) -> Target:
    monkeypatch.setattr(views_lfs, "PART_FROM_BYTES", 300)
    monkeypatch.setattr(views_lfs, "PART_BYTES", 100)
    return Target(client)


_written: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _written is None or event not in _WRITES:
        return
    paths = arguments[: _WRITES[event]]
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _FOR_WRITING):
        return
    # what is relative to an open folder is below one that was noted itself
    if event != "open" and any(isinstance(other, int) and other > 2 for other in arguments[_WRITES[event] :]):
        return
    _written.extend(os.fspath(path) for path in paths if isinstance(path, str | os.PathLike))


_FOR_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_WRITES = {
    "open": 1,
    "os.rename": 2,
    "os.remove": 1,
    "os.mkdir": 1,
    "os.rmdir": 1,
    "os.link": 2,
    "os.symlink": 2,
    "os.truncate": 1,
}
"""Events of the interpreter, and how many paths they name."""


@pytest.fixture(autouse=True)
def inside(data_folder: Path) -> Iterator[None]:
    """Nothing is written but below the data folder, and nameless files in the folder for them."""
    global _written  # noqa: PLW0603 - a hook can't be taken away again
    if _written is None:
        sys.addaudithook(_note)
    _written = []
    (data_folder / "watched").touch()
    assert _written == [str(data_folder / "watched")]
    yield
    written, _written = _written, []
    roots = (str(data_folder), str(site.BASE_DIR / ".hypothesis"), "/dev/", f"{tempfile.gettempdir()}/tmp")
    database = str(site.DATABASES["default"]["NAME"]), str(site.DATABASES["default"].get("TEST", {}).get("NAME"))
    outside = {path for path in written if not path.startswith((*roots, *database)) and "__pycache__" not in path}
    assert outside == set()


@pytest.fixture(autouse=True)
def clean(target: Target) -> Iterator[None]:
    """Afterwards everything that is promised is there, and nothing is left on its way in."""
    yield
    assert integrity.check(with_bytes=True).is_sound
    assert not any((spool_folder()).rglob("*.part"))
    drafts = Path(site.DATA) / "blobs" / ".drafts"
    assert list(drafts.iterdir()) == []
    assert [item.key for item in storage.store().list("staging/") if item.key.count("/") == 1] == []


fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=not ON_DEMAND,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


LINES = [
    {"key": "header", "value": {"summary": "Change", "description": "Why", "parentCommit": "0" * 40}},
    {"key": "file", "value": {"path": "new.txt", "content": b64(PLAIN), "encoding": "base64"}},
    {"key": "file", "value": {"path": "data/new/x.bin", "content": b64(bytes(range(256))), "encoding": "base64"}},
    {"key": "lfsFile", "value": {"path": "l.bin", "algo": "sha256", "oid": hashlib.sha256(LARGE).hexdigest(), "size": len(LARGE)}},
    {"key": "deletedFile", "value": {"path": "data/a.txt"}},
    {"key": "deletedFolder", "value": {"path": "data/b/"}},
    {"key": "copyFile", "value": {"path": "copy.txt", "srcPath": "README.md", "srcRevision": "main"}},
]  # fmt: skip


@fuzz
@given(st.data())
def test_commits_of_the_hub(target: Target, data) -> None:
    lines = copy.deepcopy(LINES)
    del lines[0]["value"]["parentCommit" if data.draw(st.booleans()) else "description"]
    if data.draw(st.booleans()):
        del lines[6], lines[4:6]
    body = b"\n".join(map(text, data.draw(spoilt(lines))))
    end = data.draw(st.sampled_from(["", "", "?create_pr=1"]))
    target.check("POST", f"/api/models/alice/net/commit/main{end}", data.draw(damaged(body)), "application/x-ndjson")


@fuzz
@given(st.data())
def test_commits_of_the_first_party_api(target: Target, data) -> None:
    operations = [
        {"op": "add", "path": "new.txt", "content": b64(PLAIN)},
        {"op": "add", "path": "l.bin", "sha256": hashlib.sha256(LARGE).hexdigest(), "size_bytes": len(LARGE)},
        {"op": "delete", "path": "data/a.txt"},
        {"op": "copy", "path": "copy.txt", "source_path": "README.md", "source_revision": "main"},
    ]
    given_ = {
        "branch": "main",
        "summary": "Change",
        "parent": None,
        "operations": data.draw(st.permutations(operations)),
    }
    target.check("POST", "/api/v1/repos/model/alice/net/commits", data.draw(damaged(text(data.draw(spoilt(given_))))))
    announced = {"sha256": hashlib.sha256(PLAIN).hexdigest(), "size_bytes": len(PLAIN)}
    target.check(
        "POST", "/api/v1/repos/model/alice/net/uploads", data.draw(damaged(text(data.draw(spoilt(announced)))))
    )


@fuzz
@given(st.data())
def test_questions_before_an_upload(target: Target, data) -> None:
    files = [{"path": "new.txt", "size": 6, "sample": b64(PLAIN)}, {"path": "README.md", "size": 10**7, "sample": ""}]
    asked = {"files": files, "gitAttributes": "*.x filter=lfs", "gitIgnore": "*.tmp\n[a-\n**/\n!"}
    target.check("POST", "/api/models/alice/net/preupload/main", data.draw(damaged(text(data.draw(spoilt(asked))))))
    paths = {"paths": ["README.md", "data", "data/b/c.txt"], "expand": True}
    target.check("POST", "/api/models/alice/net/paths-info/main", data.draw(damaged(text(data.draw(spoilt(paths))))))
    form = data.draw(damaged(b"paths=README.md&paths=data%2Fa.txt&paths=%00&expand=true"))
    target.check("POST", "/api/models/alice/net/paths-info/main", form, "application/x-www-form-urlencoded")
    word = data.draw(st.sampled_from([each for each in NASTY if isinstance(each, str)]))[:3000]
    path = quote(word, safe=data.draw(st.sampled_from(["", "/"])), errors="surrogatepass")
    target.check("GET", f"/api/models/alice/net/tree/main/{path}?recursive=true&cursor={path[:300]}&limit={path[:50]}")
    target.check("GET", f"/api/models/alice/net/tree/{path[:500] or 'x'}?expand=true")


@fuzz
@given(st.data())
def test_large_files(target: Target, data) -> None:
    content = data.draw(st.sampled_from([PLAIN, PLAIN * 100, LARGE, SECRET]))
    named = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
    asked = {"operation": data.draw(st.sampled_from(["upload", "download"])), "objects": [named, named], "transfers": ["basic", "multipart"], "hash_algo": "sha256"}  # fmt: skip
    root = "/alice/net.git/info/lfs"
    target.check("POST", f"{root}/objects/batch", data.draw(damaged(text(data.draw(spoilt(asked))))))
    target.check("POST", f"{root}/verify", data.draw(damaged(text(data.draw(spoilt(named))))))
    hows = iter(data.draw(st.lists(st.one_of(st.none(), DAMAGES), min_size=20, max_size=20)))
    finish = {"oid": named["oid"], "parts": [{"partNumber": 1, "etag": "x"}]}
    body, unlike = data.draw(damaged(text(data.draw(spoilt(finish))))), data.draw(DAMAGES)
    wanted = {"target": {"type": "model", "name": "alice/net"}, "files": [{"filename": "x", "sha256": named["oid"]}]}
    target.check(
        "POST", "/api/models/alice/net/lfs-files/duplicate", data.draw(damaged(text(data.draw(spoilt(wanted)))))
    )
    # nothing is drawn below: what was taken before decides how far this goes
    told = target.send("POST", f"{root}/objects/batch", text({**asked, "operation": "upload"})).json()["objects"][0]
    if "actions" not in told:
        return
    action = told["actions"]["upload"]
    hrefs = [action["href"], *(value for key, value in action.get("header", {}).items() if key.isdigit())]
    for href, how in zip(hrefs[1:] or hrefs, hows, strict=False):
        if how is not None:
            sent = damage(content[:100] if hrefs[1:] else content, how)
            target.check("PUT", href.removeprefix("http://testserver"), sent, "application/octet-stream")
    done = hrefs[0].removeprefix("http://testserver")
    target.check("POST", done, body)
    target.check("POST", damage(done.encode(), unlike).decode("latin-1"), text(finish))


OIDS = [ZERO, "1" * 40, "g" * 40, "", "0" * 39, "0" * 41, "HEAD", "\x00"]
REFS = [
    "refs/heads/main", "refs/heads/new", "refs/tags/v1", "refs/pr/1", "HEAD", "refs/heads/", "refs/heads/a..b", "refs/heads/\x01", "refs/heads/x.lock",
    "../../x", "refs/heads/main\n", "refs/heads/" + "a" * 3000, "refs/notes/x", "refs/heads/main/x",
]  # fmt: skip


@fuzz
@given(st.data())
def test_pushes(target: Target, data) -> None:
    head = target.head
    objects = Objects()
    trees = {"a.txt": (FILE, objects.blob(data.draw(st.binary(max_size=50))))}
    if data.draw(st.booleans()):
        trees["p"] = (FILE, objects.blob(storage.pointer_of(hashlib.sha256(data.draw(st.sampled_from([LARGE, SECRET]))).hexdigest(), len(LARGE))))  # fmt: skip
    tip = objects.commit(objects.tree(trees), data.draw(st.sampled_from([head, head, "1" * 40])))
    if data.draw(st.booleans()):
        objects.tag(tip, "v1")
    commands = [
        f"{data.draw(st.sampled_from([head, head, head, *OIDS]))} {data.draw(st.sampled_from([tip, tip, tip, *OIDS]))} "
        f"{data.draw(st.sampled_from([REFS[0], REFS[0], *REFS]))}".encode()
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    commands[0] += b"\0" + b" ".join(data.draw(st.lists(st.sampled_from([b"report-status", b"side-band-64k", b"atomic", b"quiet", b"\xff", b"delete-refs", b"object-format=sha256"]))))  # fmt: skip
    lines = b"".join(map(pkt, commands)) + b"0000"
    pack = data.draw(damaged(objects.pack()))
    body = data.draw(damaged(lines)) + pack
    headers = data.draw(st.sampled_from([{}, {}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "br"}]))
    target.check("POST", "/alice/net.git/git-receive-pack", body, "application/x-git-receive-pack-request", **headers)


@fuzz
@given(st.data())
def test_chunked_uploads(target: Target, data) -> None:
    told = target.send("GET", "/api/models/alice/net/xet-write-token/main").json()
    address = told["casUrl"].removeprefix("http://testserver")
    bearer = {"Authorization": f"Bearer {told['accessToken']}"}
    pieces = data.draw(
        st.lists(st.tuples(st.binary(min_size=1, max_size=100), st.sampled_from([STORED, LZ4])), min_size=1, max_size=3)
    )
    plain, name = b"".join(piece for piece, _ in pieces), "a" * 64
    taken = target.check("POST", f"{address}/v1/xorbs/default/{name}", data.draw(damaged(xorb(pieces))), "application/octet-stream", **bearer)  # fmt: skip
    digest = data.draw(st.sampled_from([hashlib.sha256(plain).hexdigest(), hashlib.sha256(SECRET).hexdigest()]))
    terms = data.draw(
        st.sampled_from([[(name, len(plain), 0, len(pieces))], [(name, len(plain) + 1, 0, 99)], [("b" * 64, 1, 0, 1)]])
    )
    shard = data.draw(damaged(ShardBody([File(digest, terms)], [(name, len(pieces))]).bytes()))
    before = target.state()
    said = target.send("POST", f"{address}/v1/shards", shard, "application/octet-stream", **bearer)
    assert said.status_code < 500, said.content
    if not taken or said.status_code != 200:
        assert target.state() == before
