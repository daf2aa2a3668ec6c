"""A finished model and a dataset brought together: the graph, its signature, and the rows it may be judged by."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from backends.programs import graphs
from backends.programs.graphs import Examples
from backends.programs.images.reading import open_images
from backends.programs.jobfolder import Input, JobFolder, Refused
from backends.programs.tables.examples import open_table

DEFAULT_TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Described:
    """`training` is training.json of the version, empty for a model made elsewhere. `classes` is None for numbers."""

    source: Input
    signature: dict[str, Any]
    training: dict[str, Any]
    classes: list[str] | None


@dataclass(frozen=True)
class Model(Described):
    """A described model whose graph is open."""

    session: onnxruntime.InferenceSession
    output: str


def open_model(folder: JobFolder) -> Model:
    """The input «model». Raises `Refused` when its files are missing or do not fit together."""
    source = folder.input("model")
    if "model.onnx" not in source.paths:
        raise Refused(f"{source.title} has no model.onnx.")
    signature = read_signature(source)
    if signature is None:
        raise Refused(f"{source.title} has no signature.json that names its inputs and classes.")
    judged = next(entry for entry in signature["outputs"] if entry.get("role") != "label")
    output, classes = judged["name"], judged.get("classes")
    try:
        session = graphs.open_graph(source.paths["model.onnx"], threads=folder.threads)
    except Exception as error:  # onnxruntime raises errors of many classes without a common parent of its own
        raise Refused(f"model.onnx of {source.title} is not a model that can be run: {_first_line(error)}") from error
    if output not in {entry.name for entry in session.get_outputs()}:
        raise Refused(f"model.onnx of {source.title} has no output «{output}», which signature.json names.")
    return Model(source, signature, source.read_json("training.json") or {}, classes, session, output)


def read_signature(source: Input) -> dict[str, Any] | None:
    """signature.json of a version; None when it has none. Raises `Refused` when it does not describe inputs and outputs."""
    signature = source.read_json("signature.json")
    if signature is None:
        return None
    try:
        _ = next(entry["name"] for entry in signature["outputs"] if entry.get("role") != "label")
        _ = next((entry["name"], entry["datatype"], entry["shape"], entry["columns"]) for entry in signature["inputs"])
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise Refused(f"signature.json of {source.title} does not describe inputs and outputs.") from error
    return signature


def open_examples(model: Described, data: Input, *, target: str = "", file: str = "", seed: int) -> Examples:
    """The dataset's rows as this model takes them, split the way the model's training split them."""
    fraction = model.training.get("test_fraction", DEFAULT_TEST_FRACTION)
    seed = model.training.get("seed", seed)
    first = model.signature["inputs"][0]
    if first.get("image"):
        if not model.classes:
            raise Refused("Image models are judged by classes, and this one names none.")
        _, channels, height, width = first["shape"]
        return open_images(
            data,
            image_size=0,
            test_fraction=fraction,
            seed=seed,
            classes=model.classes,
            shape=(channels, height, width),
            input_name=first["name"],
        )
    target = target or model.training.get("target", "")
    if not target:
        raise Refused(
            "Name the column of the answers in the parameter «target»: the model does not say what it predicts."
        )
    file = file or (model.training.get("file", "") if model.training.get("file") in data.paths else "")
    return open_table(data, signature=model.signature, target=target, file=file, test_fraction=fraction, seed=seed)


def unseen_rows(model: Model, data: Input, examples: Examples) -> tuple[NDArray[np.int64], str]:
    """The rows that the model was not trained on, and what to call them: the held-out ones of the version it was trained
    on; of any other version the test rows of its own split, else every row."""
    trained_on = model.training.get("dataset", {}).get("version_uuid")
    if examples.has_own_split or (trained_on and trained_on == data.version_uuid):
        return examples.test, "test"
    return np.arange(len(examples.answers)), "all"


def ask(
    session: onnxruntime.InferenceSession, model: Model, examples: Examples, rows: NDArray[np.int64]
) -> NDArray[Any]:
    """What `session`, the model itself or another build of it, says: float32[rows, classes], or float32[rows, 1].
    Raises `Refused` when the graph does not take such rows."""
    try:
        values = graphs.answers_of(session, examples, rows, output=model.output)
    except Exception as error:  # as above: no common parent
        raise Refused(f"{model.source.title} could not be asked: {_first_line(error)}") from error
    values = values.reshape(len(rows), -1)
    if values.shape[1] != len(model.classes or ["number"]):
        raise Refused(
            f"{model.source.title} gives {values.shape[1]} values a row, but its signature names "
            f"{len(model.classes or ['number'])}."
        )
    return values


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
