"""One file that holds a whole installation: the rows as they were at one instant, the bytes they name, the secret key.

The archive is a tar: `manifest.json`, `secret_key`, the database, `objects/<storage key>` …, and last `checksums`, one line
`sha256  size  name` per member before it. What has no such last member, or differs from it, is not a backup."""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections

from accounts.services import audit
from backends.contracts.stores import CHUNK_BYTES, Store, check_key
from backends.errors import Missing
from backends.stores.urls import store_from_url
from common.clock import now
from common.errors import Conflict, Invalid, Unavailable
from registry.models import Blob
from registry.services import garbage

FORMAT = 1
OBJECTS = "objects/"
_PASSING = ("staging/", "health/", "exports/", "imports/")
"""Storage keys of uploads under way, whose clients repeat them, and of exports, which can be made again."""


class _Archive:
    """Writes members and remembers what `checksums` will say."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self.tar = tar
        self.lines: list[str] = []

    def add(self, name: str, source: IO[bytes], size_bytes: int) -> str:
        """Append `size_bytes` of `source`; their SHA-256 in hex. Raises Unavailable when there are fewer."""
        info = tarfile.TarInfo(name)
        info.size = size_bytes
        hashing = _Hashing(source)
        try:
            self.tar.addfile(info, hashing)
        except tarfile.ReadError as error:
            raise Unavailable(f"{name} is shorter than the storage says.") from error
        digest = hashing.digest.hexdigest()
        self.lines.append(f"{digest}  {size_bytes}  {name}\n")
        return digest

    def add_bytes(self, name: str, raw: bytes) -> None:
        self.add(name, io.BytesIO(raw), len(raw))


class _Hashing(io.RawIOBase):
    """A reader that hashes what passes through."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        parts = []
        # a network reader may return less than was asked for before its end
        while size and (chunk := self.source.read(size)):
            self.digest.update(chunk)
            parts.append(chunk)
            size -= len(chunk)
        return b"".join(parts)

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK_BYTES):
            yield chunk


def write_backup(target: Path) -> dict[str, Any]:
    """Write the backup to `target`, which must not exist; the site may run meanwhile. The rows are those of one instant at the
    beginning; every blob they name is read, and its digest checked. Raises Conflict, Unavailable; `target` then does not exist."""
    if target.exists():
        raise Conflict(f"{target} exists already: name a new file.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder, draft.open("wb") as out:
            newest_blob = Blob.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            database = _dump_database(Path(folder))
            with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                archive = _Archive(tar)
                manifest = {"format": FORMAT, "database": connection.vendor, "created_at": now().isoformat()}
                archive.add_bytes("manifest.json", json.dumps(manifest).encode())
                archive.add_bytes("secret_key", settings.SECRET_KEY.encode())
                with database.open("rb") as source:
                    archive.add(database.name, source, database.stat().st_size)
                saved = _add_objects(archive)
                _require_all_blobs(saved, newest_blob)
                lines = "".join(archive.lines).encode()
                info = tarfile.TarInfo("checksums")
                info.size = len(lines)
                tar.addfile(info, io.BytesIO(lines))
            out.flush()
            os.fsync(out.fileno())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return {"file": str(target), "size_bytes": target.stat().st_size, "objects": len(archive.lines) - 3, **manifest}


def _dump_database(folder: Path) -> Path:
    if connection.vendor == "sqlite":
        path = folder / "database.sqlite3"
        connection.ensure_connection()
        copy = sqlite3.connect(path)
        try:
            # the online backup: one read transaction, writers go on
            connection.connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        finally:
            copy.close()
        return path
    path = folder / "database.pgdump"
    _postgres_tool("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")
    return path


def _add_objects(archive: _Archive) -> set[bytes]:
    """Append every object of the store; the digests of the blobs among them. A blob whose bytes do not match its name stops
    the backup: a copy of damage is no backup."""
    store, saved = store_from_url(settings.STORAGE_URL), set()
    for stat in store.list(""):
        if stat.key.startswith(_PASSING):
            continue
        try:
            with store.open(stat.key) as reader:
                digest = archive.add(OBJECTS + stat.key, reader, stat.size_bytes)  # type: ignore[arg-type]
        except Missing:
            # deleted since it was listed; if a row still names it, the check below says so
            continue
        if stat.key.startswith("blobs/"):
            if not stat.key.endswith(digest):
                raise Unavailable(f"The stored bytes of {stat.key} are damaged: their SHA-256 is {digest}.")
            saved.add(bytes.fromhex(digest))
    return saved


def _require_all_blobs(saved: set[bytes], newest_blob: int) -> None:
    for sha256 in (
        Blob.objects.filter(pk__lte=newest_blob, state="stored")
        .values_list("sha256", flat=True)
        .iterator(chunk_size=5000)
    ):
        if bytes.fromhex(sha256) not in saved:
            raise Unavailable(f"The storage has lost the bytes of {sha256}.")


def restore_backup(source: Path) -> dict[str, Any]:
    """Bring the site in `source` back into an empty installation. Each member is hashed and compared before the database,
    last, takes its place. Afterwards every blob is in the store in full and the audit trail holds. Raises Invalid for a file
    that is not a whole backup, Conflict when something is here already."""
    require_empty()
    store = store_from_url(settings.STORAGE_URL)
    seen: list[str] = []
    settings.DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.DATA) as folder:
        try:
            with source.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
                checksums = _take_members(tar, Path(folder), store, seen)
        except (tarfile.TarError, EOFError) as error:
            raise Invalid(f"{source} is not a whole backup: {error}.") from error
        if checksums is None or checksums != "".join(seen):
            raise Invalid(
                f"{source} is cut or altered: nothing was put in place. Empty the data folder before another try."
            )
        manifest = json.loads((Path(folder) / "manifest.json").read_bytes())
        if manifest.get("format") != FORMAT or manifest.get("database") != connection.vendor:
            raise Invalid(f"The backup is of {manifest.get('database')}; this installation uses {connection.vendor}.")
        _keep_secret_key(Path(folder) / "secret_key")
        _load_database(Path(folder))
    call_command("migrate", interactive=False, verbosity=0)
    return {"file": str(source), "objects": len(seen) - 3, "blobs": _verify(store), **manifest}


