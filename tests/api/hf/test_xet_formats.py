"""Xorb and shard bodies: what a client writes is read back exactly, and bad bytes raise `Invalid` and nothing else."""

import hashlib
import io
import struct
import tracemalloc

import lz4.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.hf.xet import xorb as xorb_format
from api.hf.xet.hashes import checked_hash, hash_bytes, hash_text
from api.hf.xet.rebuild import Xorbs
from api.hf.xet.shard import HAS_SHA256, Shard
from common.errors import Invalid
from tests.api.hf.xet_writer import GROUPED, LZ4, STORED, File, ShardBody, chunk, xorb, xorb_hash

A, B = "a" * 64, "b" * 64

plain_chunks = st.lists(
    st.tuples(
        st.one_of(
            st.binary(min_size=1, max_size=300),
            st.builds(lambda seed, n: (seed * n)[:n], st.binary(min_size=1, max_size=9), st.integers(1, 9000)),
        ),
        st.sampled_from([STORED, LZ4, GROUPED]),
    ),
    min_size=1,
    max_size=6,
)


def scan(body: bytes) -> list[xorb_format.Chunk]:
    return xorb_format.scan_chunks(io.BytesIO(body), len(body))


def shard(body: bytes) -> Shard:
    return Shard(io.BytesIO(body), len(body))


def rebuild(xorbs: dict[str, bytes], body: bytes) -> list[tuple[str, bytes]]:
    def open_xorb(name: str) -> tuple[io.BytesIO, int]:
        if name not in xorbs:
            raise Invalid("missing")
        return io.BytesIO(xorbs[name]), len(xorbs[name])

    parsed = shard(body)
    with Xorbs(open_xorb) as opened:
        return [(file.sha256, b"".join(opened.plain_bytes(parsed.terms(file)))) for file in parsed.files()]


def test_hash_text_prints_four_little_endian_words() -> None:
    raw = bytes(range(32))
    assert hash_text(raw) == "07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"
    assert hash_bytes(hash_text(raw)) == raw


@pytest.mark.parametrize(
    "text", ["", "A" * 64, "a" * 63, "a" * 65, "../" + "a" * 61, "a" * 64 + "\n", "ä" * 64, "a" * 63 + "/"]
)
def test_a_hash_is_64_lower_case_hex_digits(text: str) -> None:
    with pytest.raises(Invalid):
        checked_hash(text)


@given(plain_chunks)
@settings(max_examples=60, deadline=None)
def test_a_written_xorb_reads_back(chunks: list[tuple[bytes, int]]) -> None:
    body = xorb(chunks)
    scanned = scan(body)
    assert list(xorb_format.read_chunks(io.BytesIO(body), scanned)) == [plain for plain, _ in chunks]


