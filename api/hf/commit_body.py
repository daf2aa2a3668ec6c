"""The body of a commit: one JSON object per line, read as it arrives.

A line is held whole only up to `LINE_BYTES`. In a longer one the base64 text of a file is found, decoded piece by piece and
handed on, so that memory does not grow with the file. The client's order of keys is not relied on.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from api.hf.bodies import CHUNK_BYTES, Readable
from common import strict_json
from common.errors import Invalid, TooLarge

LINE_BYTES = 1024**2
"""A line that fits is parsed at once; only a file's content makes a longer one."""
MAX_LINES = 100_000
"""The public Hub takes 25,000 files per commit; beyond this a commit belongs in several."""
_STRING_END = ord('"')
_BACKSLASH = ord("\\")

Keep = Callable[[Iterator[bytes]], Any]
"""Stores the bytes of one file and returns what stands for them."""


@dataclass(frozen=True)
class Line:
    """One object of the body. `content` is what `Keep` returned for a `file` line, else None."""

    key: str
    value: dict[str, Any]
    content: Any = None


def read_lines(body: Readable, keep: Keep) -> Iterator[Line]:
    """The lines of `body` in order, empty ones left out. The content of each `file` line has gone through `keep` before the line
    is given out. Raises Invalid for anything that is no such line, TooLarge for too many.
    """
    reader = _Reader(body)
    count = 0
    while reader.fill_line():
        count += 1
        if count > MAX_LINES:
            raise TooLarge(f"A commit has at most {MAX_LINES} operations.")
        if reader.line_end < 0:
            yield _long_line(reader, keep)
        elif raw := reader.take_line().strip():
            yield _short_line(raw, keep)


class _Reader:
    """A window on the body: `buffer` holds what is read and not taken."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        self._ended = False
        self.buffer = bytearray()
        self.line_end = -1

    def fill(self) -> bool:
        """Read another piece; False at the end of the body."""
        piece = b"" if self._ended else self._body.read(CHUNK_BYTES)
        self._ended = not piece
        self.buffer += piece
        return bool(piece)

    def fill_line(self) -> bool:
        """Read until a line is whole or longer than the limit. `line_end` is where it ends, -1 when that is not in sight."""
        searched = 0
        while True:
            self.line_end = self.buffer.find(b"\n", searched)
            if self.line_end >= 0:
                return True
            searched = len(self.buffer)
            if searched > LINE_BYTES:
                return True
            if not self.fill():
                self.line_end = searched
                return searched > 0

    def take_line(self) -> bytes:
        line = bytes(self.buffer[: self.line_end])
        del self.buffer[: self.line_end + 1]
        return line


def _short_line(raw: bytes, keep: Keep) -> Line:
    key, value = _key_and_value(raw)
    if key != "file":
        return Line(key, value)
    content = value.pop("content", None)
    if not isinstance(content, str) or not content.isascii():
        raise Invalid("The content of a file must be base64 text.")
    return Line(key, value, keep(_decode(iter([content.encode()]))))


def _long_line(reader: _Reader, keep: Keep) -> Line:
    """A line of which the beginning is in `reader.buffer`."""
    start = _content_start(reader.buffer)
    head = bytes(reader.buffer[:start])
    del reader.buffer[:start]
    content = keep(_decode(_until_quote(reader)))
    if not reader.fill_line():
        raise Invalid("The body ends inside a line.")
    if reader.line_end < 0:
        raise TooLarge(f"A line of the body is longer than {LINE_BYTES} bytes beside the content of its file.")
    # without the content it is a short line: the strict parser sees every other part of it
    key, value = _key_and_value(head + reader.take_line())
    if key != "file" or value.pop("content", None) != "":
        raise Invalid("Only the content of a file may be this long.")
    return Line(key, value, content)


def _key_and_value(raw: bytes) -> tuple[str, dict[str, Any]]:
    line = strict_json.loads_object(raw, max_bytes=2 * LINE_BYTES)
    key, value = line.get("key"), line.get("value")
    if not isinstance(key, str) or not isinstance(value, dict):
        raise Invalid('Each line must be an object with "key" and "value".')
    if key == "file" and value.get("encoding", "base64") != "base64":
        raise Invalid("The encoding of a file must be base64.")
    return key, value


def _content_start(line: bytearray) -> int:
    """Index of the first character of the string under `value.content`. Raises Invalid when none begins in `line`."""
    path: list[str] = []
    last_string, at, size = "", 0, len(line)
    while at < size:
        byte = line[at]
        if byte == _STRING_END:
            if path == ["{value", "{content"]:
                return at + 1
            end = _string_end(line, at + 1)
            last_string = line[at + 1 : end].decode("utf-8", "replace") if end - at < 16 else ""
            at = end
        elif byte in b"{[":
            path.append("")
        elif byte in b"}]":
            if not path:
                break
            path.pop()
        elif byte == ord(":") and path:
            path[-1] = "{" + last_string
        elif byte == ord(",") and path:
            path[-1] = ""
        at += 1
    raise Invalid("A line of the body is too long, and it is not the content of a file.")


def _string_end(line: bytearray, at: int) -> int:
    """Index of the quote that closes the string whose text begins at `at`; the length of `line` when it is not in sight."""
    while True:
        quote = line.find(b'"', at)
        if quote < 0:
            return len(line)
        backslashes = 0
        while line[quote - 1 - backslashes] == _BACKSLASH and quote - 1 - backslashes >= at:
            backslashes += 1
        if backslashes % 2 == 0:
            return quote
        at = quote + 1


def _until_quote(reader: _Reader) -> Iterator[bytes]:
    """The characters up to the closing quote, which stays in the buffer."""
    while True:
        quote = reader.buffer.find(b'"')
        if quote >= 0:
            yield bytes(reader.buffer[:quote])
            del reader.buffer[:quote]
            return
        yield bytes(reader.buffer)
        reader.buffer.clear()
        if not reader.fill():
            raise Invalid("The body ends inside the content of a file.")


def _decode(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of base64 text that comes in pieces. Raises Invalid for other characters, text behind the padding, a cut."""
    rest, is_closed = b"", False
    for piece in pieces:
        text = rest + piece
        # some writers of JSON escape the slash; no other character of base64 can be escaped
        escape = b"\\" if text.endswith(b"\\") else b""
        text = text.removesuffix(escape).replace(b"\\/", b"/")
        whole = len(text) - len(text) % 4
        rest = text[whole:] + escape
        if not whole:
            continue
        if is_closed:
            raise Invalid("The content of a file is not base64: there is text behind its padding.")
        is_closed = text[whole - 1] == ord("=")
        yield _decode_piece(text[:whole])
    if rest:
        raise Invalid("The content of a file is not base64: its length is not a multiple of four.")


def _decode_piece(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise Invalid(f"The content of a file is not base64: {error}.") from error


def sample_of(text: object) -> bytes:
    """The first bytes of a file as a preupload shows them: base64 text, at most 512 bytes. Anything else is no sample."""
    if not isinstance(text, str) or len(text) > 1024:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
