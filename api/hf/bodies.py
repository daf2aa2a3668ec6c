"""Reading requests: big bodies as a stream, small ones as strict JSON. `request.body` is never touched for a big one."""

import socket
from collections.abc import Iterator
from typing import Any, Protocol

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, UnreadablePostError
from gunicorn.http.body import Body as GunicornBody  # type: ignore[import-untyped]
from gunicorn.http.body import LengthReader

from common import strict_json
from common.errors import Invalid, TooLarge

CHUNK_BYTES = 1024**2
_LENGTH_DIGITS = 18


class Readable(Protocol):
    """Something with bytes to come."""

    def read(self, size: int, /) -> bytes: ...


class BodyCut(Invalid):
    """The connection ended before the body did; nobody is there to read the answer."""


class Body:
    """The bytes of a request, once, in pieces. `size_bytes` is the stated length, None for a chunked request."""

    def __init__(self, request: HttpRequest) -> None:
        self.size_bytes = content_length(request)
        chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        self._source = _source_of(request, is_chunked=chunked)
        self.received_bytes = 0

    def read(self, size: int, /) -> bytes:
        try:
            piece = self._source.read(size)
        except (UnreadablePostError, OSError) as error:
            raise BodyCut("The connection broke while the body was sent.") from error
        self.received_bytes += len(piece)
        return piece

    def chunks(self) -> Iterator[bytes]:
        """All that is left, at most 1 MiB at a time. Raises BodyCut when the stated length is not reached."""
        while piece := self.read(CHUNK_BYTES):
            yield piece
        if self.size_bytes is not None and self.received_bytes < self.size_bytes:
            raise BodyCut("The upload was cut off: the body is shorter than its Content-Length.")

    def rest(self) -> Iterator[bytes]:
        """What nobody has read, whatever its length."""
        while piece := self.read(CHUNK_BYTES):
            yield piece


def _source_of(request: HttpRequest, *, is_chunked: bool) -> Readable:
    """What to read the body from. gunicorn's own stream fetches 1 KiB at a time, and its reader below 8 KiB, copied four times: that
    takes longer than hashing what comes. Django hides a chunked body, because it has no Content-Length.
    """
    if not isinstance(request, WSGIRequest):
        return request
    stream = request.environ["wsgi.input"]
    if isinstance(stream, GunicornBody) and not stream.buf.tell():
        return stream.reader if is_chunked else _SocketBody(stream.reader)
    return stream if is_chunked else request


class _SocketBody:
    """The body of known length behind gunicorn's reader, taken from the socket in as many bytes at once as are asked for."""

    def __init__(self, reader: LengthReader) -> None:
        self._reader = reader

    def read(self, size: int, /) -> bytes:
        unreader, size = self._reader.unreader, min(size, self._reader.length)
        piece: bytes = unreader.take_buffered()
        if len(piece) > size:
            unreader.unread(piece[size:])
            piece = piece[:size]
        if len(piece) < size:
            piece += unreader.sock.recv(size - len(piece), socket.MSG_WAITALL)
        self._reader.length -= len(piece)
        return piece


def content_length(request: HttpRequest) -> int | None:
    """The stated length of the body in bytes; None when there is none. Raises Invalid for anything but a plain number."""
    raw = request.META.get("CONTENT_LENGTH") or ""
    if not raw:
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > _LENGTH_DIGITS:
        raise Invalid("Content-Length is not a number.")
    return int(raw)


def json_object(request: HttpRequest, *, max_bytes: int = 2 * 1024**2) -> dict[str, Any]:
    """The JSON object in the body; {} when there is no body. Raises Invalid, TooLarge."""
    raw = _limited(request, max_bytes)
    return strict_json.loads_object(raw, max_bytes=max_bytes) if raw.strip() else {}


def _limited(request: HttpRequest, max_bytes: int) -> bytes:
    body = Body(request)
    if body.size_bytes is not None and body.size_bytes > max_bytes:
        raise TooLarge(f"The body is larger than {max_bytes} bytes.")
    parts: list[bytes] = []
    for piece in body.chunks():
        parts.append(piece)
        if body.received_bytes > max_bytes:
            raise TooLarge(f"The body is larger than {max_bytes} bytes.")
    return b"".join(parts)


def text_of(data: dict[str, Any], key: str, *, default: str | None = None, max_length: int = 10_000) -> str:
    """The string under `key`. Raises Invalid when it is missing without a `default`, no string, or too long."""
    value = data.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or len(value) > max_length:
        raise Invalid(f'"{key}" must be a text of at most {max_length} characters.', fields={key: "not a text"})
    return value


def size_of(data: dict[str, Any], key: str) -> int:
    """The byte count under `key`. Raises Invalid unless it is a whole number from 0 on."""
    value = data.get(key)
    if type(value) is not int or value < 0:
        raise Invalid(f'"{key}" must be a whole number of bytes.', fields={key: "not a size"})
    return value


def list_of(data: dict[str, Any], key: str, *, max_length: int) -> list[Any]:
    """The list under `key`. Raises Invalid when it is none or longer than `max_length`."""
    value = data.get(key)
    if not isinstance(value, list) or len(value) > max_length:
        raise Invalid(f'"{key}" must be a list of at most {max_length} items.', fields={key: "not a list"})
    return value
