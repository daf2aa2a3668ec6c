"""What some bytes begin as. By content alone: names and extensions are chosen by whoever made the file."""

import codecs
import tarfile
import zipfile
from pathlib import Path

from backends.scanners import opcodes, tensors
from backends.scanners.media import media_of

_CHUNK = 1024**2
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13}) + b"\x7f"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "parquet"),
    (b"GGUF", "gguf"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"ARROW1\x00\x00", "arrow"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\x7fELF", "executable"),
    (b"MZ\x90\x00", "executable"),
    (b"\xcf\xfa\xed\xfe", "executable"),
    (b"\xca\xfe\xba\xbe", "executable"),
    (b"\x00asm", "executable"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)
CONTAINERS = frozenset({"zip", "tar", "gzip", "bzip2", "xz", "lzma", "lz4", "zlib"})
"""What the caller of scanners unpacks."""
CLOSED = frozenset({"7z", "rar", "zstd"})
"""Archives that nobody here can look into."""


def format_of(path: Path, head: bytes, data: memoryview) -> str:
    """The name of the format, or nothing. Reads at most all bytes once."""
    if tensors.looks_like_safetensors(head, len(data)):
        return "safetensors"
    if found := media_of(head):
        return found[0]
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "") or _without_magic(path, head, data)


def _without_magic(path: Path, head: bytes, data: memoryview) -> str:
    """What has no mark of its own at the start, in the order in which readers would be deceived."""
    is_text = _is_text(data)
    if opcodes.is_pickle(data, is_text=is_text):
        return "pickle"
    if is_text:
        return "text"
    if tensors.looks_like_onnx(data):
        return "onnx"
    if head[:1] == b"\x78" and len(head) > 1 and (head[0] * 256 + head[1]) % 31 == 0:
        return "zlib"
    if tarfile.is_tarfile(path):
        return "tar"
    return "zip" if zipfile.is_zipfile(path) else ""


def _is_text(data: memoryview) -> bool:
    """UTF-8 to the last byte, without control characters other than tab, line feed, form feed and carriage return."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(data), _CHUNK):
        block = bytes(data[at : at + _CHUNK])
        if len(block.translate(None, _CONTROL)) != len(block):
            return False
        try:
            decoder.decode(block, final=at + _CHUNK >= len(data))
        except UnicodeDecodeError:
            return False
    return True
