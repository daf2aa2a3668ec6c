"""What the previewing program says of Parquet files, ordinary and hostile."""

import datetime as dt
import decimal
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backends.previews.parquet import preview
from backends.previews.sandboxed import FAILED, preview_table
from backends.runners.process import ProcessRunner

ALL = 1 << 40


def look(path: Path, *, head_bytes: int = ALL, rows: int = 3, columns: int = 60) -> dict:
    return preview(path, head_bytes=head_bytes, rows=rows, columns=columns)


def written(path: Path, table: pa.Table, **options) -> Path:
    pq.write_table(table, path, **options)
    return path


def test_values_of_every_kind_become_text(tmp_path):
    noon = dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)
    table = pa.table(
        {
            "int": [1, None],
            "real": [0.5, -1e300],
            "text": ["=1+1", "x" * 999],
            "flag": [True, False],
            "bytes": [b"abc", b""],
            "time": [noon, noon],
            "money": [decimal.Decimal("1.50"), decimal.Decimal(-2)],
            "list": [[1, 2], []],
            "deep": [{"a": [1]}, None],
            "with.dot": ["é", "\u202e"],
            "far": pa.array([0, 2**61], pa.timestamp("us")),
        }
    )
    found = look(written(tmp_path / "t", table))
    assert found["columns"][:2] == [["int", "int64"], ["real", "double"]]
    assert (found["row_count"], found["column_count"], found["problem"]) == (2, 11, "")
    first, second = found["rows"]
    assert first == [
        "1", "0.5", "=1+1", "true", "(3 bytes)", "2020-01-01T12:00:00+00:00", "1.50", "[1, 2]", '{"a": [1]}', "é",
        "1970-01-01T00:00:00",
    ]  # fmt: skip
    assert second[0] is None
    assert second[2] == "x" * 199 + "…"
    assert second[10] == "(cannot be shown)"


def test_only_the_beginning_is_read(tmp_path):
    table = pa.table({f"c{number}": list(range(1000)) for number in range(70)})
    path = written(tmp_path / "t", table, row_group_size=100)
    found = look(path, rows=5, columns=10)
    assert (found["row_count"], found["column_count"], len(found["columns"])) == (1000, 70, 10)
    assert found["rows"] == [[str(row)] * 10 for row in range(5)]
    # all behind the first group is a hole
    footer = int.from_bytes(path.read_bytes()[-8:-4], "little") + 8
    group = pq.ParquetFile(path).metadata.row_group(1).column(0)
    end = min(group.data_page_offset, group.dictionary_page_offset or group.data_page_offset)
    size = path.stat().st_size
    whole = path.read_bytes()
    path.write_bytes(whole[:end])
    with path.open("r+b") as file:
        file.seek(size - footer)
        file.write(whole[-footer:])
    assert look(path, head_bytes=end, rows=5, columns=10) == found
    short = look(path, head_bytes=end - 1)
    assert (short["rows"], len(short["columns"])) == ([], 60)
    assert short["problem"].startswith("Its first group of rows ends after 1 MB")


def test_files_without_rows(tmp_path):
    assert look(written(tmp_path / "a", pa.table({})))["columns"] == []
    empty = look(written(tmp_path / "b", pa.table({"a": pa.array([], pa.int32())})))
    assert (empty["columns"], empty["rows"], empty["problem"]) == ([["a", "int32"]], [], "")


def test_columns_of_one_name_and_of_nested_names(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "a", "b"])
    assert look(written(tmp_path / "a", twice), columns=2)["rows"] == [["1", "2"]]
    nested = pa.table({"x.y": [1], "x": [{"y": 2}], "z": [3]})
    assert look(written(tmp_path / "b", nested), columns=1)["rows"] == [["1"]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1",
        b"PAR1" + b"x" * 100 + (50).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + (2**32 - 1).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + b"\0" * 8 + (8).to_bytes(4, "little") + b"PARE",
        random.Random(1).randbytes(4096) + b"PAR1",
    ],
    ids=["empty", "short", "no footer", "endless footer", "wrong magic", "noise"],
)
def test_broken_file_is_a_sentence(tmp_path, content):
    path = tmp_path / "t"
    path.write_bytes(content)
    found = look(path)
    assert found["problem"].startswith("It cannot be read as Parquet: ")
    assert found["rows"] == []


def test_every_cut_and_every_changed_byte_of_a_footer_ends_in_an_answer(tmp_path):
    path = written(tmp_path / "t", pa.table({"a": [1, 2, 3], "b": ["x", "y", None]}))
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    for at in range(len(whole) - footer, len(whole), 7):
        for changed in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(changed)
            found = look(path)
            assert found["problem"] or all(len(row) == len(found["columns"]) for row in found["rows"])


def test_bomb_is_ended_by_the_sandbox(tmp_path):
    """A few kilobytes that unpack to 3 GB: one hundred times one value."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int32()), pa.array(["a" * 30_000_000]))
    options = {"compression": "zstd", "store_schema": False, "write_statistics": False}
    path = written(tmp_path / "bomb", pa.table({"a": values}), dictionary_pagesize_limit=1 << 30, **options)
    assert path.stat().st_size < 100_000
    (tmp_path / "work").mkdir()
    found = preview_table(ProcessRunner(tmp_path / "runs"), tmp_path / "work", path, key="bomb", head_bytes=ALL)
    assert (found.rows, found.problem) == ([], FAILED)
