"""Putting the test database back after a test that really commits.

Django would empty every table. That is no use here: rows that migrations made (schedules, counters) would be lost, and
the triggers that keep facts append-only refuse it, as they should.
"""

import fcntl
import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import IO

import django
from django.apps import apps
from django.db import connection, connections
from django.test import TransactionTestCase

_sqlite: dict[str, sqlite3.Connection] = {}
_postgres: dict[str, list[str]] = {}
TEMPLATE = "_migrated"
"""What the copy of a migrated PostgreSQL database is called after it; new databases are made of it."""


_waiting: dict[str, IO[str]] = {}


def fetch_migrated(folder: Path) -> None:
    """Spare this process the migrations, on SQLite: what they made before is in `folder`, for as long as they stay the same. Of the
    processes of a run the first one makes it, and the others wait until `keep_migrated`."""
    if connection.vendor != "sqlite":
        return
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if (kept := _kept(folder)).exists():
        _copy(kept, Path(connection.settings_dict["TEST"]["NAME"]))
        lock.close()
    else:
        _waiting["lock"] = lock


def keep_migrated(folder: Path) -> None:
    """Keep what the migrations have made now, if they had to; nothing of other migrations is kept."""
    if not _waiting:
        return
    for other in folder.glob("*.sqlite3"):
        other.unlink()
    draft = folder / "draft"
    draft.unlink(missing_ok=True)
    _copy(Path(connection.settings_dict["NAME"]), draft)
    draft.rename(_kept(folder))
    _waiting.pop("lock").close()


def _kept(folder: Path) -> Path:
    return folder / f"{_digest_of_migrations()}.sqlite3"


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as whole, closing(sqlite3.connect(target)) as copy:
        whole.backup(copy)


def _digest_of_migrations() -> str:
    """Of everything that decides what they make: their files, what they call, the versions of Django and SQLite."""
    digest = hashlib.sha256(f"{django.__version__} {sqlite3.sqlite_version}".encode())
    files = [Path(config.path, "migrations") for config in apps.get_app_configs()]
    files += [Path(__file__).parents[2] / "common"]
    for path in sorted(each for folder in files for each in folder.glob("*.py")):
        digest.update(f"{path.parent.parent.name}/{path.name}".encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def snapshot_databases() -> None:
    """Remember the state right after the migrations. SQLite: a copy in memory. PostgreSQL: copies of the tables with rows."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        connection.connection.backup(copy)
        _sqlite["default"] = copy
    else:
        _keep_template()
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA remembered")
            filled = _tables_with_rows(cursor)
            for name in filled:
                cursor.execute(f'CREATE TABLE remembered."{name}" AS TABLE public."{name}"')
        _postgres["default"] = filled
    connection.close()


def _keep_template() -> None:
    """A copy of the migrated database beside it, which nobody is connected to: PostgreSQL makes new ones of no other."""
    name = connection.settings_dict["NAME"]
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}{TEMPLATE}"')
        cursor.execute(f'CREATE DATABASE "{name}{TEMPLATE}" TEMPLATE "{name}"')
    connection.ensure_connection()


def drop_template() -> None:
    """Take back what `snapshot_databases` has made outside of the test database."""
    if name := remembered_postgres():
        connection.close()
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')


def remembered_postgres() -> str:
    """The name of the migrated database of this run; empty before a test has asked for a database, and on SQLite."""
    return f"{connection.settings_dict['NAME']}{TEMPLATE}" if _postgres else ""


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
