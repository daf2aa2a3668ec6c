"""The Open Inference Protocol V2 as a bare ASGI application: no framework, no database and no Django code in a call's way.

A call in order: token and right from memory, rate limit, model (loaded if need be), body, one unit of a budget, run, record in
the spool, reply (calls.py). Health tells about this process only and needs no token; everything else needs one (shows.py).
Which process runs it: `manage.py inference`."""

from collections.abc import Mapping
from typing import Any

import structlog

from api.inference.bodies import ClientGone, Receive
from api.inference.calls import Headers, InternalError, infer
from api.inference.replies import Header, Send, cross_origin, reply_error, reply_preflight
from api.inference.routing import Deed, route_of
from api.inference.service import Service
from api.inference.shows import SHOWS
from common.errors import DomainError, NotFound, Unavailable

log = structlog.get_logger(__name__)


class MethodNotAllowed(DomainError):
    status = 405
    default_code = "method_not_allowed"


class Application:
    """`service` exists between the start and the end of the server."""

    def __init__(self) -> None:
        self.service: Service | None = None

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._answer(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.service = Service()
                await self.service.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self.service is not None:
                    await self.service.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        extra = cross_origin(origin)
        try:
            if scope["method"] == "OPTIONS":
                await reply_preflight(send, origin)
            else:
                await self._dispatch(scope, headers, receive, send, extra)
        except DomainError as error:
            await reply_error(send, error, extra)
        except ClientGone:
            pass
        except Exception:
            log.exception("an answer failed", path=scope["path"])
            await reply_error(send, InternalError("Something went wrong on our side."), extra)

    async def _dispatch(
        self, scope: Mapping[str, Any], headers: Headers, receive: Receive, send: Send, extra: tuple[Header, ...]
    ) -> None:
        service = self.service
        if service is None:
            raise Unavailable("The server is starting.")
        route = route_of(scope["path"])
        if route is None:
            raise NotFound("There is nothing at this address.")
        if scope["method"] != route.method and route.deed is not Deed.NOT_OFFERED:
            raise MethodNotAllowed(f"Use {route.method} here.")
        if route.deed is Deed.INFER:
            await infer(service, route, headers, receive, send, extra)
        else:
            await SHOWS[route.deed](service, route, scope, headers, send, extra)


app = Application()
