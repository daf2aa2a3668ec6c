"""Shapes of the Open Inference Protocol V2: a request body to arrays, arrays to a reply.

What is accepted is what the protocol says and no more: a number of the wrong kind, a ragged list, a dimension that does not
fit or a byte too many is refused with a sentence that names the tensor. Nothing here depends on the Content-Type: the header
`Inference-Header-Content-Length` alone tells where JSON ends and raw tensors begin.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from backends.engines.onnx import Array, Feeds
from backends.engines.tensors import DTYPES, VARIABLE, ModelSpec, TensorSpec
from common.errors import Invalid

JSON_TYPE = b"application/json"
BINARY_TYPE = b"application/octet-stream"
MAX_ID_LENGTH = 512
_LENGTH = struct.Struct("<I")
_KINDS: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
    **{name: frozenset({int}) for name in DTYPES if "INT" in name},
    **{name: frozenset({int, float}) for name in DTYPES if name.startswith("FP")},
}
"""What each element of a JSON `data` list must be: bool is not a number here, and 1.0 is not an integer."""
_LARGEST = {"FP16": 65504.0, "FP32": 3.4028234663852886e38}
_FEW = 256
"""Up to so many elements Python compares faster than numpy sets up its error handling."""


@dataclass(slots=True)
class InferRequest:
    """What a caller asks: the arrays to feed, and which outputs to answer how. (Not frozen: that costs a microsecond a call.)"""

    id: str | None
    feeds: Feeds
    outputs: tuple[str, ...]
    binary: tuple[bool, ...]
    """Per output: raw bytes instead of a JSON list."""


def parse(body: bytes, header_length: bytes | None, spec: ModelSpec) -> InferRequest:
    """Raises Invalid, saying what to mend."""
    if header_length is None:
        return _parse_document(_document(body), b"", spec)
    end = _header_end(header_length, len(body))
    if end == 0:
        return _parse_raw(body, spec)
    return _parse_document(_document(body[:end]), body[end:], spec)


def _header_end(header_length: bytes, body_length: int) -> int:
    if not header_length.isdigit() or len(header_length) > 12:
        raise Invalid("Inference-Header-Content-Length is not a number of bytes.")
    end = int(header_length)
    if end > body_length:
        raise Invalid(f"Inference-Header-Content-Length says {end}, but the body has {body_length} bytes.")
    return end


def _document(raw: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Invalid(
            f"The request is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    if type(document) is not dict:
        raise Invalid("The request must be a JSON object.")
    return document


def _parse_document(document: dict[str, Any], tail: bytes, spec: ModelSpec) -> InferRequest:
    given = document.get("inputs")
    if type(given) is not list:
        raise Invalid("The request needs a list of inputs.")
    feeds: Feeds = {}
    offset = 0
    for each in given:
        if type(each) is not dict or type(name := each.get("name")) is not str:
            raise Invalid("Each input must be an object with a name.")
        wanted = spec.input_named(name)
        if wanted is None:
            raise Invalid(f"The model has no input {_short(name)}; it has {_names(spec.inputs)}.")
        if name in feeds:
            raise Invalid(f"The input {name} is given twice.")
        feeds[name], offset = _input(each, wanted, tail, offset)
    if len(feeds) != len(spec.inputs):
        missing = ", ".join(each.name for each in spec.inputs if each.name not in feeds)
        raise Invalid(f"These inputs are missing: {missing}.")
    if offset != len(tail):
        raise Invalid(f"The body has {len(tail)} bytes of raw tensors, the inputs describe {offset}.")
    identifier = document.get("id")
    if identifier is not None and (type(identifier) is not str or len(identifier) > MAX_ID_LENGTH):
        raise Invalid(f"The id must be a text of at most {MAX_ID_LENGTH} characters.")
    names, binary = _outputs(document, spec)
    return InferRequest(identifier, feeds, names, binary)


def _parse_raw(body: bytes, spec: ModelSpec) -> InferRequest:
    """Header length 0: the body is the one input, all of it; its only free dimension may be the first."""
    if len(spec.inputs) != 1:
        raise Invalid("A raw body without JSON works for models with exactly one input.")
    wanted = spec.inputs[0]
    if wanted.datatype == "BYTES" or VARIABLE in wanted.shape[1:]:
        raise Invalid(f"The shape of {wanted.name} cannot be told from raw bytes: send the JSON part as well.")
    row_bytes = DTYPES[wanted.datatype].itemsize
    for size in wanted.shape[1:]:
        row_bytes *= size
    rows, rest = divmod(len(body), row_bytes)
    if rest or rows == 0:
        raise Invalid(f"The body has {len(body)} bytes, which is no whole number of rows of {row_bytes}.")
    shape = (rows, *wanted.shape[1:]) if wanted.shape else ()
    array = _from_bytes(body, wanted, _checked_shape(list(shape), wanted))
    names = tuple(each.name for each in spec.outputs)
    return InferRequest(None, {wanted.name: array}, names, (True,) * len(names))


def _input(each: dict[str, Any], wanted: TensorSpec, tail: bytes, offset: int) -> tuple[Array, int]:
    datatype = each.get("datatype")
    if datatype != wanted.datatype:
        raise Invalid(f"The input {wanted.name} takes {wanted.datatype}, not {_short(datatype)}.")
    shape = _checked_shape(each.get("shape"), wanted)
    parameters = each.get("parameters")
    size = None
    if parameters is not None:
        if type(parameters) is not dict:
            raise Invalid(f"The parameters of {wanted.name} must be an object.")
        if "shared_memory_region" in parameters:
            raise Invalid("Shared memory is not offered.")
        size = parameters.get("binary_data_size")
    if size is None:
        return _from_list(each.get("data"), wanted, shape), offset
    if "data" in each:
        raise Invalid(f"The input {wanted.name} has both data and binary_data_size.")
    if type(size) is not int or size < 0 or offset + size > len(tail):
        raise Invalid(f"The binary_data_size of {wanted.name} does not fit the body.")
    return _from_bytes(tail[offset : offset + size], wanted, shape), offset + size


def _checked_shape(shape: Any, wanted: TensorSpec) -> tuple[int, ...]:
    if type(shape) is not list or len(shape) > len(wanted.shape) + 8:
        raise Invalid(f"The input {wanted.name} needs a shape, such as {list(wanted.shape)}.")
    fits = len(shape) == len(wanted.shape) and all(
        type(size) is int and size > 0 and expected in {size, VARIABLE}
        for size, expected in zip(shape, wanted.shape, strict=False)
    )
    if not fits:
        raise Invalid(
            f"The input {wanted.name} has shape {_short(shape)}, the model takes {list(wanted.shape)} (-1: any size from 1)."
        )
    return tuple(shape)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _from_list(data: Any, wanted: TensorSpec, shape: tuple[int, ...]) -> Array:
    if type(data) is not list:
        raise Invalid(f"The input {wanted.name} needs data: a list, flat or nested like its shape.")
    flat = _flat(data, shape, wanted.name)
    if len(flat) != _count(shape):
        raise Invalid(
            f"The input {wanted.name} has {len(flat)} elements, its shape {list(shape)} takes {_count(shape)}."
        )
    if not _KINDS[wanted.datatype].issuperset(map(type, flat)):
        raise Invalid(f"The input {wanted.name} has an element that is not {_what(wanted.datatype)}.")
    dtype = DTYPES[wanted.datatype]
    largest = _LARGEST.get(wanted.datatype)
    array: Array | None
    try:
        if largest is None:
            array = np.array(flat, dtype=dtype)
        elif len(flat) <= _FEW:
            fits = -largest <= min(flat) and max(flat) <= largest
            array = np.array(flat, dtype=dtype) if fits else None
        else:
            with np.errstate(over="ignore"):
                array = np.array(flat, dtype=dtype)
            array = array if np.isfinite(array).all() else None
    except (OverflowError, ValueError):
        array = None
    if array is None:
        raise Invalid(f"The input {wanted.name} has a number that does not fit {wanted.datatype}.")
    return array.reshape(shape)


def _flat(data: list[Any], shape: tuple[int, ...], name: str) -> list[Any]:
    """`data` as one flat list: as it is, or, when it is nested, after checking that it is nested exactly like `shape`."""
    if not data or type(data[0]) is not list:
        return data
    for axis, size in enumerate(shape):
        if axis:
            if not all(type(each) is list for each in data):
                break
            if any(len(each) != size for each in data):
                raise Invalid(f"The data of {name} is ragged or does not fit its shape {list(shape)}.")
            data = list(chain.from_iterable(data))
        elif len(data) != size:
            raise Invalid(f"The data of {name} does not fit its shape {list(shape)}.")
    else:
        if not data or type(data[0]) is not list:
            return data
    raise Invalid(f"The data of {name} is not nested like its shape {list(shape)}.")


def _from_bytes(raw: bytes, wanted: TensorSpec, shape: tuple[int, ...]) -> Array:
    count, dtype = _count(shape), DTYPES[wanted.datatype]
    if wanted.datatype == "BYTES":
        return _texts(raw, count, wanted.name).reshape(shape)
    if len(raw) != count * dtype.itemsize:
        raise Invalid(
            f"The input {wanted.name} has {len(raw)} bytes, its shape {list(shape)} takes {count * dtype.itemsize}."
        )
    if wanted.datatype == "BOOL":
        octets = np.frombuffer(raw, dtype=np.uint8)
        if octets.max() > 1:
            raise Invalid(f"The input {wanted.name} has a byte that is neither 0 nor 1.")
        return octets.view(np.bool_).reshape(shape)
    array = np.frombuffer(raw, dtype=dtype).reshape(shape)
    return array if array.flags.aligned else array.copy()


def _texts(raw: bytes, count: int, name: str) -> Array:
    texts: list[str] = []
    offset, total = 0, len(raw)
    while offset < total:
        if len(texts) == count or offset + 4 > total:
            break
        (length,) = _LENGTH.unpack_from(raw, offset)
        offset += 4
        if offset + length > total:
            raise Invalid(f"An element of {name} is longer than the body.")
        try:
            texts.append(raw[offset : offset + length].decode())
        except UnicodeDecodeError:
            raise Invalid(f"An element of {name} is not UTF-8 text.") from None
        offset += length
    if len(texts) != count or offset != total:
        raise Invalid(f"The input {name} does not hold exactly {count} elements.")
    array = np.empty(count, dtype=object)
    array[:] = texts
    return array


def _outputs(document: dict[str, Any], spec: ModelSpec) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    parameters = document.get("parameters")
    by_default = False
    if parameters is not None:
        if type(parameters) is not dict:
            raise Invalid("The parameters must be an object.")
        by_default = _flag(parameters, "binary_data_output", default=False)
    wanted = document.get("outputs")
    if not wanted:
        if wanted is not None and type(wanted) is not list:
            raise Invalid("The outputs must be a list.")
        return tuple(each.name for each in spec.outputs), (by_default,) * len(spec.outputs)
    if type(wanted) is not list:
        raise Invalid("The outputs must be a list.")
    names: list[str] = []
    binary: list[bool] = []
    for each in wanted:
        if type(each) is not dict or type(name := each.get("name")) is not str:
            raise Invalid("Each output must be an object with a name.")
        if spec.output_named(name) is None:
            raise Invalid(f"The model has no output {_short(name)}; it has {_names(spec.outputs)}.")
        if name in names:
            raise Invalid(f"The output {name} is asked for twice.")
        own = each.get("parameters")
        if own is not None and type(own) is not dict:
            raise Invalid(f"The parameters of {name} must be an object.")
        if own and ("shared_memory_region" in own or own.get("classification")):
            raise Invalid("Shared memory and the classification extension are not offered.")
        names.append(name)
        binary.append(_flag(own or {}, "binary_data", default=by_default))
    return tuple(names), tuple(binary)


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise Invalid(f"The parameter {name} must be true or false.")
    return value


def render(
    request: InferRequest, arrays: Sequence[Array], spec: ModelSpec, *, model: str, version: str
) -> tuple[bytes, int | None]:
    """The reply's body and, when any output is raw, the length of its JSON part. Raises Invalid when an output that was asked
    for as JSON holds NaN or infinity, which JSON cannot carry."""
    described: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for name, binary, array in zip(request.outputs, request.binary, arrays, strict=True):
        wanted = spec.output_named(name)
        assert wanted is not None
        entry: dict[str, Any] = {"name": name, "datatype": wanted.datatype, "shape": list(array.shape)}
        if binary:
            raw = _to_bytes(array, wanted.datatype)
            entry["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
        elif wanted.datatype == "BYTES":
            entry["data"] = [str(each) for each in array.ravel()]
        else:
            entry["data"] = array.ravel()
        described.append(entry)
    document: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": described}
    if request.id is not None:
        document["id"] = request.id
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in head:
        # the serialiser writes null for what is not a number; or the word stands in a text
        _require_finite(described)
    if True not in request.binary:
        return head, None
    return b"".join((head, *tail)), len(head)


def _require_finite(described: list[dict[str, Any]]) -> None:
    for entry in described:
        data = entry.get("data")
        if isinstance(data, np.ndarray) and data.dtype.kind == "f" and not np.isfinite(data).all():
            raise Invalid(
                f"The output {entry['name']} holds NaN or infinity: ask for it with binary_data, JSON cannot carry it."
            )


def _to_bytes(array: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.ascontiguousarray(array, dtype=DTYPES[datatype]).tobytes()
    texts = [str(each).encode() for each in array.ravel()]
    return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))


def _short(value: object) -> str:
    """`value` for an error message: only plain and short things are repeated, a stranger's nested structure never is."""
    if type(value) is str:
        return repr(value if len(value) <= 80 else f"{value[:77]}...")
    if type(value) is list and all(type(each) is int for each in value):
        return str(value)
    return "something else" if type(value) is not int else str(value)


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(each.name for each in specs)


def _what(datatype: str) -> str:
    if datatype == "BOOL":
        return "true or false"
    if datatype == "BYTES":
        return "a text"
    return f"a number of type {datatype}"
