"""Differences as people read them, and both sides' changes brought together, line by line."""

import difflib
import time
from collections.abc import Iterator

from registry.changes import Change, changes_between
from registry.models import Blob, Quarantine, Tree
from registry.queries import Entry
from registry.services import storage

FILE_BYTES = 256 * 1024
"""Of each side: longer texts are said to differ, and that is all."""
LINES = 5000
"""Of each side: comparing lines takes 0.7 s for the worst texts of this length that were found, and grows with the square."""
_DIFF_BYTES = 1024**2
_DIFF_S = 5.0
_NULL_ID = "0" * 40


def unified_diff(before: Tree | None, after: Tree) -> str:
    """The difference as `git diff` writes it, cut after about a megabyte, or some seconds, with a line that says so."""
    parts: list[str] = []
    size, deadline = 0, time.monotonic() + _DIFF_S
    for change in changes_between(before, after):
        part = "".join(_file_diff(change))
        size += len(part)
        if size > _DIFF_BYTES or time.monotonic() > deadline:
            parts.append("... the rest of the difference is too long to be shown\n")
            break
        parts.append(part)
    return "".join(parts)


def text_of(file: Entry | None) -> bytes | None:
    """What git sees of a file, for comparing lines: a pointer for a large file; None when it is long or no text."""
    if file is None:
        return b""
    if file.sha256 is not None:
        return storage.pointer_of(file.sha256, file.size_bytes)
    if file.size_bytes > FILE_BYTES:
        return None
    if Quarantine.objects.filter(blob_id=file.ref, released_at__isnull=True).exists():
        return None
    content = storage.read_blob(Blob.objects.get(pk=file.ref), FILE_BYTES)
    return None if b"\0" in content or content.count(b"\n") > LINES else content


def merged_text(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The lines of `base` with the changes of both sides; None when both have changed the same or neighbouring lines."""
    source = _lines(base)
    edits = sorted({edit for side in (ours, theirs) for edit in _edits(source, _lines(side))})
    result: list[bytes] = []
    at = -1
    for start, end, lines in edits:
        if start <= at:
            return None
        result += [*source[max(at, 0) : start], *lines]
        at = end
    return b"".join([*result, *source[max(at, 0) :]])


def _edits(source: list[bytes], target: list[bytes]) -> list[tuple[int, int, tuple[bytes, ...]]]:
    """Which lines of `source` are replaced by what in `target`."""
    codes = difflib.SequenceMatcher(None, source, target).get_opcodes()
    return [(start, end, tuple(target[first:last])) for kind, start, end, first, last in codes if kind != "equal"]


def _file_diff(change: Change) -> Iterator[str]:
    path, before, after = change.path, change.before, change.after
    yield f"diff --git a/{path} b/{path}\n"
    if before is None:
        yield "new file mode 100644\n"
    if after is None:
        yield "deleted file mode 100644\n"
    ids = [(file.oid if file else _NULL_ID)[:10] for file in (before, after)]
    yield f"index {ids[0]}..{ids[1]}\n"
    left, right = f"a/{path}" if before else "/dev/null", f"b/{path}" if after else "/dev/null"
    old, new = text_of(before), text_of(after)
    if old is None or new is None:
        yield f"Binary files {left} and {right} differ\n"
        return
    before_lines, after_lines = ([line.decode(errors="replace") for line in _lines(side)] for side in (old, new))
    for line in difflib.unified_diff(before_lines, after_lines, left, right):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: bytes) -> list[bytes]:
    """Lines as git sees them: ended by a line feed and by nothing else."""
    lines = [line + b"\n" for line in text.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]
