"""Facts are kept, not edited: a migration operation that makes the database itself refuse to change or delete rows."""

from collections.abc import Sequence
from typing import Any

from django.db.migrations.operations import RunPython
from django.db.migrations.operations.base import Operation

_REASON = "is append-only: write a correcting row instead"


def append_only(table: str, *, mutable: Sequence[str] = (), again: bool = False) -> Operation:
    """Triggers on `table` that refuse DELETE and UPDATE, on SQLite and PostgreSQL. Columns in `mutable` may change, no other.
    Reversible. (TRUNCATE, which only the tests use, fires no row trigger.) `again` after a table has got columns: new ones are not
    guarded, and where SQLite rebuilt the table the triggers are gone. Taken back, it leaves none: the columns could not go."""

    def forwards(apps: Any, schema_editor: Any) -> None:
        for statement in _drop(schema_editor.connection.vendor, table) if again else ():
            schema_editor.execute(statement)
        columns = [
            column.name
            for column in schema_editor.connection.introspection.get_table_description(
                schema_editor.connection.cursor(), table
            )
            if column.name not in mutable
        ]
        for statement in _create(schema_editor.connection.vendor, table, columns if mutable else None):
            schema_editor.execute(statement)

    def backwards(apps: Any, schema_editor: Any) -> None:
        for statement in _drop(schema_editor.connection.vendor, table):
            schema_editor.execute(statement)

    return RunPython(forwards, backwards)


def _create(vendor: str, table: str, guarded: list[str] | None) -> list[str]:
    of = "" if guarded is None else " OF " + ", ".join(f'"{column}"' for column in guarded)
    if vendor == "sqlite":
        return [
            f"CREATE TRIGGER {table}_keep_{deed.lower()} BEFORE {deed}{of if deed == 'UPDATE' else ''} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} {_REASON}'); END"
            for deed in ("UPDATE", "DELETE")
        ]
    return [
        f"""CREATE FUNCTION {table}_keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION '{table} {_REASON}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        *(
            f"CREATE TRIGGER {table}_keep_{deed.lower()} BEFORE {deed}{of if deed == 'UPDATE' else ''} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_keep()"
            for deed in ("UPDATE", "DELETE")
        ),
    ]


def _drop(vendor: str, table: str) -> list[str]:
    on = "" if vendor == "sqlite" else f" ON {table}"
    drops = [f"DROP TRIGGER IF EXISTS {table}_keep_{deed}{on}" for deed in ("update", "delete")]
    return drops if vendor == "sqlite" else [*drops, f"DROP FUNCTION IF EXISTS {table}_keep()"]
