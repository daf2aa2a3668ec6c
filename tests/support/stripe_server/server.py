"""The HTTP side: keys, idempotency, faults, signed deliveries."""

import hashlib
import hmac
import html
import http.server
import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tests.support.stripe_server.forms import decode
from tests.support.stripe_server.routes import ROUTES
from tests.support.stripe_server.shapes import BadParameter, faults, read_params
from tests.support.stripe_server.state import ApiError, State

SECRET_KEY = "sk_test_of_our_own"
WEBHOOK_SECRET = "whsec_of_our_own"


@dataclass
class Fault:
    """What goes wrong with the next requests whose `METHOD /path` fits `where`. `kind`: `500` (stored under the key, as Stripe does),
    `409`, `429`, `reset` (cut before anything was done), `lost` (done, the answer is cut), `slow` (done, answered after `slow_s`),
    `500-done` (done, and answered with a stored 500)."""

    kind: str
    where: str = ""
    times: int = 1
    slow_s: float = 3.0


@dataclass
class _Stored:
    digest: str
    status: int
    body: bytes


class StripeServer:
    """Listens on a port of its own. `state` is changed by the tests as buyers, banks and sellers would; `requests` is what came in."""

    def __init__(self, port: int = 0) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # head and body in one packet: two would wait for each other's receipt, 40 ms each time
            wbufsize = 65536

            def do_POST(self) -> None:
                outer._serve(self)

            do_GET = do_POST  # noqa: N815 - the name is the library's

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.state = State(self.url)
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.problems: list[str] = []
        """Answers that are not of the shape that the package expects: a test must find none."""
        self._stored: dict[str, _Stored] = {}
        self._running: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        assert not self.problems, self.problems[:5]

    def forget_keys(self) -> None:
        """A day goes by."""
        self._stored.clear()

    def count(self, where: str) -> int:
        """How many requests of `METHOD /path` came in."""
        return sum(re.search(where, each) is not None for each in self.requests)

    # -- webhooks

    def sign(self, raw: bytes, *, secret: str = WEBHOOK_SECRET, at: int | None = None) -> str:
        stamp = int(time.time()) if at is None else at
        digest = hmac.new(secret.encode(), b"%d." % stamp + raw, "sha256").hexdigest()
        return f"t={stamp},v1={digest},v0={'0' * 64}"

    def delivery(self, event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
        raw = json.dumps(event, indent=2).encode()
        return {"Stripe-Signature": self.sign(raw), "Content-Type": "application/json; charset=utf-8"}, raw

    def deliver(
        self, post: Callable[[Mapping[str, str], bytes], int], *, rng: random.Random | None = None, times: int = 1
    ) -> int:
        """Send every event that no endpoint has taken, each `times` times and shuffled by `rng`, until it is answered with 2xx or has
        been sent three times more; returns how many were taken."""
        rows = [event for event in self.state.pending for _ in range(times)]
        self.state.pending = []
        if rng is not None:
            rng.shuffle(rows)
        taken = set()
        for event in rows:
            if any(200 <= post(*self.delivery(event)) < 300 for _ in range(4)):
                taken.add(event["id"])
        self.state.pending += [
            event for event in {each["id"]: each for each in rows}.values() if event["id"] not in taken
        ]
        return len(taken)

    def deliver_to(self, url: str, **how: Any) -> int:
        """`deliver` over the network."""

        def post(headers: Mapping[str, str], raw: bytes) -> int:
            with suppress(OSError), urlopen(Request(url, raw, dict(headers)), timeout=20) as answer:
                return int(answer.status)
            return 0

        return self.deliver(post, **how)

    # -- requests

    def _serve(self, request: http.server.BaseHTTPRequestHandler) -> None:
        split = urlsplit(request.path)
        length = int(request.headers.get("Content-Length") or 0)
        text = request.rfile.read(length).decode() if request.command == "POST" else split.query
        line = f"{request.command} {split.path}"
        with self._lock:
            self.requests.append(line)
        if not split.path.startswith("/v1/"):
            self._page(request, split.path)
            return
        fault = self._fault(line)
        if fault and fault.kind == "reset":
            request.connection.close()
            request.close_connection = True
            return
        status, body, headers = self._answer(request, split.path, text, fault)
        if fault and fault.kind == "slow":
            time.sleep(fault.slow_s)
        if fault and fault.kind == "lost":
            request.connection.close()
            request.close_connection = True
            return
        with suppress(OSError):
            _send(request, status, body, {"Content-Type": "application/json", **headers})

    def _answer(
        self, request: http.server.BaseHTTPRequestHandler, path: str, text: str, fault: Fault | None
    ) -> tuple[int, bytes, dict[str, str]]:
        if request.headers.get("Authorization") != f"Bearer {SECRET_KEY}":
            return 401, _error("Invalid API Key provided.", "invalid_request_error"), {}
        if fault and fault.kind == "429":
            return 429, _error("Request rate limit exceeded.", "invalid_request_error", "rate_limit"), {}
        key = request.headers.get("Idempotency-Key", "") if request.command == "POST" else ""
        digest = hashlib.sha256(f"{path}?{text}".encode()).hexdigest()
        if not key:
            status, body = self._do(request.command, path, text, fault)
            return status, body, {}
        with self._lock:
            if key in self._running or (fault and fault.kind == "409"):
                twin = "There is currently another in-progress request using this Idempotent Key."
                return 409, _error(twin, "idempotency_error", "idempotency_key_in_use"), {}
            stored = self._stored.get(key)
            if stored is not None and stored.digest != digest:
                other = "Keys for idempotent requests can only be used with the same parameters."
                return 400, _error(other, "idempotency_error"), {}
            if stored is not None:
                return stored.status, stored.body, {"Idempotent-Replayed": "true"}
            self._running.add(key)
        try:
            status, body = self._do(request.command, path, text, fault)
            # what was refused before it began may be tried again
            if status not in {400, 401, 404, 409, 429}:
                with self._lock:
                    self._stored[key] = _Stored(digest, status, body)
        finally:
            with self._lock:
                self._running.discard(key)
        return status, body, {}

    def _do(self, method: str, path: str, text: str, fault: Fault | None) -> tuple[int, bytes]:
        down = 500, _error("An unknown error occurred.", "api_error")
        if fault and fault.kind == "500":
            return down
        for verb, pattern, kind, handler in ROUTES:
            match = pattern.fullmatch(path)
            if verb != method or match is None:
                continue
            try:
                asked = read_params(decode(text), kind) if kind else decode(text)
                with self._lock:
                    made = handler(self.state, asked, match[1] if match.groups() else "")
                    answer = _public(made)
                    self.problems += faults(answer)
            except BadParameter as error:
                return 400, _error(str(error), "invalid_request_error", error.code, error.param)
            except ApiError as error:
                return error.status, json.dumps(error.body).encode()
            return down if fault and fault.kind == "500-done" else (200, json.dumps(answer).encode())
        return 404, _error(f"Unrecognized request URL ({method}: {path}).", "invalid_request_error")

    def _fault(self, line: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.where, line):
                    fault.times -= 1
                    return fault
        return None

    def _page(self, request: http.server.BaseHTTPRequestHandler, path: str) -> None:
        """Where a buyer pays, in a browser: one button, and back to the shop."""
        session = self.state.objects.get(path.rpartition("/")[2])
        if session is None or not path.startswith("/c/pay/"):
            _send(request, 404, b"Not found", {})
            return
        if request.command == "POST":
            with self._lock, suppress(ApiError):
                self.state.pay(session["id"])
            _send(request, 303, b"", {"Location": session["success_url"]})
            return
        amount = f"{session['amount_total']} {html.escape(session['currency'])}"
        back = html.escape(session["cancel_url"] or "", quote=True)
        page = f'<!doctype html><title>Pay</title><form method="post"><button>Pay {amount}</button></form><a href="{back}">Back</a>'
        _send(request, 200, page.encode(), {"Content-Type": "text/html"})


def _public(made: Any) -> Any:
    if isinstance(made, dict):
        return {name: _public(each) for name, each in made.items() if not name.startswith("_")}
    return [_public(each) for each in made] if isinstance(made, list) else made


def _error(message: str, type: str, code: str = "", param: str = "") -> bytes:
    told = {"message": message, "type": type, **({"code": code} if code else {}), **({"param": param} if param else {})}
    return json.dumps({"error": told}).encode()


def _send(request: http.server.BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), "Request-Id": "req_test", **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
