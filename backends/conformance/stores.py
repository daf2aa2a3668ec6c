"""What every store must do. Subclass `StoreConformance` and give the fixture `store`: an empty one for each test."""

import hashlib
import itertools
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from backends.contracts.stores import CHUNK_BYTES, Capability, MultipartStore, Store
from backends.errors import Missing, Rejected, Transient

HOSTILE_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a//b",
    "a/",
    ".hidden",
    "a/.hidden",
    "A",
    "a b",
    "a\x00b",
    "a\\b",
    "a\nb",
    "é",
    "a/b%2f..",
    "x" * 513,
]
FIVE_MIB = 5 * 1024**2


class Interrupted(Exception):
    """What the sender of a broken stream raises."""


class StoreConformance:
    """Fifteen promises of `backends.contracts.stores`, the same for every store."""

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        raise NotImplementedError("give the store under test")

    def test_bytes_come_back_as_they_went_in(self, store: Store) -> None:
        stored = store.put("blobs/aa/one.bin", [b"hello ", b"", b"world"])
        assert (stored.size_bytes, stored.sha256_hex) == (11, hashlib.sha256(b"hello world").hexdigest())
        with store.open("blobs/aa/one.bin") as reader:
            assert reader.read(5) == b"hello"
            assert reader.read() == b" world"
            assert reader.read() == b""
        assert store.stat("blobs/aa/one.bin").size_bytes == 11
        assert store.stat("blobs/aa/one.bin").modified_at.tzinfo is not None

    def test_an_empty_object_is_an_object(self, store: Store) -> None:
        assert store.put("empty", []).size_bytes == 0
        assert store.stat("empty").size_bytes == 0
        with store.open("empty") as reader:
            assert list(reader) == []

    def test_a_large_object_streams_in_chunks(self, store: Store) -> None:
        block = bytes(range(256)) * 4096  # 1 MiB
        count = 21
        stored = store.put("large", itertools.repeat(block, count), size=count * len(block))
        assert stored.size_bytes == count * CHUNK_BYTES
        digest = hashlib.sha256()
        with store.open("large") as reader:
            for chunk in reader:
                assert 0 < len(chunk) <= CHUNK_BYTES
                digest.update(chunk)
        assert digest.hexdigest() == stored.sha256_hex

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, None, b"0123456789"),
            (3, 7, b"3456"),
            (7, None, b"789"),
            (0, 1, b"0"),
            (8, 99, b"89"),
            (10, None, b""),
            (50, 60, b""),
            (4, 4, b""),
        ],
    )
    def test_a_range_is_exactly_what_was_asked(
        self, store: Store, start: int, end: int | None, expected: bytes
    ) -> None:
        store.put("digits", [b"0123456789"])
        with store.open("digits", start, end) as reader:
            assert b"".join(reader) == expected

    def test_the_later_of_two_whole_objects_stands(self, store: Store) -> None:
        store.put("key", [b"first"])
        store.put("key", [b"second!"])
        assert _bytes(store, "key") == b"second!"
        assert [found.key for found in store.list()] == ["key"]

    @pytest.mark.parametrize("said", [4, 6])
    def test_a_wrong_size_stores_nothing(self, store: Store, said: int) -> None:
        with pytest.raises(Rejected):
            store.put("key", [b"01", b"234"], size=said)
        assert list(store.list()) == []

    @pytest.mark.parametrize("sent", [1, 12])
    def test_a_broken_stream_leaves_what_was_there(self, store: Store, sent: int) -> None:
        store.put("key", [b"before"])

        def broken() -> Iterator[bytes]:
            yield from itertools.repeat(b"x" * CHUNK_BYTES, sent)
            raise Interrupted

        with pytest.raises(Interrupted):
            store.put("key", broken())
        with pytest.raises(Interrupted):
            store.put("other", broken())
        assert _bytes(store, "key") == b"before"
        assert [found.key for found in store.list()] == ["key"]

    def test_what_is_not_there_is_missing(self, store: Store) -> None:
        for act in (store.stat, store.open):
            with pytest.raises(Missing):
                act("nothing/here")
        with pytest.raises(Missing):
            store.open("nothing/here", 3, 3)

    def test_deleting_twice_is_success(self, store: Store) -> None:
        store.put("key", [b"x"])
        store.delete("key")
        store.delete("key")
        with pytest.raises(Missing):
            store.stat("key")

    def test_a_moved_object_has_one_key_and_moving_again_is_success(self, store: Store) -> None:
        store.put("staging/1", [b"payload"])
        store.put("final/ab", [b"older"])
        store.move("staging/1", "final/ab")
        store.move("staging/1", "final/ab")
        assert _bytes(store, "final/ab") == b"payload"
        assert [found.key for found in store.list()] == ["final/ab"]
        with pytest.raises(Missing):
            store.move("staging/1", "final/none")

    def test_a_listing_is_in_the_order_of_the_keys(self, store: Store) -> None:
        keys = ["a", "a-b/c", "a.b", "b/a", "b/a-c", "b/a.d/e", "b/b", "c"]
        for key in reversed(keys):
            store.put(key, [key.encode()])
        assert [found.key for found in store.list()] == keys
        assert [(found.key, found.size_bytes) for found in store.list("b/a")] == [
            ("b/a", 3),
            ("b/a-c", 5),
            ("b/a.d/e", 7),
        ]
        assert [found.key for found in store.list("b/a.d/")] == ["b/a.d/e"]
        assert list(store.list("zz")) == []

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_a_hostile_key_is_refused_everywhere(self, store: Store, key: str) -> None:
        store.put("safe", [b"x"])
        with pytest.raises(Rejected):
            store.put(key, [b"x"])
        for act in (store.open, store.stat, store.delete, store.local_path):
            with pytest.raises(Rejected):
                act(key)
        for pair in ((key, "new"), ("safe", key)):
            with pytest.raises(Rejected):
                store.move(*pair)
        with pytest.raises(Rejected):
            store.link_for(key, expires_s=60, filename="x")
        assert [found.key for found in store.list()] == ["safe"]

    def test_writers_of_one_key_never_mix_their_bytes(self, store: Store) -> None:
        letters = "abcdefgh"
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda letter: store.put("contested", itertools.repeat(letter.encode() * 65536, 8)), letters))
        found = _bytes(store, "contested")
        assert len(found) == 8 * 65536
        assert len(set(found)) == 1

    def test_a_link_reads_the_object_without_us(self, store: Store) -> None:
        _require(store, Capability.LINKS)
        store.put("blobs/x", [b"through a link"])
        link = store.link_for("blobs/x", expires_s=60, filename='wéird "name".bin')
        assert link is not None
        assert link.startswith("http")
        with urllib.request.urlopen(link, timeout=10) as answer:
            assert answer.read() == b"through a link"

    def test_a_local_path_is_the_object(self, store: Store) -> None:
        _require(store, Capability.LOCAL_PATHS)
        store.put("blobs/x", [b"on this machine"])
        path = store.local_path("blobs/x")
        assert path is not None
        assert path.read_bytes() == b"on this machine"

    def test_what_is_not_offered_is_none(self, store: Store) -> None:
        store.put("key", [b"x"])
        assert (store.link_for("key", expires_s=60, filename="x") is not None) == (
            Capability.LINKS in store.capabilities
        )
        assert (store.local_path("key") is not None) == (Capability.LOCAL_PATHS in store.capabilities)
        assert isinstance(store, MultipartStore) == (Capability.MULTIPART in store.capabilities)

    def test_parts_in_any_order_become_one_object(self, store: Store) -> None:
        store = _multipart(store)
        upload = store.begin_multipart("big/object")
        second = store.put_part("big/object", upload, 2, [b"end"], size=3)
        store.put_part("big/object", upload, 1, [b"wrong" + b"a" * FIVE_MIB])
        first = store.put_part("big/object", upload, 1, [b"a" * FIVE_MIB])
        assert list(store.list()) == []
        for _ in range(2):  # the second call is the retry of a client that missed our answer
            assert store.complete_multipart("big/object", upload, [(1, first), (2, second)]).size_bytes == FIVE_MIB + 3
        assert _bytes(store, "big/object") == b"a" * FIVE_MIB + b"end"
        # refused as Missing; a server that answers 500 instead of NoSuchUpload makes it Transient
        with pytest.raises((Missing, Transient)):
            store.put_part("big/object", upload, 3, [b"late"])
        assert store.stat("big/object").size_bytes == FIVE_MIB + 3

    def test_an_aborted_upload_leaves_nothing(self, store: Store) -> None:
        store = _multipart(store)
        upload = store.begin_multipart("big")
        tag = store.put_part("big", upload, 1, [b"a" * FIVE_MIB])
        store.abort_multipart("big", upload)
        store.abort_multipart("big", upload)
        with pytest.raises(Missing):
            store.complete_multipart("big", upload, [(1, tag)])
        assert list(store.list()) == []

    def test_uploads_that_were_left_open_are_dropped_by_age(self, store: Store) -> None:
        store = _multipart(store)
        kept = store.begin_multipart("big")
        tag = store.put_part("big", kept, 1, [b"kept"])
        past, future = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
        assert store.abort_older(past) == 0
        assert store.complete_multipart("big", kept, [(1, tag)]).size_bytes == 4
        left = store.begin_multipart("left")
        tag = store.put_part("left", left, 1, [b"left"])
        assert store.abort_older(future) == 1
        assert store.abort_older(future) == 0
        with pytest.raises(Missing):
            store.complete_multipart("left", left, [(1, tag)])
        assert [found.key for found in store.list()] == ["big"]

    def test_wrong_parts_are_refused_and_the_upload_stays_open(self, store: Store) -> None:
        store = _multipart(store)
        upload = store.begin_multipart("big")
        tag = store.put_part("big", upload, 1, [b"whole"])
        for parts in ([], [(2, tag)], [(1, "another")], [(1, tag), (1, tag)]):
            with pytest.raises(Rejected):
                store.complete_multipart("big", upload, parts)
        for number in (0, -1, 10_001):
            with pytest.raises(Rejected):
                store.put_part("big", upload, number, [b"x"])
        with pytest.raises(Rejected):
            store.put_part("big", upload, 1, [b"short"], size=6)
        assert store.complete_multipart("big", upload, [(1, tag)]).size_bytes == 5


def _bytes(store: Store, key: str) -> bytes:
    with store.open(key) as reader:
        return b"".join(reader)


def _require(store: Store, capability: Capability) -> None:
    if capability not in store.capabilities:
        pytest.skip(f"{type(store).__name__} does not offer {capability}")


def _multipart(store: Store) -> MultipartStore:
    if not isinstance(store, MultipartStore):
        pytest.skip(f"{type(store).__name__} does not offer {Capability.MULTIPART}")
    return store
