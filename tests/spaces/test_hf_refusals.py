"""What must not get in: wrong digests, cut bodies, hostile names and paths, malformed JSON. Each is refused with a sentence in
the protocol's shape, never a 5xx, and nothing moves."""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.api.hf.xet_writer import STORED, File, ShardBody, chunk
from tests.spaces.hf_client import Answer, Hub

MIB = 1024**2
_MADE_BY_TESTS = re.compile(r"/[a-z]+-[0-9a-f]{8}")


def state(hub: Hub, repo: str) -> tuple[Any, ...]:
    """Everything a refused request could have moved."""
    refs = hub.api.list_repo_refs(repo)
    names = sorted(
        found.id for kind in ("models", "datasets") for found in getattr(hub.api, f"list_{kind}")(author=hub.user)
    )
    return (
        [(ref.name, ref.target_commit) for ref in [*refs.branches, *refs.tags]],
        [entry.path for entry in hub.api.list_repo_tree(repo, recursive=True)],
        names,
    )


def assert_refused(answer: Answer, *, what: object = None) -> None:
    assert 400 <= answer.status < 500, (what, answer)
    body = answer.json()
    assert isinstance(body, dict), what
    assert isinstance(body.get("error") or body.get("errors"), str | list), what
    message = answer.headers.get("x-error-message", "")
    assert "\n" not in message


def batch(
    hub: Hub, repo: str, data: bytes, *, transfers: tuple[str, ...] = ("basic",), size: int | None = None
) -> dict:
    digest = hashlib.sha256(data).hexdigest()
    objects = [{"oid": digest, "size": len(data) if size is None else size}]
    body = {"operation": "upload", "transfers": list(transfers), "objects": objects, "hash_algo": "sha256"}
    answer = hub.request("POST", f"/{repo}.git/info/lfs/objects/batch", body)
    assert answer.status == 200
    return answer.json()["objects"][0]


def path_of(hub: Hub, href: str) -> str:
    assert href.startswith(hub.site.url)
    return href.removeprefix(hub.site.url)


def blob_count(hub: Hub) -> int:
    return sum(1 for path in (hub.site.data / "blobs").rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def quiet_repo(live_site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, tuple]]:
    """A repository in which nothing may ever move, and its state."""
    hub = Hub(live_site, live_site.user("hf-alice"), live_site.token("hf-alice"), tmp_path_factory.mktemp("home"))
    name = f"{hub.user}/quiet-{secrets.token_hex(4)}"
    hub.api.create_repo(name)
    yield name, state(hub, name)
    hub.api.delete_repo(name)


HOSTILE_PATHS = [
    "", "/", "//", ".", "..", "./a", "../a", "../../etc/passwd", "a/../b", "a/./b", "a//b", "/etc/passwd", "a/", "/a", "..\\a",
    "a\\..\\b", "\\", "C:\\Windows\\x", "\\\\server\\share", ".git", ".git/config", "a/.git/hooks/x", ".GIT/config", ".Git",
    "git~1", "GIT~1/config", "a/git~1", "a\nb", "a\rb", "a\tb", "a\x00b", "a\x1b[31m", "\x7f", "a\u0085b" * 400,
    "a" * 1001, "a" * 256, "ä" * 128, "a/" * 600 + "b", "\ud800", "a\udfff", "....//....//etc/passwd", "a/..", "..%2f..", "%2e%2e/a",
    "~/../x", "file:///etc/passwd/..", "a/../../../../../../b", "./.", "../.gitattributes", ".git\u200c/../x", "a/.git",
]  # fmt: skip
ALLOWED_ODDITIES = ["..%2f..", "%2e%2e/a"]
"""Names that look hostile and are just names: nothing decodes them a second time."""


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=lambda path: ascii(path)[:40])
def test_a_hostile_path_is_refused_everywhere(hub: Hub, quiet_repo: tuple[str, tuple], path: str) -> None:
    repo, before = quiet_repo
    content = base64.b64encode(b"evil").decode()
    oid = hashlib.sha256(b"evil").hexdigest()
    lines = [
        {"key": "file", "value": {"content": content, "path": path, "encoding": "base64"}},
        {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid, "size": 4}},
        {"key": "deletedFile", "value": {"path": path}},
        {"key": "deletedFolder", "value": {"path": path}},
    ]
    for line in lines:
        if path in ALLOWED_ODDITIES and line["key"] == "file":
            continue
        assert_refused(hub.commit(repo, [line]), what=line)
    for address in (f"/{repo}/resolve/main/{quote(path, safe='', errors='surrogatepass')}",):
        answer = hub.request("GET", address)
        assert_refused(answer, what=address)
    encoded = quote(path, safe="", errors="surrogatepass")
    answer = hub.request("GET", f"/api/models/{repo}/tree/main/{encoded}")
    assert answer.status < 500
    answer = hub.request(
        "POST", f"/api/models/{repo}/preupload/main", {"files": [{"path": path, "size": 4, "sample": ""}]}
    )
    assert answer.status < 500
    answer = hub.request("POST", f"/api/models/{repo}/paths-info/main", {"paths": [path]})
    assert answer.status < 500
    assert state(hub, repo) == before


