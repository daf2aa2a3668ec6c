"""Tables as CSV: UTF-8, a line of headings, sent row by row. Text is made harmless for spreadsheets, numbers stay numbers."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from django.http import StreamingHttpResponse

from common.money import EXPONENTS, Money
from common.pagination import Page

Cell = str | int | float | Decimal | datetime | date | None
T = TypeVar("T")

FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, the wide forms included (OWASP, CSV injection)."""
CONTROL = ("\t", "\r", "\n")
PAGE = 500


class _Line:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> bytes:
        # a lone surrogate cannot be encoded
        return text.encode(errors="replace")


def csv_response(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> StreamingHttpResponse:
    """The rows as a download called `<name>.csv`. `rows` is read while it is sent, so it may be long."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
    return StreamingHttpResponse(
        _lines(header, rows),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{safe[:120]}.csv"',
            "Cache-Control": "private, no-store",
        },
    )


def every(fetch: Callable[[str | None], Page[T]]) -> Iterator[T]:
    """All rows of a keyset list, a page at a time: `fetch` takes a cursor."""
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield from page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


def amount(money: Money) -> Decimal:
    """`-12.50` as a number; the currency stands in a column of its own."""
    return Decimal(money.amount_minor).scaleb(-EXPONENTS[money.currency])


def harmless(text: str) -> str:
    """`text` that no spreadsheet takes for a formula: a quotation mark stands before what could begin one."""
    return f"'{text}" if text.startswith(CONTROL) or text.lstrip().startswith(FORMULA) else text


def _lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
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
