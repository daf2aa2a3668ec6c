"""What every source must do. Subclass `SourceConformance` and give the fixture `place`: a source that stands before the FILES below."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

import pytest

from backends.contracts.sources import Answer, Source, SourceFile
from backends.errors import BackendError, Missing, Rejected, Transient

SECRET = "s3cret-of-a-person"
FILES = {
    "a.csv": b"a,b\n1,2\n",
    "folder/large.bin": bytes(range(256)) * 4096,
    "folder/deep/ü & +%20.txt": b"two\n",
    "folder/empty.txt": b"",
}


class PlainAnswer:
    def __init__(self, response: http.client.HTTPResponse, limit: int) -> None:
        self.status, self._response, self._limit = response.status, response, limit
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        while chunk := self._response.read(64 * 1024):
            seen += len(chunk)
            if seen > self._limit:
                raise Rejected("more bytes came than are taken")
            yield chunk


class PlainDoor:
    """A door that asks whoever is named, and remembers what it asked: for tests, never for a site."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []

    @contextmanager
    def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str], limit_bytes: int, timeout_s: float, follow: int = 0
    ) -> Iterator[Answer]:
        sent = dict(headers)
        for left in range(follow, -1, -1):
            self.asked.append((url, sent))
            parts = urlsplit(url)
            connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=timeout_s)
            try:
                connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=sent)
                response = connection.getresponse()
                target = response.getheader("Location")
                if not target or not left or response.status not in {301, 302, 307, 308}:
                    yield PlainAnswer(response, limit_bytes)
                    return
            finally:
                connection.close()
            before, url = url, urljoin(url, target)
            if urlsplit(before).netloc != urlsplit(url).netloc:
                sent = {name: value for name, value in sent.items() if name.lower() in {"accept", "user-agent"}}


class Answering:
    """A door behind which everything answers with one status."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: dict[str, str] = {}

    def __iter__(self) -> Iterator[bytes]:
        return iter([f"an error that names {SECRET}".encode()])

    @contextmanager
    def __call__(self, *_: object, **__: object) -> Iterator[Answer]:
        yield self


@dataclass(frozen=True)
class Place:
    """`given` names everything the source must be told, with SECRET for every secret; `files`: what is there, of FILES."""

    kind: type[Source]
    given: dict[str, str]
    files: Mapping[str, bytes]

    def source(self, door: object) -> Source:
        shown, secret = self.kind.settle(self.given)
        return self.kind({**shown, **secret}, door)  # type: ignore[arg-type]  # a door of a test


def read(source: Source, file: SourceFile, limit: int = 2**30) -> bytes:
    with source.open(file, limit) as chunks:
        return b"".join(chunks)


def read_all(source: Source) -> dict[str, bytes]:
    return {file.path: read(source, file) for file in source.files()}


class SourceConformance:
    """The promises of `backends.contracts.sources`."""

    @pytest.fixture
    def place(self) -> Iterator[Place]:
        raise NotImplementedError("give the source under test, before FILES")

    def test_what_is_listed_is_there_and_reads_as_it_was(self, place: Place) -> None:
        source = place.source(PlainDoor())
        listed = {file.path: file for file in source.files()}
        assert set(listed) == set(place.files)
        for path, content in place.files.items():
            assert listed[path].size_bytes in (None, len(content))
            assert read(source, listed[path]) == content

    def test_another_process_opens_what_was_listed(self, place: Place) -> None:
        for file in place.source(PlainDoor()).files():
            told = json.loads(json.dumps(dict(file.key)))
            assert read(place.source(PlainDoor()), replace(file, key=told)) == place.files[file.path]

    def test_a_file_that_is_too_long_is_not_read_to_its_end(self, place: Place) -> None:
        source = place.source(PlainDoor())
        largest = max(place.files, key=lambda path: len(place.files[path]))
        file = next(each for each in source.files() if each.path == largest)
        with pytest.raises(BackendError):
            read(source, file, limit=100)

    def test_secrets_are_divided_off_and_told_to_nobody(self, place: Place) -> None:
        shown, secret = place.kind.settle(place.given)
        assert all(SECRET in value for value in secret.values())
        assert SECRET not in json.dumps(shown)
        source = place.source(PlainDoor())
        said = json.dumps([source.address, source.facts(), [dict(each.key) for each in source.files()]])
        assert SECRET not in said
        assert 0 < len(source.address) <= 1000

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (401, Rejected),
            (403, Rejected),
            (404, Missing),
            (418, Rejected),
            (302, Rejected),
            (429, Transient),
            (503, Transient),
        ],
    )
    def test_a_status_is_an_error_that_says_what_to_do(
        self, place: Place, status: int, kind: type[BackendError]
    ) -> None:
        listed = list(place.source(PlainDoor()).files())
        source = place.source(Answering(status))
        with pytest.raises(kind) as caught:
            read(source, listed[0])
        assert SECRET not in str(caught.value)
        assert str(caught.value.args[0]).endswith(".")

    def test_an_answer_that_is_none_is_refused(self, place: Place) -> None:
        source = place.source(Answering(200))
        with pytest.raises(BackendError):
            read_all(source)

    def test_what_is_missing_or_unknown_is_refused_by_name(self, place: Place) -> None:
        for field in place.kind.fields:
            if field.is_required:
                with pytest.raises(Rejected) as caught:
                    place.kind.settle({**place.given, field.name: " "})
                assert caught.value.args[1] == field.name
        with pytest.raises(Rejected, match="colour"):
            place.kind.settle({**place.given, "colour": "red"})
        with pytest.raises(Rejected):
            place.kind.settle({**place.given, place.kind.fields[0].name: "a\nb"})
