"""What holds for every request of the site: its id, its log line and measurements, the caller's address, the policy that
browsers enforce."""

import re
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from common.ids import new_uuid
from config.metrics import REQUEST_SECONDS, REQUESTS

log = structlog.get_logger("mercato.request")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:;=-]{1,128}")
"""What may be echoed: no space, no line break, so that nobody forges a header or a log line."""

Answer = Callable[[HttpRequest], HttpResponseBase]


class RequestContext:
    """Gives the request its id (the client's own when it sent a decent one in X-Request-Id or X-Amzn-Trace-Id, as Hugging
    Face clients do), echoes it in X-Request-Id, and writes one event per request: never the query, it may hold secrets."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.TRUSTED_PROXY:
            _take_address_from_proxy(request)
        request_id = _given_id(request) or new_uuid().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - started
        response.headers["X-Request-Id"] = request_id
        match = request.resolver_match
        route = (match.route if match else "") or "unrouted"
        if not request.path.startswith("/-/"):
            REQUESTS.labels(request.method, route, str(response.status_code)).inc()
            REQUEST_SECONDS.labels(route).observe(seconds)
            level = "error" if response.status_code >= 500 else "info"
            getattr(log, level)(
                "request",
                method=request.method,
                path=request.path,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
            )
        return response


class ContentSecurityPolicy:
    """Sends the policy of the settings with every page; a view that has set its own keeps it."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response
        self.policy = "; ".join(f"{name} {value}" for name, value in settings.CONTENT_SECURITY_POLICY.items())

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.policy)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if isinstance(response, HttpResponse) and request.COOKIES and "Cache-Control" not in response.headers:
            # A page made for somebody signed in must not stay in a shared cache.
            response.headers["Cache-Control"] = "private, no-store"
        return response


def _given_id(request: HttpRequest) -> str:
    for name in ("X-Request-Id", "X-Amzn-Trace-Id"):
        text = request.headers.get(name, "")
        if _REQUEST_ID.fullmatch(text):
            return text
    return ""


def _take_address_from_proxy(request: HttpRequest) -> None:
    """REMOTE_ADDR becomes the last address of X-Forwarded-For: the one our own proxy saw and wrote. Earlier ones are the
    client's to invent."""
    last = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    if last:
        request.META["REMOTE_ADDR"] = last
