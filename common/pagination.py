"""Keyset pages: a cursor names the last row seen, so page one thousand costs what page one does."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

from common import strict_json
from common.errors import Invalid

T = TypeVar("T")
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Page(Generic[T]):
    """`items` in order; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None


def encode_cursor(values: Sequence[Any]) -> str:
    plain = [{"t": value.isoformat()} if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(strict_json.dumps(plain)).decode().rstrip("=")


def decode_cursor(cursor: str, length: int) -> list[Any]:
    """The values of `encode_cursor`. Raises Invalid for anything else: a cursor is the client's to send, so not trusted."""
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        values = strict_json.loads(raw, max_bytes=4096)
        plain = [datetime.fromisoformat(value["t"]) if isinstance(value, dict) else value for value in values]
    except (Invalid, ValueError, KeyError, TypeError) as error:
        raise _foreign() from error
    if len(plain) != length or any(isinstance(value, list) for value in plain):
        raise _foreign()
    return plain


def _foreign() -> Invalid:
    return Invalid("The cursor is not one of ours: start from the first page.", fields={"cursor": "invalid"})


def keyset_page(queryset: QuerySet[Row], *, order: tuple[str, ...], cursor: str | None, limit: int) -> Page[Row]:
    """One page of `queryset` in `order` (field names, `-` for descending; the last one unique). One query of `limit` + 1
    rows on the index of `order`. Raises Invalid for a foreign cursor."""
    if cursor:
        try:
            queryset = queryset.filter(_after(order, decode_cursor(cursor, len(order))))
        except (ValidationError, ValueError, TypeError) as error:
            raise _foreign() from error
    rows = list(queryset.order_by(*order)[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    last = [_value(rows[-1], name.lstrip("-")) for name in order] if more else None
    return Page(rows, encode_cursor(last) if last else None)


def _value(row: Model, path: str) -> Any:
    value: Any = row
    for part in path.split("__"):
        value = getattr(value, part)
    return value if isinstance(value, int | str | datetime | float | bool) else str(value)


def _after(order: tuple[str, ...], values: list[Any]) -> Q:
    condition = Q(pk__in=[])
    equal: dict[str, Any] = {}
    for name, value in zip(order, values, strict=True):
        field, comparison = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        condition |= Q(**equal, **{f"{field}__{comparison}": value})
        equal[field] = value
    return condition
