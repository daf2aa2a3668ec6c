"""Answers as ASGI messages. Every error is `{"error": "<text>"}` with the Content-Type exactly `application/json`: clients of the
protocol show the text only then."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
from django.conf import settings

from api.inference.wire import JSON_TYPE
from common.errors import DomainError

Send = Callable[[dict[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_EXPOSED = b"inference-header-content-length, x-request-id, retry-after, server-timing"


async def reply(
    send: Send, status: int, body: bytes, content_type: bytes = JSON_TYPE, headers: Sequence[Header] = ()
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def reply_json(send: Send, value: object, headers: Sequence[Header] = (), *, status: int = 200) -> None:
    await reply(send, status, orjson.dumps(value), headers=headers)


async def reply_error(send: Send, error: DomainError, headers: Sequence[Header] = ()) -> None:
    extra: list[Header] = []
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        extra.append((b"retry-after", b"%d" % retry_after_s))
    if error.status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    if error.status in {408, 413}:
        # the rest of the body is still on its way: it must not be taken for the next request
        extra.append((b"connection", b"close"))
    await reply_json(send, {"error": error.message}, [*extra, *headers], status=error.status)


def cross_origin(origin: bytes | None) -> tuple[Header, ...]:
    """Headers that let pages of our own site, and no other, read the answer: the try-it form calls from the browser."""
    if origin is None or origin != settings.PUBLIC_URL.encode():
        return ()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    )


async def reply_preflight(send: Send, origin: bytes | None) -> None:
    """What a browser asks before it sends a token across origins."""
    allowed = cross_origin(origin)
    if allowed:
        allowed = (
            *allowed,
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"authorization, content-type, inference-header-content-length"),
            (b"access-control-max-age", b"600"),
        )
    await reply(send, 204 if allowed else 403, b"", headers=allowed)
