"""A real S3 server for tests (moto's), and what goes wrong with real ones: refusals, resets, lost answers, cut bodies."""

import contextlib
import random
import re
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import boto3
from moto.moto_server.threaded_moto_server import MotoRequestHandler
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

SLOW_DOWN = ("503 Slow Down", "SlowDown")
INTERNAL = ("500 Internal Server Error", "InternalError")
DENIED = ("403 Forbidden", "AccessDenied")
NO_BUCKET = ("404 Not Found", "NoSuchBucket")
LATE_ERROR = ("200 OK", "InternalError")
"""What a completion or a copy answers when it fails after its status has gone out."""
RESET, LOST_ANSWER, CUT = "reset", "lost answer", "cut"
"""The connection ends before anything is done; after it is done and before the answer; in the middle of the answer's body."""
Kind = tuple[str, str] | str


@dataclass
class Fault:
    """`what`: a regular expression on `METHOD /bucket/key?query`, with `copy ` before a copy. `left`: how often, None for ever;
    `chance` each time."""

    what: str
    kind: Kind
    left: int | None = None
    chance: float = 1.0


class S3Server:
    """`url` its address. `faults` are what goes wrong from now on; `met` counts those that did."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.met: Counter[Kind] = Counter()
        self.rng = random.Random(7)
        self._lock = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=MotoRequestHandler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
        )

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def bucket(self) -> str:
        """A new empty bucket; its STORAGE_URL."""
        name = f"bucket-{secrets.token_hex(8)}"
        self.client.create_bucket(Bucket=name)
        return f"s3://k:s@{name}/site?endpoint={quote(self.url, safe='')}"

    def keys(self, url: str) -> dict[str, int]:
        """All objects of the bucket below its prefix, and their sizes."""
        found = self.client.list_objects_v2(Bucket=_bucket_of(url)).get("Contents", ())
        return {item["Key"].removeprefix("site/"): item["Size"] for item in found}

    def open_uploads(self, url: str) -> int:
        """How many uploads in parts the bucket keeps open."""
        return len(self.client.list_multipart_uploads(Bucket=_bucket_of(url)).get("Uploads", ()))

    @contextlib.contextmanager
    def failing(self, *faults: Fault) -> Iterator[None]:
        """With these faults meanwhile."""
        self.faults = list(faults)
        try:
            yield
        finally:
            self.faults = []

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        copy = "copy " if "HTTP_X_AMZ_COPY_SOURCE" in environ else ""
        kind = self._draw(f"{copy}{environ['REQUEST_METHOD']} {path}?{query}")
        if isinstance(kind, tuple):
            # the body is taken in first, as servers do that answer at all
            if length := int(environ.get("CONTENT_LENGTH") or 0):
                environ["wsgi.input"].read(length)
            body = f"<?xml version='1.0'?><Error><Code>{kind[1]}</Code><Message>made for a test</Message></Error>"
            start_response(kind[0], [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body.encode()]
        if kind == RESET:
            _hang_up(environ)
        answer = self._app(environ, start_response)
        if kind == LOST_ANSWER:
            b"".join(answer)
            _hang_up(environ)
        if kind == CUT:
            whole = b"".join(answer)
            return _half(environ, whole)
        return answer

    def _draw(self, what: str) -> Kind | None:
        with self._lock:
            for fault in self.faults:
                if fault.left == 0 or not re.search(fault.what, what) or self.rng.random() >= fault.chance:
                    continue
                fault.left = None if fault.left is None else fault.left - 1
                self.met[fault.kind] += 1
                return fault.kind
        return None


def _half(environ: dict[str, Any], whole: bytes) -> Iterator[bytes]:
    yield whole[: len(whole) // 2]
    _hang_up(environ)


def _hang_up(environ: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("made for a test")


def _bucket_of(url: str) -> str:
    return url.partition("@")[2].partition("/")[0]
