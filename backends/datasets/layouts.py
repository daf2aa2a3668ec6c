"""What each file of a dataset is, by its first bytes, and which split and table it belongs to, by its path."""

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

HEAD_BYTES = 64 * 1024
SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "validation": "validation",
    "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
"""Words of a path that name a split, as the `datasets` library reads them (docs: structure your repository)."""
ALL = "all"
"""The split of files whose path names none."""
_WORDS = re.compile(r"[-_. ]+")
_SHARD = re.compile(r"\d{1,6}(?:[-_]of[-_]\d{1,6})?")
_MAGIC = (
    (b"PAR1", "parquet"), (b"\x89PNG\r\n\x1a\n", "image"), (b"\xff\xd8\xff", "image"), (b"GIF8", "image"), (b"BM", "image"),
    (b"II*\0", "image"), (b"MM\0*", "image"), (b"fLaC", "audio"), (b"OggS", "audio"), (b"ID3", "audio"),
)  # fmt: skip
_TABLES = frozenset({"csv", "parquet", "jsonl", "json"})
_IGNORED = frozenset(
    {"readme.md", ".gitattributes", ".gitignore", "license", "license.txt", "license.md", "data-rules.yaml"}
)


@dataclass(frozen=True)
class File:
    """One file of the dataset: its path there, where its bytes are, what they are. `form` is parquet, csv, jsonl, json, coco,
    image, audio, yolo, voc, yaml, text or other."""

    name: str
    path: Path
    size_bytes: int
    form: str

    @property
    def split(self) -> str:
        return split_of(self.name)

    @property
    def is_table(self) -> bool:
        return self.form in _TABLES

    @property
    def label(self) -> str:
        """The folder that holds the file, when it says more than the split: the class in a folder of classes."""
        return label_of(self.name)


def split_of(name: str) -> str:
    """The split that a path names: in a folder's name, else in a word of the file's; `all` when in none."""
    pure = PurePosixPath(name)
    for part in pure.parts[:-1]:
        if part.lower() in SPLITS:
            return SPLITS[part.lower()]
    words = _WORDS.split(pure.stem.lower())
    return next((SPLITS[word] for word in words if word in SPLITS), ALL)


def label_of(name: str) -> str:
    """The nearest folder of a path that names no split; empty when there is none."""
    folders = [part for part in PurePosixPath(name).parts[:-1] if part.lower() not in SPLITS]
    return folders[-1] if folders else ""


def table_of(name: str) -> str:
    """The name of the table that a file is a part of: its path without split, shard number and ending."""
    pure = PurePosixPath(name)
    folders = [part for part in pure.parts[:-1] if part.lower() not in SPLITS]
    stem = re.sub(r"[-_]?\d{1,6}[-_]of[-_]\d{1,6}$", "", pure.name.split(".")[0])
    words = [word for word in _WORDS.split(stem) if word and word.lower() not in SPLITS and not _SHARD.fullmatch(word)]
    base = "-".join(words)
    return "/".join([*folders, base] if base else folders) or "data"


def recognise(name: str, path: Path, size_bytes: int) -> File:
    """What the file is. Its bytes decide; its ending only between kinds of text."""
    if PurePosixPath(name).name.lower() in _IGNORED:
        return File(name, path, size_bytes, "other")
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    return File(name, path, size_bytes, _form_of(name, head, is_whole=size_bytes <= len(head)))


def _form_of(name: str, head: bytes, *, is_whole: bool) -> str:
    for magic, form in _MAGIC:
        if head.startswith(magic):
            return form
    if head.startswith(b"RIFF"):
        return {b"WAVE": "audio", b"WEBP": "image"}.get(head[8:12], "other")
    if head[:2] in {b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"}:
        return "audio"
    if b"\0" in head:
        return "other"
    try:
        # a character may be cut at the end of what was read
        text = (head if is_whole else head[:-4]).decode("utf-8-sig", errors="strict" if is_whole else "ignore")
    except UnicodeDecodeError:
        return "csv" if name.lower().endswith((".csv", ".tsv")) else "other"
    return _form_of_text(PurePosixPath(name).suffix.lower(), text)


def _form_of_text(suffix: str, text: str) -> str:
    start = text.lstrip()
    lines = [line for line in text.splitlines()[:6] if line.strip()]
    if start.startswith("{"):
        if lines and _is_object(lines[0]):
            is_lines = suffix in {".jsonl", ".ndjson"} or (len(lines) > 1 and _is_object(lines[1]))
            return "jsonl" if is_lines else "coco" if _is_whole_coco(lines[0]) else "other"
        return "coco" if _is_coco(start) else "other"
    if start.startswith("["):
        return "json" if start[1:].lstrip().startswith("{") else "other"
    if start.startswith("<"):
        return "voc" if "<annotation" in start[:2000] else "other"
    if suffix in {".csv", ".tsv"}:
        return "csv" if lines else "other"
    if suffix in {".yaml", ".yml"}:
        return "yaml"
    if suffix in {".txt", ".md", ".text", ""} and start:
        return "yolo" if suffix == ".txt" and lines and all(_is_box(line) for line in lines) else "text"
    return (
        "csv"
        if suffix not in {".py", ".js", ".css", ".html", ".toml", ".cfg", ".ini"} and _has_columns(lines)
        else "other"
    )


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _is_coco(start: str) -> bool:
    """A COCO file is one object with `images`, `annotations`, `categories` in any order; the head shows one of them at least."""
    return bool(re.search(r'"(?:images|annotations|categories|info|licenses)"\s*:\s*[\[{]', start))


def _is_whole_coco(line: str) -> bool:
    """A short COCO file in one line, as programs write it."""
    found = json.loads(line)
    return isinstance(found.get("images"), list) and isinstance(found.get("annotations"), list)


def _is_box(line: str) -> bool:
    """`class x y width height` (or a polygon) in parts of the image."""
    words = line.split()
    if len(words) < 5 or not words[0].isdigit():
        return False
    try:
        return all(-0.01 <= float(word) <= 1.01 for word in words[1:])
    except ValueError:
        return False


def _has_columns(lines: list[str]) -> bool:
    return len(lines) > 1 and any(
        lines[0].count(mark) and all(a.count(mark) == b.count(mark) for a, b in pairwise(lines)) for mark in ",;\t"
    )
