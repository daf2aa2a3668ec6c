"""What a file looks like at a glance. Text, tables of text and the card are read here; other bytes of strangers are opened by
programs in the sandbox only, which leave the first rows of Parquet files for us to show."""

import csv
import io
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from registry.services import previews, storage
from registry.services.cards import parse_card, render_markdown

if TYPE_CHECKING:
    from registry.models import Blob

TEXT_BYTES = 256 * 1024
TABLE_ROWS = 100
TABLE_COLUMNS = 60
IMAGE_BYTES = 8 * 1024**2
MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
"""Picture formats that a browser shows by itself; SVG is a document and stays a download."""
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif")


@dataclass(frozen=True)
class Preview:
    """`form` is text, table, markdown, image, binary, large or waiting (for the sandbox); the fields of the other forms are
    empty. A table has a `note` on what of it is shown; `types` is as long as `header`, or empty; a cell is None for null."""

    form: str
    text: str = ""
    line_numbers: str = ""
    html: str = ""
    header: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    note: str = ""
    problem: str = ""
    is_cut: bool = False

    @property
    def columns(self) -> list[tuple[str, str]]:
        return list(zip(self.header, self.types or [""] * len(self.header), strict=True))


def preview_of(name: str, blob: "Blob") -> Preview:
    """What the file called `name` begins with. The caller has checked the right to read. Reads up to TEXT_BYTES, or one row."""
    if previews.has_preview(name):
        made = previews.preview_of(blob)
        return _parquet(made.content) if made else Preview("waiting")
    return _of_bytes(name, storage.read_blob(blob, TEXT_BYTES), blob.size_bytes)


def _of_bytes(name: str, raw: bytes, size_bytes: int) -> Preview:
    is_cut = size_bytes > len(raw)
    lower = name.lower()
    if lower.endswith(IMAGE_ENDINGS) and image_type(raw):
        return Preview("image" if size_bytes <= IMAGE_BYTES else "large")
    if b"\0" in raw[:8192]:
        return Preview("binary")
    text = raw.decode("utf-8", errors="replace")
    if lower.endswith((".md", ".markdown")):
        return Preview("markdown", html=render_markdown(parse_card(text).body), is_cut=is_cut)
    if lower.endswith((".csv", ".tsv")):
        return _table(text, "\t" if lower.endswith(".tsv") else ",", is_cut=is_cut)
    lines = text.count("\n") + (not text.endswith("\n"))
    return Preview("text", text=text, line_numbers="\n".join(map(str, range(1, lines + 1))), is_cut=is_cut)


def image_type(raw: bytes) -> str:
    """The media type by the first bytes, empty when it is no picture we show."""
    return next((kind for magic, kind in MAGIC.items() if raw.startswith(magic)), "")


def _table(text: str, delimiter: str, *, is_cut: bool) -> Preview:
    try:
        rows: list[list[str | None]] = [
            [*row[:TABLE_COLUMNS]] for row in islice(csv.reader(io.StringIO(text), delimiter=delimiter), TABLE_ROWS + 2)
        ]
    except csv.Error:
        return Preview("binary")
    header = [str(cell) for cell in rows[0]] if rows else []
    return Preview("table", header=header, rows=rows[1 : TABLE_ROWS + 1], is_cut=is_cut or len(rows) > TABLE_ROWS + 1)


def _parquet(content: dict) -> Preview:
    columns, rows = content.get("columns", []), content.get("rows", [])
    column_count, row_count = content.get("column_count", 0), content.get("row_count", 0)
    parts = [
        f"{row_count:,} row{'' if row_count == 1 else 's'}, {column_count:,} column{'' if column_count == 1 else 's'}."
    ]
    if rows and len(rows) < row_count:
        parts.append(f"The first {len(rows):,} rows are shown.")
    if len(columns) < column_count:
        parts.append(f"The first {len(columns):,} columns are shown.")
    return Preview(
        "table",
        header=[name for name, _ in columns],
        types=[kind for _, kind in columns],
        rows=rows,
        note=" ".join(parts) if columns else "",
        problem=content.get("problem", ""),
    )
