"""The tensors of safetensors and ONNX files, read a piece at a time from the mapped file. Nothing is unpickled and no code is loaded.

Memory does not grow with the file: a tensor is a place in the mapping, read in pieces of PIECE elements. Only tensors that an ONNX
file writes out number by number, and nodes, are decoded whole, one at a time."""

import json
import math
import mmap
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from backends.scanners import tensors as structure
from backends.scanners.media import Malformed

PIECE = 1 << 20
"""Elements read at once: 8 MiB as float64."""
TENSORS_LIMIT = 200_000

FLOAT, INTEGER, OTHER = "float", "integer", "other"


class Unreadable(Exception):
    """The file holds no tensors that can be compared. The message is a sentence for people."""


@dataclass(frozen=True)
class Tensor:
    """`family` is float, integer or other (bytes that are no plain numbers). `read(start, stop)` gives these elements, in order,
    as float64[stop - start]; of the family other, as the bytes' own numbers."""

    name: str
    dtype: str
    family: str
    shape: tuple[int, ...]
    read: Callable[[int, int], NDArray[np.float64]]

    @property
    def count(self) -> int:
        return math.prod(self.shape)


_PLAIN = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_ONNX_NAMES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64", 12: "U32", 13: "U64",
    16: "BF16",
}  # fmt: skip


def tensors_of(path: Path) -> list[Tensor]:
    """All tensors of a safetensors or ONNX file, in the order of the file. Raises Unreadable."""
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise Unreadable("The file is empty.") from error
    view = memoryview(data)
    try:
        if structure.looks_like_safetensors(bytes(view[:16]), len(view)):
            structure.safetensors(view)
            return list(_safetensors(view))
        _require_inline(structure.onnx(view))
        return list(_onnx(view))
    except Unreadable:
        raise
    except Malformed as error:
        raise Unreadable(f"It is neither safetensors nor ONNX: {error}.") from error
    except Exception as error:  # protobuf raises its own classes, and plain ones
        raise Unreadable("Its tensors cannot be read.") from error


def _require_inline(facts: structure.OnnxFacts) -> None:
    if facts.is_external:
        raise Unreadable("The model keeps tensors in other files, which are not followed.")


def _safetensors(data: memoryview) -> Iterator[Tensor]:
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(bytes(data[8 : 8 + length]))
    header.pop("__metadata__", None)
    if len(header) > TENSORS_LIMIT:
        raise Unreadable(f"It has more than {TENSORS_LIMIT:,} tensors.")
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]):
        begin, end = entry["data_offsets"]
        yield _stored(name, entry["dtype"], tuple(entry["shape"]), data[8 + length + begin : 8 + length + end])


def _stored(name: str, dtype: str, shape: tuple[int, ...], raw: memoryview) -> Tensor:
    """A tensor whose bytes lie in the file as they are."""
    if dtype == "BF16":
        return Tensor(name, dtype, FLOAT, shape, lambda start, stop: _bfloat(raw[2 * start : 2 * stop]))
    kind = np.dtype(_PLAIN.get(dtype, "u1"))
    if len(raw) != math.prod(shape) * kind.itemsize:
        if dtype in _PLAIN:
            raise Unreadable(f"The tensor {name[:80]} is not as long as its shape says.")
        # types without a place of their own in numpy (F8, F4): only whether bytes differ can be said
        shape = (len(raw),)
    family = OTHER if dtype not in _PLAIN else FLOAT if kind.kind == "f" else INTEGER

    def read(start: int, stop: int) -> NDArray[np.float64]:
        return np.frombuffer(raw[start * kind.itemsize : stop * kind.itemsize], kind).astype(np.float64)

    return Tensor(name, dtype, family, shape, read)


def _bfloat(raw: memoryview) -> NDArray[np.float64]:
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def _onnx(data: memoryview) -> Iterator[Tensor]:
    """Initializers, constants, and lists of numbers in attributes (which is where trees and linear models keep theirs)."""
    found = 0
    for number, graph in _fields(data):
        if number != 7:
            continue
        for field, body in _fields(graph):
            for tensor in _initializer(body) if field == 5 else _of_node(body) if field == 1 else ():
                found += 1
                if found > TENSORS_LIMIT:
                    raise Unreadable(f"It has more than {TENSORS_LIMIT:,} tensors.")
                yield tensor


def _initializer(body: memoryview) -> Iterator[Tensor]:
    raw, light = None, b""
    for field, value in _fields(body, keeps=True):
        if field == 9:
            raw = value
        else:
            light += bytes(value)
    if raw is None:
        message = onnx.TensorProto.FromString(bytes(body))
        yield from _decoded(_text(message.name), message)
        return
    message = onnx.TensorProto.FromString(light)
    yield _stored(
        _text(message.name), _ONNX_NAMES.get(message.data_type, str(message.data_type)), tuple(message.dims), raw
    )


def _of_node(body: memoryview) -> Iterator[Tensor]:
    node = onnx.NodeProto.FromString(bytes(body))
    name = _text(node.output[0] if node.output else node.op_type)
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield from _decoded(name if node.op_type == "Constant" else f"{name}.{_text(attribute.name)}", attribute.t)
        elif attribute.floats:
            yield _held(f"{name}.{_text(attribute.name)}", "F32", np.array(attribute.floats, np.float64))


def _decoded(name: str, message: Any) -> Iterator[Tensor]:
    if message.data_type in _ONNX_NAMES:
        values = numpy_helper.to_array(message)
        yield _held(name, _ONNX_NAMES[message.data_type], values.astype(np.float64))


def _held(name: str, dtype: str, values: NDArray[np.float64]) -> Tensor:
    flat = values.ravel()
    family = FLOAT if dtype in {"F16", "F32", "F64", "BF16"} else INTEGER
    return Tensor(name, dtype, family, values.shape, lambda start, stop: flat[start:stop])


def _text(name: str | bytes) -> str:
    """Protobuf gives bytes for what should be text and is not."""
    return name if isinstance(name, str) else name.decode(errors="replace")


def _fields(data: memoryview, *, keeps: bool = False) -> Iterator[tuple[int, memoryview]]:
    """The fields of a protocol-buffer message: number and content of those with a length; with `keeps` all others too, and both
    with their tags (but for field 9, raw_data, of which the content comes), so that what is kept can be decoded again."""
    at = 0
    while at < len(data):
        begin = at
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, at = _varint(data, at)
            content = None
        elif wire in {1, 5}:
            at += 8 if wire == 1 else 4
            content = None
        elif wire == 2:
            length, at = _varint(data, at)
            content, at = data[at : at + length], at + length
        else:
            raise ValueError("a group, which ONNX does not use")
        if at > len(data):
            raise ValueError("it ends too early")
        if content is not None and (not keeps or number == 9):
            yield number, content
        elif keeps:
            yield number, data[begin:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number that is too long")
