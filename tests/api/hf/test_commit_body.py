"""The body of a commit is read line by line: any content comes through exactly, bad lines are refused, memory stays flat."""

import base64
import io
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.hf import commit_body
from api.hf.commit_body import LINE_BYTES, read_lines
from common.errors import Invalid, TooLarge


class Trickle:
    """Gives out at most `step` bytes at a time, like a slow connection."""

    def __init__(self, data: bytes, step: int) -> None:
        self._file, self._step = io.BytesIO(data), step

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._step))


def file_line(path: str, content: bytes, *, content_first: bool = True) -> bytes:
    text = base64.b64encode(content).decode()
    value = {"content": text, "path": path, "encoding": "base64"}
    if not content_first:
        value = dict(reversed(value.items()))
    return json.dumps({"key": "file", "value": value}).encode()


def read(body: bytes, step: int = 10**9) -> list[tuple[str, dict, bytes | None]]:
    return [(line.key, line.value, line.content) for line in read_lines(Trickle(body, step), b"".join)]


HEADER = json.dumps({"key": "header", "value": {"summary": "s", "description": ""}}).encode()


def test_lines_come_in_order_and_empty_ones_are_left_out() -> None:
    deleted = json.dumps({"key": "deletedFile", "value": {"path": "x"}}).encode()
    assert read(b"\n".join([HEADER, b"", file_line("a", b"abc"), b"  ", deleted])) == [
        ("header", {"summary": "s", "description": ""}, None),
        ("file", {"path": "a", "encoding": "base64"}, b"abc"),
        ("deletedFile", {"path": "x"}, None),
    ]


@given(
    contents=st.lists(st.binary(max_size=400), max_size=5),
    step=st.integers(1, 700),
    limit=st.sampled_from([40, 90, 300, LINE_BYTES]),
    content_first=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_any_content_in_any_pieces_comes_through(contents, step, limit, content_first) -> None:
    lines = [HEADER, *(file_line(f"p{i}", content, content_first=content_first) for i, content in enumerate(contents))]
    with pytest.MonkeyPatch.context() as patch:
        # a small limit takes the path of long lines with short ones; the strict parser gets room for header and path
        patch.setattr(commit_body, "LINE_BYTES", max(limit, 90))
        patch.setattr(commit_body, "CHUNK_BYTES", step)
        result = read(b"\n".join(lines), step)
    assert [content for _, _, content in result[1:]] == contents
    assert [value["path"] for _, value, _ in result[1:]] == [f"p{i}" for i in range(len(contents))]


@pytest.mark.parametrize("content_first", [True, False])
def test_a_large_file_is_decoded_without_being_held(content_first) -> None:
    content = bytes(range(256)) * 4 * 8192
    body = io.BytesIO(
        b"\n".join([HEADER, file_line("big", content, content_first=content_first), file_line("s", b"x")])
    )
    sizes: list[int] = []

    def keep(pieces: Iterator[bytes]) -> int:
        kept = [len(piece) for piece in pieces]
        sizes.append(max(kept, default=0))
        return sum(kept)

    tracemalloc.start()
    lines = list(read_lines(body, keep))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [line.content for line in lines] == [None, len(content), 1]
    assert max(sizes) <= 2 * 1024**2
    assert peak < 9 * 1024**2


def test_escaped_slashes_are_base64() -> None:
    content = b"\xff\xff\xff" * 700_000
    line = file_line("a", content).replace(b"/", b"\\/")
    for step in (65_537, 10**9):
        assert read(line, step)[0][2] == content
    assert read(file_line("a", b"\xff\xff\xff").replace(b"/", b"\\/"))[0][2] == b"\xff\xff\xff"


def test_a_path_that_looks_like_content_does_not_mislead() -> None:
    value = {"path": '"content": "QUJD', "content": base64.b64encode(b"z" * 2_000_000).decode(), "encoding": "base64"}
    result = read(json.dumps({"value": value, "key": "file"}).encode())
    assert (result[0][1]["path"], result[0][2]) == ('"content": "QUJD', b"z" * 2_000_000)


LONG = "A" * 3_000_000


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"not json", Invalid),
        (b"[]", Invalid),
        (b"{}", Invalid),
        (b'{"key": "file"}', Invalid),
        (b'{"key": 3, "value": {}}', Invalid),
        (b'{"key": "file", "value": []}', Invalid),
        (b'{"key": "file", "value": {"path": "a"}}', Invalid),
        (b'{"key": "file", "value": {"path": "a", "content": 7}}', Invalid),
        (b'{"key": "file", "value": {"path": "a", "content": "QQ"}}', Invalid),
        (b'{"key": "file", "value": {"path": "a", "content": "Q!=="}}', Invalid),
        (b'{"key": "file", "value": {"path": "a", "content": "QQ==QUJD"}}', Invalid),
        ('{"key": "file", "value": {"path": "a", "content": "QUJä"}}'.encode(), Invalid),
        (b'{"key": "file", "value": {"path": "a", "content": "QQ==", "encoding": "utf-8"}}', Invalid),
        (b'{"key": "file", "value": {"path": "a", "path": "b", "content": "QQ=="}}', Invalid),
        (b'{"key": "header", "value": {"summary": NaN}}', Invalid),
        (b'{"key": "header", "value": {"summary": "\\ud800"}}', Invalid),
        (b'{"key": "header", "value": ' + b"[" * 5000 + b"]" * 5000 + b"}", Invalid),
        (b'{"key": "lfsFile", "value": {"size": 1' + b"0" * 5000 + b"}}", Invalid),
        (b"\xff\xfe", Invalid),
        (f'{{"key": "header", "value": {{"summary": "{LONG}"}}}}'.encode(), Invalid),
        (f'{{"key": "header", "value": {{"content": "{LONG}"}}}}'.encode(), Invalid),
        (f'{{"key": "file", "value": {{"content": "{LONG}", "content": "QQ=="}}}}'.encode(), Invalid),
        (f'{{"key": "file", "value": {{"content": "{LONG}", "path": "{LONG}"}}}}'.encode(), TooLarge),
        (f'{{"key": "file", "value": {{"content": "{LONG}'.encode(), Invalid),
        (f'{{"key": "file", "value": {{"content": "{LONG}"'.encode(), Invalid),
        (f'{{"key": "file", "value": {{"content": "{LONG}!"}}}}'.encode(), Invalid),
        (f'{{"key": "file", "value": {{"content": "QQ=={LONG}"}}}}'.encode(), Invalid),
        (LONG.encode(), Invalid),
        (b"}" + LONG.encode(), Invalid),
        (b'"' * 3_000_000, Invalid),
        (b"{" * 3_000_000, Invalid),
        (b'{"key": "' + b"\\" * 3_000_000, Invalid),
        (b'{"key":"x","value":{}}\n' * 100_001, TooLarge),
    ],
    ids=range(33),
)
def test_a_bad_body_is_refused(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read(body)


def test_a_body_of_nothing_has_no_lines() -> None:
    assert read(b"") == []
    assert read(b"\n\n  \n") == []
