"""Xorb bodies: compressed chunks back to back, as Xet clients upload them (no footer).

A chunk is an 8-byte header — version u8 = 0, stored size u24, scheme u8, plain size u24, little-endian — and its stored
bytes. Every length is checked against what is there before anything is read or expanded, and nothing but `Invalid` is raised
for bad bytes. One chunk at a time is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import lz4.frame
import numpy as np

from common.errors import Invalid

MAX_XORB_BYTES = 64 * 1024**2 + 2 * 1024**2
"""The format allows 64 MiB of chunks; the rest is room for headers and for chunks that compression made longer."""
MAX_CHUNKS = 8 * 1024
"""Per xorb, from the format."""
MAX_PLAIN_BYTES = 128 * 1024
"""Per chunk, from the format; the clients' target is 64 KiB."""
MAX_STORED_BYTES = MAX_PLAIN_BYTES + 64 * 1024
"""Per chunk: an LZ4 frame is hardly ever longer than its content."""

HEADER_BYTES = 8
STORED, LZ4, GROUPED_LZ4 = 0, 1, 2
GROUPS = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where one chunk lies in its xorb."""

    offset: int
    """Of the first stored byte, behind the header."""
    stored_bytes: int
    plain_bytes: int
    scheme: int


def scan_chunks(body: BinaryIO, size_bytes: int) -> list[Chunk]:
    """The chunks of the xorb in `body` (seekable, `size_bytes` long), read from their headers alone. Raises Invalid when they
    do not fill the body exactly or break a limit of the format.
    """
    if size_bytes > MAX_XORB_BYTES:
        raise Invalid(f"A xorb has at most {MAX_XORB_BYTES} bytes.")
    chunks: list[Chunk] = []
    at = 0
    while at < size_bytes:
        if len(chunks) == MAX_CHUNKS:
            raise Invalid(f"A xorb has at most {MAX_CHUNKS} chunks.")
        body.seek(at)
        chunk = _read_header(body.read(HEADER_BYTES), at)
        at = chunk.offset + chunk.stored_bytes
        chunks.append(chunk)
    if at != size_bytes:
        raise Invalid("The xorb ends inside a chunk.")
    if not chunks:
        raise Invalid("The xorb holds no chunk.")
    return chunks


def _read_header(header: bytes, at: int) -> Chunk:
    if len(header) != HEADER_BYTES:
        raise Invalid("The xorb ends inside a chunk header.")
    stored, plain = int.from_bytes(header[1:4], "little"), int.from_bytes(header[5:8], "little")
    if header[0] != 0:
        raise Invalid(f"Chunk version {header[0]} is not known.")
    if header[4] not in (STORED, LZ4, GROUPED_LZ4):
        raise Invalid(f"Compression scheme {header[4]} is not known.")
    if not 0 < plain <= MAX_PLAIN_BYTES or not 0 < stored <= MAX_STORED_BYTES:
        raise Invalid("The size of a chunk is outside the limits of the format.")
    if header[4] == STORED and stored != plain:
        raise Invalid("A stored chunk must have two equal sizes.")
    return Chunk(offset=at + HEADER_BYTES, stored_bytes=stored, plain_bytes=plain, scheme=header[4])


def read_chunk(body: BinaryIO, chunk: Chunk) -> bytes:
    """The plain bytes of `chunk`. Raises Invalid when the stored bytes do not expand to exactly the stated size."""
    body.seek(chunk.offset)
    stored = body.read(chunk.stored_bytes)
    if len(stored) != chunk.stored_bytes:
        raise Invalid("The xorb ends inside a chunk.")
    if chunk.scheme == STORED:
        return stored
    plain = _expand(stored, chunk.plain_bytes)
    return _ungroup(plain) if chunk.scheme == GROUPED_LZ4 else plain


def read_chunks(body: BinaryIO, chunks: list[Chunk]) -> Iterator[bytes]:
    return (read_chunk(body, chunk) for chunk in chunks)


def _expand(frame: bytes, plain_bytes: int) -> bytes:
    decoder = lz4.frame.LZ4FrameDecompressor()
    try:
        # one byte more than promised is enough to notice a frame that expands further
        plain = decoder.decompress(frame, max_length=plain_bytes + 1)
    except (RuntimeError, ValueError, EOFError) as error:
        raise Invalid("A chunk is not a valid LZ4 frame.") from error
    if len(plain) != plain_bytes or not decoder.eof or decoder.unused_data:
        raise Invalid("A chunk does not expand to its stated size.")
    return bytes(plain)


def _ungroup(grouped: bytes) -> bytes:
    """Undo the grouping by 4: group g holds the bytes g, g + 4, g + 8, … of the chunk."""
    source = np.frombuffer(grouped, dtype=np.uint8)
    plain = np.empty_like(source)
    at = 0
    for group in range(GROUPS):
        length = len(range(group, len(source), GROUPS))
        plain[group::GROUPS] = source[at : at + length]
        at += length
    return plain.tobytes()
