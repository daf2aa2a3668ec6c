"""Packs that strangers send: read without trust. Nothing is inflated further than its stated size, no size is believed beyond
its limit, and no object is held but the one in hand; what deltas make is written beside the pack.

A pack must be whole: deltas against objects that are not in it are refused (the site asks clients for such packs). So a pack can
never be used to find out what another repository holds."""

import hashlib
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Self

from dulwich.errors import ApplyDeltaError
from dulwich.pack import apply_delta

from common.errors import Invalid, TooLarge
from registry.services.gitobjects import BLOB, COMMIT, TAG, TREE, spool_database, spool_folder

MAX_PACK_BYTES = 1024**3
MAX_OBJECTS = 500_000
MAX_INFLATED_BYTES = 4 * 1024**3
"""Of all objects of a pack together."""
MAX_FILE_BYTES = 10 * 1024**2
"""A larger file goes through git lfs, as it goes through the large-file way of the Hugging Face protocol."""
MAX_TREE_BYTES = 4 * 1024**2
"""The listing of one folder: about 100,000 files."""
MAX_TEXT_BYTES = 1024**2
"""A commit or a tag."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken at once. What a person pushes waits in a request; what comes as an archive is a task's, and came through
    the limits of an upload before."""

    pack_bytes: int = MAX_PACK_BYTES
    objects: int = MAX_OBJECTS
    inflated_bytes: int = MAX_INFLATED_BYTES
    commits: int = 20_000


OF_PUSHES = Limits()
OF_ARCHIVES = Limits(256 * 1024**3, 50_000_000, 1024**4, 1_000_000)

_HEADER_BYTES, _DIGEST_BYTES = 12, 20
_OFS_DELTA, _REF_DELTA = 6, 7
_LIMITS = {COMMIT: MAX_TEXT_BYTES, TREE: MAX_TREE_BYTES, BLOB: MAX_FILE_BYTES, TAG: MAX_TEXT_BYTES}
_NAMES = {COMMIT: "commit", TREE: "tree", BLOB: "blob", TAG: "tag"}
_CHUNK = 64 * 1024
_SCHEMA = """
CREATE TABLE entries (
    at INTEGER PRIMARY KEY, kind INT, size INT, data INT, oid BLOB, base_at INT, base_oid BLOB, scratch INT,
    path TEXT, blob INT, sha256 TEXT, large_size INT
);
CREATE INDEX by_oid ON entries (oid);
CREATE INDEX by_base ON entries (base_at) WHERE base_at IS NOT NULL;
CREATE INDEX by_base_oid ON entries (base_oid) WHERE base_oid IS NOT NULL;
"""


class BrokenPack(Invalid):
    """What came is not a pack, or not a whole one."""

    default_code = "broken_pack"


@dataclass(frozen=True, slots=True)
class Packed:
    """One object of the pack."""

    at: int
    kind: int
    size_bytes: int
    oid: str


