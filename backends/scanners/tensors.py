"""Structure of files that hold tensors: safetensors, npy, ONNX. Headers are read, never the data; nothing is unpickled."""

import json
import math
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from backends.scanners.media import Malformed

_LONGEST_HEADER = 100_000_000
"""The format's own limit: https://github.com/huggingface/safetensors, `MAX_HEADER_SIZE`."""
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
}
_BITS |= {
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}


class HoldsObjects(Exception):
    """A NumPy array of Python objects: its data is a pickle."""


def looks_like_safetensors(head: bytes, size: int) -> bool:
    return len(head) > 8 and head[8:9] == b"{" and 2 <= struct.unpack_from("<Q", head)[0] <= size - 8


def safetensors(data: memoryview) -> None:
    """The whole rule of the format: a bounded JSON header without duplicate names, offsets that follow each other without holes or
    overlaps and end exactly at the end of the file, each as long as its shape and type say. Raises `Malformed`."""
    (length,) = struct.unpack_from("<Q", data)
    if length > _LONGEST_HEADER:
        raise Malformed("the safetensors header is over 100 MB")
    try:
        header = json.loads(bytes(data[8 : 8 + length]), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"the safetensors header is not valid: {error}") from error
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
                raise Malformed("the safetensors metadata is not text")
            continue
        spans.append(_span(entry))
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise Malformed("the safetensors offsets leave a hole or overlap")
        at = end
    if 8 + length + at != len(data):
        raise Malformed("the safetensors data does not end where the header says")


def npy(stream: BinaryIO, size: int) -> None:
    """A NumPy array of plain numbers or fixed-size text that fills its `size` bytes. Raises `Malformed`, `HoldsObjects`."""
    try:
        version = np.lib.format.read_magic(stream)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if reader is None:
            raise Malformed(f"version {version} of the NumPy format is not known")
        shape, _, kind = reader(stream)
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError) as error:
        raise Malformed(f"the NumPy header is not valid: {error}") from error
    if kind.hasobject:
        raise HoldsObjects("it is a NumPy array of Python objects, which is a pickle")
    if stream.tell() + math.prod(shape) * kind.itemsize != size:
        raise Malformed("the NumPy data is not as long as its header says")


def looks_like_onnx(data: memoryview) -> bool:
    """Field 1 (ir_version), a small number, comes first in what every exporter writes."""
    return (
        len(data) > 4
        and data[0] == 0x08
        and 1 <= data[1] <= 64
        and data[2] in {0x12, 0x1A, 0x22, 0x2A, 0x3A, 0x42, 0x72, 0xA2}
    )


@dataclass
class OnnxFacts:
    """What of a model reaches outside of the file."""

    locations: set[str] = field(default_factory=set)
    """Other files that it keeps tensors in, as it names them."""
    is_external: bool = False
    domains: set[str] = field(default_factory=set)
    """Of operators and functions; the standard one is empty."""
    functions: set[str] = field(default_factory=set)
    """Domains that the model itself defines functions for."""


def onnx(data: memoryview) -> OnnxFacts:
    """The protocol-buffer fields of an ONNX model, walked to the last byte without loading any tensor. Raises `Malformed`."""
    facts = OnnxFacts()
    seen = set(_walk(data, "ModelProto", 0, facts))
    if not {1, 7, 8} <= seen:
        raise Malformed("it has no graph or no operator set, so it is not an ONNX model")
    return facts


# Message fields that lead to tensors (onnx/onnx.proto); all others are skipped by their length.
_CHILDREN: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "TensorProto": {13: "StringStringEntryProto"},
    "StringStringEntryProto": {},
}
_DATA_LOCATION = 14
_DOMAINS = {("NodeProto", 7), ("FunctionProto", 10)}


def _walk(data: memoryview, message: str, depth: int, facts: OnnxFacts) -> list[int]:
    """Walk one message and what it leads to, noting facts; returns the numbers of its fields when it is the model itself."""
    if depth > 60:
        raise Malformed("the ONNX graph is nested too deeply")
    children = _CHILDREN[message]
    fields = []
    entry: dict[int, str] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        length = 0
        if wire == 0:
            value, at = _varint(data, at)
            if message == "TensorProto" and number == _DATA_LOCATION and value:
                facts.is_external = True
        else:
            length, at = _length(data, at, wire)
        if number == 0 or at + length > len(data):
            raise Malformed("the protocol buffer is cut off")
        if wire == 2:
            if number in children:
                _walk(data[at : at + length], children[number], depth + 1, facts)
            elif (message, number) in _DOMAINS or message == "StringStringEntryProto":
                entry[number] = bytes(data[at : at + min(length, 4096)]).decode(errors="replace")
        at += length
        if message == "ModelProto":
            fields.append(number)
    _note(message, entry, facts)
    return fields


def _note(message: str, entry: dict[int, str], facts: OnnxFacts) -> None:
    if message == "StringStringEntryProto":
        facts.is_external = True
        if entry.get(1) == "location":
            facts.locations.add(entry.get(2, ""))
    elif message == "NodeProto":
        facts.domains.add(entry.get(7, ""))
    elif message == "FunctionProto":
        facts.functions.add(entry.get(10, ""))


def _length(data: memoryview, at: int, wire: int) -> tuple[int, int]:
    """How long the value of a field is that is no number, and where it begins."""
    if wire == 2:
        return _varint(data, at)
    if wire in {1, 5}:
        return (8 if wire == 1 else 4), at
    raise Malformed("it is not a protocol buffer")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed("it is not a protocol buffer")


def _span(entry: Any) -> tuple[int, int]:
    try:
        kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, begin, end]
        bits = _BITS[kind] * math.prod(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise Malformed("a safetensors entry is not complete") from error
    if not all(type(number) is int and 0 <= number < 2**63 for number in numbers) or (end - begin) * 8 != bits:
        raise Malformed("a safetensors entry is not as long as its shape says")
    return begin, end


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
