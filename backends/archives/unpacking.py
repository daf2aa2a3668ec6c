"""Unpacking an archive into numbered files: names never reach the file system, and whatever is no plain file is refused, with the whole
archive. Made to run in the sandbox."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from backends.archives.bounds import Bounds
from backends.archives.names import Refused, check_together, path_of, shown

CHUNK = 1024**2
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
    OverflowError, KeyError, IndexError,
)  # fmt: skip
"""What the readers raise for what is malformed."""


def unpack(folder: Path, archive: Path, bounds: Bounds) -> dict[str, Any]:
    """Write `out/<n>` and say what each is: `{problem, files: [{number, name, size_bytes}]}`. What is refused is a `problem`, a sentence."""
    (folder / "out").mkdir()
    try:
        with ExitStack() as stack:
            members = _opened(archive, bounds, stack)
            files = list(_written(folder / "out", members, archive.stat().st_size, bounds))
        check_together(each["name"] for each in files)
    except Refused as error:
        return {"problem": str(error), "files": []}
    except _BROKEN as error:
        reason = " ".join(str(error).encode("ascii", "backslashreplace").decode().split())[:120]
        return {"problem": f"The archive is damaged and cannot be read: {reason or type(error).__name__}.", "files": []}
    except MemoryError:
        return {"problem": "The archive takes too much memory to be unpacked.", "files": []}
    return {"problem": "" if files else "The archive holds no files.", "files": files}


@dataclass(frozen=True)
class _Member:
    name: str
    stream: IO[bytes]


def _written(out: Path, members: Iterator[_Member], packed: int, bounds: Bounds) -> Iterator[dict[str, Any]]:
    total = 0
    for number, member in enumerate(members):
        size = 0
        with (out / str(number)).open("wb") as target, member.stream as stream:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                total += len(chunk)
                if total > bounds.unpacked_bytes:
                    raise Refused(f"The archive unpacks to more than {bounds.unpacked_bytes / 1024**3:g} GiB.")
                if total > bounds.ratio_from and total > packed * bounds.ratio:
                    raise Refused(f"The archive unpacks to more than {bounds.ratio} times its size, as bombs do.")
                target.write(chunk)
        yield {"number": number, "name": member.name, "size_bytes": size}


def _opened(archive: Path, bounds: Bounds, stack: ExitStack) -> Iterator[_Member]:
    with archive.open("rb") as stream:
        head = stream.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(archive, bounds, stack)
    return _tar(archive, head, bounds, stack)


def _zip(path: Path, bounds: Bounds, stack: ExitStack) -> Iterator[_Member]:
    archive = stack.enter_context(zipfile.ZipFile(path))
    entries = archive.infolist()
    if len(entries) > bounds.entries:
        raise _too_many(bounds)
    # all are looked at before one is written
    wanted = []
    for entry in entries:
        name = _zip_name(entry)
        if entry.flag_bits & 0x1:
            raise Refused(
                f"The archive is encrypted ({shown(name)}): unpack it yourself, or send it without a password."
            )
        form = stat.S_IFMT(entry.external_attr >> 16)
        if form not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise Refused(f"The archive holds {shown(name)}, which is {_kind(form)} and no plain file.")
        if entry.is_dir():
            path_of(name.rstrip("/"))
            continue
        path_of(name)
        if entry.compress_type not in _READABLE:
            raise Refused(f"The archive holds {shown(name)}, packed in a way that is not read here.")
        wanted.append((path_of(name), entry))
    check_together(name for name, _ in wanted)
    return (_Member(name, archive.open(entry)) for name, entry in wanted)


def _zip_name(entry: zipfile.ZipInfo) -> str:
    # the reader cuts a name at a zero byte: the uncut one is judged
    name = entry.orig_filename
    if entry.flag_bits & 0x800:
        return name
    try:
        # without the mark the names are of an old code page, except that many programs write UTF-8
        return name.encode("cp437").decode()
    except (UnicodeEncodeError, UnicodeDecodeError):
        return name


def _tar(path: Path, head: bytes, bounds: Bounds, stack: ExitStack) -> Iterator[_Member]:
    stream = stack.enter_context(_plain(path, head))
    first = stream.read(512)
    try:
        tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if not first.strip(b"\0"):
            raise Refused("The archive holds no files.") from error
        raise Refused(
            "This is no archive that is unpacked here: zip, tar, and tar packed with gzip, bzip2, xz or zstd are."
        ) from error
    whole = stack.enter_context(_plain(path, head))
    archive = stack.enter_context(tarfile.open(fileobj=whole, mode="r|", errorlevel=2))  # noqa: SIM115
    return _tar_members(archive, bounds)


def _tar_members(archive: tarfile.TarFile, bounds: Bounds) -> Iterator[_Member]:
    for count, entry in enumerate(archive, 1):
        # the reader keeps every header it has seen
        archive.members = []  # type: ignore[attr-defined]
        if count > bounds.entries:
            raise _too_many(bounds)
        if entry.isdir():
            if entry.name.rstrip("/") not in {".", "./."}:
                path_of(entry.name.rstrip("/"))
            continue
        name = path_of(entry.name)
        if not entry.isreg() or entry.issparse():
            raise Refused(f"The archive holds {shown(name)}, which is {_tar_kind(entry)} and no plain file.")
        found = archive.extractfile(entry)
        if found is None:
            raise Refused(f"The archive holds {shown(name)}, which is no plain file.")
        yield _Member(name, found)


def _plain(path: Path, head: bytes) -> IO[bytes]:
    """The bytes of a tar archive, unpacked if they are packed."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)  # type: ignore[return-value]  # it reads bytes and closes
    if head.startswith(b"BZh"):
        return bz2.open(path)
    if head.startswith(b"\xfd7zXZ\x00"):
        return lzma.open(path)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        found: IO[bytes] = pa.input_stream(str(path), compression="zstd")
        return found
    return path.open("rb")


def _too_many(bounds: Bounds) -> Refused:
    return Refused(f"The archive holds more than {bounds.entries:,} files.")


def _kind(form: int) -> str:
    kinds = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(form, "a device")


def _tar_kind(entry: tarfile.TarInfo) -> str:
    if entry.issym() or entry.islnk():
        return "a link"
    if entry.issparse():
        return "a file with holes"
    return "a pipe" if entry.isfifo() else "a device"
