"""Requests to addresses that people have typed: webhooks, imports. They reach the public internet and nothing behind our walls.

The name is looked up once, every address it has must be allowed, and the connection goes to the address that was checked, so a
name that changes between check and use gains nothing. Redirects are answers like any other; only `stream` follows them, as many
as its caller says, and each address on the way is checked like the first.
"""

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from django.conf import settings

from common.errors import Invalid, TooLarge, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS = {"http": 80, "https": 443}
_LOWEST_OTHER_PORT = 1024
"""Below it are mail, remote shells and name servers, whose protocols can be fooled by a request."""
_CONNECT_S = 5.0
_ANSWER_BYTES = 64 * 1024
_STALL_S = 60.0
"""A server that computes something long, as git does before a pack, sends a sign of life more often."""
_URL_LIMIT = 500
_SIGNED_URL_LIMIT = 8000
"""Stores hand out addresses that carry a signature, and large hubs' are above 1,500 characters."""
_HANDED_ON = frozenset({"accept", "content-type", "range", "user-agent"})
"""Headers that say nothing of who asks: no other is repeated to another host."""
_NOT_ALLOWED = {"url": "not allowed"}
_NO_INTERNET = tuple(
    ipaddress.ip_network(text)
    for text in (
        # each of these carries an IPv4 address inside, or leads to whatever a gateway makes of it, and counts as global
        "192.88.99.0/24", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16",
        "3fff::/20", "5f00::/16", "fec0::/10",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What the other side said; `body` is cut at 64 KiB."""

    status: int
    headers: dict[str, str]
    body: bytes


class Stream:
    """An answer that arrives piece by piece. `url` is the address that gave it, after redirects; names of `headers` are in small
    letters. Reading raises TooLarge beyond the limit, Unavailable when it breaks off, stalls or takes too long."""

    def __init__(self, url: str, response: http.client.HTTPResponse, limit_bytes: int) -> None:
        self.url = url
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._response = response
        self._host = str(urlsplit(url).hostname)
        self._limit_bytes = self._left = limit_bytes
        self._announced = response.length

    def read(self, size: int = _ANSWER_BYTES) -> bytes:
        """The next bytes, at most `size` and at least one; b"" at the end."""
        # one byte more than may come tells an answer that is too long from one that just fits
        wanted = min(size, self._left + 1)
        if self._announced is not None:
            wanted = min(wanted, self._announced)
        if not wanted:
            return b""
        with _telling(self._host, "finish"):
            content = self._response.read1(wanted)
        if self._announced is not None:
            self._announced -= len(content)
            if not content:
                raise Unavailable(
                    f"{self._host} did not finish: {self._announced} bytes are missing at the end.", code="no_answer"
                )
        self._left -= len(content)
        if self._left < 0:
            raise TooLarge(f"{self._host} sends more than the {self._limit_bytes} bytes that are taken.")
        return content

    def __iter__(self) -> Iterator[bytes]:
        while content := self.read():
            yield content


def check_url(url: str, *, limit: int = _URL_LIMIT) -> SplitResult:
    """The parts of an http or https address that may be asked. Raises Invalid for another scheme, user names, a missing host, a
    port below 1024 that is not the scheme's own, characters that no address has, more than `limit` of them. Does not look the
    name up."""
    if len(url) > limit or not url.isascii() or not url.isprintable() or any(mark in url for mark in ' "<>\\^`{|}'):
        raise Invalid(f"Write the address in at most {limit} plain characters, without blanks.", fields=_NOT_ALLOWED)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid("This is not an address: its host or its port cannot be read.", fields=_NOT_ALLOWED) from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise Invalid("The address must begin with https:// or http:// and name a host.", fields=_NOT_ALLOWED)
    if parts.username is not None or parts.password is not None:
        raise Invalid("The address must not hold a user name or a password.", fields=_NOT_ALLOWED)
    if port is not None and port != _PORTS[parts.scheme] and port < _LOWEST_OTHER_PORT:
        raise Invalid(
            f"Port {port} is not allowed: use the usual one, or one from {_LOWEST_OTHER_PORT} on.", fields=_NOT_ALLOWED
        )
    return parts


def is_allowed(address: Address) -> bool:
    """Whether `address` is on the public internet, or in a network that the operator has opened (OUTGOING_ALLOW)."""
    if any(address in network for network in _opened() if network.version == address.version):
        return True
    if any(address in network for network in _NO_INTERNET if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def send(
    method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None, limit_s: float = 10
) -> Answer:
    """One request and its answer, within `limit_s` seconds in all. Redirects are not followed. Raises Invalid for an address
    that is not allowed (`check_url`, `is_allowed`), Unavailable when the name is unknown, nobody answers in time, or the
    answer is no HTTP. Never call it with a transaction open."""
    parts = check_url(url)
    deadline = time.monotonic() + limit_s
    with (
        _answering(parts, method, body, dict(headers or {}), deadline) as response,
        _telling(str(parts.hostname), "answer"),
    ):
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(_ANSWER_BYTES),
        )


@contextmanager
def stream(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    limit_bytes: int,
    timeout_s: float,
    follow: int = 0,
) -> Iterator[Stream]:
    """One request whose answer is read piece by piece: at most `limit_bytes`, within `timeout_s` seconds in all, and never silent
    for a minute. Follows up to `follow` redirects (one more is the answer), each checked as the first address was; to another host,
    scheme or port goes no header that could hold a credential. What is no GET or HEAD follows 307 and 308 only. Raises as `send`
    does; TooLarge when the answer says beforehand that it is longer. Never call it with a transaction open."""
    sent = dict(headers or {})
    deadline = time.monotonic() + timeout_s
    for left in range(follow, -1, -1):
        parts = check_url(url, limit=_SIGNED_URL_LIMIT)
        with _answering(parts, method, body, sent, deadline, stall_s=_STALL_S) as response:
            target = _redirect(method, url, response) if left else None
            if target is None:
                if (response.length or 0) > limit_bytes:
                    raise TooLarge(
                        f"{parts.hostname} announces {response.length} bytes; at most {limit_bytes} are taken."
                    )
                yield Stream(url, response, limit_bytes)
                return
        sent = _handed_on(sent, parts, urlsplit(target))
        url = target


def resolve(host: str, port: int) -> list[Address]:
    """The addresses of a host name or a literal address. Raises Invalid when one of them is not allowed, OSError when there is
    none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not all(is_allowed(address) for address in addresses):
        raise Invalid(
            f"{host} is not on the public internet: this site does not send requests into private networks.",
            fields=_NOT_ALLOWED,
        )
    return list(dict.fromkeys(addresses))


def _opened() -> Iterable[Any]:
    return (ipaddress.ip_network(text) for text in settings.OUTGOING_ALLOW)


def _connected(parts: SplitResult, deadline: float) -> socket.socket:
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    problem: OSError = OSError("the name has no address")
    for address in resolve(host, port):
        try:
            # the checked address itself, not the name: nothing is looked up a second time
            plain = socket.create_connection((str(address), port), timeout=min(_CONNECT_S, _left(deadline)))
        except OSError as error:
            problem = error
            continue
        if parts.scheme == "http":
            return plain
        try:
            return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
    raise problem


@contextmanager
def _answering(
    parts: SplitResult,
    method: str,
    body: bytes,
    headers: dict[str, str],
    deadline: float,
    *,
    stall_s: float = float("inf"),
) -> Iterator[http.client.HTTPResponse]:
    # what goes wrong in the caller's block is the caller's, and goes by untouched
    with ExitStack() as stack:
        with _telling(str(parts.hostname), "answer"):
            connection = stack.enter_context(_connected(parts, deadline))
            reading = _Reading(connection, deadline, stall_s)
            response = stack.enter_context(_asked(connection, parts, method, body, headers, reading))
        yield response


@contextmanager
def _telling(host: str, deed: str) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        raise Unavailable(f"{host} did not {deed}: {_told(error)}.", code="no_answer") from error


def _asked(
    connection: socket.socket,
    parts: SplitResult,
    method: str,
    body: bytes,
    headers: dict[str, str],
    reading: "_Reading",
) -> http.client.HTTPResponse:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    own = {
        "Host": host if parts.port in (None, _PORTS[parts.scheme]) else f"{host}:{parts.port}",
        "Connection": "close",
        "Content-Length": str(len(body)),
    }
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**headers, **own}.items())]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise Invalid("A header of the request holds a line break.")
    reading.wait()
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    response = http.client.HTTPResponse(reading, method=method)  # type: ignore[arg-type]
    response.begin()
    return response


