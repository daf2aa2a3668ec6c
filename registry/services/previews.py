"""The first rows of Parquet files. The format is compressed and nested, and its reader a large program, so the bytes are parsed in
the sandbox, once for each blob; pages show the row that this leaves."""

from pathlib import Path

from django.db import transaction

from backends.previews.sandboxed import preview_table
from common.errors import NotFound
from registry.models import Blob, BlobPreview
from registry.services import storage
from registry.services.sandboxes import sandbox
from work.door import enqueue

RULES = "parquet-1"
"""Raised when previews are made differently; what was made by older rules is made again."""
HEAD_BYTES = 256 * 1024**2
"""How far into a file its first group of rows may reach: writers cut groups at 128 MiB or at a million rows."""
FOOTER_BYTES = 32 * 1024**2
"""The longest footer: about a hundred thousand column chunks."""
_MAGIC = b"PAR1"


def has_preview(name: str) -> bool:
    """Whether a file of that name is shown as a table by this module."""
    return name.lower().endswith(".parquet")


def preview_of(blob: Blob) -> BlobPreview | None:
    """What the file begins with; None while it is being made, which the first call asks for. The caller has checked the right to
    read."""
    found = BlobPreview.objects.filter(blob=blob, rules=RULES).first()
    if found is None:
        enqueue("registry.preview_blob", blob.pk, key=f"preview-blob:{blob.pk}")
    return found


def preview_blob(blob_id: int) -> BlobPreview:
    """Read the first rows in the sandbox and keep them. Safe to repeat, and beside itself: one row for each blob and rules."""
    blob = Blob.objects.filter(pk=blob_id).first()
    if blob is None:
        raise NotFound("These bytes are gone.")
    known = BlobPreview.objects.filter(blob=blob, rules=RULES).first()
    if known is not None:
        return known
    content = _made(blob)
    with transaction.atomic():
        return BlobPreview.objects.get_or_create(blob=blob, rules=RULES, defaults={"content": content})[0]


def _made(blob: Blob) -> dict[str, object]:
    footer = _footer_bytes(blob)
    if footer is None:
        return {"problem": "It is not a Parquet file: the mark at its end is missing."}
    if footer > FOOTER_BYTES:
        return {"problem": "It describes its columns at a length that is not read for a preview."}
    with sandbox("preview") as place:
        local = place.copies / "0"
        _copy(blob, local, footer)
        found = preview_table(place.runner, place.work, local, key=place.key, head_bytes=HEAD_BYTES)
    return {
        "column_count": found.column_count,
        "row_count": found.row_count,
        "columns": [list(column) for column in found.columns],
        "rows": found.rows,
        "problem": found.problem,
    }


def _footer_bytes(blob: Blob) -> int | None:
    """Length of the footer with its length and mark (the last eight bytes), None when the mark is not there."""
    if blob.size_bytes < 12:
        return None
    with storage.open_blob(blob, blob.size_bytes - 8, blob.size_bytes) as reader:
        tail = b"".join(reader)
    length = int.from_bytes(tail[:4], "little") + 8
    return length if tail[4:] == _MAGIC and length <= blob.size_bytes else None


def _copy(blob: Blob, target: Path, footer: int) -> None:
    """The beginning and the footer at their places; between them a hole, which takes no room."""
    with target.open("wb") as file:
        for start, end in ((0, min(HEAD_BYTES, blob.size_bytes)), (blob.size_bytes - footer, blob.size_bytes)):
            file.seek(start)
            with storage.open_blob(blob, start, end) as reader:
                for chunk in reader:
                    file.write(chunk)
    target.chmod(0o644)