class Spool:
    """Receives a pack into a file without a name, counting and hashing."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or OF_PUSHES
        self.file: BinaryIO = tempfile.TemporaryFile(dir=spool_folder())  # noqa: SIM115 - it lives as long as the request
        self.size_bytes = 0
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._tail = b""

    def write(self, piece: bytes) -> None:
        """Take the next bytes. From the limit on they are counted and dropped, so that the client can be told in its own words."""
        self.size_bytes += len(piece)
        if self.size_bytes > self.limits.pack_bytes:
            return
        self.file.write(piece)
        joined = self._tail + piece
        self._digest.update(joined[:-_DIGEST_BYTES])
        self._tail = joined[-_DIGEST_BYTES:]

    def check(self) -> None:
        """Raises TooLarge, BrokenPack."""
        if self.size_bytes > self.limits.pack_bytes:
            raise TooLarge(
                f"The push has more than {self.limits.pack_bytes // 1024**2} MB. Send large files with git lfs, or push a part of "
                "the history first: git push origin <older commit>:refs/heads/<branch>."
            )
        if self.size_bytes < _HEADER_BYTES + _DIGEST_BYTES or self._digest.digest() != self._tail:
            raise BrokenPack("The pack was cut off or damaged on its way: push again.")

    def close(self) -> None:
        self.file.close()


class IncomingPack:
    """The objects of a spooled pack, by id. Use it in a `with`."""

    def __init__(self, spool: Spool) -> None:
        spool.check()
        self.limits = spool.limits
        spool.file.flush()
        self._view = mmap.mmap(spool.file.fileno(), 0, access=mmap.ACCESS_READ)
        self._end = len(self._view) - _DIGEST_BYTES
        self._database = spool_database(_SCHEMA)
        self._scratch: BinaryIO = tempfile.TemporaryFile(dir=spool_folder())  # noqa: SIM115 - closed in close()
        self._inflated = 0
        self.count = 0
        self.too_large: TooLarge | None = None
        """Set when deltas were passed over because of a file that is too large, which the caller may know by name."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.close()
        self._database.close()
        self._view.close()

    # Reading it in

    def index(self) -> Iterator[int]:
        """Read the pack once and settle its deltas; yields how many objects are done, now and then. Raises BrokenPack, TooLarge."""
        magic, version, self.count = struct.unpack(">4sLL", self._view[:_HEADER_BYTES])
        if magic != b"PACK" or version not in {2, 3}:
            raise BrokenPack("What was pushed is not a pack of git's.")
        if self.count > self.limits.objects:
            raise TooLarge(
                f"The push has {self.count} objects; {self.limits.objects} can be taken at once. Push a part of the history first: "
                "git push origin <older commit>:refs/heads/<branch>."
            )
        position = _HEADER_BYTES
        for number in range(self.count):
            position = self._read_entry(position)
            if number % 5000 == 4999:
                yield number + 1
        if position != self._end:
            raise BrokenPack("The pack holds more than it says: push again.")
        self._settle()

    def _read_entry(self, at: int) -> int:
        kind, size, position = self._entry_header(at)
        base_at, base_oid = None, None
        if kind == _OFS_DELTA:
            distance, position = self._distance(position)
            base_at = at - distance
            if not _HEADER_BYTES <= base_at < at or not self._row_at(base_at):
                raise BrokenPack("The pack is damaged: a delta leads nowhere.")
        elif kind == _REF_DELTA:
            base_oid = self._view[position : position + _DIGEST_BYTES]
            position += _DIGEST_BYTES
        elif kind not in _LIMITS:
            raise BrokenPack("The pack holds something that is no object of git's.")
        data: int | None = position
        oid: bytes | None = None
        if kind in _LIMITS:
            self._count_bytes(size)
            if kind != BLOB:
                _check_size(kind, size)
            digest = hashlib.sha1(f"{_NAMES[kind]} {size}\0".encode(), usedforsecurity=False)
            position = self._inflate(position, size, digest.update)
            oid = digest.digest()
        else:
            start = bytearray()
            position = self._inflate(position, size, lambda piece: start.extend(piece[: 32 - len(start)]))
            made = _sizes(bytes(start))[1]
            self._count_bytes(size + made)
            if made > MAX_FILE_BYTES:
                data = None
                self.too_large = _too_large(BLOB, made)
            # so the number of its steps is bounded, too
            elif size > made + 64:
                raise BrokenPack("The pack is damaged: a delta is longer than what it makes.")
        row = (at, kind if oid else None, size, data, oid, base_at, base_oid)
        self._database.execute(
            "INSERT INTO entries (at, kind, size, data, oid, base_at, base_oid) VALUES (?, ?, ?, ?, ?, ?, ?)", row
        )
        return position

    def _count_bytes(self, size: int) -> None:
        self._inflated += size
        if self._inflated > self.limits.inflated_bytes:
            raise TooLarge(
                f"The objects of this push have more than {self.limits.inflated_bytes // 1024**3} GB. Send large files with git lfs, or "
                "push a part of the history first: git push origin <older commit>:refs/heads/<branch>."
            )

    def _entry_header(self, at: int) -> tuple[int, int, int]:
        """Type, size and where the entry goes on. A size of more than 63 bits is no size."""
        first = self._byte(at)
        size, shift, position = first & 15, 4, at + 1
        more = first & 0x80
        while more:
            byte = self._byte(position)
            size |= (byte & 0x7F) << shift
            shift, position, more = shift + 7, position + 1, byte & 0x80
            if shift > 63:
                raise BrokenPack("The pack is damaged: an object has no length.")
        return first >> 4 & 7, size, position

    def _distance(self, position: int) -> tuple[int, int]:
        byte = self._byte(position)
        distance = byte & 0x7F
        while byte & 0x80:
            position += 1
            byte = self._byte(position)
            distance = (distance + 1) << 7 | byte & 0x7F
            if distance > self.limits.pack_bytes:
                raise BrokenPack("The pack is damaged: a delta leads nowhere.")
        return distance, position + 1

    def _byte(self, position: int) -> int:
        if position >= self._end:
            raise BrokenPack("The pack ends inside of an object: push again.")
        return self._view[position]

    def _inflate(self, position: int, size: int, take: Callable[[bytes], object]) -> int:
        """Give `take` exactly `size` inflated bytes in pieces; where the deflated ones end. Never inflates more."""
        inflater, left = zlib.decompressobj(), size
        while not inflater.eof:
            feed = self._view[position : min(position + _CHUNK, self._end)]
            if not feed:
                raise BrokenPack("The pack ends inside of an object: push again.")
            position += len(feed)
            piece = b""
            while not inflater.eof and (feed or len(piece) == _CHUNK):
                try:
                    piece = inflater.decompress(feed, _CHUNK)
                except zlib.error as error:
                    raise BrokenPack("The pack is damaged: an object can't be inflated.") from error
                left -= len(piece)
                if left < 0:
                    raise BrokenPack("The pack is damaged: an object is longer than it says.")
                take(piece)
                feed = inflater.unconsumed_tail
        if left:
            raise BrokenPack("The pack is damaged: an object is shorter than it says.")
        return position - len(inflater.unused_data)

    def _settle(self) -> None:
        """Apply every delta once its base is known, each base read once; results go to the scratch file."""
        run = self._database.execute
        is_base = "EXISTS (SELECT 1 FROM entries delta WHERE delta.base_at = base.at OR delta.base_oid = base.oid)"
        pending = [at for (at,) in run(f"SELECT at FROM entries base WHERE oid IS NOT NULL AND {is_base}")]  # noqa: S608 - fixed text
        while pending:
            base = self._row_at(pending.pop())
            assert base is not None
            base_at, kind, size, _, base_oid, _ = base
            children = run(
                "SELECT at, size, data FROM entries "
                # the plus keeps SQLite from going through all that are not settled
                "WHERE +oid IS NULL AND data IS NOT NULL AND (base_at = ? OR base_oid = ?)",
                (base_at, base_oid),
            ).fetchall()
            if not children:
                continue
            if size > _LIMITS[kind]:
                self.too_large = _too_large(kind, size)
                continue
            content = self._content(base)
            for at, delta_size, data in children:
                made = _applied(content, self._inflated_at(data, delta_size))
                _check_size(kind, len(made))
                oid = _oid(kind, made)
                where = self._scratch.seek(0, os.SEEK_END)
                self._scratch.write(made)
                run(
                    "UPDATE entries SET kind = ?, size = ?, oid = ?, scratch = ? WHERE at = ?",
                    (kind, len(made), oid, where, at),
                )
                pending.append(at)
        if self.too_large is None and run("SELECT 1 FROM entries WHERE oid IS NULL").fetchone():
            raise BrokenPack("The pack has deltas against objects that are not in it: push with git push --no-thin.")

    def _inflated_at(self, data: int, size: int) -> bytes:
        parts: list[bytes] = []
        self._inflate(data, size, parts.append)
        return b"".join(parts)

    def _row_at(self, at: int) -> tuple[int, int, int, int, bytes, int | None] | None:
        row: tuple[int, int, int, int, bytes, int | None] | None = self._database.execute(
            "SELECT at, kind, size, data, oid, scratch FROM entries WHERE at = ?", (at,)
        ).fetchone()
        return row

    def _content(self, row: tuple[int, int, int, int, bytes, int | None]) -> bytes:
        _, _, size, data, _, scratch = row
        if scratch is None:
            return self._inflated_at(data, size)
        self._scratch.seek(scratch)
        return self._scratch.read(size)

    # Looking into it

    def find(self, oid: str) -> Packed | None:
        """The object with this id, if the pack has it."""
        row = self._database.execute(
            "SELECT at, kind, size FROM entries WHERE oid = ? LIMIT 1", (bytes.fromhex(oid),)
        ).fetchone()
        return Packed(row[0], row[1], row[2], oid) if row else None

    def content(self, packed: Packed) -> bytes:
        """The bytes of an object within its limit. Raises TooLarge."""
        _check_size(packed.kind, packed.size_bytes)
        row = self._row_at(packed.at)
        assert row is not None
        return self._content(row)

    # Noting what became of files

    def want_file(self, packed: Packed, path: str) -> None:
        """Note that a commit of this push has the file, at `path` among others."""
        self._database.execute("UPDATE entries SET path = coalesce(path, ?) WHERE at = ?", (path, packed.at))

    def wanted_files(self) -> Iterator[tuple[Packed, str]]:
        """The files noted, each once, with a path."""
        last = -1
        query = "SELECT at, kind, size, oid, path FROM entries WHERE path IS NOT NULL AND at > ? ORDER BY at LIMIT 500"
        while rows := self._database.execute(query, (last,)).fetchall():
            for at, kind, size, oid, path in rows:
                yield Packed(at, kind, size, oid.hex()), path
            last = rows[-1][0]

    def keep_file(self, packed: Packed, blob: int, size_bytes: int, sha256: str | None) -> None:
        """Note where the bytes of a file are now: `blob` is a primary key, `sha256` set for a large file."""
        self._database.execute(
            "UPDATE entries SET blob = ?, large_size = ?, sha256 = ? WHERE at = ?",
            (blob, size_bytes, sha256, packed.at),
        )

    def kept_file(self, oid: str) -> tuple[int, int, str | None] | None:
        """What `keep_file` noted of the file with this id: blob, size, sha256."""
        row: tuple[int, int, str | None] | None = self._database.execute(
            "SELECT blob, large_size, sha256 FROM entries WHERE oid = ? AND blob IS NOT NULL LIMIT 1",
            (bytes.fromhex(oid),),
        ).fetchone()
        return row


