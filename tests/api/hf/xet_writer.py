"""Writes xorb and shard bodies as a Xet client does, for the tests of the parsers."""

import hashlib
import struct
from dataclasses import dataclass, field

import lz4.frame

from api.hf.xet.hashes import hash_bytes
from api.hf.xet.shard import END_MARK, HAS_SHA256, HAS_VERIFICATION, MAGIC

STORED, LZ4, GROUPED = 0, 1, 2


def group(plain: bytes) -> bytes:
    return b"".join(plain[i::4] for i in range(4))


def chunk(plain: bytes, scheme: int, *, plain_bytes: int | None = None, version: int = 0) -> bytes:
    stored = {
        STORED: lambda: plain,
        LZ4: lambda: lz4.frame.compress(plain),
        GROUPED: lambda: lz4.frame.compress(group(plain)),
    }[scheme]()
    stated = len(plain) if plain_bytes is None else plain_bytes
    return (
        bytes([version]) + len(stored).to_bytes(3, "little") + bytes([scheme]) + stated.to_bytes(3, "little") + stored
    )


def xorb(chunks: list[tuple[bytes, int]]) -> bytes:
    return b"".join(chunk(plain, scheme) for plain, scheme in chunks)


def xorb_hash(body: bytes) -> str:
    """Any stable 64 hex digits will do: the server does not recompute xorb hashes."""
    return hashlib.blake2b(body, digest_size=32).hexdigest()


@dataclass
class File:
    """`terms`: (xorb hash, plain bytes, first chunk, end chunk)."""

    sha256: str
    terms: list[tuple[str, int, int, int]]
    flags: int = HAS_SHA256 | HAS_VERIFICATION


@dataclass
class ShardBody:
    files: list[File]
    xorbs: list[tuple[str, int]] = field(default_factory=list)
    magic: bytes = MAGIC
    version: int = 2
    footer: bytes = b""

    def bytes(self) -> bytes:
        out = [struct.pack("<32sQQ", self.magic, self.version, len(self.footer))]
        for file in self.files:
            out.append(struct.pack("<32sII8x", b"f" * 32, file.flags, len(file.terms)))
            out += [struct.pack("<32sIIII", hash_bytes(x), 0, size, first, end) for x, size, first, end in file.terms]
            if file.flags & HAS_VERIFICATION:
                out += [b"v" * 48] * len(file.terms)
            if file.flags & HAS_SHA256:
                out.append(struct.pack("<32s16x", hash_bytes(file.sha256)))
        out.append(END_MARK)
        for name, count in self.xorbs:
            out.append(struct.pack("<32sIIII", hash_bytes(name), 0, count, 1, 0))
            out += [b"c" * 48] * count
        return b"".join([*out, END_MARK, self.footer])