@pytest.mark.parametrize("path", ALLOWED_ODDITIES)
def test_an_odd_name_is_just_a_name(hub: Hub, repo: str, path: str) -> None:
    hub.api.upload_file(path_or_fileobj=b"odd", path_in_repo=path, repo_id=repo)
    assert [entry.path for entry in hub.api.list_repo_tree(repo, recursive=True) if hasattr(entry, "size")] == [
        path,
        ".gitattributes",
    ] or (path in hub.api.list_repo_files(repo))
    assert hub.request("GET", f"/{repo}/resolve/main/{quote(path)}").body == b"odd"


HOSTILE_NAMES = [
    "", " ", ".", "..", "../x", "a/b/c", "a b", "a--b", "a..b", "-a", "a-", ".a", "a.", "a.git", "A.GIT", "a\n", "a\x00", "ä", "а",
    "a" * 97, "a/../b", "%2e%2e", "a?b", "a#b", "a&b", "<script>", "a;b", "'; DROP TABLE registry_repo; --", "\ud800", "a\u202eb",
    "con\\nul", "$(id)", "`id`", "{{7*7}}", "%00", "a\tb", "@a", "a@b", "~a", "*",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:40])
def test_a_hostile_name_makes_no_repository(hub: Hub, quiet_repo: tuple[str, tuple], name: str) -> None:
    repo, before = quiet_repo
    assert_refused(hub.request("POST", "/api/repos/create", {"name": name, "organization": hub.user}), what=name)
    if name != "":
        assert_refused(hub.request("POST", "/api/repos/create", {"name": "fine", "organization": name}), what=name)
    assert_refused(
        hub.request("POST", "/api/repos/move", {"fromRepo": repo, "toRepo": f"{hub.user}/{name}"}), what=name
    )
    assert_refused(
        hub.request("DELETE", "/api/repos/delete", {"name": name or "x", "organization": hub.user}), what=name
    )
    encoded = quote(name, safe="", errors="surrogatepass") or "x"
    for address in (
        f"/api/models/{hub.user}/{encoded}",
        f"/{hub.user}/{encoded}/resolve/main/a",
        f"/api/models/{encoded}/x",
    ):
        answer = hub.request("GET", address)
        assert 400 <= answer.status < 500, address
        if "/" not in name:
            assert_refused(answer, what=address)
    assert state(hub, repo) == before


HOSTILE_REFS = [
    "", "..", "a..b", "a b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "@",
    "a@{b", "HEAD", "-a", "a\x00", "a\n", "a\x7f", "0" * 40, "x" * 201, "\ud800", "refs/../x",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_REFS, ids=lambda name: ascii(name)[:40])
def test_a_hostile_reference_is_not_made(hub: Hub, quiet_repo: tuple[str, tuple], name: str) -> None:
    repo, before = quiet_repo
    encoded = quote(name, safe="", errors="surrogatepass")
    # a lone surrogate in an address is undecodable bytes, which stand for themselves
    if name not in {"", "..", "\ud800"}:
        assert_refused(hub.request("POST", f"/api/models/{repo}/branch/{encoded}", {}), what=name)
        assert_refused(hub.request("DELETE", f"/api/models/{repo}/tag/{encoded}"), what=name)
    assert_refused(hub.request("POST", f"/api/models/{repo}/tag/main", {"tag": name}), what=name)
    assert_refused(
        hub.request("POST", f"/api/models/{repo}/branch/new", {"startingPoint": name or "nowhere"}), what=name
    )
    assert_refused(hub.request("GET", f"/api/models/{repo}/revision/{encoded or '%20'}"), what=name)
    assert_refused(hub.commit(repo, [], revision=name.encode(errors="replace").decode() or " "), what=name)
    assert state(hub, repo) == before