def require_empty() -> None:
    """Raises Conflict when there are tables or stored objects."""
    if connection.introspection.table_names():
        raise Conflict(f"The database of {settings.DATA} has tables already: restore into an empty data folder.")
    if next(iter(store_from_url(settings.STORAGE_URL).list("")), None) is not None:
        raise Conflict("The storage holds objects already: restore into an empty one.")
    connections.close_all()


def _take_members(tar: tarfile.TarFile, folder: Path, store: Store, seen: list[str]) -> str | None:
    """Put objects into the store and the rest into `folder`; the text of `checksums`, None when it is missing."""
    for member in tar:
        body = tar.extractfile(member)
        if not member.isfile() or body is None:
            raise Invalid(f"{member.name!r} does not belong into a backup.")
        if member.name == "checksums":
            return body.read().decode()
        hashing = _Hashing(body)
        if member.name.startswith(OBJECTS):
            store.put(check_key(member.name.removeprefix(OBJECTS)), hashing.chunks(), size=member.size)
        elif member.name in {"manifest.json", "secret_key", "database.sqlite3", "database.pgdump"}:
            _copy(hashing.chunks(), folder / member.name)
        else:
            raise Invalid(f"{member.name!r} does not belong into a backup.")
        seen.append(f"{hashing.digest.hexdigest()}  {member.size}  {member.name}\n")
    return None


def _copy(chunks: Iterable[bytes], target: Path) -> None:
    with target.open("wb") as out:
        out.writelines(chunks)


def _keep_secret_key(saved: Path) -> None:
    """Sessions and signed links of the old site stay valid. Nothing to do where SECRET_KEY is set from outside."""
    target = settings.DATA / "secret_key"
    saved.chmod(0o600)
    shutil.move(saved, target)


def _load_database(folder: Path) -> None:
    if connection.vendor == "sqlite":
        path = folder / "database.sqlite3"
        copy = sqlite3.connect(path)
        try:
            (state,) = copy.execute("PRAGMA integrity_check").fetchone()
        finally:
            copy.close()
        if state != "ok":
            raise Invalid(f"The database in the backup is damaged: {state}.")
        target = Path(connection.settings_dict["NAME"])
        for left in (target, target.with_name(target.name + "-wal"), target.with_name(target.name + "-shm")):
            left.unlink(missing_ok=True)
        shutil.move(path, target)
        return
    _postgres_tool(
        "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--dbname", "{name}",
        str(folder / "database.pgdump"),
    )  # fmt: skip


def _verify(store: Store) -> int:
    count = 0
    for blob in Blob.objects.filter(state="stored").order_by("pk").iterator(chunk_size=5000):
        if not _is_whole(store, blob):
            raise Unavailable(f"The bytes of {blob.sha256} did not come back in full.")
        count += 1
    trail = audit.verify()
    if trail.first_bad is not None:
        raise Unavailable(f"The audit trail does not hold at record {trail.first_bad}: {trail.reason}.")
    return count


def _is_whole(store: Store, blob: Blob) -> bool:
    try:
        return store.stat(blob.key).size_bytes == blob.size_bytes
    except Missing:
        return garbage.collected_since(blob)


def _postgres_tool(program: str, *args: str) -> None:
    """Run a client program of PostgreSQL on the configured database; the password goes through the environment."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is not installed: it comes with the client programs of PostgreSQL.")
    database = connection.settings_dict
    where = {
        "PGHOST": database["HOST"],
        "PGPORT": database["PORT"],
        "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"],
        "PGDATABASE": database["NAME"],
    }
    argv = [path, *(str(database["NAME"]) if part == "{name}" else part for part in args)]
    environment = {**os.environ, **{key: str(value) for key, value in where.items() if value}}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{program} failed: {done.stderr.strip()[-500:]}")
