"""An ONNX model kept in memory, ready to answer. The one truth: what it says of itself comes from the loaded graph.

**The risk, stated.** onnxruntime parses and runs a stranger's graph inside this process. It is C++ that has had memory-safety
bugs, and there is no sandbox around it here. What narrows the risk: only files that the registry's scan found to hold nothing
but data come here; tensors in other files (`external_data`) are refused before onnxruntime sees the graph, so it opens no
path; no library of custom operators is ever registered, so only operators compiled into onnxruntime run; a run that takes too
long is ended; and the process that holds the sessions has no rights beyond its own database role. Graphs with loops or
branches never count as quick, since their cost depends on the caller's numbers.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from backends.engines.tensors import DTYPES, VARIABLE, ModelSpec, TensorSpec
from backends.errors import Rejected

Array = np.ndarray[Any, Any]
Feeds = dict[str, Array]

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_BRANCHING = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_FATAL = 4
_LARGEST_PROTOBUF = 2 * 1024**3 - 1

QUICK_S = 0.0002
"""A call up to this long (measured at warm-up) is made where it arrives: a hop to another thread would cost as much."""


class RunFailed(Exception):
    """The graph could not compute an answer for these inputs."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What warm-up found. `unit_s`: seconds of one call with every free dimension at 1 (median of five)."""

    unit_s: float
    unit_elements: int
    """Elements of all inputs of that call, the measure of larger ones."""
    is_quick: bool
    """May run where it arrives: short, and without loops or branches."""
    can_batch: bool
    """Rows of different callers may be stacked: the first dimension is free everywhere, and a stacked run gave each row the
    same answer as a run of its own."""


class OnnxModel:
    """One session: 1 thread (two sessions with one thread each beat one with two, 1.28x measured), no spinning while idle."""

    def __init__(self, path: Path) -> None:
        """Load the graph in `path`. Takes from milliseconds to seconds. Raises `Rejected` for what is not ONNX, names data
        outside itself, uses operators that onnxruntime does not have, or takes or gives no plain tensors."""
        raw = path.read_bytes()
        self.size_bytes = len(raw)
        self.has_branches = _inspect(raw)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = _FATAL
        try:
            self._session = ort.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes have no common base but Exception
            raise Rejected("onnxruntime cannot load this model") from error
        self.spec = ModelSpec(
            tuple(_input_spec(each) for each in self._session.get_inputs()),
            tuple(spec for each in self._session.get_outputs() if (spec := _spec(each)) is not None),
        )
        if not self.spec.outputs:
            raise Rejected("the model gives no plain tensor")

    @property
    def memory_bytes(self) -> int:
        """An estimate of what it holds: weights once in the session, once more in packed kernels and arena, and 4 MiB."""
        return 2 * self.size_bytes + 4 * 1024**2

    def run(self, feeds: Feeds, outputs: Sequence[str], stop: ort.RunOptions | None = None) -> list[Array]:
        """The named outputs for `feeds`; safe from several threads. Setting `stop.terminate` from another thread ends the run.
        Raises `RunFailed`, whose text never leaves the server."""
        try:
            answers: list[Array] = self._session.run(outputs, feeds, stop)
        except Exception as error:  # see __init__
            raise RunFailed(str(error)) from error
        return answers

    def warm_up(self, *, limit_s: float) -> Timing:
        """Run it a few times with small made-up inputs and measure, for `limit_s` at most. A graph that cannot run them is still
        served, never as quick and never stacked."""
        names = [each.name for each in self.spec.outputs]
        stop = ort.RunOptions()
        timer = threading.Timer(limit_s, setattr, (stop, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            feeds = _made_up(self.spec, rows=1, seed=1)
            unit_s = _median_of(5, lambda: self.run(feeds, names, stop))
            can_batch = self._rows_are_independent(names, stop)
        except RunFailed:
            return Timing(QUICK_S, 1, is_quick=False, can_batch=False)
        finally:
            timer.cancel()
        elements = max(1, sum(each.size for each in feeds.values()))
        return Timing(unit_s, elements, is_quick=unit_s <= QUICK_S and not self.has_branches, can_batch=can_batch)

    def _rows_are_independent(self, names: Sequence[str], stop: ort.RunOptions) -> bool:
        every = (*self.spec.inputs, *self.spec.outputs)
        if self.has_branches or any(not each.shape or each.shape[0] != VARIABLE for each in every):
            return False
        if any(each.datatype == "BYTES" for each in every):
            return False
        first, second = (_made_up(self.spec, rows=1, seed=seed) for seed in (1, 2))
        both = {name: np.concatenate([first[name], second[name]]) for name in first}
        together = self.run(both, names, stop)
        apart = zip(self.run(first, names, stop), self.run(second, names, stop), strict=True)
        return all(
            joined.shape[0] == 2
            and one.shape[0] == 1
            and np.allclose(joined[:1], one, rtol=1e-3, atol=1e-4, equal_nan=True)
            and np.allclose(joined[1:], two, rtol=1e-3, atol=1e-4, equal_nan=True)
            for joined, (one, two) in zip(together, apart, strict=True)
        )


def _inspect(raw: bytes) -> bool:
    """Whether the graph branches. Raises `Rejected` when it is not ONNX, too large, or keeps tensors elsewhere."""
    if len(raw) > _LARGEST_PROTOBUF:
        raise Rejected("the model is larger than 2 GiB")
    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf raises its own classes, and plain ones
        raise Rejected("this is not an ONNX model") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise Rejected("the model keeps tensors in other files, which is not accepted")
    return any(node.op_type in _BRANCHING for graph in _graphs(model) for node in graph.node)


def _graphs(model: Any) -> Iterator[Any]:
    """Every list of nodes: the graph, the functions, and all graphs nested in attributes."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            yield from _dense(graph.sparse_initializer)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("sparse_tensor"):
                    yield from _dense([attribute.sparse_tensor])
                yield from _dense(attribute.sparse_tensors)


def _dense(sparse: Iterable[Any]) -> Iterator[Any]:
    for each in sparse:
        yield each.values
        yield each.indices


def _input_spec(argument: Any) -> TensorSpec:
    spec = _spec(argument)
    if spec is None:
        raise Rejected(f"the input {argument.name[:80]!r} is a {argument.type[:80]}, which cannot be sent as a tensor")
    return spec


def _spec(argument: Any) -> TensorSpec | None:
    datatype = _DATATYPES.get(argument.type)
    if datatype is None:
        return None
    shape = tuple(size if isinstance(size, int) and size >= 0 else VARIABLE for size in argument.shape or ())
    return TensorSpec(argument.name, datatype, shape)


def _made_up(spec: ModelSpec, *, rows: int, seed: int) -> Feeds:
    """Inputs of `rows` rows, other free dimensions 1: floats in 0–1, whole numbers 0 or 1, texts "a"."""
    random = np.random.default_rng(seed)
    feeds: Feeds = {}
    for each in spec.inputs:
        shape = tuple((rows if axis == 0 else 1) if size == VARIABLE else size for axis, size in enumerate(each.shape))
        if each.datatype == "BYTES":
            feeds[each.name] = np.full(shape, "a", dtype=object)
        elif each.datatype.startswith("FP"):
            feeds[each.name] = random.random(shape).astype(DTYPES[each.datatype])
        else:
            feeds[each.name] = random.integers(0, 2, shape).astype(DTYPES[each.datatype])
    return feeds


def _median_of(count: int, call: Callable[[], object]) -> float:
    call()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[count // 2]
