"""Downloading one file: headers that the client's cache is built on, ranges, and the bytes by the shortest way there is."""

import contextlib
import io
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf.ranges import RangeBeyondEnd, byte_range
from api.hf.routing import place_of
from api.standing import standing_headers
from registry import queries
from registry.errors import EntryNotFound
from registry.policies import require_repo
from registry.services import quarantine, reading, repos, storage

_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_ATTACHMENT = {
    "Accept-Ranges": "bytes",
    "Content-Type": "application/octet-stream",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-cache",
}
LINK_S = 5
"""How long a redirect to the store can be followed: clients do so at once, and resume by asking here again. What is put under quarantine
can't be fetched any longer than that (docs/decisions/0017)."""


def resolve(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, rest: str) -> HttpResponseBase:
    """The file at a revision and path, or its headers. Bytes of users are always an attachment and never taken for a page."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_READ)
    place = place_of(request, repo, rest)
    entry = queries.entry_at(place.commit, place.path)
    if entry.is_dir:
        raise EntryNotFound(f"{place.path} is a folder.", commit_oid=place.commit.oid)

    def count() -> None:
        if _counts(request, entry, place.revision):
            repos.count_download(repo)

    quarantine.require_free(repo, [entry.ref], actor=actor)
    if request.method != "HEAD":
        reading.note_reading(actor, repo, place.commit)
    return send_blob(
        request,
        queries.blob_of(entry),
        filename=entry.name,
        headers=_headers(place.commit.oid, entry) | standing_headers(repo, place.revision),
        on_start=count,
    )


def send_blob(
    request: HttpRequest,
    blob: Any,
    *,
    filename: str,
    headers: Mapping[str, str],
    on_start: Callable[[], None] = lambda: None,
) -> HttpResponseBase:
    """The bytes of a blob, or the range that was asked for, by the shortest way there is; always an attachment. The caller has checked
    the right to read. `on_start` is called when this site is to send the first byte."""
    sent = dict(headers) | _ATTACHMENT
    sent["Content-Disposition"] = content_disposition_header(True, filename) or "attachment"
    try:
        span = byte_range(request.headers.get("Range", ""), blob.size_bytes)
    except RangeBeyondEnd as error:
        refusal = HttpResponse(error.message, status=416, content_type="text/plain")
        refusal["Content-Range"] = f"bytes */{blob.size_bytes}"
        return refusal
    # clients that ask for the headers first keep the address they are led to: to them the site itself answers
    link = None if request.method == "HEAD" else storage.link_for(blob, filename=filename, expires_s=LINK_S)
    if link is not None:
        response: HttpResponseBase = HttpResponse(status=302)
        response["Location"] = link
    elif request.method == "HEAD":
        response = HttpResponse()
        sent["Content-Length"] = str(blob.size_bytes)
    else:
        start, end = span or (0, blob.size_bytes)
        if start == 0:
            on_start()
        response = _body(request, blob, start, end)
        sent["Content-Length"] = str(end - start)
        if span:
            response.status_code = 206
            sent["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size_bytes}"
    for header, value in sent.items():
        response[header] = value
    return response


def _counts(request: HttpRequest, entry: Any, revision: str) -> bool:
    """Whether this is a download for people's statistics: of one large file. Downloads of a whole repository were counted when
    the client asked for its information, and then name the commit."""
    counted = request.headers.get("X-HF-Download-Counter") == "1"
    return counted and entry.sha256 is not None and not _COMMIT_ID.fullmatch(revision)


def _headers(commit_oid: str, entry: Any) -> dict[str, str]:
    headers = {
        "X-Repo-Commit": commit_oid,
        "ETag": f'"{entry.sha256 or entry.oid}"',
    }
    if entry.sha256 is not None:
        headers["X-Linked-ETag"] = headers["ETag"]
        headers["X-Linked-Size"] = str(entry.size_bytes)
    return headers


def _body(request: HttpRequest, blob: Any, start: int, end: int) -> HttpResponseBase:
    path = storage.local_path(blob)
    if path is not None:
        part = FilePart(path.open("rb", buffering=0), start, end, connection=request.META.get("gunicorn.socket"))
        return FileResponse(part, content_type="application/octet-stream")
    return StreamingHttpResponse(storage.open_blob(blob, start, end))


class FilePart(io.RawIOBase):
    """Bytes `start` up to, not including, `end` of a file, opened unbuffered. The server sends them by sendfile: it takes the
    descriptor at its present position and as many bytes as Content-Length says. A server without sendfile reads them. While the part
    is open, `connection` sends full packets only: a quarter less time for a large file."""

    def __init__(self, file: io.FileIO, start: int, end: int, *, connection: socket.socket | None = None) -> None:
        super().__init__()
        self._file, self._left = file, end - start
        is_tcp = connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6)
        self._corked = connection if is_tcp and hasattr(socket, "TCP_CORK") else None
        self._cork(is_on=True)
        file.seek(start)

    def fileno(self) -> int:
        return self._file.fileno()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(self._left, len(buffer)))
        self._left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._cork(is_on=False)
        self._file.close()
        super().close()

    def _cork(self, *, is_on: bool) -> None:
        if self._corked is not None:
            # the other side may have gone already
            with contextlib.suppress(OSError):
                self._corked.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, is_on)
