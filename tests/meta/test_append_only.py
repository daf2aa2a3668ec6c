"""What a migration has made append-only still is after all that came later: SQLite rebuilds a table without its triggers."""

import re
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
_SAID = re.compile(r'append_only\(\s*"(\w+)"')


@pytest.mark.django_db
def test_every_append_only_table_has_its_triggers() -> None:
    tables = {table for path in ROOT.glob("*/migrations/0*.py") for table in _SAID.findall(path.read_text())}
    assert len(tables) > 40
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        else:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
        there = {name for (name,) in cursor.fetchall()}
    wanted = {f"{table}_keep_{deed}" for table in tables for deed in ("update", "delete")}
    assert wanted - there == set()
