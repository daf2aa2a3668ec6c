"""Tables as CSV: UTF-8, a line of headings, sent row by row. Text is made harmless for spreadsheets, numbers stay numbers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from django.http import StreamingHttpResponse

from common.money import EXPONENTS, Money
from common.pagination import Page
from common.spreadsheets import Cell, csv_lines

__all__ = ["PAGE", "Cell", "amount", "csv_response", "every"]

T = TypeVar("T")

PAGE = 500


def csv_response(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> StreamingHttpResponse:
    """The rows as a download called `<name>.csv`. `rows` is read while it is sent, so it may be long."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
    return StreamingHttpResponse(
        csv_lines(header, rows),
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
