"""One query over tables that were handed in as text. Nothing but these is in reach: the engine is in memory, file system, extensions and
secrets are off, and its settings are locked before a letter of the query is looked at."""

import json
import re
import threading
from typing import Any

import duckdb

from backends.datasets.engine import quoted
from backends.sql.limits import ANSWER_CHARACTERS, CELL_CHARACTERS, COLUMNS, MEMORY_MB, ROWS, TIME_S

_LOCKS = (
    f"SET memory_limit='{MEMORY_MB}MB'",
    "SET threads=1",
    "SET temp_directory=''",
    "SET max_expression_depth=250",
    "SET python_enable_replacements=false",
    "SET autoinstall_known_extensions=false",
    "SET autoload_known_extensions=false",
    "SET allow_community_extensions=false",
    "SET enable_external_access=false",
    "SET errors_as_json=true",
    "SET lock_configuration=true",
)
_TYPES = re.compile(
    r"BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d{1,2},\d{1,2}\)|DATE|TIME|TIMESTAMP(?:_(?:S|MS|NS))?|VARCHAR"
)
_LINE = re.compile(r"LINE (\d+): (.*)\n( *)\^")
_PATH = re.compile(r"""["']?/[^\s"']*["']?""")
_TEXT_ONLY = "A value of the result cannot be shown: write it as text, as in SELECT column::VARCHAR."


def answer(tables: list[dict[str, Any]], query: str) -> dict[str, Any]:
    """`tables`: `{name, columns: [[name, type]], rows: [[text or None]]}`. Returns `columns` ([name, type]), `rows` (text, None for null),
    `is_cut` when there are more, and `problem`: None, or `{kind, message, line, column}` with kind syntax, query, time, memory or
    forbidden; line and column count from 1 and are None where the engine names no place."""
    connection = duckdb.connect(":memory:")
    for table in tables:
        _load(connection, table)
    for statement in _LOCKS:
        connection.execute(statement)
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        return _refused("syntax", *_placed(str(error)))
    if len(statements) != 1:
        return _refused(
            "syntax", "Write one query." if not statements else "Write one query, without another one behind it."
        )
    if statements[0].type not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
        return _refused(
            "forbidden",
            "Only queries are answered here: begin with SELECT, FROM, WITH, DESCRIBE, SUMMARIZE or EXPLAIN.",
        )
    timer = threading.Timer(TIME_S, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        return _read(connection.execute(statements[0]))
    except duckdb.InterruptException:
        return _refused("time", f"It took longer than {TIME_S} seconds: ask for less, or with fewer joins.")
    except (duckdb.OutOfMemoryException, MemoryError):
        return _refused(
            "memory", f"It needed more than {MEMORY_MB} MB of memory: ask for less, or group by fewer values."
        )
    except duckdb.PermissionException:
        return _refused(
            "forbidden",
            "Files, networks, extensions and other databases are out of reach here: only the tables of the sample are there.",
        )
    except duckdb.Error as error:
        return _refused("query", *_told(str(error), query))
    finally:
        timer.cancel()
        # a thread that is still there when the interpreter ends takes the process down with it, and the answer is not believed
        timer.join()
        connection.close()


def _load(connection: duckdb.DuckDBPyConnection, table: dict[str, Any]) -> None:
    """The rows as text, then each column in its type where all its values are of it."""
    name, columns = quoted(table["name"]), table["columns"]
    connection.execute(f"CREATE TABLE {name} ({', '.join(f'{quoted(column)} VARCHAR' for column, _ in columns)})")
    if table["rows"]:
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", table["rows"])
    for column, type_name in columns:
        if type_name == "VARCHAR" or not _TYPES.fullmatch(type_name):
            continue
        field = quoted(column)
        found = connection.execute(
            f"SELECT count(*) FROM {name} WHERE {field} IS NOT NULL AND TRY_CAST({field} AS {type_name}) IS NULL"
        ).fetchone()
        if found == (0,):
            connection.execute(f"ALTER TABLE {name} ALTER {field} TYPE {type_name}")


def _read(result: Any) -> dict[str, Any]:
    described = result.description or []
    if len(described) > COLUMNS:
        return _refused("query", f"The result has {len(described):,} columns: at most {COLUMNS} are shown.")
    columns = [[_cut(str(each[0])), _cut(str(each[1]))] for each in described]
    rows: list[list[str | None]] = []
    used = 0
    while len(rows) <= ROWS:
        try:
            row = result.fetchone()
        except (ImportError, OverflowError, ValueError, UnicodeError):
            return _refused("query", _TEXT_ONLY)
        except duckdb.InvalidInputException as error:
            if "pytz" not in str(error):
                raise
            # times with a zone need a package of Python that is not there
            return _refused("query", _TEXT_ONLY)
        if row is None:
            return {"columns": columns, "rows": rows, "is_cut": False, "problem": None}
        cells = [None if value is None else _cut(_text(value)) for value in row]
        used += sum(len(cell or "") for cell in cells)
        if len(rows) == ROWS or used > ANSWER_CHARACTERS:
            break
        rows.append(cells)
    return {"columns": columns, "rows": rows, "is_cut": True, "problem": None}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"


def _placed(message: str) -> tuple[str, int | None, int | None]:
    """What the parser says, and where: it draws the place."""
    first = message.removeprefix("Parser Error: ").split("\n", 1)[0]
    found = _LINE.search(message)
    if found is None:
        return _plain(first), None, None
    return _plain(first), int(found[1]), len(found[3]) - len(f"LINE {found[1]}: ") + 1


def _told(message: str, query: str) -> tuple[str, int | None, int | None]:
    """What the engine says in JSON, and where: it counts bytes."""
    try:
        said = json.loads(message[message.index("{") :])
        text = str(said["exception_message"])
        raw = query.encode()[: int(said["position"])].decode(errors="ignore") if "position" in said else None
    except (ValueError, KeyError, TypeError):
        return _plain(message), None, None
    if raw is None:
        return _plain(text), None, None
    return _plain(text), raw.count("\n") + 1, len(raw) - (raw.rfind("\n") + 1) + 1


def _plain(text: str) -> str:
    return _PATH.sub("a file", " ".join(text.split()))[:CELL_CHARACTERS]


def _refused(kind: str, message: str, line: int | None = None, column: int | None = None) -> dict[str, Any]:
    problem = {"kind": kind, "message": message, "line": line, "column": column}
    return {"columns": [], "rows": [], "is_cut": False, "problem": problem}
