"""Following a recipe: the rows of a table, filtered and split, as Parquet files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from backends.datasets import tables
from backends.datasets.engine import columns_of, connect, one, quoted, reason
from backends.datasets.layouts import ALL, recognise
from backends.datasets.recipes import Condition, Recipe
from backends.datasets.recipes import Wrong as WrongRecipe

_COMPARISONS = {"=": "=", "!=": "IS DISTINCT FROM", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def derive(folder: Path, entries: Sequence[dict[str, Any]], recipe: Recipe) -> dict[str, Any]:
    """Write `out/<n>` and say what each is: `{problem, read: [paths], files: [{number, split, rows}], table, rows}`. A recipe that does not
    fit the table is a `problem`."""
    answer: dict[str, Any] = {"problem": "", "read": [], "files": [], "table": "", "rows": 0}
    files = [recognise(each["name"], Path(each["path"]), each["size_bytes"]) for each in entries]
    connection = connect(folder)
    loaded, problems = tables.load_all(connection, files)
    try:
        members = _chosen(loaded, recipe, problems)
        answer["table"] = members[0][1]
        answer["read"] = [file.name for _, _, _, each, _ in members for file in each]
        answer["rows"] = sum(one(connection, f"SELECT count(*) FROM {quoted(each[0])}") for each in members)
        _gather(connection, members)
        kept = _keep(connection, recipe)
        (folder / "out").mkdir()
        answer["files"] = _write(connection, folder / "out", recipe, kept)
    except WrongRecipe as error:
        answer["problem"] = str(error)
    except duckdb.Error as error:
        answer["problem"] = f"The recipe does not fit the table: {reason(error)}"
    return answer


def _chosen(loaded: Sequence[Any], recipe: Recipe, problems: Sequence[str]) -> list[Any]:
    names = sorted({each[1] for each in loaded})
    if not names:
        raise WrongRecipe(problems[0] if problems else "There is no table in this version.")
    if not recipe.table and len(names) > 1:
        raise WrongRecipe(f"Name a table: {', '.join(names[:20])}.")
    wanted = recipe.table or names[0]
    if wanted not in names:
        raise WrongRecipe(f"There is no table {wanted}; there are {', '.join(names[:20])}.")
    return [each for each in loaded if each[1] == wanted]


def _gather(connection: duckdb.DuckDBPyConnection, members: Sequence[Any]) -> None:
    """All splits as one table, with two more columns: the split, and the place."""
    parts = " UNION ALL BY NAME ".join(
        f'SELECT *, {number} AS "__part", rowid AS "__row", \'{split}\' AS "__split" FROM {quoted(name)}'
        for number, (name, _, split, _, _) in enumerate(members)
    )
    connection.execute(f'CREATE TABLE "rows" AS {parts}')


def _keep(connection: duckdb.DuckDBPyConnection, recipe: Recipe) -> list[str]:
    """Make the table of the rows that stay; returns the columns to be written."""
    present = [name for name, _ in columns_of(connection, "rows") if name not in {"__part", "__row", "__split"}]
    for name in (*recipe.columns, *(each.column for each in recipe.where), *([recipe.group] if recipe.group else [])):
        if name not in present:
            raise WrongRecipe(f"There is no column {name}; there are {', '.join(present[:30])}.")
    values: dict[str, Any] = {}
    clauses = [_clause(number, each, values) for number, each in enumerate(recipe.where)] or ["true"]
    columns = list(recipe.columns) or present
    first = ""
    if recipe.drop_duplicates:
        first = f'QUALIFY row_number() OVER (PARTITION BY {tables.row_hash(columns)} ORDER BY "__part", "__row") = 1'
    key = f"coalesce({quoted(recipe.group)}::VARCHAR, '')" if recipe.group else tables.row_hash(columns)
    # 60 bits of MD5 as a number from 0 to 1: the same row falls into the same split in every version
    place = f"('0x' || substr(md5('{recipe.seed}:' || {key}), 1, 15))::BIGINT / {float(16**15)}"
    connection.execute(
        f'CREATE TABLE kept AS SELECT *, {place} AS "__place" FROM "rows" WHERE {" AND ".join(clauses)} {first}', values
    )
    return columns


def _clause(number: int, condition: Condition, values: dict[str, Any]) -> str:
    at, name = quoted(condition.column), f"v{number}"
    if condition.is_ in {"is null", "is not null"}:
        return f"{at} {condition.is_.upper()}"
    if condition.is_ in {"in", "not in"}:
        values[name] = [_text(each) for each in condition.value]
        found = f"list_contains(${name}, {at}::VARCHAR)"
        return found if condition.is_ == "in" else f"NOT coalesce({found}, false)"
    values[name] = condition.value
    if condition.is_ == "contains":
        return f"contains({at}::VARCHAR, ${name})"
    if condition.is_ == "matches":
        return f"regexp_matches({at}::VARCHAR, ${name})"
    return f"{at} {_COMPARISONS[condition.is_]} ${name}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write(
    connection: duckdb.DuckDBPyConnection, out: Path, recipe: Recipe, columns: Sequence[str]
) -> list[dict[str, Any]]:
    if recipe.splits:
        ends, at = [], 0.0
        for name, part in recipe.splits.items():
            ends.append((name, f'"__place" >= {at} AND "__place" < {at + part}'))
            at += part
        # what rounding leaves above the last end belongs to the last
        ends[-1] = (ends[-1][0], ends[-1][1].split(" AND ")[0])
    else:
        found = connection.execute('SELECT DISTINCT "__split" FROM kept ORDER BY 1').fetchall()
        ends = [(row[0], f"\"__split\" = '{row[0]}'") for row in found] or [(ALL, "true")]
    picked = ", ".join(quoted(name) for name in columns)
    files = []
    for number, (name, condition) in enumerate(ends):
        rows = one(connection, f"SELECT count(*) FROM kept WHERE {condition}")
        connection.execute(
            f'COPY (SELECT {picked} FROM kept WHERE {condition} ORDER BY "__part", "__row") TO \'{out / str(number)}\' (FORMAT parquet)'
        )
        files.append({"number": number, "split": name, "rows": rows})
    return files
