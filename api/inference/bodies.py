"""Reading a request's body under limits: its declared size, its real size, its size when unpacked, its time to arrive."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from common.errors import Busy, DomainError, Invalid, TooLarge

Receive = Callable[[], Awaitable[Any]]

MAX_BODY_BYTES = 64 * 1024**2
"""One request, packed or unpacked: a batch of a hundred 224x224 colour images as float32."""
MAX_WAITING_BYTES = 512 * 1024**2
"""All bodies that are being read or computed, together."""
ARRIVAL_LIMIT_S = 30
"""A body that is not complete by then is given up: a slow sender may not hold memory for ever."""


class ClientGone(Exception):
    """The connection ended before the body was complete: nobody is left to answer."""


class SlowBody(DomainError):
    """The body took too long to arrive."""

    status = 408
    default_code = "slow_body"


class Waiting:
    """Bytes of bodies held at present, in this process."""

    def __init__(self) -> None:
        self.held_bytes = 0

    def take(self, count: int) -> None:
        """Raises Busy when all bodies together would be too much."""
        if self.held_bytes + count > MAX_WAITING_BYTES:
            raise Busy("Too many large requests are in progress.", retry_after_s=1)
        self.held_bytes += count

    def give_back(self, count: int) -> None:
        self.held_bytes -= count


async def read_body(receive: Receive, declared: int | None, encoding: bytes | None) -> bytes:
    """The whole body, unpacked. Raises TooLarge, SlowBody, Invalid (unknown or broken encoding), ClientGone."""
    if declared is not None and declared > MAX_BODY_BYTES:
        raise TooLarge(f"A request may have {MAX_BODY_BYTES} bytes.")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        try:
            async with asyncio.timeout(ARRIVAL_LIMIT_S):
                body = await _read_rest(receive, body)
        except TimeoutError:
            raise SlowBody(f"The body did not arrive within {ARRIVAL_LIMIT_S} seconds.") from None
    return body if encoding is None else unpack(body, encoding)


async def _read_rest(receive: Receive, first: bytes) -> bytes:
    parts, total, more = [first], len(first), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        total += len(part)
        if total > MAX_BODY_BYTES:
            raise TooLarge(f"A request may have {MAX_BODY_BYTES} bytes.")
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def unpack(body: bytes, encoding: bytes) -> bytes:
    """`body` without its Content-Encoding (`gzip`, `deflate` or `identity`), never more than MAX_BODY_BYTES of it."""
    name = encoding.strip().lower()
    if name == b"identity":
        return body
    if name in {b"gzip", b"x-gzip"}:
        window = 16 + zlib.MAX_WBITS
    elif name == b"deflate":
        # the standard says zlib; some clients send the bare stream
        window = zlib.MAX_WBITS if len(body) > 1 and not int.from_bytes(body[:2]) % 31 else -zlib.MAX_WBITS
    else:
        raise Invalid("Content-Encoding may be gzip or deflate.")
    machine = zlib.decompressobj(window)
    try:
        plain = machine.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise Invalid("The body is not what its Content-Encoding says.") from None
    if len(plain) > MAX_BODY_BYTES:
        raise TooLarge(f"An unpacked request may have {MAX_BODY_BYTES} bytes.")
    if not machine.eof or machine.unused_data:
        raise Invalid("The packed body is cut short or followed by something else.")
    return plain


def pack(body: bytes, accepted: bytes) -> tuple[bytes, bytes | None]:
    """`body` packed the way the caller asked for (`Accept-Encoding`), if that is gzip or deflate; and the encoding used."""
    offered = {each.split(b";")[0].strip().lower() for each in accepted.split(b",") if not each.endswith(b";q=0")}
    for name, window in ((b"gzip", 16 + zlib.MAX_WBITS), (b"deflate", zlib.MAX_WBITS)):
        if name in offered:
            machine = zlib.compressobj(1, zlib.DEFLATED, window)
            return machine.compress(body) + machine.flush(), name
    return body, None
