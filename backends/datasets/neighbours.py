"""Texts that are nearly the same: MinHash over words, candidates by bands, confirmed by the true overlap of the words."""

import re
import zlib
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np

from backends.datasets.engine import columns_of, one, quoted
from backends.datasets.layouts import ALL
from backends.datasets.tables import kind_of

ROWS = 20_000
"""Texts looked at, spread evenly over the splits of a table."""
LISTED = 50
_HASHES, _BANDS = 64, 16
"""Bands of four: two texts that share 80 % of their word triples meet with probability 0.9998, 40 % with 0.34."""
_ALIKE = 0.8
_MIN_WORDS = 5
_PRIME = (1 << 61) - 1
_WORD = re.compile(r"\w+")
_DRAWN = np.random.default_rng(7)
_FACTORS = _DRAWN.integers(1, 1 << 31, size=_HASHES, dtype=np.uint64)
_SHIFTS = _DRAWN.integers(0, 1 << 31, size=_HASHES, dtype=np.uint64)


def similar_texts(
    connection: duckdb.DuckDBPyConnection, loaded: Sequence[tuple[str, str, str, Any, str]]
) -> list[dict[str, Any]]:
    """For every table with a column of longer text: pairs of nearly the same texts, and how many of them stand in two splits."""
    found = []
    for table in sorted({each[1] for each in loaded}):
        members = [each for each in loaded if each[1] == table]
        column = _text_column(connection, members[0][0])
        if column is None:
            continue
        texts: list[tuple[str, int, str]] = []
        for name, _table, split, _files, _note in members:
            if (column, True) not in {(each, kind_of(kind) == "text") for each, kind in columns_of(connection, name)}:
                continue
            rows = connection.execute(
                f"SELECT rowid + 1, left({quoted(column)}::VARCHAR, 4000) FROM {quoted(name)} "
                f"WHERE {quoted(column)} IS NOT NULL ORDER BY hash(rowid) LIMIT {ROWS // len(members)}"
            ).fetchall()
            texts += [(split, row, text) for row, text in rows]
        pairs = pairs_of([text for _, _, text in texts])
        between = [pair for pair in pairs if len({texts[pair[0]][0], texts[pair[1]][0]} - {ALL}) == 2]
        first = set(between)
        ordered = between + [pair for pair in pairs if pair not in first]
        found.append(
            {
                "table": table,
                "column": column,
                "looked_at": len(texts),
                "pairs": len(pairs),
                "between_splits": len(between),
                "examples": [
                    {
                        "left": f"{texts[a][0]} row {texts[a][1]}",
                        "right": f"{texts[b][0]} row {texts[b][1]}",
                        "text": texts[a][2][:200],
                    }
                    for a, b in ordered[:LISTED]
                ],
            }
        )
    return found


def _text_column(connection: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """The column with the longest texts, if they are sentences rather than words."""
    best: tuple[float, str] | None = None
    for column, type_name in columns_of(connection, name)[:200]:
        if kind_of(type_name) != "text":
            continue
        length = one(connection, f"SELECT avg(length({quoted(column)}::VARCHAR)) FROM {quoted(name)}") or 0.0
        if length >= 30 and (best is None or length > best[0]):
            best = (length, column)
    return best[1] if best else None


def pairs_of(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Indices of texts of which four fifths of the word triples are shared (Jaccard), each pair once, in order. Texts of fewer than
    five words are passed over."""
    shingles = [_shingles(text) for text in texts]
    buckets: dict[tuple[int, bytes], list[int]] = {}
    for index, each in enumerate(shingles):
        if each is None:
            continue
        signature = ((each[:, None] * _FACTORS + _SHIFTS) % np.uint64(_PRIME)).min(axis=0)
        for band in range(_BANDS):
            buckets.setdefault((band, signature[band * 4 : band * 4 + 4].tobytes()), []).append(index)
    found: set[tuple[int, int]] = set()
    for members in buckets.values():
        # of many copies each is compared with the first: enough to name them all
        for first, second in ((members[0], other) for other in members[1:]):
            if (first, second) not in found:
                left, right = shingles[first], shingles[second]
                assert left is not None
                assert right is not None
                shared = len(np.intersect1d(left, right, assume_unique=True))
                if shared >= _ALIKE * (len(left) + len(right) - shared):
                    found.add((first, second))
    return sorted(found)


def _shingles(text: str) -> np.ndarray | None:
    """uint64[n]: the different hashes of three words in a row."""
    words = _WORD.findall(text.lower())
    if len(words) < _MIN_WORDS:
        return None
    return np.unique(
        np.array(
            [zlib.crc32(" ".join(words[at : at + 3]).encode(errors="replace")) for at in range(len(words) - 2)],
            dtype=np.uint64,
        )
    )
