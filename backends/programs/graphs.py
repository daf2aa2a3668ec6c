"""ONNX files: opened with a fixed number of threads, asked in batches, and stripped of what a build machine leaves in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

BATCH = 256


class Examples(Protocol):
    """Rows ready for a model, and the right answers."""

    @property
    def ids(self) -> list[str]:
        """A name of each row for people: a file name, or the number of the row."""

    @property
    def answers(self) -> NDArray[Any]:
        """int64 class indices, or float64 numbers."""

    @property
    def train(self) -> NDArray[np.int64]:
        """Indices of the rows to learn from, sorted."""

    @property
    def test(self) -> NDArray[np.int64]:
        """Indices of the rows held out, sorted."""

    @property
    def has_own_split(self) -> bool:
        """Whether train and test are the dataset's own, and not drawn by us."""

    def feed(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """The named input arrays of these rows, in the datatypes of the model's signature."""


def open_graph(model: Path | bytes, *, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU. Raises onnxruntime's own errors for a file that is no model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def answers_of(
    session: onnxruntime.InferenceSession, examples: Examples, rows: NDArray[np.int64], *, output: str
) -> NDArray[Any]:
    """What the graph says to these rows: [rows, …]."""
    starts = range(0, len(rows), BATCH)
    return np.concatenate([session.run([output], examples.feed(rows[at : at + BATCH]))[0] for at in starts])


def save_stripped(model: onnx.ModelProto, path: Path) -> None:
    """Check and write a graph without doc strings, metadata and inferred shapes: the exporter of torch leaves stack traces
    and paths of the build machine there, about 19 KB a file."""
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def with_one_output(model: onnx.ModelProto, at: int, name: str) -> onnx.ModelProto:
    """`model` with the output at that place only, called `name`; changed in place."""
    kept = model.graph.output[at]
    old = kept.name
    del model.graph.output[:]
    model.graph.output.append(kept)
    model.graph.output[0].name = name
    _rename(model, old, name)
    return model


def rename_input(model: onnx.ModelProto, at: int, name: str) -> onnx.ModelProto:
    """`model` with the input at that place called `name`; changed in place."""
    old = model.graph.input[at].name
    model.graph.input[at].name = name
    _rename(model, old, name)
    return model


def _rename(model: onnx.ModelProto, old: str, name: str) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, each in enumerate(names):
                if each == old:
                    names[place] = name


def strip(model: onnx.ModelProto) -> None:
    """Remove everything that does not change what the graph computes."""
    model.doc_string = ""
    model.producer_name = "mercato"
    model.producer_version = ""
    model.domain = ""
    del model.metadata_props[:]
    _strip_graph(model.graph)


def _strip_graph(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    del graph.value_info[:]
    _strip_each(graph.initializer)
    _strip_each(graph.input)
    _strip_each(graph.output)
    _strip_each(graph.node)
    for node in graph.node:
        node.name = ""
        for attribute in node.attribute:
            attribute.doc_string = ""
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip_graph(attribute.g)


def _strip_each(items: Iterable[Any]) -> None:
    for item in items:
        item.doc_string = ""
        del item.metadata_props[:]
