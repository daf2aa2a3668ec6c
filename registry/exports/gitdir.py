"""A repository as a bare one of git's: one pack with its index, and the refs. `git clone` reads it as it lies there."""

import hashlib
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from dulwich.pack import pack_header_chunks

from registry.exports.records import Snapshot
from registry.exports.spooling import Member, Spooled
from registry.services.gitobjects import BLOB, Fetch, GitRef, Plan, packed_objects, spool_database
from registry.trees import Node

_INDEX_MAGIC = b"\377tOc\x00\x00\x00\x02"
_LARGE = 2**31
_CONFIG = (
    b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
    # the large files of all repositories lie beside them, each once
    b"[lfs]\n\tstorage = ../../../lfs\n"
)


def plan_of(snapshot: Snapshot) -> Plan | None:
    """What the pack holds: all that the refs of the snapshot lead to; None without any. Close its table. Raises Quarantined
    when a file that git itself would have to hold is held back."""
    wants = [ref.oid for ref in snapshot.git_refs()]
    return Fetch(snapshot.repo, wants).plan(()) if wants else None


def large_files(plan: Plan) -> Iterator[list[Node]]:
    """The large files that the commits of the plan name, in batches."""
    for nodes in plan.table.all_of(BLOB):
        yield [node for node in nodes if node.sha256 is not None]


def members(snapshot: Snapshot, plan: Plan | None) -> Iterator[Member]:
    """The files of the bare repository, by their names below it."""
    refs = snapshot.git_refs()
    yield Member.of_bytes("HEAD", f"ref: refs/heads/{snapshot.repo.default_branch}\n".encode())
    yield Member.of_bytes("config", _CONFIG)
    yield Member.of_bytes("packed-refs", b"".join(_packed_refs(refs)))
    # git takes a folder for a repository only if it has this folder, and not every way of copying keeps empty ones
    yield Member.of_bytes("refs/.keep", b"")
    if plan is None:
        return
    with Spooled() as pack, Spooled() as index:
        digest = _write_pack(plan, pack, index.file)
        yield pack.member(f"objects/pack/pack-{digest}.pack")
        yield index.member(f"objects/pack/pack-{digest}.idx")


def _packed_refs(refs: list[GitRef]) -> Iterator[bytes]:
    yield b"# pack-refs with: peeled fully-peeled sorted \n"
    for ref in refs:
        yield f"{ref.oid} {ref.name}\n".encode()
        if ref.peeled:
            yield f"^{ref.peeled}\n".encode()


def _write_pack(plan: Plan, pack: Spooled, index: IO[bytes]) -> str:
    """The pack and its index; returns the digest that both are called by. What is known of each object is kept on disk."""
    base = spool_database("CREATE TABLE entries (oid BLOB PRIMARY KEY, crc INT, at INT) WITHOUT ROWID;")
    digest, at = hashlib.sha1(usedforsecurity=False), 0

    def put(piece: bytes) -> None:
        nonlocal at
        pack.file.write(piece)
        digest.update(piece)
        at += len(piece)

    try:
        for piece in pack_header_chunks(len(plan)):
            put(piece)
        for oid, pieces in packed_objects(plan):
            begin, crc = at, 0
            for piece in pieces:
                crc = zlib.crc32(piece, crc)
                put(piece)
            base.execute("INSERT INTO entries VALUES (?, ?, ?)", (bytes.fromhex(oid), crc, begin))
        put(digest.digest())
        written = hashlib.sha1(usedforsecurity=False)
        for piece in _index(base, pack.tail(20)):
            index.write(piece)
            written.update(piece)
        index.write(written.digest())
    finally:
        base.close()
    return pack.tail(20).hex()


def _index(base: sqlite3.Connection, pack_digest: bytes) -> Iterator[bytes]:
    """A pack index of version 2 (https://git-scm.com/docs/pack-format), read off the table: dulwich's writer holds all of it."""
    yield _INDEX_MAGIC
    starts = dict(base.execute("SELECT hex(substr(oid, 1, 1)), count(*) FROM entries GROUP BY 1"))
    total = 0
    for first in range(256):
        total += starts.get(f"{first:02X}", 0)
        yield struct.pack(">L", total)
    for (oid,) in base.execute("SELECT oid FROM entries ORDER BY oid"):
        yield oid
    for (crc,) in base.execute("SELECT crc FROM entries ORDER BY oid"):
        yield struct.pack(">L", crc)
    far = 0
    for (at,) in base.execute("SELECT at FROM entries ORDER BY oid"):
        yield struct.pack(">L", at if at < _LARGE else _LARGE + far)
        far += at >= _LARGE
    for (at,) in base.execute("SELECT at FROM entries WHERE at >= ? ORDER BY oid", (_LARGE,)):
        yield struct.pack(">Q", at)
    yield pack_digest
