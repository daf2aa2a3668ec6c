"""Exports on their way in: read without trust, and checked as a whole before anything is made of them.

A tar is read by its headers alone, which are one block each; what would take more to describe (links, devices, sparse files,
extensions) is refused. Names are held against the grammar of the layout and never become a path. The digest of every file
must be the one that the list says, the list the one that the manifest says."""

import hashlib
import os
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

from common import strict_json
from common.errors import Invalid
from registry.exports import layout
from registry.services.gitobjects import spool_database

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1024**2
_PLAIN = {tarfile.REGTYPE, tarfile.AREGTYPE}
_SCHEMA = "CREATE TABLE members (name TEXT PRIMARY KEY, at INT, size INT, sha256 TEXT) WITHOUT ROWID;"
_SUM_LINE = 200
_LEFT_BY_LFS = {"lfs/tmp", "lfs/cache", "lfs/logs", "lfs/incomplete"}
"""What git-lfs makes in a folder that `lfs.storage` points to."""


class Archive(ABC):
    """The files of an export. `with` it is checked: afterwards every file is what the manifest says, and `manifest` is there."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.manifest: dict[str, Any] = {}
        self._base = spool_database(_SCHEMA)
        self._count = 0

    def __enter__(self) -> Self:
        try:
            self._index()
            self._check()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._base.close()

    # Reading a checked one

    def has(self, name: str) -> bool:
        return self._row(name) is not None

    def size_of(self, name: str) -> int:
        return int(self._require(name)[1])

    def sha256_of(self, name: str) -> str:
        return str(self._require(name)[2])

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file. Raises Invalid when there is none of that name."""
        at, size, _ = self._require(name)
        left = size
        with self._opened(name, at) as source:
            while left and (chunk := source.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
        if left:
            raise Invalid(f"{self.title} is cut short: {name} is not whole.")

    def read(self, name: str, limit: int) -> bytes:
        """A small file as a whole. Raises Invalid above `limit`."""
        if self.size_of(name) > limit:
            raise Invalid(f"{name} in {self.title} has more than {limit} bytes.")
        return b"".join(self.chunks(name))

    def records(self, name: str, kind: str) -> Iterator[dict[str, Any]]:
        """The records of a file of JSON Lines, each checked. Raises Invalid."""
        rest, number = b"", 0
        for chunk in self.chunks(name):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) > layout.LINE_BYTES:
                raise Invalid(f"{name} has a line of more than {layout.LINE_BYTES} bytes.")
            for line in whole:
                number += 1
                yield layout.parse(line, kind, f"{name}, line {number},")
        if rest:
            raise Invalid(f"{name} does not end in a line break: it is not whole.")

    def large_files(self) -> Iterator[tuple[str, int]]:
        """SHA-256 and size of each large file."""
        found = self._base.execute(
            "SELECT name, size FROM members WHERE name >= 'lfs/' AND name < 'lfs0' ORDER BY name"
        )
        for name, size in found:
            yield name.rpartition("/")[2], size

    def names_below(self, prefix: str) -> list[str]:
        """Names that begin so, of which there are few."""
        rows = self._base.execute(
            "SELECT name FROM members WHERE name >= ? AND name < ? LIMIT 100", (prefix, prefix + "\x7f")
        )
        return [name for (name,) in rows]

    # Checking it

    @abstractmethod
    def _index(self) -> None:
        """Note every file. Raises Invalid."""

    @abstractmethod
    def _opened(self, name: str, at: int) -> Any:
        """A context that gives a reader of the file's bytes."""

    def _note(self, name: str, at: int, size: int) -> None:
        if not layout.is_member(name):
            raise Invalid(f"{_shown(name)} in {self.title} does not belong into an export.")
        if not self._base.execute("INSERT OR IGNORE INTO members VALUES (?, ?, ?, '')", (name, at, size)).rowcount:
            raise Invalid(f"{name} is in {self.title} twice.")
        self._count += 1
        if self._count > layout.MEMBERS_LIMIT:
            raise Invalid(f"{self.title} has more than {layout.MEMBERS_LIMIT} files.")

    def _check(self) -> None:
        if not self.has(layout.MANIFEST):
            raise Invalid(f"{self.title} has no {layout.MANIFEST}: it is cut short, or no export at all.")
        raw = self.read(layout.MANIFEST, layout.MANIFEST_BYTES)
        self._require_version(raw)
        manifest = layout.parse(raw, "manifest", layout.MANIFEST, layout.MANIFEST_BYTES)
        if self._digest(layout.CHECKSUMS) != manifest["checksums"]:
            raise Invalid(f"{layout.CHECKSUMS} was altered: its digest is not the one in {layout.MANIFEST}.")
        self._take_sums()
        odd = self._base.execute(
            "SELECT name FROM members WHERE sha256 = '' AND name NOT IN (?, ?)", (layout.MANIFEST, layout.CHECKSUMS)
        ).fetchone()
        if odd is not None:
            raise Invalid(f"{odd[0]} was added: it does not stand in {layout.CHECKSUMS}.")
        for name, sha256 in self._base.execute("SELECT name, sha256 FROM members WHERE sha256 != '' ORDER BY at, name"):
            if self._digest(name) != sha256:
                raise Invalid(f"{name} was altered: its SHA-256 is not the one in {layout.CHECKSUMS}.")
        self.manifest = manifest

    def _require_version(self, raw: bytes) -> None:
        """Said before the shape is looked at: that of a later layout is another."""
        told = strict_json.loads(raw, max_bytes=layout.MANIFEST_BYTES)
        if not isinstance(told, dict) or told.get("format") != layout.FORMAT:
            raise Invalid(f"{layout.MANIFEST} in {self.title} is not the manifest of an export.")
        if told.get("version") != layout.VERSION:
            raise Invalid(
                f"{self.title} has version {str(told.get('version'))[:20]} of the layout; this site reads version {layout.VERSION}."
            )

    def _take_sums(self) -> None:
        rest = b""
        for chunk in self.chunks(layout.CHECKSUMS):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self._take_sum(line)
            if len(rest) > _SUM_LINE:
                break
        if rest:
            raise Invalid(f"{layout.CHECKSUMS} is not a list of digests.")

    def _take_sum(self, line: bytes) -> None:
        text = line.decode("ascii", "replace")
        sha256, gap, name = text[:64], text[64:66], text[66:]
        if gap != "  " or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef") or not layout.is_member(name):
            raise Invalid(f"{layout.CHECKSUMS} is not a list of digests: {_shown(text)}.")
        if name.startswith("lfs/") and not name.endswith(f"/{sha256}"):
            raise Invalid(f"{name} was altered: large files are called by their SHA-256.")
        changed = self._base.execute("UPDATE members SET sha256 = ? WHERE name = ? AND sha256 = ''", (sha256, name))
        if not changed.rowcount:
            raise Invalid(f"{name} is missing in {self.title}, or stands in {layout.CHECKSUMS} twice.")

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for chunk in self.chunks(name):
            digest.update(chunk)
        return digest.hexdigest()

    def _row(self, name: str) -> tuple[int, int, str] | None:
        row: tuple[int, int, str] | None = self._base.execute(
            "SELECT at, size, sha256 FROM members WHERE name = ?", (name,)
        ).fetchone()
        return row

    def _require(self, name: str) -> tuple[int, int, str]:
        row = self._row(name)
        if row is None:
            raise Invalid(f"{name} is missing in {self.title}.")
        return row


