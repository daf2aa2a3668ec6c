"""The first rows of a Parquet file as text. It parses hostile bytes: run it through `backends.previews.run` in a sandbox, never in a
process of the site."""

import json
import math
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXT_LIMIT = 200
"""Characters of a name, a type or a value."""
ANSWER_LIMIT = 512 * 1024
"""Characters of all values together; the rows that would go beyond are left out."""


def preview(path: Path, *, head_bytes: int, rows: int, columns: int) -> dict[str, Any]:
    """Names and types of the first `columns` columns and the first `rows` rows of the first row group that has any.

    Only the first `head_bytes` of the file, and its footer, need to be there; the rest may be a hole. Returns `column_count`,
    `row_count`, `columns` ([name, type]), `rows` (text, None for null) and `problem`, a sentence when something could not be shown.
    """
    try:
        with pq.ParquetFile(
            path, thrift_string_size_limit=64 * 1024**2, thrift_container_size_limit=4_000_000, buffer_size=64 * 1024
        ) as file:
            return _read(file, head_bytes, rows, columns)
    except (pa.ArrowException, OSError, ValueError, UnicodeError) as error:
        return _answer(problem=f"It cannot be read as Parquet: {_cut(' '.join(str(error).split()))}")


def _read(file: pq.ParquetFile, head_bytes: int, rows: int, columns: int) -> dict[str, Any]:
    schema, facts = file.schema_arrow, file.metadata
    shown = list(schema)[:columns]
    answer = _answer(
        column_count=len(schema),
        row_count=facts.num_rows,
        columns=[[_cut(each.name), _cut(str(each.type))] for each in shown],
    )
    group = next((each for each in range(facts.num_row_groups) if facts.row_group(each).num_rows), None)
    if group is None or not shown:
        return answer
    ends = _end_of(facts.row_group(group))
    if ends > head_bytes:
        size = math.ceil(ends / 1_000_000)
        answer["problem"] = f"Its first group of rows ends after {size} MB, which is too far in for a preview."
        return answer
    names = None if len(shown) == len(schema) else [each.name for each in shown]
    batch = next(file.iter_batches(batch_size=rows, row_groups=[group], columns=names), None)
    if batch is not None:
        answer["rows"] = _texts(batch.slice(0, rows), len(shown))
    return answer


def _end_of(group: Any) -> int:
    """Where the last byte of a row group lies."""
    ends = [0]
    for index in range(group.num_columns):
        column = group.column(index)
        start = column.data_page_offset
        if column.has_dictionary_page and column.dictionary_page_offset:
            start = min(start, column.dictionary_page_offset)
        ends.append(start + column.total_compressed_size)
    return max(ends)


def _texts(batch: pa.RecordBatch, columns: int) -> list[list[str | None]]:
    rows: list[list[str | None]] = []
    used = 0
    for number in range(batch.num_rows):
        row = [_text(batch.column(index)[number]) for index in range(min(columns, batch.num_columns))]
        used += sum(len(each or "") for each in row)
        if used > ANSWER_LIMIT:
            break
        rows.append(row)
    return rows


def _text(scalar: pa.Scalar) -> str | None:
    if not scalar.is_valid:
        return None
    try:
        return _cut(_plain(scalar.as_py()))
    except (ValueError, OverflowError, RecursionError, pa.ArrowException):
        # a date beyond what Python counts, text that is not UTF-8
        return "(cannot be shown)"


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value[: TEXT_LIMIT + 1]
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list):
        # what is cut off below need not be written out first
        return json.dumps(value[:TEXT_LIMIT], default=_plain, ensure_ascii=False)
    return json.dumps(value, default=_plain, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"


def _answer(**found: Any) -> dict[str, Any]:
    return {"column_count": 0, "row_count": 0, "columns": [], "rows": [], "problem": ""} | found
