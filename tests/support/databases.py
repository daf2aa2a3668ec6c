"""Putting the test database back after a test that really commits.

Django would empty every table. That is no use here: rows that migrations made (schedules, counters) would be lost, and
the triggers that keep facts append-only refuse it, as they should.
"""

import os
import sqlite3
from pathlib import Path

from django.db import connection, connections
from django.test import TransactionTestCase

_sqlite: dict[str, sqlite3.Connection] = {}
_postgres: dict[str, list[str]] = {}


def snapshot_databases() -> None:
    """Remember the state right after the migrations. SQLite: a copy in memory. PostgreSQL: copies of the tables with rows."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        connection.connection.backup(copy)
        _sqlite["default"] = copy
    else:
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA remembered")
            filled = _tables_with_rows(cursor)
            for name in filled:
                cursor.execute(f'CREATE TABLE remembered."{name}" AS TABLE public."{name}"')
        _postgres["default"] = filled
    connection.close()


def remembered_sqlite() -> sqlite3.Connection | None:
    """The migrated database of this run, in memory; None before a test has asked for a database, and on PostgreSQL."""
    return _sqlite.get("default")


def restore_after_transactional_test(_case: TransactionTestCase) -> None:
    """Stands in for `TransactionTestCase._fixture_teardown`."""
    for other in connections.all(initialized_only=True):
        other.close()
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        _sqlite["default"].backup(connection.connection)
    else:
        _restore_postgres(_postgres["default"])
    connection.close()


def _tables_with_rows(cursor) -> list[str]:
    tables = [name for name in connection.introspection.table_names() if name != "django_migrations"]
    cursor.execute(
        " UNION ALL ".join(f'SELECT {i} WHERE EXISTS (SELECT 1 FROM public."{name}")' for i, name in enumerate(tables))
    )
    return [tables[i] for (i,) in cursor.fetchall()]


def _restore_postgres(remembered: list[str]) -> None:
    """Empty the tables that hold rows, triggers aside, and copy the remembered rows back. Sequences run on."""
    with connection.cursor() as cursor:
        # A test that left a transaction open in another thread must fail here, not hang the run.
        cursor.execute("SET lock_timeout = '10s'")
        # replica: triggers do not fire and foreign keys are not checked
        cursor.execute("SET session_replication_role = replica")
        used = _tables_with_rows(cursor)
        cursor.execute("TRUNCATE " + ", ".join(f'public."{name}"' for name in used) + " CASCADE")
        for name in remembered:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'",
                [name],
            )
            columns = ", ".join(f'"{column}"' for (column,) in cursor.fetchall())
            cursor.execute(f'INSERT INTO public."{name}" ({columns}) SELECT {columns} FROM remembered."{name}"')


def process_environment(folder: Path) -> dict[str, str]:
    """What a process needs to work on the database of this test; on SQLite on a copy of it in a file."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        copy = sqlite3.connect(folder / "site.sqlite3")
        connection.connection.backup(copy)
        copy.close()
        url = f"sqlite://{folder / 'site.sqlite3'}"
    else:
        place = connection.settings_dict
        secret = f":{place['PASSWORD']}" if place["PASSWORD"] else ""
        url = f"postgres://{place['USER']}{secret}@{place['HOST']}:{place['PORT']}/{place['NAME']}"
    return os.environ | {
        "DATABASE_URL": url,
        "MERCATO_DATA": str(folder),
        "DJANGO_SETTINGS_MODULE": "config.settings.test",
        "OMP_NUM_THREADS": "1",
    }


def fetch_back(folder: Path) -> None:
    """On SQLite: bring what the processes wrote into the database of this test."""
    if connection.vendor == "sqlite":
        copy = sqlite3.connect(folder / "site.sqlite3")
        copy.backup(connection.connection)
        copy.close()