def _redirect(method: str, url: str, response: http.client.HTTPResponse) -> str | None:
    """Where the answer leads to, if it is a redirect that may be followed with the same method."""
    location = response.getheader("Location")
    if location is None or response.status not in (
        {301, 302, 303, 307, 308} if method in {"GET", "HEAD"} else {307, 308}
    ):
        return None
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise Invalid("The address of a redirect cannot be read.", fields=_NOT_ALLOWED) from error
    if url.startswith("https:") and not target.startswith("https:"):
        raise Invalid("A redirect leads from https to an address without encryption.", fields=_NOT_ALLOWED)
    return target


def _handed_on(headers: dict[str, str], before: SplitResult, after: SplitResult) -> dict[str, str]:
    if (before.scheme, before.netloc.lower()) == (after.scheme, after.netloc.lower()):
        return headers
    return {name: value for name, value in headers.items() if name.lower() in _HANDED_ON}


class _Reading(io.RawIOBase):
    """The receiving side of a connection, which ends at `deadline` however slowly bytes drip in, and after `stall_s` seconds of
    silence."""

    def __init__(self, connection: socket.socket, deadline: float, stall_s: float) -> None:
        super().__init__()
        self._connection, self._deadline, self._stall_s = connection, deadline, stall_s

    def wait(self) -> None:
        self._connection.settimeout(min(_left(self._deadline), self._stall_s))

    def makefile(self, _mode: str) -> IO[bytes]:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.wait()
        return self._connection.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return " ".join(str(error).split())[:120] or type(error).__name__
