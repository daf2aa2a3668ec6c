"""A backup of a running site, restored elsewhere, is the same site."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from config import backups
from registry.models import Blob, Commit
from registry.services import storage
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo
from tests.support.site import ROOT

pytestmark = pytest.mark.django_db(transaction=True)


def filled() -> None:
    owner = actor_of(make_user("ada"))
    repo = make_repo(owner, "digits")
    commit(owner, repo, add("README.md", "# Digits"), add("data.bin", b"x" * 300_000), add("empty.txt", b""))


def test_rows_bytes_and_key_come_back(tmp_path: Path, settings) -> None:
    filled()
    answer = backups.write_backup(tmp_path / "site.tar")
    blobs = {blob.sha256: blob.size_bytes for blob in Blob.objects.all()}
    assert answer["objects"] == len(blobs)
    assert {8, 300_000, 0} <= set(blobs.values())
    if connection.vendor == "sqlite":
        check_sqlite(tmp_path, blobs, settings.SECRET_KEY)
    else:
        check_postgres(tmp_path, blobs)


def check_sqlite(tmp_path: Path, blobs: dict[str, int], secret_key: str) -> None:
    new = tmp_path / "new"
    done = restore(tmp_path / "site.tar", new, {})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["blobs"] == len(blobs)
    copy = sqlite3.connect(new / "mercato.sqlite3")
    assert copy.execute("SELECT username FROM accounts_user").fetchall() == [("ada",)]
    assert copy.execute("SELECT count(*) FROM registry_commit").fetchone() == (Commit.objects.count(),)
    assert dict(copy.execute("SELECT sha256, size_bytes FROM registry_blob")) == blobs
    copy.close()
    require_bytes(new, blobs)
    assert (new / "secret_key").read_text() == secret_key
    assert (new / "secret_key").stat().st_mode & 0o077 == 0
    second = restore(tmp_path / "site.tar", new, {})
    assert (second.returncode, json.loads(second.stderr)["error"]) == (2, "conflict")


def check_postgres(tmp_path: Path, blobs: dict[str, int]) -> None:
    with connection.cursor() as cursor:
        connection.set_autocommit(True)
        cursor.execute("CREATE DATABASE restored_site")
    database = connection.settings_dict
    url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/restored_site"
    try:
        done = restore(tmp_path / "site.tar", tmp_path / "new", {"DATABASE_URL": url})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["blobs"] == len(blobs)
        require_bytes(tmp_path / "new", blobs)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE restored_site WITH (FORCE)")


def restore(archive: Path, folder: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key not in {"DJANGO_SETTINGS_MODULE", "DATABASE_URL"}}
    return subprocess.run(
        [sys.executable, "manage.py", "restore", str(archive)],
        cwd=ROOT, env={**kept, "MERCATO_DATA": str(folder), **more}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def require_bytes(folder: Path, blobs: dict[str, int]) -> None:
    stored = {path.name: path.read_bytes() for path in (folder / "blobs" / "blobs").rglob("*") if path.is_file()}
    assert {name: len(raw) for name, raw in stored.items()} == blobs
    assert {name: hashlib.sha256(raw).hexdigest() for name, raw in stored.items()} == {name: name for name in blobs}


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_a_damaged_or_missing_blob_stops_the_backup(tmp_path: Path, capsys, damage: str) -> None:
    filled()
    path = storage.local_path(Blob.objects.get(size_bytes=300_000))
    path.chmod(0o600)
    if damage == "altered":
        path.write_bytes(b"y" * 300_000)
    else:
        path.unlink()
    with pytest.raises(SystemExit) as ended:
        call_command("backup", str(tmp_path / "site.tar"))
    assert (ended.value.code, json.loads(capsys.readouterr().err)["error"]) == (2, "unavailable")
    assert list(tmp_path.glob("*site.tar*")) == []


@pytest.mark.parametrize("keep", [0.2, 0.9])
def test_a_cut_archive_is_refused_and_no_database_appears(tmp_path: Path, keep: float) -> None:
    filled()
    backups.write_backup(tmp_path / "site.tar")
    raw = (tmp_path / "site.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(raw[: int(len(raw) * keep)])
    done = restore(tmp_path / "cut.tar", tmp_path / "new", {"DATABASE_URL": f"sqlite://{tmp_path}/new/mercato.sqlite3"})
    assert (done.returncode, json.loads(done.stderr)["error"]) == (2, "invalid")
    left = tmp_path / "new" / "mercato.sqlite3"
    assert not left.exists() or sqlite3.connect(left).execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_an_existing_file_is_not_overwritten(tmp_path: Path, capsys) -> None:
    (tmp_path / "site.tar").write_text("mine")
    with pytest.raises(SystemExit):
        call_command("backup", str(tmp_path / "site.tar"))
    assert json.loads(capsys.readouterr().err)["error"] == "conflict"
    assert (tmp_path / "site.tar").read_text() == "mine"
