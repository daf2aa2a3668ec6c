"""Tables: statistics of each column, rows as samples, rows that stand in two splits."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb

from backends.datasets.engine import Unreadable, columns_of, load, one, quoted
from backends.datasets.layouts import ALL, File, table_of
from backends.datasets.numbers import BINS, QUANTILES, finite

COLUMNS = 200
"""Of a table: further ones are counted and left out."""
TABLES = 50
ROWS = 200
TOP = 20
TEXT = 200
_EXACT_ROWS = 1_000_000
"""Up to so many rows distinct values are counted one by one; beyond, estimated (HyperLogLog, a few per cent)."""
_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_AT_ONCE = 25


def kind_of(type_name: str) -> str:
    """integer, number, boolean, time, text, bytes or nested."""
    if type_name in _NUMBERS:
        return "integer"
    if type_name in {"FLOAT", "DOUBLE"} or (type_name.startswith("DECIMAL") and not type_name.endswith("]")):
        return "number"
    if type_name.endswith("]") or type_name.startswith(("STRUCT", "MAP", "UNION")) or type_name == "JSON":
        return "nested"
    if type_name == "BOOLEAN":
        return "boolean"
    if type_name.startswith(("DATE", "TIMESTAMP")):
        return "time"
    return "bytes" if type_name == "BLOB" else "text"


def load_all(
    connection: duckdb.DuckDBPyConnection, files: Iterable[File]
) -> tuple[list[tuple[str, str, str, Sequence[File], str]], list[str]]:
    """Load every table of the dataset. Returns `(name in the database, table, split, files, note)` and what could not be read."""
    groups: dict[tuple[str, str, str], list[File]] = {}
    for file in sorted((file for file in files if file.is_table), key=lambda each: each.name):
        groups.setdefault((table_of(file.name), file.split, file.form), []).append(file)
    loaded: list[tuple[str, str, str, Sequence[File], str]] = []
    problems: list[str] = []
    if len(groups) > TABLES:
        problems.append(f"Only the first {TABLES} of {len(groups)} tables are read.")
    for number, ((table, split, _form), members) in enumerate(list(groups.items())[:TABLES]):
        name = f"t{number}"
        try:
            loaded.append((name, table, split, members, load(connection, name, members)))
        except Unreadable as error:
            problems.append(f"{members[0].name} cannot be read as a table: {error}")
    return loaded, problems


def describe(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """Rows, columns with their statistics, and the first rows of a loaded table."""
    rows = one(connection, f"SELECT count(*) FROM {quoted(name)}")
    columns = columns_of(connection, name)
    shown = columns[:COLUMNS]
    described: list[dict[str, Any]] = []
    for start in range(0, len(shown), _AT_ONCE):
        described += _figures(connection, name, shown[start : start + _AT_ONCE], rows)
    return {
        "rows": rows,
        "column_count": len(columns),
        "columns": described,
        "sample": samples(connection, name, shown[:60], f"ORDER BY rowid LIMIT {ROWS}"),
    }


def samples(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[tuple[str, str]], which: str
) -> list[list[str | None]]:
    """Rows as text, None for null, each value cut at TEXT characters. `which` is the rest of the SELECT, ours."""
    picked = ", ".join(as_text(column, kind) for column, kind in columns)
    found = connection.execute(f"SELECT {picked} FROM {quoted(name)} {which}").fetchall()
    return [[None if value is None else str(value) for value in row] for row in found]


def as_text(column: str, type_name: str) -> str:
    """An expression: the column as at most TEXT characters."""
    at = quoted(column)
    if kind_of(type_name) == "bytes":
        return f"'(' || octet_length({at}) || ' bytes)'"
    if "BLOB" in type_name:
        return f"CASE WHEN {at} IS NOT NULL THEN '(bytes inside)' END"
    return f"left(CAST({at} AS VARCHAR), {TEXT})"


def _figures(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[tuple[str, str]], rows: int
) -> list[dict[str, Any]]:
    wanted: list[str] = []
    for column, type_name in columns:
        wanted += _expressions(quoted(column), kind_of(type_name), is_exact=rows <= _EXACT_ROWS)
    values = iter(connection.execute(f"SELECT {', '.join(wanted)} FROM {quoted(name)}").fetchone() or ())
    found = []
    for column, type_name in columns:
        kind = kind_of(type_name)
        count, distinct = next(values), next(values)
        figures: dict[str, Any] = {
            "name": column[:TEXT],
            "type": type_name[:TEXT],
            "kind": kind,
            "nulls": rows - count,
            "distinct": distinct,
            "is_estimate": rows > _EXACT_ROWS,
        }
        if kind in {"integer", "number"}:
            low, high, mean, std, quantiles, odd = (next(values) for _ in range(6))
            figures |= {
                "min": finite(low),
                "max": finite(high),
                "mean": finite(mean),
                "std": finite(std),
                "not_finite": odd,
            }
            figures["quantiles"] = [finite(each) for each in quantiles or []]
            figures["histogram"] = histogram(connection, name, column, kind, low, high)
        elif kind == "time":
            figures |= {"from": next(values), "to": next(values)}
            low, high = next(values), next(values)
            figures["histogram"] = histogram(connection, name, column, kind, low, high)
        elif kind == "text":
            figures["length"] = {"min": next(values), "max": next(values), "mean": finite(next(values))}
        if kind in {"text", "boolean"} or (kind == "integer" and distinct <= TOP):
            figures["top"] = top_values(connection, name, column)
        found.append(figures)
    return found


def _expressions(at: str, kind: str, *, is_exact: bool) -> list[str]:
    hashed = f"md5({at})" if kind == "bytes" else f"CAST({at} AS VARCHAR)" if kind == "nested" else at
    found = [
        f"count({at})",
        f"count(DISTINCT {hashed})" if is_exact and kind != "nested" else f"approx_count_distinct({hashed})",
    ]
    if kind in {"integer", "number"}:
        real = f"(CASE WHEN isfinite({at}::DOUBLE) THEN {at}::DOUBLE END)"
        quantiles = ", ".join(map(str, QUANTILES))
        found += [
            f"min({real})", f"max({real})", f"avg({real})", f"stddev_samp({real})",
            f"approx_quantile({real}, [{quantiles}])", f"count(*) FILTER (NOT isfinite({at}::DOUBLE))",
        ]  # fmt: skip
    elif kind == "time":
        found += [f"min({at})::VARCHAR", f"max({at})::VARCHAR", f"epoch(min({at}))", f"epoch(max({at}))"]
    elif kind == "text":
        found += [f"min(length({at}::VARCHAR))", f"max(length({at}::VARCHAR))", f"avg(length({at}::VARCHAR))"]
    return found


def histogram(
    connection: duckdb.DuckDBPyConnection, name: str, column: str, kind: str, low: float | None, high: float | None
) -> dict[str, Any]:
    """Counts of a column between `low` and `high`: one bin a value for few whole numbers, BINS of one width otherwise. Edges of
    times are seconds since 1970."""
    if low is None or high is None:
        return {"edges": [], "counts": []}
    bins = BINS
    if kind == "integer" and high - low < BINS:
        bins, low, high = int(high - low) + 1, low - 0.5, high + 0.5
    elif high == low:
        bins, low, high = 1, low - 0.5, high + 0.5
    width = (high - low) / bins
    edges = [low + width * number for number in range(bins)] + [high]
    return {"edges": [finite(edge) for edge in edges], "counts": counts_between(connection, name, column, kind, edges)}


def counts_between(
    connection: duckdb.DuckDBPyConnection, name: str, column: str, kind: str, edges: Sequence[float]
) -> list[int]:
    """How many values lie in each of the bins of one width; what lies outside counts into the first and the last."""
    bins = len(edges) - 1
    if bins < 1:
        return []
    width = (edges[-1] - edges[0]) / bins
    at = f"epoch({quoted(column)})" if kind == "time" else f"{quoted(column)}::DOUBLE"
    if not width or not math.isfinite(width):
        return [0] * bins
    found = connection.execute(
        f"SELECT greatest(0, least($last, floor(({at} - $low) / $width)))::INTEGER AS bin, count(*) FROM {quoted(name)} "
        f"WHERE isfinite({at}) GROUP BY bin",
        {"last": bins - 1, "low": edges[0], "width": width},
    ).fetchall()
    counts = [0] * bins
    for number, n in found:
        counts[number] = n
    return counts


def top_values(connection: duckdb.DuckDBPyConnection, name: str, column: str, limit: int = TOP) -> list[list[Any]]:
    """The most frequent values: `[[text, count]]`."""
    found = connection.execute(
        f"SELECT left({quoted(column)}::VARCHAR, {TEXT}) AS value, count(*) AS n FROM {quoted(name)} "
        f"WHERE {quoted(column)} IS NOT NULL GROUP BY value ORDER BY n DESC, value LIMIT {limit}"
    ).fetchall()
    return [[str(value), n] for value, n in found]


def overlaps(
    connection: duckdb.DuckDBPyConnection, loaded: Sequence[tuple[str, str, str, Sequence[File], str]]
) -> list[dict[str, Any]]:
    """Rows that stand, the same in every shared column, in two splits of one table: leakage from the one into the other."""
    found = []
    for index, (left, table, first, _files, _note) in enumerate(loaded):
        for right, other, second, _more, _other_note in loaded[index + 1 :]:
            if table != other or first == second or ALL in {first, second}:
                continue
            shared = [
                column
                for column, _ in columns_of(connection, left)
                if column in {each for each, _ in columns_of(connection, right)}
            ]
            if not shared:
                continue
            key = row_hash(shared)
            n = one(
                connection,
                f"SELECT count(*) FROM {quoted(right)} WHERE {key} IN (SELECT {key} FROM {quoted(left)})",
            )
            examples = connection.execute(
                f"SELECT rowid + 1 FROM {quoted(right)} WHERE {key} IN (SELECT {key} FROM {quoted(left)}) ORDER BY 1 LIMIT 10"
            ).fetchall()
            found.append(
                {"table": table, "left": first, "right": second, "rows": n, "examples": [row[0] for row in examples]}
            )
    return found


def row_hash(columns: Sequence[str]) -> str:
    """An expression: 128 bits over the values of the columns, in which null differs from every text."""
    parts = ", ".join(f"coalesce('v' || {quoted(column)}::VARCHAR, 'n')" for column in columns)
    return f"md5(concat_ws(chr(31), {parts}))"
