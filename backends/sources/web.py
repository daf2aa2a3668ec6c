"""What all sources on the web share: answers and what their status means, digests, addresses."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from backends.contracts.sources import Answer, Door
from backends.errors import Missing, Rejected, Transient

FILE_S = 6 * 3600.0
LIST_S = 120.0
LIST_BYTES = 32 * 1024**2
REDIRECTS = 5
_PASSING = {408, 425, 429, 500, 502, 503, 504}


@contextmanager
def got(
    door: Door, url: str, headers: Mapping[str, str], *, limit_bytes: int, timeout_s: float, follow: int = REDIRECTS
) -> Iterator[Answer]:
    """The answer to a GET that went well. Raises Rejected, Missing, Transient by its status, which never repeat the address' query."""
    plain = {"User-Agent": "mercato-import/1", "Accept-Encoding": "identity", **headers}
    with door("GET", url, headers=plain, limit_bytes=limit_bytes, timeout_s=timeout_s, follow=follow) as answer:
        require_well(answer, url)
        yield answer


def require_well(answer: Answer, url: str) -> None:
    status, what = answer.status, shown(url)
    if status == 200:
        if answer.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
            raise Rejected(f"{what} answers in a compressed form that was not asked for.")
        return
    if status in {401, 403}:
        raise Rejected(f"{what} refuses ({status}): give a key or token that may read there.")
    if status in {404, 410}:
        raise Missing(f"There is nothing at {what} ({status}).")
    if status == 412:
        raise Rejected(f"{what} has changed since it was listed: begin again.")
    if status in _PASSING:
        raise Transient(f"{what} fails at the moment ({status}).")
    if 300 <= status < 400:
        raise Rejected(f"{what} leads elsewhere too often ({status}): give the address of the file itself.")
    raise Rejected(f"{what} answers with {status}, which brings no file.")


def read_text(
    door: Door, url: str, headers: Mapping[str, str], *, follow: int = REDIRECTS
) -> tuple[bytes, Mapping[str, str]]:
    """A short answer, whole, and its headers."""
    with got(door, url, headers, limit_bytes=LIST_BYTES, timeout_s=LIST_S, follow=follow) as answer:
        return b"".join(answer), answer.headers


def read_json(
    door: Door, url: str, headers: Mapping[str, str], *, follow: int = REDIRECTS
) -> tuple[Any, Mapping[str, str]]:
    """`read_text` as JSON. Raises Rejected when it is none."""
    raw, said = read_text(door, url, {"Accept": "application/json", **headers}, follow=follow)
    try:
        return json.loads(raw), said
    except (ValueError, RecursionError) as error:
        raise Rejected(f"{shown(url)} does not answer in JSON: is the address right?") from error


@contextmanager
def bytes_of(
    door: Door,
    url: str,
    headers: Mapping[str, str],
    *,
    limit_bytes: int,
    sha256: str = "",
    git_oid: str = "",
    size: int | None = None,
) -> Iterator[Iterator[bytes]]:
    """The bytes of a file, which are refused at their end unless they are those that were announced."""
    with got(door, url, headers, limit_bytes=limit_bytes, timeout_s=FILE_S) as answer:
        yield _checked(answer, shown(url), sha256, git_oid, size)


def _checked(chunks: Answer, what: str, sha256: str, git_oid: str, size: int | None) -> Iterator[bytes]:
    digest, seen = hashlib.sha256(), 0
    git = hashlib.sha1(b"blob %d\0" % (size or 0), usedforsecurity=False)
    for chunk in chunks:
        seen += len(chunk)
        if sha256:
            digest.update(chunk)
        if git_oid:
            git.update(chunk)
        yield chunk
    if size is not None and seen != size:
        raise Transient(f"{what} gave {seen} bytes; {size} were announced.")
    if (sha256 and digest.hexdigest() != sha256) or (git_oid and git.hexdigest() != git_oid):
        raise Rejected(f"The bytes of {what} are not those that were announced: their digest is another.")


def base_of(text: str, label: str, name: str) -> str:
    """An address under which others lie, without the slash at its end. Raises Rejected."""
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_web = False
    if not is_web or parts.query or parts.fragment or "@" in parts.netloc:
        raise Rejected(f"{label} begins with https:// or http://, and has no user name, ? or # in it.", name)
    return text.rstrip("/")


def shown(url: str) -> str:
    """An address without its query, in which a key may be."""
    return url.partition("?")[0].partition("#")[0][:300]


def escaped(path: str) -> str:
    """A path for an address; its slashes stay."""
    return quote(path, safe="/-_.~")


def origin_of(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


Bytes = AbstractContextManager[Iterator[bytes]]
