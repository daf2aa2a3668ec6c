"""Objects and packs made by hand, also such as git never makes, and pushes of them to the views in this process."""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dulwich.object_format import SHA1
from dulwich.pack import create_delta, pack_object_header

from accounts.models import User
from tests.factories.accounts import make_token

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
FILE, PROGRAM, LINK, SUBMODULE, FOLDER = 0o100644, 0o100755, 0o120000, 0o160000, 0o40000
ZERO = "0" * 40
WHO = b"Ada <ada@example.org> 1000000000 +0000"


@dataclass
class Objects:
    """Objects that go into a pack, in order."""

    all: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, kind: int, content: bytes) -> str:
        self.all.append((kind, content))
        return oid_of(kind, content)

    def blob(self, content: bytes | str) -> str:
        return self.add(BLOB, content.encode() if isinstance(content, str) else content)

    def tree(self, entries: dict[str | bytes, tuple[int, str]]) -> str:
        """Entries in git's order."""
        rows = [(name.encode() if isinstance(name, str) else name, mode, oid) for name, (mode, oid) in entries.items()]
        rows.sort(key=lambda row: row[0] + (b"/" if row[1] == FOLDER else b""))
        return self.raw_tree(rows)

    def raw_tree(self, rows: Iterable[tuple[bytes, int, str]]) -> str:
        return self.add(TREE, b"".join(b"%o %b\0" % (mode, name) + bytes.fromhex(oid) for name, mode, oid in rows))

    def commit(self, tree: str, *parents: str, message: bytes = b"Change\n", headers: bytes = b"") -> str:
        lines = [f"tree {tree}\n", *(f"parent {parent}\n" for parent in parents)]
        return self.add(
            COMMIT, "".join(lines).encode() + b"author %b\ncommitter %b\n%b\n%b" % (WHO, WHO, headers, message)
        )

    def tag(self, target: str, name: str, kind: str = "commit") -> str:
        return self.add(TAG, f"object {target}\ntype {kind}\ntag {name}\ntagger {WHO.decode()}\n\nA tag\n".encode())

    def files(self, files: dict[str, str | bytes], *parents: str) -> str:
        """A commit of files in the top folder."""
        return self.commit(self.tree({name: (FILE, self.blob(content)) for name, content in files.items()}), *parents)

    def pack(self) -> bytes:
        return pack_of([entry(kind, content) for kind, content in self.all])


def oid_of(kind: int, content: bytes) -> str:
    return hashlib.sha1(f"{NAMES[kind]} {len(content)}\0".encode() + content).hexdigest()


def entry(kind: int, content: bytes, *, base: int | bytes | None = None, size: int | None = None) -> bytes:
    """One object as a pack has it. `size`: what it says, when that is a lie."""
    return bytes(pack_object_header(kind, base, len(content) if size is None else size, SHA1)) + zlib.compress(content)


def delta(base: bytes, target: bytes) -> bytes:
    return b"".join(create_delta(base, target))


def pack_of(entries: Sequence[bytes], *, count: int | None = None) -> bytes:
    body = b"PACK" + struct.pack(">LL", 2, len(entries) if count is None else count) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def pkt(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return f"{len(raw) + 4:04x}".encode() + raw


def lines_of(raw: bytes) -> list[bytes | None]:
    """Packet lines; None is a flush or a delimiter."""
    lines, position = [], 0
    while position < len(raw):
        length = int(raw[position : position + 4], 16)
        lines.append(raw[position + 4 : position + length] if length > 3 else None)
        position += max(length, 4)
    return lines


@dataclass
class Report:
    """What the site said to a push."""

    status: int
    unpack: str
    refs: dict[str, str]
    """What became of each ref: `ok`, or why not."""
    said: str


@dataclass
class Pusher:
    """Somebody with a token, answered by the views in this process."""

    client: Any
    user: User | None = None

    @cached_property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {make_token(self.user, '*')}"} if self.user else {}

    def post(self, path: str, body: bytes, **headers: str) -> Any:
        service = path.rsplit("/", 1)[-1]
        return self.client.generic(
            "POST", path, body, content_type=f"application/x-{service}-request", headers=self.headers | headers
        )

    def push(
        self,
        repo: str,
        changes: dict[str, tuple[str, str]] | Sequence[tuple[str | bytes, str, str]],
        pack: Objects | bytes | None = None,
        *,
        capabilities: str = "report-status side-band-64k",
    ) -> Report:
        """`changes`: from and to, by ref."""
        rows = [(name, *ends) for name, ends in changes.items()] if isinstance(changes, dict) else changes
        commands = [
            f"{old} {new} ".encode() + (name.encode() if isinstance(name, str) else name) for name, old, new in rows
        ]
        commands[0] += b"\0" + capabilities.encode()
        body = b"".join(map(pkt, commands)) + b"0000" + (pack.pack() if isinstance(pack, Objects) else pack or b"")
        response = self.post(f"/{repo}.git/git-receive-pack", body)
        if response.status_code != 200:
            return Report(response.status_code, "", {}, response.content.decode())
        bands: dict[int, bytes] = {1: b"", 2: b"", 3: b""}
        for line in lines_of(response.getvalue()):
            if line:
                bands[line[0]] += line[1:]
        report = [line.decode(errors="replace").rstrip("\n") for line in lines_of(bands[1]) if line]
        refs = {}
        for line in report[1:]:
            word, _, rest = line.partition(" ")
            name, _, reason = rest.partition(" ")
            refs[name] = "ok" if word == "ok" else reason
        unpack = report[0].removeprefix("unpack ") if report else ""
        return Report(200, unpack, refs, (bands[2] + bands[3]).decode())

    def refs(self, repo: str) -> dict[str, str]:
        """What is advertised, HEAD included."""
        response = self.client.get(f"/{repo}/info/refs?service=git-upload-pack", headers=self.headers)
        assert response.status_code == 200, response.content
        rows = [line.partition(b"\0")[0].decode().split() for line in lines_of(response.content)[2:] if line]
        return {name: oid for oid, name in rows}
