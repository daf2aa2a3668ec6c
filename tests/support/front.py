"""A server that stands before a running site, at an address of its own, and may misbehave."""

import contextlib
import http.server
import threading
from collections.abc import Callable
from typing import Any, Self

import urllib3

_DROPPED = {"connection", "transfer-encoding", "content-length", "content-encoding", "server", "date"}


class Front:
    """Answers as the site at `url` does, and with `renames` calls itself by its own address in answers of git lfs.

    `refuse(path)` may answer instead: a status, or a status and headers. Of the answer to a path that holds `cut`, only the first
    bytes are sent, as of a server that dies."""

    def __init__(self, url: str, host: str = "127.0.0.2") -> None:
        self.refuse: Callable[[str], Any] = lambda _: None
        self.cut = ""
        self.renames = True
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._answer(self)

            do_POST = do_GET  # noqa: N815 - the name is the library's

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self._target = url
        self._server = http.server.ThreadingHTTPServer((host, 0), Handler)
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, asked: http.server.BaseHTTPRequestHandler) -> None:
        asked.close_connection = True
        body = asked.rfile.read(int(asked.headers.get("Content-Length", "0")))
        said = self.refuse(asked.path)
        if said is not None:
            status, headers = said if isinstance(said, tuple) else (said, {})
            self._send(asked, status, headers, b"")
            return
        sent = {name: value for name, value in asked.headers.items() if name.lower() not in {"host", "connection"}}
        with urllib3.PoolManager(timeout=120, retries=False) as pool:
            answer = pool.request(asked.command, self._target + asked.path, body=body, headers=sent, redirect=False)
        content = answer.data
        if self.renames and "git-lfs" in answer.headers.get("Content-Type", ""):
            content = content.replace(self._target.encode(), self.url.encode())
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _DROPPED}
        self._send(asked, answer.status, kept, content, is_cut=bool(self.cut) and self.cut in asked.path)

    def _send(
        self,
        asked: http.server.BaseHTTPRequestHandler,
        status: int,
        headers: Any,
        content: bytes,
        *,
        is_cut: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            asked.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
                asked.send_header(name, value)
            asked.end_headers()
            asked.wfile.write(content[: len(content) // 2] if is_cut else content)