class TarArchive(Archive):
    """An export in a tar, which is open for reading at any place."""

    def __init__(self, source: IO[bytes], title: str) -> None:
        super().__init__(title)
        self._source = source

    def _index(self) -> None:
        end = self._source.seek(0, os.SEEK_END)
        at = 0
        while True:
            self._source.seek(at)
            block = self._source.read(_BLOCK)
            if len(block) < _BLOCK:
                raise Invalid(f"{self.title} is cut short at {at} bytes.")
            if not block.strip(b"\0"):
                return
            info = self._header(block, at)
            at += _BLOCK
            if info.type in _PLAIN:
                if info.size < 0 or at + info.size > end:
                    raise Invalid(f"{self.title} is cut short: {_shown(info.name)} is not whole.")
                self._note(info.name.removeprefix("./"), at, info.size)
                at += info.size + -info.size % _BLOCK
            elif info.type != tarfile.DIRTYPE or info.size:
                what = "a link" if info.type in {tarfile.SYMTYPE, tarfile.LNKTYPE} else "no plain file"
                raise Invalid(f"{_shown(info.name)} in {self.title} is {what}: an export has plain files only.")

    def _header(self, block: bytes, at: int) -> tarfile.TarInfo:
        try:
            return tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise Invalid(f"{self.title} is not a tar, or damaged at {at} bytes.") from error

    @contextmanager
    def _opened(self, name: str, at: int) -> Iterator[IO[bytes]]:
        yield _At(self._source, at)  # type: ignore[misc]


class _At:
    """Reads on from a place, whatever others read meanwhile."""

    def __init__(self, source: IO[bytes], at: int) -> None:
        self._source, self._at = source, at

    def read(self, size: int) -> bytes:
        self._source.seek(self._at)
        chunk = self._source.read(size)
        self._at += len(chunk)
        return chunk


class FolderArchive(Archive):
    """An export in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self._folder = folder

    def _index(self) -> None:
        pending = [""]
        while pending:
            above = pending.pop()
            with os.scandir(self._folder / above) as entries:
                for entry in entries:
                    name = f"{above}{entry.name}"
                    if entry.is_symlink():
                        raise Invalid(f"{_shown(name)} in {self.title} is a link: an export has plain files only.")
                    if name in _LEFT_BY_LFS:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if name.count("/") > 6:
                            raise Invalid(f"{_shown(name)} in {self.title} does not belong into an export.")
                        pending.append(f"{name}/")
                    elif entry.is_file(follow_symlinks=False):
                        self._note(name, 0, entry.stat(follow_symlinks=False).st_size)
                    else:
                        raise Invalid(f"{_shown(name)} in {self.title} is no plain file.")

    @contextmanager
    def _opened(self, name: str, at: int) -> Iterator[IO[bytes]]:
        # the name was found there, and fits the grammar
        handle = os.open(self._folder.joinpath(*name.split("/")), os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as source:
            yield source


def archive_at(path: Path) -> Archive:
    """The export in a folder or a tar of this machine; use it in a `with`. Raises Invalid when there is nothing."""
    if path.is_dir():
        return FolderArchive(path)
    if not path.is_file():
        raise Invalid(f"There is no {path}.")
    return _OwnTar(path.open("rb"), str(path))


class _OwnTar(TarArchive):
    """A tar that was opened for this archive alone."""

    def close(self) -> None:
        self._source.close()
        super().close()


def _shown(name: str) -> str:
    return repr(name[:100].encode("ascii", "backslashreplace").decode())
