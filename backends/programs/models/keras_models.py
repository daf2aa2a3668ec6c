"""Networks of Keras 3 in its own format, opened on torch and without code: layers that carry a program of their own are refused."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from backends.programs import graphs
from backends.programs.graphs import BATCH
from backends.programs.jobfolder import Refused


@dataclass
class KerasNetwork:
    """A network and its weights, without the classes that it was trained on."""

    network: Any
    classes = None
    columns = None
    names = None
    takes_names = False
    packages = ("keras", "numpy", "onnx", "onnxruntime", "onnxscript", "torch")

    def answers(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        rows = len(next(iter(feed.values())))
        given = list(feed.values())
        found = self.network.predict(given[0] if len(given) == 1 else given, batch_size=BATCH, verbose=0)
        return np.asarray(found).reshape(rows, -1)

    def to_graph(self, signature: dict[str, Any]) -> onnx.ModelProto:
        inputs = signature["inputs"]
        if len(self.network.inputs) != len(inputs):
            raise Refused(f"The network takes {len(self.network.inputs)} inputs, signature.json names {len(inputs)}.")
        # a layer that was never called has no shape to export
        self.network([np.zeros([1, *(max(1, each) for each in entry["shape"][1:])], np.float32) for entry in inputs])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "network.onnx")
            self.network.export(path, format="onnx", verbose=False)
            graph = onnx.load(path)
        for at, entry in enumerate(inputs):
            graphs.rename_input(graph, at, entry["name"])
        return graphs.with_one_output(graph, -1, signature["outputs"][0]["name"])

    def splits(self) -> list[tuple[int, float]]:
        return []


def open_network(path: Path) -> KerasNetwork:
    """Raises `Refused` for a network with layers that are code, and for one with several outputs; Keras' own errors for a file that is
    none."""
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except ValueError as error:
        if "Lambda" not in str(error) and "deserialization" not in str(error):
            raise
        raise Refused(f"{path.name} holds layers made of code (Lambda), which are not run.") from error
    if len(network.outputs) != 1:
        raise Refused(f"{path.name} has {len(network.outputs)} outputs; a model here has one.")
    return KerasNetwork(network)
