"""The program of the recipe convert-openvino: an ONNX graph in; the same network for OpenVINO, proven to answer alike, out."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from backends.programs import equivalence, reporting
from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models.converting import comparison_feeds, verdict
from backends.programs.models.opening import Model, open_examples, open_model

PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino")
NETWORK = "model.xml"


def run(folder: JobFolder) -> None:
    """Convert, compare on real rows and noise, and refuse what differs."""
    folder.progress(0.05, "Opening the model")
    model = open_model(folder)
    if texts := [each["name"] for each in model.signature["inputs"] if each["datatype"] == "BYTES"]:
        raise Refused(f"OpenVINO takes numbers only, and «{texts[0]}» is text.")
    data = folder.input("data")
    folder.progress(0.2, f"Reading {data.title}")
    examples = open_examples(model, data, target=folder.parameters["target"], seed=folder.seed)
    feeds, real = comparison_feeds([], examples, seed=folder.seed)
    reference = _reference(model, feeds)

    folder.progress(0.4, "Converting")
    graph = model.source.paths["model.onnx"]
    network = folder.output(NETWORK)
    built = _converted(graph, network, threads=folder.threads)
    folder.progress(0.6, f"Comparing on {len(reference)} rows")
    answers = _answers(built, feeds, model)
    if answers.shape != reference.shape:
        raise Refused(f"The build gives {answers.shape[1]} values a row, the original {reference.shape[1]}.")
    scale = 1.0 if model.classes else float(np.std(examples.answers)) or 1.0
    report = equivalence.compare(reference, answers, real_rows=real, model=network, scale=scale)
    report |= {
        "dataset": data.title,
        "dataset_version": data.version_uuid,
        "openvino": openvino.get_version(),
    }
    equivalence.require_equivalent(report)

    folder.progress(0.9, "Describing the build")
    reporting.finish_build(
        folder,
        signature=model.signature,
        packages=reporting.environment(*PACKAGES),
        equivalence=report,
        summary=f"{reporting.code(model.source.title)} for OpenVINO, in float32, with the same answers. {verdict(report)} "
        f"OpenVINO {openvino.get_version()}.",
    )


def _reference(model: Model, feeds: list[dict[str, NDArray[Any]]]) -> NDArray[Any]:
    try:
        found = np.concatenate([model.session.run([model.output], feed)[0] for feed in feeds])
    except Exception as error:  # onnxruntime's errors have no common parent of their own
        raise Refused(f"{model.source.title} could not be asked: {_first_line(error)}") from error
    return found.reshape(len(found), -1)


def _converted(graph: Path, network: Path, *, threads: int) -> openvino.CompiledModel:
    """Writes `network` and its weights beside it, and opens them anew: what is compared is what was written."""
    core = openvino.Core()
    try:
        openvino.save_model(core.read_model(graph), network, compress_to_fp16=False)
        # processors that know bfloat16 would compute in it, and be 0.05 to 0.16 off
        hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        return core.compile_model(network, "CPU", hints)
    except RuntimeError as error:
        raise Refused(f"OpenVINO cannot take this model: {_first_line(error)}") from error


def _answers(built: openvino.CompiledModel, feeds: list[dict[str, NDArray[Any]]], model: Model) -> NDArray[Any]:
    try:
        found = np.concatenate([built(feed)[model.output] for feed in feeds])
    except (RuntimeError, KeyError) as error:
        raise Refused(f"The build for OpenVINO does not run: {_first_line(error)}") from error
    return found.reshape(len(found), -1)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