def _oid(kind: int, content: bytes) -> bytes:
    return hashlib.sha1(f"{_NAMES[kind]} {len(content)}\0".encode() + content, usedforsecurity=False).digest()


def _sizes(start: bytes) -> tuple[int, int]:
    """The length of the base and of the result, with which a delta begins."""
    sizes, position = [], 0
    for _ in range(2):
        size, shift = 0, 0
        while True:
            if position >= len(start) or shift > 63:
                raise BrokenPack("The pack is damaged: a delta has no length.")
            byte = start[position]
            size |= (byte & 0x7F) << shift
            shift, position = shift + 7, position + 1
            if not byte & 0x80:
                break
        sizes.append(size)
    return sizes[0], sizes[1]


def _applied(base: bytes, delta: bytes) -> bytes:
    """The result of a delta whose stated length was checked before: more is never made."""
    try:
        return b"".join(apply_delta(base, delta))
    except (ApplyDeltaError, ValueError, IndexError, OverflowError) as error:
        raise BrokenPack("The pack is damaged: a delta does not fit.") from error


def _check_size(kind: int, size: int) -> None:
    if size > _LIMITS[kind]:
        raise _too_large(kind, size)


def _too_large(kind: int, size: int) -> TooLarge:
    if kind == BLOB:
        return TooLarge(too_large_file("A file", size))
    if kind == TREE:
        return TooLarge(
            f"A folder of this push has a listing of {size} bytes; {MAX_TREE_BYTES} are the limit, about 100,000 files. Put them "
            "into several folders."
        )
    return TooLarge(f"A {_NAMES[kind]} of this push has {size} bytes; {MAX_TEXT_BYTES} are the limit.")


def too_large_file(what: str, size_bytes: int) -> str:
    """The sentence that sends a file to git lfs."""
    return (
        f"{what} has {size_bytes / 1024**2:.1f} MB; from {MAX_FILE_BYTES // 1024**2} MB on, use git lfs: git lfs migrate import "
        f"--everything --above={MAX_FILE_BYTES // 1024**2}MB, then push again."
    )
