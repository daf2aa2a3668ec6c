"""Identifiers: uuids that sort by time, secrets that a scanner can recognise, names that people choose."""

import os
import re
import secrets
import string
import time
import zlib
from uuid import UUID

NAME_LIMIT = 96
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_BASE62 = string.digits + string.ascii_letters


def new_uuid() -> UUID:
    """A version 7 uuid (RFC 9562): 48 bits of milliseconds, then random; new rows go to the end of an index."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    return UUID(int=value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def random_bits(count: int) -> int:
    """`count` unpredictable bits, 0 … 2**count - 1."""
    return secrets.randbits(count)


def _base62(number: int, width: int) -> str:
    digits = []
    while number:
        number, rest = divmod(number, 62)
        digits.append(_BASE62[rest])
    return "".join(reversed(digits)).rjust(width, "0")


def new_secret(prefix: str) -> str:
    """`<prefix>_` + 32 random base-62 characters (190 bits) + 6 of CRC-32, so that a leak scanner can tell it from noise."""
    body = "".join(secrets.choice(_BASE62) for _ in range(32))
    return f"{prefix}_{body}{_base62(zlib.crc32(f'{prefix}_{body}'.encode()), 6)}"


def is_secret(text: str, prefix: str) -> bool:
    """Whether `text` has the form and the checksum of `new_secret(prefix)`; costs no look-up."""
    head, body, check = text[: len(prefix) + 1], text[len(prefix) + 1 : -6], text[-6:]
    if head != f"{prefix}_" or len(body) != 32 or not text.isascii():
        return False
    return check == _base62(zlib.crc32(f"{prefix}_{body}".encode()), 6)


def is_name(text: str) -> bool:
    """Whether `text` can name a namespace or a repository: 1–96 of `[A-Za-z0-9._-]`, a word character at both ends,
    no `--`, no `..`, not ending in `.git` (the rule of the Hugging Face client)."""
    return (
        0 < len(text) <= NAME_LIMIT
        and _NAME.fullmatch(text) is not None
        and "--" not in text
        and ".." not in text
        and not text.lower().endswith(".git")
    )
