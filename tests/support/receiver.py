"""A server elsewhere, for requests that the site sends out."""

import http.server
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any, Self


@dataclass
class Received:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Listens on `host` and answers every request with what `answer` says: a status, or a status and headers."""

    def __init__(self, host: str = "127.0.0.2", answer: Callable[[Received], Any] = lambda _: 200) -> None:
        self.received: Queue[Received] = Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.command, self.path, headers, self.rfile.read(length))
                said = outer.answer(received)
                status, more = said if isinstance(said, tuple) else (said, {})
                self.send_response(status)
                for name, value in {"Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                outer.received.put(received)

            do_GET = do_POST  # noqa: N815 - the name is the library's

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self.answer = answer
        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}/hook?x=1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, timeout_s: float = 30) -> Received:
        """The next request, waited for."""
        try:
            return self.received.get(timeout=timeout_s)
        except Empty:
            raise AssertionError(f"nothing arrived within {timeout_s} s") from None
