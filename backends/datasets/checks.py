"""Holding what a version has against the rules it brings along. Each demand of a rule is one result."""

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb

from backends.datasets.audio import Clip
from backends.datasets.engine import columns_of, one, quoted, reason
from backends.datasets.images import Picture, near_pairs
from backends.datasets.rules import Rule
from backends.datasets.tables import TEXT, kind_of

EXAMPLES = 10
Loaded = tuple[str, str, str, Sequence[Any], str]


def run(
    rules: Sequence[Rule],
    connection: duckdb.DuckDBPyConnection | None,
    loaded: Sequence[Loaded],
    pictures: Sequence[Picture],
    clips: Sequence[Clip],
    *,
    file_count: int,
    leaks: int,
    near_leaks: int = 0,
) -> list[dict[str, Any]]:
    """`[{rule, blocks, where, demand, passed, checked, failed, examples, problem}]`, in the order of the rules. A rule about something that the
    version does not have fails: a column that was renamed must not pass."""
    results: list[dict[str, Any]] = []
    for number, rule in enumerate(rules, 1):
        if rule.subject in {"column", "rows"}:
            found = _of_tables(rule, connection, loaded)
        elif rule.subject == "images":
            found = _of_media(
                rule, [each for each in pictures if _concerns(rule, each.file.split)], _image_fault, "pictures"
            )
        elif rule.subject == "audio":
            found = _of_media(rule, [each for each in clips if _concerns(rule, each.file.split)], _clip_fault, "sounds")
        elif rule.subject == "files":
            found = [_between(key, limit, file_count, "files") for key, limit in rule.wants.items()]
        else:
            found = [_result("no rows or pictures of one split in another", leaks == 0, 1, leaks)]
            if rule.wants.get("near_texts"):
                demand = "no text of one split nearly the same in another"
                found.append(_result(demand, near_leaks == 0, 1, near_leaks))
        results += [{"rule": number, "blocks": rule.blocks, **each} for each in found]
    return results


def _concerns(rule: Rule, split: str) -> bool:
    return rule.split in {"", split}


def _result(
    demand: str,
    passed: bool,  # noqa: FBT001 - the verdict, second as in every line of a report
    checked: int,
    failed: int,
    examples: Iterable[str] = (),
    *,
    where: str = "",
    problem: str = "",
) -> dict[str, Any]:
    return {
        "where": where, "demand": demand, "passed": passed, "checked": checked, "failed": failed,
        "examples": [each[:TEXT] for each in examples], "problem": problem,
    }  # fmt: skip


def _between(key: str, limit: int, count: int, what: str, where: str = "") -> dict[str, Any]:
    passed = count >= limit if key == "min" else count <= limit
    return _result(
        f"{'at least' if key == 'min' else 'at most'} {limit:,} {what}",
        passed,
        count,
        0 if passed else abs(limit - count),
        where=where,
    )


