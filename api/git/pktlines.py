"""Git's packet lines, read from a stranger and written."""

import enum
import zlib
from collections.abc import Iterator

from django.http import HttpRequest
from dulwich.protocol import pkt_line

from api.hf.bodies import CHUNK_BYTES, Body, Readable
from common.errors import Invalid, TooLarge

FLUSH, DELIMITER = b"0000", b"0001"
DATA, PROGRESS, FATAL = 1, 2, 3
"""Channels of the side band."""
_BAND_BYTES = 65_515
"""The longest packet of side-band-64k, less its length and channel."""


class Mark(enum.Enum):
    """What is no line."""

    FLUSH = enum.auto()
    DELIMITER = enum.auto()
    END = enum.auto()
    """The body is over."""


class Lines:
    """The lines of a request body, which may be compressed; in all at most `limit` bytes of lines."""

    def __init__(self, request: HttpRequest, limit: int) -> None:
        body = Body(request)
        match request.headers.get("Content-Encoding", "identity").lower():
            case "identity":
                self._source: Readable = body
            case "gzip" | "x-gzip":
                self._source = _Gunzip(body)
            case _:
                raise Invalid("The only compression of a request that is read here is gzip.")
        self._left = limit
        self._buffer = bytearray()

    def read(self) -> bytes | Mark:
        """The next line without its length and line end. Raises Invalid, TooLarge."""
        head = self._take(4, may_end=True)
        if not head:
            return Mark.END
        try:
            length = int(head.decode("ascii"), 16) if head.isalnum() else -1
        except ValueError:
            length = -1
        if length == 0:
            return Mark.FLUSH
        if length == 1:
            return Mark.DELIMITER
        if length < 4:
            raise Invalid("The request is not in git's protocol: a line has no length.")
        self._left -= length
        if self._left < 0:
            raise TooLarge("The request names too many objects at once.")
        return self._take(length - 4).removesuffix(b"\n")

    def until_flush(self) -> Iterator[bytes]:
        """The lines up to the next mark."""
        while not isinstance(line := self.read(), Mark):
            yield line

    def rest(self) -> Iterator[bytes]:
        """What comes behind the lines."""
        if self._buffer:
            yield bytes(self._buffer)
            self._buffer.clear()
        while piece := self._source.read(CHUNK_BYTES):
            yield piece

    def _take(self, count: int, *, may_end: bool = False) -> bytes:
        while len(self._buffer) < count:
            piece = self._source.read(CHUNK_BYTES)
            if not piece:
                if may_end and not self._buffer:
                    return b""
                raise Invalid("The request was cut off: try again.")
            self._buffer += piece
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class _Gunzip:
    """Inflates no more than is asked for."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._inflater = zlib.decompressobj(31)

    def read(self, size: int, /) -> bytes:
        while not self._inflater.eof:
            feed = self._inflater.unconsumed_tail or self._source.read(CHUNK_BYTES)
            try:
                piece = self._inflater.decompress(feed, size)
            except zlib.error as error:
                raise Invalid("The request is not compressed as it says.") from error
            if piece:
                return piece
            if not feed:
                raise Invalid("The request was cut off: try again.")
        return b""


def line(text: str | bytes) -> bytes:
    """A packet that holds a line."""
    raw = text.encode() if isinstance(text, str) else text
    packet: bytes = pkt_line(raw + b"\n")
    return packet


def band(channel: int, data: bytes) -> Iterator[bytes]:
    """`data` on a channel of the side band, in as many packets as it takes."""
    prefix = bytes([channel])
    for start in range(0, len(data), _BAND_BYTES):
        yield pkt_line(prefix + data[start : start + _BAND_BYTES])


def gathered(pieces: Iterator[bytes], size: int = _BAND_BYTES) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        while len(buffer) >= size:
            yield bytes(buffer[:size])
            del buffer[:size]
    if buffer:
        yield bytes(buffer)
