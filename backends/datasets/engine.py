"""DuckDB, tied down: bounded memory, no extensions from elsewhere, and names that cannot break out of their quotes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from backends.datasets.layouts import File

MEMORY = "1GB"
_SOURCES = {
    "parquet": "read_parquet($files, union_by_name=true)",
    "csv": "read_csv($files, union_by_name=true, sample_size=200000, max_line_size=16777216)",
    "text-csv": "read_csv($files, union_by_name=true, all_varchar=true, null_padding=true, max_line_size=16777216)",
    "jsonl": "read_json($files, format='newline_delimited', union_by_name=true, maximum_object_size=67108864)",
    "json": "read_json($files, format='array', union_by_name=true, maximum_object_size=67108864)",
}


class Unreadable(Exception):
    """The files cannot be read as a table; the message says why."""


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A database in `folder`, which spills there instead of growing."""
    spill = folder / "spill"
    spill.mkdir(exist_ok=True)
    connection = duckdb.connect(str(folder / "work.duckdb"))
    for statement in (
        f"SET memory_limit='{MEMORY}'",
        "SET threads=2",
        f"SET temp_directory='{spill}'",
        "SET autoinstall_known_extensions=false",
        "SET autoload_known_extensions=false",
        "SET preserve_insertion_order=true",
        "SET enable_progress_bar=false",
    ):
        connection.execute(statement)
    return connection


def quoted(name: str) -> str:
    """`name` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def load(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[File]) -> str:
    """Make `table` of the rows of files of one form, in their order; `rowid` counts them from 0. Returns a note when types had
    to be given up. Raises Unreadable."""
    form, note = files[0].form, ""
    paths = [str(file.path) for file in files]
    try:
        _create(connection, table, form, paths)
    except duckdb.Error as error:
        if form != "csv":
            raise Unreadable(reason(error)) from error
        # one odd line must not hide a table: every column as text
        try:
            _create(connection, table, "text-csv", paths)
        except duckdb.Error as second:
            raise Unreadable(reason(second)) from second
        note = f"Its columns are shown as text, because a line does not fit the types of the others: {reason(error)}"
    return note


def _create(connection: duckdb.DuckDBPyConnection, table: str, form: str, paths: list[str]) -> None:
    connection.execute(f"CREATE OR REPLACE TABLE {quoted(table)} AS SELECT * FROM {_SOURCES[form]}", {"files": paths})


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[tuple[str, str]]:
    """Names and types."""
    rows = connection.execute(f"DESCRIBE {quoted(table)}").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def one(connection: duckdb.DuckDBPyConnection, statement: str, values: Any = None) -> Any:
    """The only value of the only row."""
    row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def reason(error: Exception) -> str:
    """The first sentence of what DuckDB says, without paths of this machine."""
    first = str(error).split("\n", 1)[0]
    words = ["the file" if word.strip("\"'").startswith("/") else word for word in first.split()]
    return " ".join(words)[:300]
