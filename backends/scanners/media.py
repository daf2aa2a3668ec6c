"""Structure of pictures and sound: walked from the first byte to the last, so that nothing can hide behind them."""

import struct
from collections.abc import Callable


class Malformed(Exception):
    """The content does not keep to its format; the message says where."""


def png(data: memoryview) -> None:
    """Every chunk in order, IHDR first, IEND exactly at the end. Raises `Malformed`."""
    at = 8
    names = []
    while at < len(data):
        if at + 12 > len(data):
            raise Malformed("a PNG chunk is cut off")
        length, name = struct.unpack_from(">I4s", data, at)
        names.append(name)
        at += 12 + length
        if name == b"IEND":
            break
    if at != len(data) or not names or names[0] != b"IHDR" or names[-1] != b"IEND":
        raise Malformed("the PNG does not end where it says")


def jpeg(data: memoryview) -> None:
    """Every segment in order up to the end-of-image marker, which is exactly at the end. Raises `Malformed`."""
    at = 2
    end = len(data)
    while at + 2 <= end:
        if data[at] != 0xFF:
            raise Malformed("a JPEG marker is missing")
        marker = data[at + 1]
        at += 2
        if marker == 0xD9:
            if at != end:
                raise Malformed("there is something behind the end of the JPEG")
            return
        if marker == 0xFF:  # fill byte
            at -= 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        if at + 2 > end:
            break
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise Malformed("a JPEG segment has no length")
        at += length
        if marker == 0xDA:
            at = _after_scan(data, at)
    raise Malformed("the JPEG is cut off")


def riff(data: memoryview) -> None:
    """A RIFF file (WAV, WebP) whose stated size is its size, and whose chunks fill it. Raises `Malformed`."""
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 != len(data):
        raise Malformed("the RIFF size is not the size of the file")
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        at += 8 + length + (length & 1)
    # a last chunk of odd length may come without its padding byte
    if at not in {len(data), len(data) + 1}:
        raise Malformed("a RIFF chunk is cut off")


def _after_scan(data: memoryview, at: int) -> int:
    """Where the entropy-coded data that begins at `at` ends: at a marker that is neither stuffing nor a restart."""
    window = 1024**2
    while at < len(data):
        block = bytes(data[at : at + window])
        found = block.find(b"\xff")
        while 0 <= found < len(block) - 1:
            if block[found + 1] != 0 and not 0xD0 <= block[found + 1] <= 0xD7:
                return at + found
            found = block.find(b"\xff", found + 2)
        # one byte back: an FF at the very end is judged with its follower
        at += len(block) if len(block) < window else len(block) - 1
    return at


Walk = Callable[[memoryview], None]


def media_of(head: bytes) -> tuple[str, Walk] | None:
    """Name and walker of the picture or sound that begins with `head`, or None."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", png
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg", jpeg
    if head.startswith(b"RIFF") and head[8:12] in {b"WAVE", b"WEBP"}:
        return ("wav" if head[8:12] == b"WAVE" else "webp"), riff
    return None
