"""Kept-alive connections: an answer that comes before its request was read to the end costs nobody the next one."""

import socket
from urllib.parse import urlsplit

import pytest

from tests.spaces.hf_client import Hub


class Line:
    """One connection to the site, spoken by hand."""

    def __init__(self, hub: Hub, *, timeout_s: float = 10) -> None:
        host = urlsplit(hub.site.url)
        self._host, self._token = f"{host.hostname}:{host.port}", hub.token
        self.socket = socket.create_connection((host.hostname, host.port), timeout=timeout_s)
        self._file = self.socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def head(self, method: str, path: str, length: int) -> bytes:
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        line = self._file.readline()
        assert line, "the site has closed the connection without an answer"
        headers: dict[str, str] = {}
        while (raw := self._file.readline().strip()) != b"":
            name, _, value = raw.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers, self._file.read(int(headers.get("content-length", "0")))


@pytest.fixture
def line(hub: Hub):
    made = Line(hub)
    yield made
    made.close()


def test_a_body_that_comes_after_the_answer_does_not_swallow_the_next_request(hub: Hub, repo: str, line: Line) -> None:
    """What a busy machine makes of a client that writes head and body apart: the site refuses by the head alone, and body and
    next request then arrive together."""
    body = b'{"files": []}'
    line.socket.sendall(line.head("POST", "/accounts/login/", len(body)))
    assert line.answer()[0] == 403
    line.socket.sendall(body + line.head("DELETE", f"/api/models/{repo}/tag/none", 0))
    assert line.answer()[0] == 404
    line.socket.sendall(line.head("GET", f"/api/models/{repo}", 0))
    assert line.answer()[0] == 200


def test_requests_that_arrive_together_are_answered_one_after_the_other(hub: Hub, repo: str, line: Line) -> None:
    body = b'{"files": []}'
    refused = line.head("POST", f"/api/models/{repo}/preupload/nowhere", len(body)) + body
    line.socket.sendall(refused + line.head("DELETE", f"/api/models/{repo}/tag/none", 0) + refused)
    answers = [line.answer() for _ in range(3)]
    assert [status for status, _, _ in answers] == [404, 404, 404]
    assert {headers["x-error-code"] for _, headers, _ in answers} == {"RevisionNotFound"}


def test_a_refused_upload_gets_its_answer_and_not_a_broken_line(hub: Hub, stranger: Hub, repo: str) -> None:
    """The client sends all of a commit before it looks at the answer."""
    line = Line(stranger, timeout_s=60)
    length = 40 * 1024**2
    for _ in range(2):
        line.socket.sendall(line.head("POST", f"/api/models/{repo}/commit/main", length))
        for _ in range(length // 65536):
            line.socket.sendall(b" " * 65536)
        assert line.answer()[0] == 403
    line.close()


def test_an_endless_body_of_a_stranger_is_not_waited_for(hub: Hub, repo: str, line: Line) -> None:
    line.socket.sendall(line.head("POST", f"/api/models/{repo}/commit/nowhere", 10 * 1024**4))
    line.socket.sendall(b"x" * 1000)
    assert line.answer()[0] == 404