@given(plain_chunks, st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_xorb_raises_invalid_only(chunks: list[tuple[bytes, int]], data: st.DataObject) -> None:
    body = bytearray(xorb(chunks))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    try:
        for part in xorb_format.read_chunks(io.BytesIO(cut), scan(cut)):
            assert 0 < len(part) <= xorb_format.MAX_PLAIN_BYTES
    except Invalid:
        pass


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no chunk"),
        (b"\0" * 7, "inside a chunk header"),
        (chunk(b"abc", STORED, version=1), "version 1"),
        (chunk(b"abc", STORED)[:-1], "inside a chunk"),
        (chunk(b"abc", STORED) + b"\0\0\0", "inside a chunk header"),
        (chunk(b"abc", STORED, plain_bytes=4), "two equal sizes"),
        (chunk(b"abc", STORED, plain_bytes=0), "outside the limits"),
        (chunk(b"a" * (128 * 1024 + 1), STORED), "outside the limits"),
        (b"\0\x03\0\0\x07\x03\0\0abc", "scheme 7"),
        (b"\0\0\0\0\x01\x03\0\0", "outside the limits"),
    ],
)
def test_a_xorb_outside_the_format_is_refused_by_its_headers(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        scan(body)


def test_too_many_chunks_are_refused() -> None:
    with pytest.raises(Invalid, match="at most 8192 chunks"):
        scan(chunk(b"a", STORED) * 8193)
    assert len(scan(chunk(b"a", STORED) * 8192)) == 8192


def test_a_xorb_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(Invalid, match="at most"):
        xorb_format.scan_chunks(io.BytesIO(), xorb_format.MAX_XORB_BYTES + 1)


@pytest.mark.parametrize(
    ("frame", "plain_bytes"),
    [
        (lz4.frame.compress(b"abc" * 50), 149),
        (lz4.frame.compress(b"abc" * 50), 151),
        (lz4.frame.compress(b"abc" * 50)[:-5], 150),
        (lz4.frame.compress(b"abc" * 50) + b"x", 150),
        (b"not a frame at all", 150),
        (b"\x04\x22\x4d\x18" + b"\xff" * 30, 150),
        (lz4.frame.compress(b""), 1),
    ],
)
def test_a_frame_that_does_not_expand_as_stated_is_refused(frame: bytes, plain_bytes: int) -> None:
    body = b"\0" + len(frame).to_bytes(3, "little") + b"\x01" + plain_bytes.to_bytes(3, "little") + frame
    with pytest.raises(Invalid):
        list(xorb_format.read_chunks(io.BytesIO(body), scan(body)))


def test_a_bomb_is_stopped_at_its_stated_size() -> None:
    frame = lz4.frame.compress(b"\0" * 40_000_000)
    assert len(frame) < xorb_format.MAX_STORED_BYTES
    body = b"\0" + len(frame).to_bytes(3, "little") + b"\x01" + (100).to_bytes(3, "little") + frame
    chunks = scan(body)
    tracemalloc.start()
    with pytest.raises(Invalid, match="stated size"):
        list(xorb_format.read_chunks(io.BytesIO(body), chunks))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000


def test_files_are_rebuilt_from_runs_of_several_xorbs() -> None:
    one = xorb([(b"alpha", STORED), (b"beta" * 40, LZ4), (b"gamma" * 33, GROUPED)])
    two = xorb([(b"delta", LZ4)])
    content = b"beta" * 40 + b"gamma" * 33 + b"delta" + b"alpha"
    terms = [(A, 160 + 165, 1, 3), (B, 5, 0, 1), (A, 5, 0, 1)]
    files = [
        File(hashlib.sha256(content).hexdigest(), terms),
        File(hashlib.sha256(b"").hexdigest(), [], flags=HAS_SHA256),
        File(hashlib.sha256(b"alphaalpha").hexdigest(), [(A, 5, 0, 1), (A, 5, 0, 1)], flags=HAS_SHA256),
    ]
    body = ShardBody(files, [(A, 3), (B, 1)]).bytes()
    rebuilt = rebuild({A: one, B: two}, body)
    assert rebuilt == [(files[0].sha256, content), (files[1].sha256, b""), (files[2].sha256, b"alphaalpha")]
    parsed = shard(body)
    assert (parsed.file_count, parsed.plain_bytes, list(parsed.xorbs())) == (3, len(content) + 10, [A, B])
    assert [hashlib.sha256(plain).hexdigest() for _, plain in rebuilt] == [file.sha256 for file in files]


@given(st.lists(plain_chunks, min_size=1, max_size=3), st.data())
@settings(max_examples=40, deadline=None)
def test_any_terms_over_any_xorbs_rebuild(all_chunks: list[list[tuple[bytes, int]]], data: st.DataObject) -> None:
    xorbs = {xorb_hash(struct.pack("I", i)): chunks for i, chunks in enumerate(all_chunks)}
    files, contents = [], []
    for _ in range(data.draw(st.integers(0, 3))):
        terms, content = [], b""
        for _ in range(data.draw(st.integers(1, 4))):
            name = data.draw(st.sampled_from(sorted(xorbs)))
            first = data.draw(st.integers(0, len(xorbs[name]) - 1))
            end = data.draw(st.integers(first + 1, len(xorbs[name])))
            plain = b"".join(plain for plain, _ in xorbs[name][first:end])
            terms.append((name, len(plain), first, end))
            content += plain
        files.append(File(hashlib.sha256(content).hexdigest(), terms))
        contents.append(content)
    body = ShardBody(files, [(name, len(chunks)) for name, chunks in xorbs.items()]).bytes()
    rebuilt = rebuild({name: xorb(chunks) for name, chunks in xorbs.items()}, body)
    assert [content for _, content in rebuilt] == contents


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_shard_raises_invalid_only(data: st.DataObject) -> None:
    one = xorb([(b"alpha", STORED), (b"beta" * 40, LZ4)])
    files = [File("c" * 64, [(A, 5, 0, 1), (A, 160, 1, 2)]), File("d" * 64, [(A, 165, 0, 2)], flags=HAS_SHA256)]
    body = bytearray(ShardBody(files, [(A, 2)]).bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        rebuild({A: one}, bytes(body[: data.draw(st.integers(0, len(body)))]))
    except Invalid:
        pass


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "too early"),
        (b"x" * 48, "not a shard"),
        (ShardBody([], version=3).bytes(), "version 3"),
        (ShardBody([]).bytes()[:-1], "too early"),
        (ShardBody([]).bytes() + b"x", "behind its end"),
        (ShardBody([File(A, [(A, 5, 0, 1)], flags=0)]).bytes(), "no SHA-256"),
        (ShardBody([File(A, [(A, 5, 1, 1)])]).bytes(), "is empty"),
        (ShardBody([File(A, [(A, 5, 2, 1)])]).bytes(), "is empty"),
        (ShardBody([File(A, [(A, 0, 0, 1)])]).bytes(), "is empty"),
        (struct.pack("<32sQQ", ShardBody([]).magic, 2, 10**15), "inside its footer"),
        (struct.pack("<32sQQ32sII8x", ShardBody([]).magic, 2, 0, b"f" * 32, 0, 2**32 - 1), "more records"),
    ],
)
def test_a_shard_outside_the_format_is_refused_when_opened(body: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        shard(body)


def test_a_footer_that_is_announced_is_ignored() -> None:
    assert shard(ShardBody([], footer=b"z" * 200).bytes()).file_count == 0


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ((A, 5, 0, 3), "does not have"),
        ((A, 5, 2**32 - 2, 2**32 - 1), "does not have"),
        ((A, 6, 0, 1), "another length"),
        ((B, 5, 0, 1), "missing"),
    ],
)
def test_a_term_that_does_not_fit_its_xorb_is_refused(term: tuple[str, int, int, int], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        rebuild({A: xorb([(b"alpha", STORED), (b"beta", LZ4)])}, ShardBody([File(A, [term])]).bytes())
