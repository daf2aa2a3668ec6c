"""The header of GGUF files: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Counts, lengths and offsets are checked before they
are used; the advisories on readers of this format are about trusting them."""

import struct
from collections.abc import Iterator
from math import prod

from backends.scanners.media import Malformed

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_MOST = 10_000_000
_LONGEST_NAME = 65_535
# Elements and bytes of a block, by type of tensor (ggml.h, ggml-quants).
_BLOCKS: dict[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50),
    20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> memoryview:
        if count > len(self.data) - self.at:
            raise Malformed("the GGUF header is cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def text(self, limit: int) -> str:
        length = self.number("<Q")
        if length > limit:
            raise Malformed("a name or text in the GGUF header is too long")
        try:
            return bytes(self.take(length)).decode()
        except UnicodeDecodeError as error:
            raise Malformed("a text in the GGUF header is not UTF-8") from error


def walk(data: memoryview) -> None:
    """Metadata, then the table of tensors, each of which lies within the file, aligned, without overlap. Raises `Malformed`."""
    reader = _Reader(data)
    alignment = 32
    names: set[str] = set()
    count = 0
    for key, kind, value in _header(reader):
        if key == "":
            count = int(value)
            continue
        if key in names:
            raise Malformed("a key of the GGUF metadata appears twice")
        names.add(key)
        if key == "general.alignment":
            if kind != 4 or not isinstance(value, int) or value < 8 or value & (value - 1) or value > 1024**2:
                raise Malformed("the GGUF alignment is not a power of two")
            alignment = value
    spans = _spans(reader, count, alignment)
    start = -(-reader.at // alignment) * alignment
    end = 0
    for offset, length in sorted(spans):
        if offset < end:
            raise Malformed("tensors of the GGUF file overlap")
        end = offset + length
    if spans and start + end > len(data):
        raise Malformed("tensors of the GGUF file lie behind its end")
    if len(data) - (start + end if spans else reader.at) >= max(alignment, 64):
        raise Malformed("there is something behind the tensors of the GGUF file")


def texts(data: memoryview) -> Iterator[tuple[str, str]]:
    """The texts among the metadata, by key. Raises `Malformed`."""
    for key, kind, value in _header(_Reader(data)):
        if kind == _STRING:
            yield key, str(value)


def _header(reader: _Reader) -> Iterator[tuple[str, int, int | str]]:
    """First the number of tensors, under no name; then every key, type and value; of arrays the length."""
    if bytes(reader.take(4)) != b"GGUF" or reader.number("<I") not in {2, 3}:
        raise Malformed("the version of the GGUF file is not known")
    tensor_count, key_count = reader.number("<Q"), reader.number("<Q")
    if tensor_count > _MOST or key_count > _MOST or tensor_count * 24 + key_count * 12 > len(reader.data):
        raise Malformed("the counts of the GGUF header are too large for the file")
    yield "", 0, tensor_count
    for _ in range(key_count):
        key = reader.text(_LONGEST_NAME)
        if not key:
            raise Malformed("a key of the GGUF metadata is empty")
        kind = reader.number("<I")
        yield key, kind, _value(reader, kind, 0)


def _value(reader: _Reader, kind: int, depth: int) -> int | str:
    if kind == _STRING:
        return reader.text(64 * 1024**2)
    if kind == _ARRAY:
        inner, count = reader.number("<I"), reader.number("<Q")
        if depth > 3 or count > len(reader.data):
            raise Malformed("an array of the GGUF metadata is too long or too deep")
        if inner in _SIZES:
            reader.take(count * _SIZES[inner])
        else:
            for _ in range(count):
                _value(reader, inner, depth + 1)
        return count
    if kind not in _SIZES:
        raise Malformed("a type of the GGUF metadata is not known")
    if kind == 4:
        return reader.number("<I")
    raw = reader.take(_SIZES[kind])
    if kind == 7 and raw[0] > 1:
        raise Malformed("a truth value of the GGUF metadata is neither 0 nor 1")
    return 0


def _spans(reader: _Reader, count: int, alignment: int) -> list[tuple[int, int]]:
    spans = []
    names: set[str] = set()
    for _ in range(count):
        name = reader.text(_LONGEST_NAME)
        dimensions = reader.number("<I")
        if dimensions > 8 or name in names:
            raise Malformed("a tensor of the GGUF file has too many dimensions, or a name that is taken")
        names.add(name)
        shape = [reader.number("<Q") for _ in range(dimensions)]
        kind, offset = reader.number("<I"), reader.number("<Q")
        if kind not in _BLOCKS or offset % alignment:
            raise Malformed("a tensor of the GGUF file is of an unknown type, or not aligned")
        elements, size = _BLOCKS[kind]
        total = prod(shape)
        if total > 2**62 or (shape and shape[0] % elements):
            raise Malformed("a tensor of the GGUF file has an impossible shape")
        spans.append((offset, total // elements * size))
    return spans
