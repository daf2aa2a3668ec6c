"""Jupyter notebooks: documents that are programs."""

import json
import re
from collections.abc import Iterable
from typing import Any

from backends.contracts.scanners import Content, Finding, Scanner, Verdict

_LONGEST = 64 * 1024**2
_FETCH_AND_RUN = re.compile(
    r"(?:curl|wget)\b[^\n|;]*[|;]\s*(?:sudo\s+)?(?:ba|z|da)?sh\b|base64\s+(?:-d|--decode)[^\n]*\|\s*(?:ba|z)?sh|/dev/tcp/|\bnc\s+-e\b"
)
_ACTIVE = re.compile(
    r"<\s*(?:script|iframe|object|embed)\b|\bon(?:error|load|click|mouseover)\s*=|javascript:", re.IGNORECASE
)


class NotebookScanner(Scanner):
    """A notebook is code. Cells that fetch and run something, and outputs with scripts, which run when the notebook is opened, are flagged."""

    name = "notebooks"
    rules_version = "1"

    def look(self, content: Content) -> Iterable[Finding]:
        if content.format != "text" or content.size > _LONGEST or not content.head.lstrip().startswith(b"{"):
            return
        data = bytes(content.data)
        if b'"nbformat"' not in data or (b'"cells"' not in data and b'"worksheets"' not in data):
            return
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            yield Finding("notebooks.malformed", Verdict.UNKNOWN, "It looks like a notebook and is not valid JSON.")
            return
        if not isinstance(document, dict) or "nbformat" not in document:
            return
        yield Finding("notebooks.notebook", Verdict.CODE, "It is a notebook: its cells are a program.")
        for number, cell in enumerate(_cells(document)):
            place = f"cell {number + 1}"
            source = _text(cell.get("source", cell.get("input", "")))
            if _FETCH_AND_RUN.search(source):
                yield Finding(
                    "notebooks.fetch", Verdict.FLAGGED, "The cell fetches something and runs it in a shell.", place
                )
            if cell.get("cell_type") != "code":
                if _ACTIVE.search(source):
                    yield Finding("notebooks.script", Verdict.FLAGGED, "The text of the cell holds a script.", place)
                continue
            for output in cell.get("outputs") or []:
                shown = output.get("data", output) if isinstance(output, dict) else {}
                html = _text(shown.get("text/html", "")) if isinstance(shown, dict) else ""
                script = isinstance(shown, dict) and "application/javascript" in shown
                if script or _ACTIVE.search(html):
                    yield Finding(
                        "notebooks.output",
                        Verdict.FLAGGED,
                        "An output of the cell holds a script, which runs when it is opened.",
                        place,
                    )


def _cells(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    sheets = document.get("worksheets")
    listed = document.get("cells") or [
        cell for sheet in sheets or [] if isinstance(sheet, dict) for cell in sheet.get("cells") or []
    ]
    return [cell for cell in listed if isinstance(cell, dict)] if isinstance(listed, list) else []


def _text(value: Any) -> str:
    return "".join(str(line) for line in value) if isinstance(value, list) else str(value)