BAD_JSON = {
    "nothing": b"",
    "not json": b"{nope",
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "nan": b'{"a": NaN, "name": "x"}',
    "infinity": b'{"size": Infinity}',
    "deep": b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "huge integer": b'{"size": 1' + b"0" * 20_000 + b"}",
    "huge exponent": b'{"size": 1e999999}',
    "lone surrogate": b'{"name": "\\ud800", "path": "\\udfff"}',
    "nul": b'{"name": "a\\u0000b"}',
    "not utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"name": "x"}'.encode("utf-16"),
    "twice the same key": b'{"name": "a", "name": "b"}',
    "wrong types": b'{"name": [1], "files": {"a": 1}, "objects": "x", "paths": 7, "tag": {}, "fromRepo": 1, "content": [], '
    b'"startingPoint": [], "gated": {}, "key": 1, "operation": "upload"}',
    "lists of wrong things": b'{"operation": "upload", "objects": [1, null], "files": [1, "x"], "paths": [1, {}], "parts": [3], '
    b'"name": "x", "type": "model", "visibility": "secret"}',
    "negative sizes": b'{"operation": "upload", "objects": [{"oid": "' + b"a" * 64 + b'", "size": -1}], '
    b'"files": [{"path": "x", "size": -5}], "oid": "' + b"a" * 64 + b'", "size": -1}',
    "booleans as sizes": b'{"operation": "upload", "objects": [{"oid": "' + b"a" * 64 + b'", "size": true}], '
    b'"files": [{"path": "x", "size": false}], "oid": "x", "size": true}',
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_malformed_json_is_a_client_error(hub: Hub, repo: str, case: str) -> None:
    before = state(hub, repo)
    raw = BAD_JSON[case]
    for method, address in (
        ("POST", "/api/repos/create"),
        ("DELETE", "/api/repos/delete"),
        ("POST", "/api/repos/move"),
        ("PUT", f"/api/models/{repo}/settings"),
        ("POST", "/api/validate-yaml"),
        ("POST", f"/api/models/{repo}/preupload/main"),
        ("POST", f"/api/models/{repo}/paths-info/main"),
        ("POST", f"/api/models/{repo}/commit/main"),
        ("POST", f"/api/models/{repo}/tag/main"),
        ("POST", f"/api/models/{repo}/branch/from-json"),
        ("POST", f"/{repo}.git/info/lfs/objects/batch"),
        ("POST", f"/{repo}.git/info/lfs/verify"),
        ("POST", "/api/lfs/completion/unsigned"),
        ("POST", f"/api/models/{repo}/discussions"),
        ("POST", f"/api/models/{repo}/discussions/1/comment"),
        ("POST", f"/api/models/{repo}/discussions/1/merge"),
        ("POST", f"/api/models/{repo}/user-access-request/handle"),
        ("POST", f"/api/models/{repo}/user-access-request/grant"),
        ("POST", f"/{repo}/ask-access"),
        ("POST", f"/api/models/{repo}/duplicate"),
        ("POST", f"/api/models/{repo}/lfs-files/duplicate"),
        ("POST", f"/api/models/{repo}/super-squash/nowhere"),
        ("POST", "/api/collections"),
        ("PATCH", f"/api/collections/{hub.user}/{'0' * 32}"),
        ("POST", f"/api/collections/{hub.user}/{'0' * 32}/items"),
        ("POST", "/api/settings/webhooks"),
        ("POST", f"/api/settings/webhooks/{'0' * 32}"),
    ):
        answer = hub.request(method, address, raw, Content_Type="application/json")
        harmless = (address.endswith(("/settings", "/branch/from-json")) and answer.status == 200) or (
            address.endswith("/paths-info/main") and answer.json() == []
        )
        if harmless:
            hub.request("DELETE", f"/api/models/{repo}/branch/from-json")
            continue
        assert_refused(answer, what=(case, address))
    assert state(hub, repo) == before


def test_a_commit_is_all_or_nothing(hub: Hub, repo: str) -> None:
    before = state(hub, repo)
    good = {"key": "file", "value": {"content": "QQ==", "path": "good.txt", "encoding": "base64"}}
    never_sent = hashlib.sha256(os.urandom(8)).hexdigest()
    for status, bad in (
        (400, {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": never_sent, "size": 8}}),
        (400, {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": "z" * 64}}),
        (400, {"key": "lfsFile", "value": {"path": "x.bin", "algo": "md5", "oid": never_sent}}),
        (404, {"key": "deletedFile", "value": {"path": "missing"}}),
        (404, {"key": "deletedFolder", "value": {"path": "missing/"}}),
        (422, {"key": "file", "value": {"content": "QQ==", "path": "../up", "encoding": "base64"}}),
        (400, {"key": "file", "value": {"content": "QQ==", "path": "good.txt/below", "encoding": "base64"}}),
        (400, {"key": "file", "value": {"content": "Q", "path": "b", "encoding": "base64"}}),
        (400, {"key": "file", "value": {"content": "QQ==", "path": "b", "encoding": "utf-8"}}),
        (400, {"key": "explode", "value": {"path": "b"}}),
        (400, {"key": "header", "value": {"summary": "again"}}),
        (400, {"no": "key"}),
    ):
        answer = hub.commit(repo, [good, bad, good])
        assert answer.status == status, (bad, answer)
        assert_refused(answer, what=bad)
    for header in ({"summary": ""}, {"summary": None}, {"summary": 5}, {"parentCommit": 7}):
        assert_refused(hub.commit(repo, [good], **header), what=header)
    assert_refused(hub.request("POST", f"/api/models/{repo}/commit/main", json.dumps(good).encode()))
    assert_refused(hub.commit(repo, [good], revision="nowhere"))
    answer = hub.request("POST", f"/api/models/{repo}/commit/main?create_pr=1", b"{}")
    assert_refused(answer)
    assert hub.commit(repo, [good], parentCommit="0" * 40).status == 412
    assert state(hub, repo) == before


def test_lfs_bytes_that_differ_are_not_kept(hub: Hub, repo: str) -> None:
    data = os.urandom(MIB)
    before, blobs = state(hub, repo), blob_count(hub)
    href = path_of(hub, batch(hub, repo, data)["actions"]["upload"]["href"])
    for wrong in (b"", data[:-1], data + b"x", data[:-1] + bytes([data[-1] ^ 1]), bytes(MIB)):
        assert_refused(hub.request("PUT", href, wrong, token=""), what=len(wrong))
    digest = hashlib.sha256(data).hexdigest()
    verify = {"oid": digest, "size": len(data)}
    assert_refused(hub.request("POST", f"/{repo}.git/info/lfs/verify", verify))
    line = {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": digest, "size": len(data)}}
    assert_refused(hub.commit(repo, [line]))
    assert (state(hub, repo), blob_count(hub)) == (before, blobs)
    assert hub.request("PUT", href, data, token="").status == 200
    # sent again it changes nothing
    assert hub.request("PUT", href, data, token="").status == 200
    assert hub.request("POST", f"/{repo}.git/info/lfs/verify", verify).status == 200
    assert_refused(hub.request("POST", f"/{repo}.git/info/lfs/verify", verify | {"size": 5}))
    assert_refused(hub.commit(repo, [line | {"value": line["value"] | {"size": 5}}]))
    assert hub.commit(repo, [line]).status == 200
    assert "actions" not in batch(hub, repo, data)
    assert hub.request("GET", f"/{repo}/resolve/main/w.bin").body == data


def test_a_cut_connection_leaves_nothing(hub: Hub, repo: str) -> None:
    data = os.urandom(2 * MIB)
    href = path_of(hub, batch(hub, repo, data)["actions"]["upload"]["href"])
    blobs = blob_count(hub)
    host = urlsplit(hub.site.url)
    for address in (href, f"/api/models/{repo}/commit/main"):
        method = "PUT" if address == href else "POST"
        with socket.create_connection((host.hostname, host.port), timeout=20) as connection:
            head = f"{method} {address} HTTP/1.1\r\nHost: {host.netloc}\r\nAuthorization: Bearer {hub.token}\r\n"
            connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[: MIB // 2])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert blob_count(hub) == blobs
    assert "actions" in batch(hub, repo, data)


def test_signed_addresses_cannot_be_made_up(hub: Hub, repo: str) -> None:
    data = os.urandom(100)
    href = path_of(hub, batch(hub, repo, data)["actions"]["upload"]["href"])
    forged = href[:-1] + ("A" if href[-1] != "A" else "B")
    for address in (
        forged,
        "/api/lfs/object/x",
        "/api/lfs/object/" + "A" * 5000,
        "/api/lfs/part/x/1",
        f"/api/lfs/part/{href[16:]}/1",
    ):
        answer = hub.request("PUT", address, data, token="")
        assert_refused(answer, what=address)
    assert "actions" in batch(hub, repo, data)


def test_parts_must_be_complete_and_true(hub: Hub, repo: str) -> None:
    size = 65 * MIB
    data = bytes(size - 4) + b"last"
    action = batch(hub, repo, data, transfers=("basic", "multipart"))["actions"]["upload"]
    step = int(action["header"]["chunk_size"])
    parts = [path_of(hub, action["header"][key]) for key in sorted(key for key in action["header"] if key.isdigit())]
    assert len(parts) == -(-size // step) == 3
    done = path_of(hub, action["href"])
    body = {"oid": hashlib.sha256(data).hexdigest(), "parts": []}
    assert hub.request("PUT", parts[0], data[:step], token="").status == 200
    assert_refused(hub.request("POST", done, body, token=""))
    assert_refused(hub.request("PUT", parts[1], data[:100], token=""))
    assert_refused(hub.request("PUT", parts[2].rsplit("/", 1)[0] + "/4", b"x", token=""))
    assert_refused(hub.request("PUT", parts[2].rsplit("/", 1)[0] + "/0", b"x", token=""))
    assert hub.request("PUT", parts[1], data[step : 2 * step], token="").headers["etag"]
    assert hub.request("PUT", parts[2], b"x" * (size - 2 * step), token="").status == 200
    assert_refused(hub.request("POST", done, body, token=""))
    assert hub.request("PUT", parts[2], data[2 * step :], token="").status == 200
    assert hub.request("POST", done, body, token="").status == 200
    assert hub.request("POST", done, body, token="").status == 200
    assert "actions" not in batch(hub, repo, data)


def test_a_digest_alone_gives_nothing(hub: Hub, stranger: Hub, repo: str, private_repo: str) -> None:
    data = os.urandom(5000)
    hub.api.upload_file(path_or_fileobj=data, path_in_repo="secret.bin", repo_id=private_repo, repo_type="dataset")
    theirs = f"{stranger.user}/r-{secrets.token_hex(4)}"
    stranger.api.create_repo(theirs)
    assert "actions" in batch(stranger, theirs, data)
    line = {
        "key": "lfsFile",
        "value": {"path": "x", "algo": "sha256", "oid": hashlib.sha256(data).hexdigest(), "size": 5000},
    }
    assert_refused(stranger.commit(theirs, [line]))
    assert stranger.api.list_repo_files(theirs) == [".gitattributes"]
    stranger.api.delete_repo(theirs)
    # its owner need not send the bytes twice
    assert "actions" not in batch(hub, repo, data)


def cas(hub: Hub, repo: str) -> tuple[str, str]:
    answer = hub.request("GET", f"/api/models/{repo}/xet-write-token/main").json()
    return path_of(hub, answer["casUrl"]), answer["accessToken"]


def test_a_shard_that_does_not_tell_the_truth_stores_nothing(hub: Hub, repo: str) -> None:
    address, token = cas(hub, repo)
    content = os.urandom(3000)
    digest, name = hashlib.sha256(content).hexdigest(), "a" * 64
    xorb = chunk(content, STORED)
    assert hub.request("POST", f"{address}/v1/xorbs/default/{name}", xorb, token=token).json() == {"was_inserted": True}
    assert hub.request("POST", f"{address}/v1/xorbs/default/{name}", xorb, token=token).json() == {
        "was_inserted": False
    }
    blobs = blob_count(hub)
    terms = [(name, 3000, 0, 1)]
    for shard in (
        b"",
        b"x" * 5000,
        ShardBody([File(digest, terms)], version=9).bytes(),
        ShardBody([File(digest, terms)]).bytes()[:-20],
        ShardBody([File("0" * 64, terms)], [(name, 1)]).bytes(),
        ShardBody([File(digest, [(name, 3001, 0, 1)])], [(name, 1)]).bytes(),
        ShardBody([File(digest, [(name, 3000, 0, 2)])], [(name, 1)]).bytes(),
        ShardBody([File(digest, [("b" * 64, 3000, 0, 1)])], [(name, 1)]).bytes(),
        ShardBody([File(digest, terms, flags=0)], [(name, 1)]).bytes(),
    ):
        for version in ("v1", "v2"):
            answer = hub.request("POST", f"{address}/{version}/shards", shard, token=token)
            if answer.status == 200:
                lines = [json.loads(line) for line in answer.body.splitlines()]
                assert (lines[-1]["type"], bool(lines[-1]["message"])) == ("error", True)
            else:
                assert_refused(answer)
    assert blob_count(hub) == blobs
    assert "actions" in batch(hub, repo, content)
    for version in ("v2", "v1"):
        answer = hub.request(
            "POST", f"{address}/{version}/shards", ShardBody([File(digest, terms)]).bytes(), token=token
        )
        assert json.loads(answer.body.splitlines()[-1])["result"] == 1
    assert "actions" not in batch(hub, repo, content)


def test_storage_for_uploads_is_private_to_its_token(hub: Hub, stranger: Hub, repo: str) -> None:
    address, token = cas(hub, repo)
    name = "a" * 64
    body = chunk(b"abc", STORED)
    for wrong in ("", "nonsense", hub.token, token[:-2] + "xx"):
        for path in (f"/v1/xorbs/default/{name}", "/v1/shards", "/v2/shards"):
            assert hub.request("POST", address + path, body, token=wrong).status == 401
    for bad in ("A" * 64, "a" * 63, "..", "%2e%2e%2fx", "a" * 64 + "%00", "..%2f" + "a" * 61):
        assert_refused(hub.request("POST", f"{address}/v1/xorbs/default/{bad}", body, token=token), what=bad)
    for broken in (b"", b"abc", body[:-1], body + b"x", b"\xff" * 100):
        assert_refused(hub.request("POST", f"{address}/v1/xorbs/default/{name}", broken, token=token), what=broken)
    assert_refused(
        hub.request("POST", f"{address}/v1/xorbs/default/{name}", None, token=token, Content_Length="99999999999")
    )
    # what a client asks and this site does not have is 404 by the letter: anything else ends its upload
    for method, path in (
        ("POST", f"/v1/xorb-grants/default/{name}"), ("GET", f"/v1/chunks/default/{name}"), ("GET", f"/v1/chunks/default-merkledb/{name}"),
        ("GET", "/v2/shards"), ("PUT", "/v1/shards"), ("GET", f"/v2/reconstructions/{name}"), ("PATCH", "/v1/shards"), ("POST", "/x"),
    ):  # fmt: skip
        assert hub.request(method, address + path, {} if method == "POST" else None, token=token).status == 404, path
    # another address of the same person is another spool
    assert hub.request("POST", f"{address}/v1/xorbs/default/{name}", body, token=token).status == 200
    other = cas(hub, repo)[0]
    shard = ShardBody([File(hashlib.sha256(b"abc").hexdigest(), [(name, 3, 0, 1)])], [(name, 1)]).bytes()
    assert_refused(hub.request("POST", f"{other}/v1/shards", shard, token=token))
    their_repo = f"{stranger.user}/r-{secrets.token_hex(4)}"
    stranger.api.create_repo(their_repo)
    assert_refused(hub.request("POST", f"{address}/v1/shards", shard, token=cas(stranger, their_repo)[1]))
    stranger.api.delete_repo(their_repo)
    assert hub.request("GET", f"/api/models/{repo}/xet-write-token/main", token=stranger.token).status == 403
    assert (
        hub.request("GET", f"/api/models/{repo}/xet-write-token/nowhere").headers["x-error-code"] == "RevisionNotFound"
    )
