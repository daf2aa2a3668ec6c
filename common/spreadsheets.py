"""Rows as CSV that no spreadsheet runs: UTF-8, text made harmless, numbers stay numbers."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

Cell = str | int | float | Decimal | datetime | date | None

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, the wide forms included (OWASP, CSV injection)."""
CONTROL = ("\t", "\r", "\n")


class _Line:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> bytes:
        # a lone surrogate cannot be encoded
        return text.encode(errors="replace")


def harmless(text: str) -> str:
    """`text` that no spreadsheet takes for a formula: a quotation mark stands before what could begin one."""
    return f"'{text}" if text.startswith(CONTROL) or text.lstrip().startswith(FORMULA) else text


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """A line of headings, then one for each row, as `rows` is read."""
    writer: Any = csv.writer(_Line(), quoting=csv.QUOTE_NONNUMERIC)
    yield writer.writerow([harmless(title) for title in header])
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: Cell) -> str | int | float | Decimal:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    return harmless(value) if isinstance(value, str) else value