def _of_tables(
    rule: Rule, connection: duckdb.DuckDBPyConnection | None, loaded: Sequence[Loaded]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, table, split, _files, _note in loaded:
        if connection is None or not _concerns(rule, split) or rule.table not in {"", table}:
            continue
        where = f"{table} · {split}"
        rows = one(connection, f"SELECT count(*) FROM {quoted(name)}")
        if rule.subject == "rows":
            found += [_between(key, limit, rows, "rows", where) for key, limit in rule.wants.items()]
            continue
        types = dict(columns_of(connection, name))
        if rule.column not in types:
            found.append(
                _result(f"a column {rule.column}", False, rows, rows, where=where, problem="There is no such column.")
            )
            continue
        if not rule.wants:
            found.append(_result(f"a column {rule.column}", True, rows, 0, where=where))
        for key, value in rule.wants.items():
            found.append(
                {**_of_column(connection, name, rule.column, types[rule.column], key, value, rows), "where": where}
            )
    if not found:
        found.append(
            _result(
                f"a table for the rule on {rule.column or 'rows'}",
                False,
                0,
                0,
                problem="There is no such table or split.",
            )
        )
    return found


def _of_column(
    connection: duckdb.DuckDBPyConnection, name: str, column: str, type_name: str, key: str, value: Any, rows: int
) -> dict[str, Any]:
    at, kind = quoted(column), kind_of(type_name)
    if key == "type":
        is_right = kind == value or (value == "number" and kind == "integer")
        return _result(
            f"{column} is of type {value}",
            is_right,
            rows,
            0 if is_right else rows,
            problem="" if is_right else f"It is {type_name.lower()[:60]}.",
        )
    values: dict[str, Any] = {}
    if key == "nulls":
        demand, wrong = f"{column} is never empty", f"{at} IS NULL"
        if value:
            return _result(f"{column} may be empty", True, rows, 0)
    elif key == "unique":
        if not value:
            return _result(f"{column} may repeat", True, rows, 0)
        demand = f"{column} is unique"
        wrong = f"{at} IN (SELECT {at} FROM {quoted(name)} WHERE {at} IS NOT NULL GROUP BY {at} HAVING count(*) > 1)"
    elif key in {"min", "max"}:
        demand, values = f"{column} is at {'least' if key == 'min' else 'most'} {value:g}", {"limit": float(value)}
        wrong = f"TRY_CAST({at} AS DOUBLE) {'<' if key == 'min' else '>'} $limit OR ({at} IS NOT NULL AND TRY_CAST({at} AS DOUBLE) IS NULL)"
    elif key in {"min_length", "max_length"}:
        demand, values = (
            f"{column} has at {'least' if key == 'min_length' else 'most'} {value} characters",
            {"limit": value},
        )
        wrong = f"length({at}::VARCHAR) {'<' if key == 'min_length' else '>'} $limit"
    elif key == "allowed":
        texts = [_text(each) for each in value]
        demand, values = (
            f"{column} is one of {', '.join(texts[:8])}{' …' if len(texts) > 8 else ''}",
            {"allowed": texts},
        )
        wrong = f"{at} IS NOT NULL AND NOT list_contains($allowed, {at}::VARCHAR)"
    else:
        demand, values = f"{column} matches {value}", {"pattern": value}
        wrong = f"NOT regexp_full_match({at}::VARCHAR, $pattern)"
    try:
        failed = one(connection, f"SELECT count(*) FROM {quoted(name)} WHERE {wrong}", values)
        rows_wrong = connection.execute(
            f"SELECT rowid + 1, left({at}::VARCHAR, {TEXT}) FROM {quoted(name)} WHERE {wrong} ORDER BY rowid LIMIT {EXAMPLES}",
            values,
        ).fetchall()
    except duckdb.Error as error:
        return _result(demand, False, rows, rows, problem=reason(error))
    examples = [f"row {number}: {'null' if text is None else text}" for number, text in rows_wrong] if failed else []
    return _result(demand, failed == 0, rows, failed, examples)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_media(rule: Rule, members: Sequence[Any], fault: Any, what: str) -> list[dict[str, Any]]:
    if not members:
        return [_result(f"{what} to hold the rule against", False, 0, 0, problem=f"There are no {what} here.")]
    found = []
    for key, value in rule.wants.items():
        if key == "readable":
            wrong = [each for each in members if each.problem] if value else []
            demand = "every file can be read"
        elif key == "duplicates":
            found.append(_copies(members, may=value))
            continue
        elif key == "classes":
            names = {_text(each) for each in value}
            wrong = [each for each in members if each.file.label not in names]
            demand = f"classes are among {', '.join(sorted(names)[:8])}"
        else:
            demand, is_wrong = fault(key, value)
            wrong = [each for each in members if not each.problem and is_wrong(each)]
        examples = [each.file.name + (f": {each.problem}" if each.problem else "") for each in wrong[:EXAMPLES]]
        found.append(_result(demand, not wrong, len(members), len(wrong), examples, where=rule.split))
    return found


def _copies(members: Sequence[Picture], *, may: bool) -> dict[str, Any]:
    good = [each for each in members if not each.problem]
    pairs = [] if may else near_pairs(good)
    examples = [f"{good[first].file.name} and {good[second].file.name}" for first, second in pairs[:EXAMPLES]]
    return _result("no two pictures look the same", not pairs, len(good), len(pairs), examples)


def _image_fault(key: str, value: Any) -> tuple[str, Any]:
    side = "width" if key.endswith("width") else "height"
    if key in {"min_width", "min_height"}:
        return f"{side} is at least {value} pixels", lambda each: getattr(each, side) < value
    if key in {"max_width", "max_height"}:
        return f"{side} is at most {value} pixels", lambda each: getattr(each, side) > value
    if key == "min_sharpness":
        return f"sharpness is at least {value:g}", lambda each: each.sharpness < value
    names = {_text(each).upper().replace("JPG", "JPEG") for each in value}
    if key == "formats":
        return f"format is {' or '.join(sorted(names))}", lambda each: each.format.upper() not in names
    return f"mode is {' or '.join(sorted(names))}", lambda each: each.mode.upper() not in names


def _clip_fault(key: str, value: Any) -> tuple[str, Any]:
    if key == "rate":
        return f"rate is {value} Hz", lambda each: each.rate != value
    if key == "channels":
        return f"channels: {value}", lambda each: each.channels != value
    if key == "min_duration_s":
        return f"lasts at least {value:g} s", lambda each: each.duration_s < value
    return f"lasts at most {value:g} s", lambda each: each.duration_s > value
