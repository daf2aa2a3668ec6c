"""Archives as attackers make them, by name: each writes its bytes and says in which words it is refused."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa

MIB = 1024**2


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], bytes]
    said: str
    """Of the sentence that refuses it."""


def zipped(members: Iterable[tuple[str, bytes]], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.filename = name  # the constructor would repair it
            info.compress_type = compression
            archive.writestr(info, data)
    return out.getvalue()


def tarred(members: Iterable[tuple[str, bytes] | tarfile.TarInfo], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for each in members:
            if isinstance(each, tarfile.TarInfo):
                archive.addfile(each)
            else:
                info = tarfile.TarInfo(each[0])
                info.size = len(each[1])
                archive.addfile(info, io.BytesIO(each[1]))
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def _special(kind: bytes, name: str = "thing", link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def _zip_special(form: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("thing")
        info.external_attr = (form | 0o777) << 16
        archive.writestr(info, b"/etc/passwd")
    return out.getvalue()


def _encrypted() -> bytes:
    raw = bytearray(zipped([("secret.csv", b"a,b\n")], compression=zipfile.ZIP_STORED))
    at = raw.find(b"PK\x01\x02")
    raw[6] |= 1
    raw[at + 8] |= 1
    return bytes(raw)


def _unknown_method() -> bytes:
    raw = bytearray(zipped([("a.csv", b"a,b\n")], compression=zipfile.ZIP_STORED))
    at = raw.find(b"PK\x01\x02")
    raw[8:10] = raw[at + 10 : at + 12] = struct.pack("<H", 9)
    return bytes(raw)


def _zip_with_nul() -> bytes:
    return zipped([("aXb.csv", b"x")], compression=zipfile.ZIP_STORED).replace(b"aXb.csv", b"a\x00b.csv")


def _tar_with_bytes() -> bytes:
    raw = bytearray(tarred([("aXb.csv", b"x")], form=tarfile.USTAR_FORMAT))
    raw[1] = 0xFF
    raw[148:156] = b"        "
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def _sparse() -> bytes:
    info = tarfile.TarInfo("holes.bin")
    info.type = tarfile.GNUTYPE_SPARSE
    raw = bytearray(tarred([info], form=tarfile.GNU_FORMAT))
    raw[386:410] = b"%011o\0%011o\0" % (0, 0)
    raw[483:495] = b"%011o\0" % (8 * 1024**3 - 1)
    raw[148:156] = b"        "
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def _many() -> bytes:
    return zipped(((f"{number}.txt", b"") for number in range(1001)), compression=zipfile.ZIP_STORED)


def _overlapping() -> bytes:
    """One stretch of bytes that the directory names a hundred times."""
    raw = zipped([("a.bin", b"\0" * MIB)])
    start = raw.find(b"PK\x01\x02")
    end = raw.find(b"PK\x05\x06")
    entry = raw[start:end]
    entries = b"".join(entry.replace(b"a.bin", b"%05d" % number) for number in range(100))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 100, 100, len(entries), start, 0)
    return raw[:start] + entries + tail


_OUT = "leads out of the folder"
_ABSOLUTE = "an absolute path"
_SLASH = "take for a slash"
_LINK = "is a link and no plain file"
_DISGUISED = "invisible marks"
_ONE_FILE = "one file on machines"
_NAMES = {
    "traversal": ("../../etc/passwd", _OUT),
    "traversal inside": ("a/../../b", _OUT),
    "traversal at the end": ("a/..", _OUT),
    "traversal behind a dot": ("./../b", _OUT),
    "absolute": ("/etc/passwd", _ABSOLUTE),
    "absolute twice": ("//etc/passwd", _ABSOLUTE),
    "drive": ("C:/windows/x", _ABSOLUTE),
    "backslash traversal": ("..\\..\\x", "backslash"),
    "share": ("\\\\host\\share", "backslash"),
    "wide full stops": ("．．/x", _OUT),
    "two dot leader": ("‥/x", _OUT),
    "wide slash": ("a／b", _SLASH),
    "small reverse solidus": ("a﹨b", _SLASH),
    "account of": ("a℀b", _SLASH),
    "right to left": ("cod\u202egpj.exe", _DISGUISED),
    "without width": ("a\u200bb", _DISGUISED),
    "byte order mark": ("\ufeffREADME.md", _DISGUISED),
    "line break": ("a\nb", "control character"),
    "escape": ("a\x1b[2Jb", "control character"),
    "empty part": ("a//b", "empty part"),
}
CASES = [
    *(Case(f"zip {name}", lambda each=each: zipped([("ok.txt", b"ok"), (each, b"x")]), said) for name, (each, said) in _NAMES.items()),
    *(Case(f"tar {name}", lambda each=each: tarred([("ok.txt", b"ok"), (each, b"x")]), said) for name, (each, said) in _NAMES.items()),
    Case("zip NUL", _zip_with_nul, "control character"),
    Case("tar bytes that are no text", _tar_with_bytes, "or is not text"),
    Case("zip symlink", lambda: _zip_special(stat.S_IFLNK), _LINK),
    Case("zip device", lambda: _zip_special(stat.S_IFCHR), "is a device and no plain file"),
    Case("zip pipe", lambda: _zip_special(stat.S_IFIFO), "is a pipe and no plain file"),
    Case("tar symlink", lambda: tarred([_special(tarfile.SYMTYPE, link="/etc/passwd")]), _LINK),
    Case("tar symlink and a file through it", lambda: tarred([_special(tarfile.SYMTYPE, "d", "/tmp"), ("d/x", b"x")]), _LINK),
    Case("tar hard link", lambda: tarred([("a", b"x"), _special(tarfile.LNKTYPE, link="../../a")]), _LINK),
    Case("tar character device", lambda: tarred([_special(tarfile.CHRTYPE)]), "is a device"),
    Case("tar block device", lambda: tarred([_special(tarfile.BLKTYPE)]), "is a device"),
    Case("tar pipe", lambda: tarred([_special(tarfile.FIFOTYPE)]), "is a pipe"),
    Case("tar sparse", _sparse, "is a file with holes"),
    Case("zip same name", lambda: zipped([("a.csv", b"1"), ("a.csv", b"2")]), "twice"),
    Case("tar same name", lambda: tarred([("a.csv", b"1"), ("./a.csv", b"2")]), "twice"),
    Case("zip case", lambda: zipped([("README.md", b"1"), ("readme.md", b"2")]), _ONE_FILE),
    Case("tar case of folders", lambda: tarred([("Cat/1.png", b"1"), ("cat/2.png", b"2")]), _ONE_FILE),
    Case("tar composed and not", lambda: tarred([("caf\u00e9", b"1"), ("cafe\u0301", b"2")]), _ONE_FILE),
    Case("tar sharp s", lambda: tarred([("stra\u00dfe", b"1"), ("STRASSE", b"2")]), _ONE_FILE),
    Case("zip file and folder", lambda: zipped([("a", b"1"), ("a/b", b"2")]), "as a file and as a folder"),
    Case("zip encrypted", _encrypted, "is encrypted"),
    Case("zip unknown method", _unknown_method, "packed in a way"),
    Case("zip many", _many, "more than 1,000 files"),
    Case("tar many", lambda: gzip.compress(tarred((f"{n}", b"") for n in range(1001))), "more than 1,000 files"),
    Case("zip bomb", lambda: zipped([("zeros", b"\0" * 3 * MIB)]), "as bombs do"),
    Case("zip bomb of many", lambda: zipped((f"{n}", b"\0" * MIB) for n in range(5)), "as bombs do"),
    Case("zip overlapping", _overlapping, "(as bombs do|damaged)"),
    Case("tar gzip bomb", lambda: gzip.compress(tarred([("zeros", b"\0" * 3 * MIB)])), "as bombs do"),
    Case("tar bzip2 bomb", lambda: bz2.compress(tarred([("zeros", b"\0" * 3 * MIB)])), "as bombs do"),
    Case("tar xz bomb", lambda: lzma.compress(tarred([("zeros", b"\0" * 3 * MIB)])), "as bombs do"),
    Case("tar zstd bomb", lambda: zstd(tarred([("zeros", b"\0" * 3 * MIB)])), "as bombs do"),
    Case("tar too long", lambda: tarred([("noise", bytes(range(256)) * 20 * 4096)]), "more than 0.0"),
    Case("zip nothing", lambda: zipped([]), "holds no files"),
    Case("tar nothing", lambda: tarred([]), "holds no files"),
    Case("zip cut", lambda: zipped([("a.csv", bytes(range(256)) * 40)])[:-30], "damaged"),
    Case("tar cut", lambda: tarred([("a.csv", b"x" * 5000)])[:2000], "damaged"),
    Case("gzip cut", lambda: gzip.compress(tarred([("a.csv", bytes(range(256)) * 40)]))[:-20], "damaged"),
    Case("gzip of one file", lambda: gzip.compress(b"a,b\n1,2\n" * 100), "no archive that is unpacked"),
    Case("no archive", lambda: b"a,b\n1,2\n" * 100, "no archive that is unpacked"),
    Case("nothing", lambda: b"", "no archive|damaged|holds no files"),
]  # fmt: skip
