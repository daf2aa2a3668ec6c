"""Two states of a dataset: columns, rows by key, and whether what the columns hold has drifted."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from backends.datasets import tables
from backends.datasets.engine import columns_of, connect, one, quoted
from backends.datasets.layouts import recognise
from backends.datasets.numbers import finite

EXAMPLES = 200
"""Rows that are written out of each kind of difference; the counts are of all."""
_SHOWN = 30
_KEYS = ("id", "uuid", "key", "index", "name", "path", "file_name", "filename")
_GRID = 200
"""Bins by which distributions are compared: the Kolmogorov–Smirnov distance is read at their edges."""


def compare(
    folder: Path, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], key: Sequence[str]
) -> dict[str, Any]:
    """What differs between the tables of two states, table by table and split by split. `key`: columns that name a row; empty: found
    for each table (`_key_of`), and where none is found whole rows are compared."""
    connection = connect(folder)
    sides = []
    problems: list[str] = []
    for side, entries in (("before", before), ("after", after)):
        files = [recognise(each["name"], Path(each["path"]), each["size_bytes"]) for each in entries]
        loaded, wrong = tables.load_all(connection, files)
        problems += [f"{side.capitalize()}: {each}" for each in wrong]
        named = {}
        for name, table, split, *_ in loaded:
            # both sides are numbered from 0
            connection.execute(f"ALTER TABLE {quoted(name)} RENAME TO {quoted(f'{side}_{name}')}")
            named[table, split] = f"{side}_{name}"
        sides.append(named)
    old, new = sides
    found = []
    for table, split in sorted({*old, *new}):
        entry: dict[str, Any] = {"table": table, "split": split}
        if (table, split) not in old or (table, split) not in new:
            name = new.get((table, split)) or old[table, split]
            kind = "added" if (table, split) in new else "removed"
            found.append({**entry, "kind": kind, "rows": one(connection, f"SELECT count(*) FROM {quoted(name)}")})
            continue
        found.append({**entry, "kind": "both", **_tables(connection, old[table, split], new[table, split], key)})
    return {"tables": found, "problems": problems}


def _tables(connection: duckdb.DuckDBPyConnection, left: str, right: str, wanted: Sequence[str]) -> dict[str, Any]:
    before, after = dict(columns_of(connection, left)), dict(columns_of(connection, right))
    shared = [name for name in after if name in before]
    rows = [one(connection, f"SELECT count(*) FROM {quoted(name)}") for name in (left, right)]
    schema = [
        {"column": name, "kind": "removed", "before": before[name], "after": ""} for name in before if name not in after
    ]
    schema += [
        {"column": name, "kind": "added", "before": "", "after": after[name]} for name in after if name not in before
    ]
    schema += [
        {"column": name, "kind": "changed", "before": before[name], "after": after[name]}
        for name in shared
        if before[name] != after[name]
    ]
    key, problem = _key_of(connection, left, right, shared, wanted)
    return {
        "rows_before": rows[0],
        "rows_after": rows[1],
        "schema": schema,
        "key": key,
        "problem": problem,
        **(_by_key(connection, left, right, shared, key) if key else _by_content(connection, left, right, shared)),
        "drift": [
            _drift(connection, left, right, name, before[name], after[name]) for name in shared[: tables.COLUMNS]
        ],
    }


def _key_of(
    connection: duckdb.DuckDBPyConnection, left: str, right: str, shared: Sequence[str], wanted: Sequence[str]
) -> tuple[list[str], str]:
    """The columns that name a row on both sides: those asked for, else the first of the usual names, else the first column, if it is
    without repetition and nulls. With the reason when what was asked for does not do."""
    if wanted:
        missing = [name for name in wanted if name not in shared]
        if missing:
            return [], f"There is no column {missing[0]} on both sides: whole rows are compared."
        if not all(_is_key(connection, name, wanted) for name in (left, right)):
            return [], f"{', '.join(wanted)} does not name one row each: whole rows are compared."
        return list(wanted), ""
    lower = {name.lower(): name for name in reversed(shared)}
    usual = [lower[name] for name in _KEYS if name in lower]
    usual += [name for name in shared if name.lower().endswith("_id") and name not in usual]
    usual += [name for name in shared[:1] if name not in usual]
    for name in usual:
        if all(_is_key(connection, side, [name]) for side in (left, right)):
            return [name], ""
    return [], ""


def _is_key(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> bool:
    names = ", ".join(quoted(name) for name in columns)
    nulls = " OR ".join(f"{quoted(name)} IS NULL" for name in columns)
    if one(connection, f"SELECT count(*) FROM {quoted(table)} WHERE {nulls}"):
        return False
    return not one(
        connection, f"SELECT count(*) FROM (SELECT 1 FROM {quoted(table)} GROUP BY {names} HAVING count(*) > 1)"
    )


def _by_key(
    connection: duckdb.DuckDBPyConnection, left: str, right: str, shared: Sequence[str], key: Sequence[str]
) -> dict[str, Any]:
    same = " AND ".join(f"l.{quoted(name)}::VARCHAR = r.{quoted(name)}::VARCHAR" for name in key)
    rest = [name for name in shared if name not in key]
    differs = " OR ".join(_differ(name) for name in rest) or "false"
    joined = f"{quoted(left)} l JOIN {quoted(right)} r ON {same}"
    changed = one(connection, f"SELECT count(*) FROM {joined} WHERE {differs}")
    matched = one(connection, f"SELECT count(*) FROM {joined}")
    totals = [one(connection, f"SELECT count(*) FROM {quoted(name)}") for name in (left, right)]
    per_column = []
    if changed:
        sums = ", ".join(f"count(*) FILTER ({_differ(name)})" for name in rest)
        counts = connection.execute(f"SELECT {sums} FROM {joined} WHERE {differs}").fetchone() or ()
        per_column = sorted(
            ([name, n] for name, n in zip(rest, counts, strict=True) if n), key=lambda pair: (-pair[1], pair[0])
        )
    return {
        "removed": totals[0] - matched,
        "added": totals[1] - matched,
        "changed": changed,
        "changed_columns": per_column,
        "changed_rows": _changed_rows(connection, joined, differs, rest, key) if changed else [],
        "columns": list(key) + rest[: _SHOWN - len(key)],
        "removed_rows": _only(connection, left, right, same.replace("l.", "a.").replace("r.", "b."), [*key, *rest]),
        "added_rows": _only(connection, right, left, same.replace("l.", "b.").replace("r.", "a."), [*key, *rest]),
    }


def _differ(name: str) -> str:
    return f"l.{quoted(name)}::VARCHAR IS DISTINCT FROM r.{quoted(name)}::VARCHAR"


def _changed_rows(
    connection: duckdb.DuckDBPyConnection, joined: str, differs: str, rest: Sequence[str], key: Sequence[str]
) -> list[dict[str, Any]]:
    """`{key: [text], cells: [[column, before, after]]}` of the first changed rows, the first twelve cells of each."""
    parts = [f"l.{quoted(name)}::VARCHAR" for name in key]
    for name in rest:
        parts += [
            f"left(l.{quoted(name)}::VARCHAR, {tables.TEXT})",
            f"left(r.{quoted(name)}::VARCHAR, {tables.TEXT})",
            _differ(name),
        ]
    found = connection.execute(
        f"SELECT {', '.join(parts)} FROM {joined} WHERE {differs} ORDER BY r.rowid LIMIT {EXAMPLES}"
    ).fetchall()
    rows = []
    for row in found:
        cells = [
            [name, *row[len(key) + 3 * at : len(key) + 3 * at + 2]]
            for at, name in enumerate(rest)
            if row[len(key) + 3 * at + 2]
        ]
        rows.append({"key": [str(each)[: tables.TEXT] for each in row[: len(key)]], "cells": cells[:12]})
    return rows


def _only(
    connection: duckdb.DuckDBPyConnection, here: str, there: str, same: str, columns: Sequence[str]
) -> list[list[str | None]]:
    types = dict(columns_of(connection, here))
    picked = ", ".join(tables.as_text(name, types[name]) for name in columns[:_SHOWN])
    return _texts(
        connection,
        f"SELECT {picked} FROM {quoted(here)} a WHERE NOT EXISTS (SELECT 1 FROM {quoted(there)} b WHERE {same}) "
        f"ORDER BY rowid LIMIT {EXAMPLES}",
    )


def _by_content(connection: duckdb.DuckDBPyConnection, left: str, right: str, shared: Sequence[str]) -> dict[str, Any]:
    """Without a key a changed row is one that is gone and one that is new; rows that repeat count as often as they do."""
    answer: dict[str, Any] = {"changed": 0, "changed_columns": [], "changed_rows": [], "columns": list(shared[:_SHOWN])}
    if not shared:
        totals = [one(connection, f"SELECT count(*) FROM {quoted(name)}") for name in (left, right)]
        return {**answer, "removed": totals[0], "added": totals[1], "removed_rows": [], "added_rows": []}
    hashed = tables.row_hash(shared)
    for word, here, there in (("removed", left, right), ("added", right, left)):
        types = dict(columns_of(connection, here))
        picked = ", ".join(tables.as_text(name, types[name]) for name in shared[:_SHOWN])
        # the n-th of equal rows is matched by the n-th on the other side
        numbered = "SELECT {what}, {hash} AS h, row_number() OVER (PARTITION BY {hash} ORDER BY rowid) AS n, rowid AS place FROM {table}"
        ours = numbered.format(what="*", hash=hashed, table=quoted(here))
        theirs = numbered.format(what="1 AS one", hash=hashed, table=quoted(there))
        rest = f"FROM ({ours}) a WHERE NOT EXISTS (SELECT 1 FROM ({theirs}) b WHERE a.h = b.h AND a.n = b.n)"
        answer[word] = one(connection, f"SELECT count(*) {rest}")
        answer[f"{word}_rows"] = _texts(connection, f"SELECT {picked} {rest} ORDER BY place LIMIT {EXAMPLES}")
    return answer


def _texts(connection: duckdb.DuckDBPyConnection, statement: str) -> list[list[str | None]]:
    return [
        [None if value is None else str(value) for value in row] for row in connection.execute(statement).fetchall()
    ]


def _drift(
    connection: duckdb.DuckDBPyConnection, left: str, right: str, column: str, before: str, after: str
) -> dict[str, Any]:
    """Whether a column holds other values than before: Kolmogorov–Smirnov for numbers and times, chi-squared for classes; the
    population stability index (PSI) for showing. Texts of many values are compared by their length."""
    kinds = {tables.kind_of(before), tables.kind_of(after)}
    entry: dict[str, Any] = {"column": column, "test": "", "statistic": None, "p_value": None, "psi": None}
    entry["nulls"] = [_share_of_nulls(connection, table, column) for table in (left, right)]
    if kinds <= {"integer", "number"} or kinds == {"time"}:
        kind = "time" if kinds == {"time"} else "number"
        edges, counts = _binned(connection, left, right, column, kind)
        if edges:
            entry |= {"test": "Kolmogorov–Smirnov", **ks(*counts), "psi": psi(*_coarse(counts))}
            entry["histogram"] = {
                "edges": [finite(edge) for edge in edges[::10]],
                "before": _coarse(counts, 20)[0],
                "after": _coarse(counts, 20)[1],
            }
    elif kinds <= {"text", "boolean"}:
        classes = _classes(connection, left, right, column)
        if classes:
            old, new = [each[1] for each in classes], [each[2] for each in classes]
            entry |= {"test": "chi-squared", **chi_squared(old, new), "psi": psi(old, new), "classes": classes[:20]}
    return entry


def _share_of_nulls(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> float:
    share = one(connection, f"SELECT avg(({quoted(column)} IS NULL)::INTEGER) FROM {quoted(table)}")
    return float(share or 0.0)


def _binned(
    connection: duckdb.DuckDBPyConnection, left: str, right: str, column: str, kind: str
) -> tuple[list[float], tuple[list[int], list[int]]]:
    at = f"epoch({quoted(column)})" if kind == "time" else f"{quoted(column)}::DOUBLE"
    ends = [
        connection.execute(f"SELECT min({at}), max({at}) FROM {quoted(table)} WHERE isfinite({at})").fetchone()
        for table in (left, right)
    ]
    lows = [each[0] for each in ends if each and each[0] is not None]
    highs = [each[1] for each in ends if each and each[1] is not None]
    if len(lows) < 2:
        return [], ([], [])
    low, high = min(lows), max(highs)
    if not math.isfinite(high - low):
        return [], ([], [])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = [low + (high - low) * number / _GRID for number in range(_GRID + 1)]
    return edges, (
        tables.counts_between(connection, left, column, kind, edges),
        tables.counts_between(connection, right, column, kind, edges),
    )


def _coarse(counts: tuple[list[int], list[int]], bins: int = 10) -> tuple[list[int], list[int]]:
    """Neighbouring bins together: for the PSI the tenths of the first side, for showing bins of one width."""
    if bins == 20:
        old, new = (
            [int(sum(side[at : at + _GRID // bins])) for at in range(0, _GRID, _GRID // bins)] for side in counts
        )
        return old, new
    total = np.cumsum(counts[0])
    cuts = sorted({int(np.searchsorted(total, total[-1] * part / bins)) + 1 for part in range(1, bins)})
    places = [0, *[cut for cut in cuts if cut < _GRID], _GRID]
    old, new = ([int(sum(side[a:b])) for a, b in pairwise(places)] for side in counts)
    return old, new


def _classes(connection: duckdb.DuckDBPyConnection, left: str, right: str, column: str) -> list[list[Any]]:
    """`[[value, before, after]]` of the most frequent values of either side, the rest together; empty for a column of free text."""
    at = quoted(column)
    distinct = max(
        one(connection, f"SELECT approx_count_distinct({at}) FROM {quoted(table)}") for table in (left, right)
    )
    if distinct > 200:
        return []
    found = connection.execute(
        f"SELECT left(v, {tables.TEXT}) AS value, sum(b)::BIGINT, sum(a)::BIGINT FROM ("
        f"SELECT {at}::VARCHAR AS v, 1 AS b, 0 AS a FROM {quoted(left)} UNION ALL SELECT {at}::VARCHAR, 0, 1 FROM {quoted(right)}) "
        "WHERE v IS NOT NULL GROUP BY value ORDER BY sum(b) + sum(a) DESC, value"
    ).fetchall()
    return [[str(value), before, after] for value, before, after in found]


def ks(before: Sequence[int], after: Sequence[int]) -> dict[str, float | None]:
    """The two-sample Kolmogorov–Smirnov test on counts of common bins, by its asymptotic distribution: binning can only lower the
    distance, so a difference that is reported is one."""
    n, m = sum(before), sum(after)
    if not n or not m:
        return {"statistic": None, "p_value": None}
    distance = float(np.abs(np.cumsum(before) / n - np.cumsum(after) / m).max())
    root = math.sqrt(n * m / (n + m))
    # Stephens (1970): the correction that makes the asymptotic form good from n = 4 on
    x = (root + 0.12 + 0.11 / root) * distance
    if x < 0.3:
        return {"statistic": distance, "p_value": 1.0}
    terms = sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return {"statistic": distance, "p_value": min(1.0, max(0.0, 2 * terms))}


def chi_squared(before: Sequence[int], after: Sequence[int]) -> dict[str, float | None]:
    """Pearson's test of one distribution of classes on both sides, with its p-value by the chi-squared distribution."""
    n, m = sum(before), sum(after)
    if not n or not m or len(before) < 2:
        return {"statistic": None, "p_value": None}
    statistic = 0.0
    for old, new in zip(before, after, strict=True):
        for seen, size in ((old, n), (new, m)):
            expected = (old + new) * size / (n + m)
            statistic += (seen - expected) ** 2 / expected
    degrees = len(before) - 1
    return {"statistic": statistic, "p_value": _above(statistic, degrees)}


def _above(statistic: float, degrees: int) -> float:
    """The chance that a chi-squared variable is larger: the finite sums of the regularised gamma function (Abramowitz and Stegun 26.4.4,
    26.4.5)."""
    half = statistic / 2
    if half <= 0:
        return 1.0
    start = 0.0 if degrees % 2 == 0 else 0.5
    terms = (math.exp(-half + (n + start) * math.log(half) - math.lgamma(n + start + 1)) for n in range(degrees // 2))
    return min(1.0, sum(terms) + (math.erfc(math.sqrt(half)) if start else 0.0))


def psi(before: Sequence[int], after: Sequence[int]) -> float | None:
    """The population stability index: 0 for the same shares; half a count stands in for none."""
    n, m = sum(before), sum(after)
    if not n or not m:
        return None
    return float(
        sum(
            (b - a) * math.log(b / a)
            for a, b in ((max(o, 0.5) / n, max(w, 0.5) / m) for o, w in zip(before, after, strict=True))
        )
    )
