"""The files of a dataset, brought to where a sandboxed program can read them: as many as there is room for, chosen fairly."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from backends.datasets.sandboxed import LocalFile
from registry.models import Commit
from registry.queries import Entry, all_files, blobs_of
from registry.services.sandboxes import copy_to

FILES_LIMIT = 20_000
BYTES_LIMIT = 4 * 1024**3
_STRUCTURED = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".yaml", ".yml")
"""Tables and annotations go first: a sample of pictures tells about the others, a missing table does not."""
_PARALLEL_READS = 8


@dataclass(frozen=True)
class Selection:
    """`entries`: what is looked at, in the order of paths. `file_count`, `size_bytes`: of all files."""

    entries: list[Entry]
    file_count: int
    size_bytes: int

    @property
    def is_whole(self) -> bool:
        return len(self.entries) == self.file_count

    @property
    def coverage(self) -> dict[str, int]:
        return {
            "files": self.file_count,
            "bytes": self.size_bytes,
            "read_files": len(self.entries),
            "read_bytes": sum(entry.size_bytes for entry in self.entries),
        }


def select(commit: Commit, *, only_tables: bool = False) -> Selection:
    """All files, or where there are more than can be looked at those whose paths have the smallest digests: the same for every version,
    so that samples of two versions can be compared, and fair to every folder. Memory follows FILES_LIMIT, not the dataset."""
    kept: list[tuple[int, bytes, Entry]] = []
    count = size = 0
    for entry in all_files(commit):
        is_structured = entry.path.lower().endswith(_STRUCTURED)
        if only_tables and not is_structured:
            continue
        count += 1
        size += entry.size_bytes
        digest = hashlib.sha1(entry.path.encode(), usedforsecurity=False).digest()
        kept.append((0 if is_structured else 1, digest, entry))
        if len(kept) >= 2 * FILES_LIMIT:
            kept = _first(kept)
    chosen, used = [], 0
    for _, _, entry in _first(kept):
        if used + entry.size_bytes <= BYTES_LIMIT:
            chosen.append(entry)
            used += entry.size_bytes
    return Selection(sorted(chosen, key=lambda entry: entry.path), count, size)


def _first(kept: list[tuple[int, bytes, Entry]]) -> list[tuple[int, bytes, Entry]]:
    return sorted(kept, key=lambda each: each[:2])[:FILES_LIMIT]


def copy(entries: Sequence[Entry], folder: Path) -> list[LocalFile]:
    """Copies of the files in `folder`, numbered: their own names never reach the file system. Copies, never the stored files: what runs in
    the sandbox must not reach those."""
    folder.mkdir(exist_ok=True)
    blobs = blobs_of(entries)

    def fetch(numbered: tuple[int, Entry]) -> LocalFile:
        number, entry = numbered
        target = folder / str(number)
        copy_to(blobs[entry.ref], target)
        return LocalFile(entry.path, target, entry.size_bytes)

    with ThreadPoolExecutor(_PARALLEL_READS) as pool:
        return list(pool.map(fetch, enumerate(entries)))
