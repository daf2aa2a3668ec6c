"""The program of the recipe convert-onnx: a framework's model in; the same model as one ONNX graph, proven to answer alike, out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.programs import equivalence, graphs, reporting
from backends.programs.catalogue import MIN_COMPARED
from backends.programs.graphs import Examples
from backends.programs.jobfolder import Input, JobFolder, Refused
from backends.programs.models.foreign import Source, open_source
from backends.programs.models.opening import Described, open_examples, read_signature
from backends.programs.tables import export
from backends.programs.tables.examples import TableExamples, classes_of, task_of
from backends.programs.tables.reading import MATRIX, is_number, read_table

MAX_REAL_ROWS = 4096


def run(folder: JobFolder) -> None:
    """Open, convert, compare on real and on boundary rows, and refuse what differs."""
    source, data = folder.input("model"), folder.input("data")
    given = folder.parameters
    folder.progress(0.05, f"Opening {source.title}")
    model, path = open_source(source, given["file"])
    signature = read_signature(source) or _signature_of(model, data, target=given["target"], table=given["table"])
    training = source.read_json("training.json") or {}
    described = Described(source, signature, training, signature["outputs"][0].get("classes"))
    if given["target"]:
        training["target"] = given["target"]
    folder.progress(0.2, f"Reading {data.title}")
    examples = open_examples(described, data, target=given["target"], file=given["table"], seed=folder.seed)

    folder.progress(0.35, f"Converting {path}")
    feeds, real = comparison_feeds(model.splits(), examples, seed=folder.seed)
    reference = _asked(model, feeds, path)
    build = folder.output("model.onnx")
    try:
        graphs.save_stripped(model.to_graph(signature), build)
        session = graphs.open_graph(build, threads=folder.threads)
    except Refused:
        raise
    except Exception as error:  # converters raise errors of unrelated classes
        text = str(error).strip().partition("\n")[0][:300]
        raise Refused(f"{path} cannot be converted to ONNX: {type(error).__name__}: {text}") from error

    folder.progress(0.6, f"Comparing on {len(reference)} rows")
    output = signature["outputs"][0]["name"]
    try:
        exported = np.concatenate([session.run([output], feed)[0] for feed in feeds])
    except Exception as error:  # onnxruntime's errors have no common parent of their own
        raise Refused(f"The converted model does not run: {str(error).strip().partition(chr(10))[0][:300]}") from error
    exported = exported.reshape(len(exported), -1)
    if exported.shape != reference.shape:
        raise Refused(f"The converted model gives {exported.shape[1]} values a row, the original {reference.shape[1]}.")
    scale = 1.0 if described.classes else float(np.std(examples.answers)) or 1.0
    report = equivalence.compare(reference, exported, real_rows=real, model=build, scale=scale)
    report |= {"dataset": data.title, "dataset_version": data.version_uuid}
    equivalence.require_equivalent(report)

    folder.progress(0.9, "Describing the build")
    one = np.concatenate([examples.test, examples.train])[:1]
    first = reporting.example_of(signature["inputs"], examples.feed(one))
    reporting.finish_build(
        folder,
        signature={**signature, "example": signature.get("example") or first},
        packages=reporting.environment(*model.packages),
        equivalence=report,
        summary=f"{reporting.code(path)} of {reporting.code(source.title)} as ONNX, with the same answers. {verdict(report)}",
    )


def _signature_of(model: Source, data: Input, *, target: str, table: str) -> dict[str, Any]:
    """What the model takes and gives, from the model and the table it was trained on. Raises `Refused` when that does not fit."""
    if model.columns is None:
        raise Refused("A model of this format needs a signature.json in its version that names its inputs and classes.")
    frame = read_table(data, file=table).frame
    if not target:
        raise Refused("Name the column of the answers in the parameter «target»: the model has no signature.json.")
    if target not in frame.columns:
        raise Refused(f"{data.title} has no column «{target}».")
    names = model.names or [str(name) for name in frame.columns if name != target]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise Refused(f"{data.title} lacks columns that the model was trained on: {', '.join(missing[:10])}.")
    if len(names) != model.columns:
        raise Refused(f"The model takes {model.columns} columns, {data.title} has {len(names)} beside «{target}».")
    texts = {name for name in names if not is_number(frame[name])}
    if texts and model.names is None:
        raise Refused(f"The model was trained on numbers, but «{min(texts)}» holds text.")
    if texts or model.takes_names:
        inputs = [_tensor(name, "BYTES" if name in texts else "FP32", [name]) for name in names]
    else:
        inputs = [_tensor(MATRIX, "FP32", names)]
    task = "classification"
    classes = model.classes
    if classes is None:
        task = task_of(frame[target].dropna(), "auto" if model.names is None else "regression")
        if task == "classification":
            classes, _ = classes_of(frame[target].dropna())
    name, width = (export.PREDICTION, 1) if classes is None else (export.PROBABILITIES, len(classes))
    output = {
        "name": name, "datatype": "FP32", "shape": [-1, width], "classes": classes,
        "role": None if classes is None else "probabilities",
    }  # fmt: skip
    return {"task": f"tabular-{task}", "inputs": inputs, "outputs": [output], "example": None}


def _tensor(name: str, datatype: str, columns: list[str]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, len(columns)], "columns": columns, "image": None}


def comparison_feeds(
    splits: list[tuple[int, float]], examples: Examples, *, seed: int
) -> tuple[list[dict[str, NDArray[Any]]], int]:
    """Real rows, held out ones first, in batches; then rows exactly on the thresholds of trees (`splits`) and rows of extremes. And
    how many of them are real. Raises `Refused` for fewer than 100 real rows."""
    real = np.concatenate([examples.test, examples.train])[:MAX_REAL_ROWS]
    if len(real) < MIN_COMPARED:
        raise Refused(f"The dataset has {len(real)} rows with answers; a comparison needs at least {MIN_COMPARED}.")
    feeds = [examples.feed(real[at : at + graphs.BATCH]) for at in range(0, len(real), graphs.BATCH)]
    if isinstance(examples, TableExamples):
        feeds.append(export.boundary_feed(splits if examples.is_matrix else [], examples, seed=seed, with_gaps=False))
    else:
        shapes = {name: values.shape[1:] for name, values in examples.feed(real[:1]).items()}
        noise = np.random.default_rng(seed)
        feeds.append({name: noise.random((8, *shape), dtype=np.float32) for name, shape in shapes.items()})
    return feeds, len(real)


def _asked(model: Source, feeds: list[dict[str, NDArray[Any]]], path: str) -> NDArray[Any]:
    try:
        return np.concatenate([model.answers(feed) for feed in feeds])
    except Exception as error:  # frameworks raise errors of unrelated classes
        text = str(error).strip().partition("\n")[0][:300]
        raise Refused(f"{path} cannot answer the rows of the dataset: {type(error).__name__}: {text}") from error


def verdict(report: dict[str, Any]) -> str:
    """What a comparison with the original has shown, in a sentence."""
    return (
        f"Compared with the original on {report['real_rows']} real rows and {report['boundary_rows']} boundary rows: largest "
        f"difference {report['max_difference']:.1e} (99.9 % of them below {report['p999_difference']:.1e}; {report['tolerance']:g} is "
        f"allowed), labels agree on {report['label_agreement']:.2%}. onnxruntime {report['onnxruntime']}."
    )
