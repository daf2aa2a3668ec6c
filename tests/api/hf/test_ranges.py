"""Byte ranges are cut to the file, ignored when they are none, and refused behind the end."""

import pytest

from api.hf.ranges import RangeBeyondEnd, byte_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-99", (0, 100)),
        ("bytes=0-100000", (0, 100)),
        ("bytes=40-", (40, 100)),
        ("bytes=40-49", (40, 50)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=99-", (99, 100)),
        (" bytes = 1 - 2 ", (1, 3)),
        ("bytes=5-4", None),
        ("bytes=-", None),
        ("bytes=1-2,5-6", None),
        ("lines=1-2", None),
        ("bytes=a-b", None),
        ("bytes=--1", None),
        ("bytes=0-" + "9" * 30, None),
        ("bytes=1-2\r\n", (1, 3)),
    ],
)
def test_a_range_of_a_file_of_100_bytes(header, expected) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_is_refused(header, size) -> None:
    with pytest.raises(RangeBeyondEnd):
        byte_range(header, size)
