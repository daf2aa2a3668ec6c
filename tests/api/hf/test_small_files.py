"""Files that come in the body of a commit: many short ones wait for the disk together."""

from collections.abc import Iterator

import pytest

from api.hf.views_commit import SMALL_BYTES, SmallFiles
from registry.services import storage

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """How often the store was asked, and for how many files."""
    made: list[tuple[str, int]] = []
    many, one = storage.store_many, storage.store_blob

    def store_many(contents):
        made.append(("many", len(contents)))
        return many(contents)

    def store_blob(chunks, **more):
        made.append(("one", 1))
        return one(chunks, **more)

    monkeypatch.setattr(storage, "store_many", store_many)
    monkeypatch.setattr(storage, "store_blob", store_blob)
    return made


def pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def test_short_files_are_stored_in_batches_and_long_ones_as_they_come(calls) -> None:
    keeper = SmallFiles()
    contents = [b"%d" % number for number in range(600)]
    contents[100] = b"x" * (SMALL_BYTES + 1)
    contents[200] = b"y" * SMALL_BYTES
    contents[300] = b""
    kept = [keeper.keep(pieces(content)) for content in contents]
    keeper.flush()
    assert calls == [("one", 1), ("many", 256), ("many", 256), ("many", 87)]
    assert [storage.read_blob(each.blob, SMALL_BYTES + 10) for each in kept] == contents


def test_a_batch_is_bounded_by_its_bytes(calls) -> None:
    keeper = SmallFiles()
    kept = [keeper.keep(pieces(bytes([number]) * SMALL_BYTES)) for number in range(100)]
    keeper.flush()
    assert calls == [("many", 64), ("many", 36)]
    assert len({each.blob.sha256 for each in kept}) == 100


def test_equal_files_are_one_blob(calls) -> None:
    keeper = SmallFiles()
    kept = [keeper.keep(pieces(b"same")) for _ in range(10)]
    keeper.flush()
    keeper.flush()
    assert len({each.blob.pk for each in kept}) == 1
