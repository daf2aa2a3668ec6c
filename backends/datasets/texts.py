"""Plain text: lines, words and characters per split, and how files begin. Read a line at a time."""

from collections.abc import Sequence
from typing import Any

from backends.datasets.layouts import File
from backends.datasets.numbers import summary

SAMPLES = 20
LINE = 1024 * 1024


def describe(files: Sequence[File], *, has_classes: bool) -> dict[str, Any]:
    """Statistics per split, and the beginnings of some files."""
    splits: dict[str, dict[str, Any]] = {}
    samples: list[dict[str, Any]] = []
    ordered = sorted(files, key=lambda each: each.name)
    shown = {file.name for file in ordered[:: max(1, len(ordered) // SAMPLES)][:SAMPLES]}
    for file in ordered:
        lines = words = characters = 0
        with file.path.open(encoding="utf-8", errors="replace") as stream:
            head = stream.read(400)
            stream.seek(0)
            while line := stream.readline(LINE):
                lines += line.endswith("\n")
                words += len(line.split())
                characters += len(line)
        into = splits.setdefault(file.split, {"files": 0, "lines": 0, "words": 0, "characters": 0, "lengths": []})
        into["files"] += 1
        into["lines"] += lines
        into["words"] += words
        into["characters"] += characters
        into["lengths"].append(words)
        if file.name in shown:
            samples.append(
                {"path": file.name, "split": file.split, "label": file.label if has_classes else "", "text": head}
            )
    return {
        "splits": [
            {
                "split": split,
                **{name: each[name] for name in ("files", "lines", "words", "characters")},
                "words_per_file": summary(each["lengths"]),
            }
            for split, each in sorted(splits.items())
        ],
        "samples": samples,
    }
