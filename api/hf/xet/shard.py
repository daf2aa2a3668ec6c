"""Shard bodies: which chunks of which xorbs make up which files, as Xet clients upload them.

Little-endian records of 48 bytes. Header: magic 32, version u64, footer size u64. Then the file section and the xorb section,
each closed by a record of 32 × ff and 16 × 0. The body is walked with seeks, so memory does not grow with it; nothing but
`Invalid` is raised for bad bytes.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from api.hf.xet.hashes import HASH_BYTES, hash_text
from common.errors import Invalid

MAGIC = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
VERSION = 2
RECORD_BYTES = 48
END_MARK = b"\xff" * HASH_BYTES + b"\0" * 16
HAS_VERIFICATION = 1 << 31
HAS_SHA256 = 1 << 30
MAX_SHARD_BYTES = 96 * 1024**2
"""Clients close a shard at 64 MiB; one record more or a footer must still fit."""

HEADER = struct.Struct("<32sQQ")
FILE = struct.Struct("<32sII8x")
TERM = struct.Struct("<32sIIII")
SHA256 = struct.Struct("<32s16x")
XORB = struct.Struct("<32sIIII")
_BLOCK_RECORDS = 1024


@dataclass(frozen=True, slots=True)
class Term:
    """Chunks `first` up to, not including, `end` of one xorb: `plain_bytes` of a file."""

    xorb: str
    plain_bytes: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One file of a shard: its terms lie at `terms_at`, `term_count` records long."""

    file_hash: str
    sha256: str
    """Hex digest that the client states for the whole file; the server recomputes it."""
    size_bytes: int
    terms_at: int
    term_count: int


class Shard:
    """A shard in `body` (seekable, `size_bytes` long), checked from end to end when it is opened. Raises Invalid."""

    def __init__(self, body: BinaryIO, size_bytes: int) -> None:
        if size_bytes > MAX_SHARD_BYTES:
            raise Invalid(f"A shard has at most {MAX_SHARD_BYTES} bytes.")
        self._body, self._size_bytes = body, size_bytes
        footer_bytes = self._check_header()
        self.file_count = self.plain_bytes = 0
        for file in self._walk_files():
            self.file_count += 1
            self.plain_bytes += file.size_bytes
        self._xorbs_at = self._body.tell()
        for _ in self.xorbs():
            pass
        left = size_bytes - self._body.tell()
        if left and not footer_bytes:
            raise Invalid("The shard has bytes behind its end.")

    def files(self) -> Iterator[ShardFile]:
        """The files in order."""
        self._body.seek(HEADER.size)
        for file in self._walk_files():
            at = self._body.tell()
            yield file
            self._body.seek(at)

    def terms(self, file: ShardFile) -> Iterator[Term]:
        """The terms of `file` in order; a block of records is in memory at a time."""
        for start in range(0, file.term_count, _BLOCK_RECORDS):
            count = min(_BLOCK_RECORDS, file.term_count - start)
            self._body.seek(file.terms_at + start * RECORD_BYTES)
            for record in TERM.iter_unpack(self._body.read(count * RECORD_BYTES)):
                yield _term(record)

    def xorbs(self) -> Iterator[str]:
        """Hashes of the xorbs that this shard announces."""
        self._body.seek(self._xorbs_at)
        while (record := self._record()) != END_MARK:
            raw, _flags, chunk_count, _plain, _stored = XORB.unpack(record)
            self._skip(chunk_count)
            yield hash_text(raw)

    def _check_header(self) -> int:
        self._body.seek(0)
        magic, version, footer_bytes = HEADER.unpack(self._record())
        if magic != MAGIC:
            raise Invalid("The body is not a shard.")
        if version != VERSION:
            raise Invalid(f"Shard version {version} is not known.")
        if footer_bytes > self._size_bytes:
            raise Invalid("The shard ends inside its footer.")
        return footer_bytes

    def _walk_files(self) -> Iterator[ShardFile]:
        while (record := self._record()) != END_MARK:
            raw, flags, term_count = FILE.unpack(record)
            terms_at = self._body.tell()
            size_bytes = self._measure(term_count)
            if flags & HAS_VERIFICATION:
                self._skip(term_count)
            if not flags & HAS_SHA256:
                raise Invalid("A file of the shard carries no SHA-256.")
            (sha256,) = SHA256.unpack(self._record())
            yield ShardFile(hash_text(raw), hash_text(sha256), size_bytes, terms_at, term_count)

    def _measure(self, term_count: int) -> int:
        """Read past `term_count` terms and sum their plain bytes."""
        self._require(term_count)
        total = 0
        for start in range(0, term_count, _BLOCK_RECORDS):
            count = min(_BLOCK_RECORDS, term_count - start)
            for record in TERM.iter_unpack(self._body.read(count * RECORD_BYTES)):
                total += _term(record).plain_bytes
        return total

    def _record(self) -> bytes:
        record = self._body.read(RECORD_BYTES)
        if len(record) != RECORD_BYTES:
            raise Invalid("The shard ends too early.")
        return record

    def _skip(self, count: int) -> None:
        self._require(count)
        self._body.seek(count * RECORD_BYTES, 1)

    def _require(self, count: int) -> None:
        if self._body.tell() + count * RECORD_BYTES > self._size_bytes:
            raise Invalid("The shard states more records than it has.")


def _term(record: tuple[bytes, int, int, int, int]) -> Term:
    raw, _flags, plain_bytes, first, end = record
    if first >= end or plain_bytes == 0:
        raise Invalid("A term of the shard is empty.")
    return Term(hash_text(raw), plain_bytes, first, end)
