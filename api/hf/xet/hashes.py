"""The text form of the 32-byte hashes in Xet bodies and addresses."""

import re
import struct

from common.errors import Invalid

HASH_BYTES = 32
_FOUR_WORDS = struct.Struct("<4Q")
_TEXT = re.compile(r"[0-9a-f]{64}")


def hash_text(raw: bytes) -> str:
    """`raw`, 32 bytes read as four little-endian 64-bit integers, each printed as 16 hex digits. The SHA-256 in a shard is
    stored so that this text is its ordinary hex digest.
    """
    return "".join(f"{word:016x}" for word in _FOUR_WORDS.unpack(raw))


def hash_bytes(text: str) -> bytes:
    """The reverse of `hash_text`."""
    return _FOUR_WORDS.pack(*(int(text[i : i + 16], 16) for i in range(0, 64, 16)))


def checked_hash(text: str) -> str:
    """`text` itself when it is 64 lower-case hex digits; raises Invalid otherwise."""
    if not _TEXT.fullmatch(text):
        raise Invalid("A hash must be 64 lower-case hexadecimal digits.")
    return text
