"""Opening archives and compressed streams, member by member, under limits on depth, number, size and ratio."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

import lz4.frame

from backends.contracts.scanners import Content

DEEPEST = 5
MOST_MEMBERS = 20_000
MOST_UNPACKED_BYTES = 8 * 1024**3
MOST_RATIO = 300
"""Tables and weights are packed ten to one, a picture of one colour perhaps a hundred; over a size that matters, more is a bomb."""
RATIO_FROM_BYTES = 64 * 1024**2

Opener = Callable[[], IO[bytes]]


class OverLimit(Exception):
    """The archive is a bomb, or too large to be looked through; the message says which limit it broke."""


@dataclass
class Room:
    """What is left of the limits, shared by all members at all depths of one file."""

    members: int = field(default_factory=lambda: MOST_MEMBERS)
    unpacked: int = field(default_factory=lambda: MOST_UNPACKED_BYTES)

    def take_member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise OverLimit(f"It holds more than {MOST_MEMBERS} files.")

    def take_bytes(self, count: int, *, packed: int, so_far: int) -> None:
        self.unpacked -= count
        if self.unpacked < 0:
            raise OverLimit(f"It unpacks to more than {MOST_UNPACKED_BYTES // 1024**3} GiB.")
        if so_far > RATIO_FROM_BYTES and so_far > packed * MOST_RATIO:
            raise OverLimit("It unpacks to hundreds of times its size, as bombs do.")


@dataclass
class Unpacked:
    """How an archive is read: its members (name, opener), and what is odd about it."""

    members: Iterator[tuple[str, Opener]]
    oddities: list[str] = field(default_factory=list)
    dangers: list[str] = field(default_factory=list)
    """Members that would be written outside of the folder they are unpacked into."""


@contextmanager
def opened(content: Content) -> Iterator[Unpacked]:
    """The members of a container. Raises whatever its reader does for what is malformed."""
    with ExitStack() as stack:
        yield _OPENERS[content.format](content, stack)


def _zip(content: Content, stack: ExitStack) -> Unpacked:
    raw = stack.enter_context(content.path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(raw))
    entries = archive.infolist()
    members: Iterator[tuple[str, Opener]] = (
        (entry.filename, partial(archive.open, entry)) for entry in entries if not entry.is_dir()
    )
    oddities = list(_oddities_of_zip(raw, archive, entries))
    return Unpacked(members, oddities, [entry.filename for entry in entries if _escapes(entry.filename)])


def _tar(content: Content, stack: ExitStack) -> Unpacked:
    archive = stack.enter_context(tarfile.open(content.path, "r:"))  # noqa: SIM115 - the stack closes it
    entries = []
    for entry in archive:
        entries.append(entry)
        if len(entries) > MOST_MEMBERS:
            raise OverLimit(f"It holds more than {MOST_MEMBERS} files.")
    if not entries or any(
        bytes(content.data[at : at + 1024**2]).strip(b"\0") for at in range(archive.offset, content.size, 1024**2)
    ):
        raise ValueError("there is nothing in the archive, or something behind it")
    odd = [f"{each.name[:80]!r} is not a plain file." for each in entries if not (each.isfile() or each.isdir())]
    links = [each.name for each in entries if (each.issym() or each.islnk()) and _escapes(each.linkname)]
    members = ((each.name, partial(_extract, archive, each)) for each in entries if each.isfile())
    return Unpacked(members, odd[:20], [*links, *(each.name for each in entries if _escapes(each.name))])


def _stream(open_stream: Callable[[Path], IO[bytes]], content: Content, stack: ExitStack) -> Unpacked:
    return Unpacked(iter([("", lambda: open_stream(content.path))]))


def _gunzip(path: Path) -> IO[bytes]:
    return gzip.GzipFile(path)  # type: ignore[return-value]  # it reads bytes and closes, all that is asked of it


def _unpack_with(make: Callable[[], Any], path: Path) -> IO[bytes]:
    return io.BufferedReader(_Decompressed(path.open("rb"), make))


def _unzlib(path: Path) -> IO[bytes]:
    return io.BufferedReader(_Inflate(path.open("rb")))


_OPENERS: dict[str, Callable[[Content, ExitStack], Unpacked]] = {
    "zip": _zip,
    "tar": _tar,
    "gzip": partial(_stream, _gunzip),
    "bzip2": partial(_stream, partial(_unpack_with, bz2.BZ2Decompressor)),
    "xz": partial(_stream, partial(_unpack_with, lzma.LZMADecompressor)),
    "lzma": partial(_stream, partial(_unpack_with, lzma.LZMADecompressor)),
    "lz4": partial(_stream, partial(_unpack_with, lz4.frame.LZ4FrameDecompressor)),
    "zlib": partial(_stream, _unzlib),
}


class _Decompressed(io.RawIOBase):
    """One or more compressed streams behind each other, and nothing else: the readers of the standard library leave out what stands
    behind the last. `make` gives an object as of bz2.BZ2Decompressor. Raises ValueError, and what that raises."""

    def __init__(self, raw: BinaryIO, make: Callable[[], Any]) -> None:
        self._raw, self._make, self._state = raw, make, make()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        data = b""
        while True:
            if self._state.eof:
                data = self._state.unused_data or self._raw.read(65536)
                if not data:
                    return 0
                self._state = self._make()
            elif self._state.needs_input:
                data = self._raw.read(65536)
                if not data:
                    raise ValueError("the stream is cut off")
            found = self._state.decompress(data, len(buffer))
            data = b""
            if found:
                buffer[: len(found)] = found
                return len(found)


class _Inflate(io.RawIOBase):
    """A zlib stream, as joblib writes it, read piece by piece. Raises zlib.error."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._state = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]
        while not self._state.eof:
            data = self._state.unconsumed_tail or self._raw.read(65536)
            if not data:
                raise zlib.error("the stream is cut off")
            found = self._state.decompress(data, len(buffer))
            if found:
                buffer[: len(found)] = found
                return len(found)
        if self._state.unused_data or self._raw.read(1):
            raise zlib.error("there is something behind the stream")
        return 0


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(entry)
    if found is None:
        raise ValueError("a member of the archive is not a plain file")
    return found


def _escapes(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or (len(parts[0]) == 2 and parts[0][1] == ":")


def _oddities_of_zip(raw: BinaryIO, archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Where two readers of one archive could disagree: the known ways past scanners."""
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        yield "Two members of the archive have the same name."
    if entries and min(entry.header_offset for entry in entries) != 0:
        yield "There is something before the archive."
    if any(entry.flag_bits & 0x1 for entry in entries):
        yield "Members of the archive are encrypted."
    if archive.comment:
        yield "The archive has a comment, where something can hide."
    raw.seek(-22 - len(archive.comment), os.SEEK_END)
    if raw.read(4) != b"PK\x05\x06":
        yield "There is something behind the archive."
    for entry in entries:
        raw.seek(entry.header_offset)
        header = raw.read(30)
        local = raw.read(int.from_bytes(header[26:28], "little"))
        if header[:4] != b"PK\x03\x04" or local not in {
            entry.orig_filename.encode(),
            entry.orig_filename.encode("cp437", "replace"),
        }:
            yield f"The archive names {entry.filename[:80]!r} differently in two places."
            return
        if (int.from_bytes(header[6:8], "little") ^ entry.flag_bits) & 0x1:
            yield f"The archive says in one place only that {entry.filename[:80]!r} is encrypted."
            return
