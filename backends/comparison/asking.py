"""A stranger's ONNX model asked in this process: what it says to an input that was given as tensors, as rows of named columns or as a
picture, and how quick it is. The words of an input are those of the Open Inference Protocol."""

import math
import mmap
import resource
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from backends.comparison.limits import VALUES_SHOWN
from backends.comparison.tensorfiles import Unreadable
from backends.engines.tensors import DTYPES
from backends.scanners import tensors as structure
from backends.scanners.media import Malformed

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF")
_PIXELS_LIMIT = 50_000_000
_ELEMENTS_LIMIT = 16_000_000
_OF_ORT = {
    "tensor(bool)": "BOOL", "tensor(uint8)": "UINT8", "tensor(uint16)": "UINT16", "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64", "tensor(int8)": "INT8", "tensor(int16)": "INT16", "tensor(int32)": "INT32",
    "tensor(int64)": "INT64", "tensor(float16)": "FP16", "tensor(float)": "FP32", "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}  # fmt: skip
_TIMED_S = 3.0
_TIMED_RUNS = 200

Feeds = dict[str, NDArray[Any]]


def answers(model: Path, signature: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the model says to `given`: `outputs` ([name, datatype, shape, values, is_cut]), `rows` asked, `notes`, seconds of the
    call in `run_s` (the second one; the first warms up). Raises Unreadable with the reason why it cannot be asked."""
    session = open_session(model)
    notes: list[str] = []
    feeds = _feeds(session, signature, given, notes)
    names = [each.name for each in session.get_outputs() if each.type in _OF_ORT]
    if not names:
        raise Unreadable("It gives no plain tensor.")
    _run(session, names, feeds)
    began = time.perf_counter()
    values = _run(session, names, feeds)
    took = time.perf_counter() - began
    return {
        "outputs": [_output(name, value) for name, value in zip(names, values, strict=True)],
        "rows": max((len(each) for each in feeds.values() if each.ndim), default=1),
        "notes": notes,
        "run_s": took,
    }


def speed(model: Path, signature: Mapping[str, Any]) -> dict[str, Any]:
    """How long one call with one row takes on one thread (`p50_s`, `p95_s` of up to 200 calls in three seconds, after three to warm
    up), how long opening took, and by how many bytes the greatest memory of this process rose meanwhile. Raises Unreadable."""
    before = _peak_bytes()
    began = time.perf_counter()
    session = open_session(model)
    load_s = time.perf_counter() - began
    feeds = _example(session, signature)
    names = [each.name for each in session.get_outputs() if each.type in _OF_ORT]
    for _ in range(3):
        _run(session, names, feeds)
    taken: list[float] = []
    until = time.perf_counter() + _TIMED_S
    while len(taken) < _TIMED_RUNS and (len(taken) < 3 or time.perf_counter() < until):
        began = time.perf_counter()
        _run(session, names, feeds)
        taken.append(time.perf_counter() - began)
    low, high = np.quantile(taken, [0.5, 0.95])
    return {
        "p50_s": float(low),
        "p95_s": float(high),
        "calls": len(taken),
        "load_s": load_s,
        "memory_bytes": max(0, _peak_bytes() - before),
    }


def open_session(model: Path) -> onnxruntime.InferenceSession:
    """The graph on one thread. Tensors in other files are refused before onnxruntime sees it. Raises Unreadable."""
    try:
        with model.open("rb") as file:
            # mapped, not read: what is measured afterwards is the memory that the model takes
            facts = structure.onnx(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except ValueError as error:
        raise Unreadable("The file is empty.") from error
    except Malformed as error:
        raise Unreadable(f"It is not ONNX: {error}.") from error
    if facts.is_external:
        raise Unreadable("It keeps tensors in other files, which are not followed.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes have no common base but Exception
        raise Unreadable(f"onnxruntime cannot open it: {_first_line(error)}") from error


def _run(session: onnxruntime.InferenceSession, names: list[str], feeds: Feeds) -> list[NDArray[Any]]:
    try:
        values: list[NDArray[Any]] = session.run(names, feeds)
    except Exception as error:  # as above
        raise Unreadable(f"It does not take this input: {_first_line(error)}") from error
    return values


def _feeds(
    session: onnxruntime.InferenceSession, signature: Mapping[str, Any], given: Mapping[str, Any], notes: list[str]
) -> Feeds:
    wanted = {each.name: each for each in session.get_inputs()}
    described = {
        each.get("name"): each for each in signature.get("inputs") or [] if isinstance(each, Mapping)
    }  # what its publisher says of the same inputs
    if given["form"] == "tensors":
        return _from_tensors(wanted, given["inputs"], notes)
    if given["form"] == "rows":
        return _from_rows(wanted, described, given["columns"], given["rows"])
    return _from_picture(wanted, described, Path(given["path"]), notes)


def _from_tensors(wanted: Mapping[str, Any], inputs: list[Mapping[str, Any]], notes: list[str]) -> Feeds:
    tensors = {each["name"]: each for each in inputs}
    if len(wanted) == len(tensors) == 1 and set(wanted) != set(tensors):
        (name,), (given,) = wanted, tensors
        notes.append(f"Its input is called {name}, and was given what was sent as {given}.")
        tensors = {name: tensors[given]}
    missing, unknown = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing:
        raise Unreadable(f"It needs {_listed(missing)}, which the input does not have.")
    if unknown:
        notes.append(f"It takes no {_listed(unknown)}.")
    feeds: Feeds = {}
    for name, argument in wanted.items():
        datatype = _datatype(argument)
        if tensors[name]["datatype"] != datatype:
            notes.append(f"{name} was sent as {tensors[name]['datatype']} and read as {datatype}.")
        shape = tensors[name]["shape"]
        feeds[name] = _array(name, tensors[name]["data"], datatype, shape)
    return feeds


def _from_rows(
    wanted: Mapping[str, Any], described: Mapping[Any, Mapping[str, Any]], columns: list[str], rows: list[list[str]]
) -> Feeds:
    at = {name: place for place, name in enumerate(columns)}
    feeds: Feeds = {}
    for name, argument in wanted.items():
        needed = described.get(name, {}).get("columns") or [name]
        missing = [str(column) for column in needed if column not in at]
        if missing:
            raise Unreadable(f"It needs {_listed(missing)}, which the table does not have.")
        datatype = _datatype(argument)
        cells = [[row[at[column]] for column in needed] for row in rows]
        values = cells if datatype == "BYTES" else [[_number(cell, datatype) for cell in row] for row in cells]
        shape = [len(rows)] if len(argument.shape or ()) == 1 else [len(rows), len(needed)]
        feeds[name] = _array(name, values, datatype, shape)
    return feeds


def _from_picture(
    wanted: Mapping[str, Any], described: Mapping[Any, Mapping[str, Any]], path: Path, notes: list[str]
) -> Feeds:
    if len(wanted) != 1:
        raise Unreadable("It takes more than a picture.")
    ((name, argument),) = wanted.items()
    image = described.get(name, {}).get("image") or {}
    shape: list[Any] = list(argument.shape or ())
    if not image and (
        len(shape) != 4 or shape[1] not in {1, 3} or not all(isinstance(each, int) for each in shape[1:])
    ):
        raise Unreadable("It does not take pictures: neither its signature nor the shape of its input says so.")
    channels, height, width = (
        (image["channels"], image["height"], image["width"]) if image else (shape[1], shape[2], shape[3])
    )
    if not all(isinstance(each, int) and 0 < each <= 8_192 for each in (channels, height, width)):
        raise Unreadable("The size of the pictures that it takes is not described.")
    scale = float(image.get("scale") or 1 / 255)
    pixels = _pixels(path, channels, width, height)
    notes.append(f"The picture was read as {width} × {height}, {'grey' if channels == 1 else 'colour'}.")
    datatype = _datatype(argument)
    values = pixels if datatype == "UINT8" else pixels.astype(np.float64) * scale
    return {name: values.astype(DTYPES[datatype])[np.newaxis]}


def _pixels(path: Path, channels: int, width: int, height: int) -> NDArray[np.uint8]:
    """uint8[channels, height, width], 0–255."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unreadable(f"The picture is not a readable {', '.join(FORMATS)}.") from error
    with image:
        if image.width * image.height > _PIXELS_LIMIT:
            raise Unreadable(f"The picture has more than {_PIXELS_LIMIT:,} pixels.")
        try:
            flat: Image.Image = image.convert("L" if channels == 1 else "RGB")
            if flat.size != (width, height):
                flat = flat.resize((width, height), Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError) as error:
            raise Unreadable("The picture is damaged.") from error
    pixels = np.asarray(flat, np.uint8)
    return pixels[np.newaxis] if channels == 1 else pixels.transpose(2, 0, 1)


def _array(name: str, data: Any, datatype: str, shape: list[int]) -> NDArray[Any]:
    try:
        if datatype == "BYTES":
            values = np.array(data, dtype=object).ravel()
            if not all(isinstance(each, str) for each in values):
                raise Unreadable(f"{name} takes text.")
        else:
            values = np.array(data)
            if values.dtype.kind not in "biuf":
                raise Unreadable(f"{name} takes numbers.")
        return values.astype(DTYPES[datatype]).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        raise Unreadable(f"{name} has other numbers than its shape {shape} asks for.") from error


def _example(session: onnxruntime.InferenceSession, signature: Mapping[str, Any]) -> Feeds:
    """The example of the signature, else ones: one row, and 1 for every other free dimension."""
    example = signature.get("example") or {}
    wanted = {each.name: each for each in session.get_inputs()}
    try:
        return _from_tensors(wanted, example["inputs"], [])
    except (Unreadable, KeyError, TypeError, AttributeError):
        pass
    feeds: Feeds = {}
    for name, argument in wanted.items():
        shape = [size if isinstance(size, int) and size > 0 else 1 for size in argument.shape or ()]
        if math.prod(shape) > _ELEMENTS_LIMIT:
            raise Unreadable("One row of its input is too large.")
        datatype = _datatype(argument)
        feeds[name] = np.full(shape, "a" if datatype == "BYTES" else 1, dtype=DTYPES[datatype])
    return feeds


def _datatype(argument: Any) -> str:
    if argument.type not in _OF_ORT:
        raise Unreadable(f"Its input {argument.name[:80]} is a {argument.type[:80]}, which cannot be sent.")
    return _OF_ORT[argument.type]


def _number(cell: str, datatype: str) -> float | int | bool:
    if datatype == "BOOL":
        return cell.strip().lower() in {"1", "true", "yes"}
    if not cell.strip():
        if datatype.startswith("FP"):
            return math.nan
        raise Unreadable("A cell is empty where it needs a whole number.")
    try:
        return float(cell) if datatype.startswith("FP") else int(float(cell))
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"«{cell[:40]}» is not a number.") from error


def _output(name: str, value: NDArray[Any]) -> dict[str, Any]:
    flat = np.asarray(value).ravel()[:VALUES_SHOWN]
    values: list[Any]
    if flat.dtype.kind == "f":
        values = [float(each) if math.isfinite(each) else None for each in flat.astype(np.float64)]
    elif flat.dtype.kind in "iub":
        values = [int(each) for each in flat]
    else:
        values = [str(each)[:200] for each in flat]
    datatype = next((key for key, kind in DTYPES.items() if kind == np.asarray(value).dtype), "BYTES")
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(np.shape(value)),
        "values": values,
        "is_cut": int(np.size(value)) > VALUES_SHOWN,
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _listed(names: list[str]) -> str:
    return ", ".join(name[:80] for name in names[:10]) + (" and more" if len(names) > 10 else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
