"""The program of the recipe quantize-int8: a network in; a build with 8-bit weights and activations, and its price, out."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from backends.programs import equivalence, graphs, reporting
from backends.programs.graphs import Examples
from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models.opening import Model, ask, open_examples, open_model, unseen_rows
from backends.programs.scoring import paired_difference

PACKAGES = ("numpy", "onnx", "onnxruntime", "pandas", "pillow", "scipy")
# Operators whose work is worth doing in 8 bits. Normalising the input and the final softmax are left in float32: they cost
# nothing, and a softmax in 8 bits knows only 256 probabilities.
WEIGHTED = ("Conv", "Gemm", "MatMul")
QUANTIZED = [*WEIGHTED, "Add", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"]
CALIBRATION_BATCH = 32
WARM_UP_CALLS = 10


def run(folder: JobFolder) -> None:
    """Calibrate on training rows, quantize, and measure both on the same unseen rows: size, latency, accuracy."""
    folder.progress(0.05, "Opening the model")
    model = open_model(folder)
    _require_weights(model)
    if model.classes is None:
        raise Refused("Only classifiers can be stored in 8 bits here: the loss is judged by their accuracy.")
    data = folder.input("data")
    folder.progress(0.15, f"Reading {data.title}")
    examples = open_examples(model, data, seed=folder.seed)
    rows, split = unseen_rows(model, data, examples)

    folder.progress(0.3, "Calibrating and quantizing")
    build = folder.output("model.onnx")
    _quantize(model, examples, build, wanted=folder.parameters["calibration_rows"], seed=folder.seed)
    session = graphs.open_graph(build, threads=folder.threads)

    folder.progress(0.6, f"Asking both about {len(rows)} rows")
    before, after = ask(model.session, model, examples, rows), ask(session, model, examples, rows)
    answers = examples.answers[rows]
    paired = paired_difference(before.argmax(axis=1) == answers, after.argmax(axis=1) == answers, seed=folder.seed)
    if -paired["difference"] > folder.parameters["max_accuracy_loss"]:
        raise Refused(
            f"The int8 model loses {-paired['difference']:.2%} of accuracy, more than the "
            f"{folder.parameters['max_accuracy_loss']:.2%} that were allowed, so it was not published."
        )
    folder.progress(0.8, "Timing both")
    latency = _latency(
        model.session, session, examples, rows, runs=folder.parameters["latency_runs"], output=model.output
    )
    comparison = {
        "compared_with": {"title": model.source.title, "version_uuid": model.source.version_uuid},
        "size_bytes": {"before": model.source.paths["model.onnx"].stat().st_size, "after": build.stat().st_size},
        "latency_ms": latency,
        "accuracy": paired,
    }
    report = equivalence.compare(before, after, real_rows=len(rows), model=build)
    folder.output_json("comparison.json", comparison)
    folder.output_json("signature.json", model.signature)
    # The split, target and dataset of the first training stay true for this build.
    folder.output_json("training.json", {**model.training, "derived_from": comparison["compared_with"]})
    metrics, _ = reporting.write_classification(
        folder, examples, rows, after, model.classes, dataset=data.title, split=split
    )
    reporting.finish(
        folder,
        metrics=metrics,
        signature=model.signature,
        packages=reporting.environment(*PACKAGES),
        equivalence=report,
        summary=_summary(model, comparison),
        sections=[("Compared with what it was made from", _comparison_table(comparison, report))],
        card={
            "library_name": "onnx",
            "pipeline_tag": model.signature["task"],
            "tags": ["int8", "onnx", "quantized"],
            "datasets": [data.title],
            "base_model": model.source.title,
        },
        heading=f"{model.source.title}, int8",
        details={"comparison": comparison},
    )


class _Calibration(CalibrationDataReader):
    """Training rows in small batches."""

    def __init__(self, examples: Examples, rows: NDArray[np.int64]) -> None:
        self._batches: Iterator[dict[str, NDArray[Any]]] = (
            examples.feed(rows[at : at + CALIBRATION_BATCH]) for at in range(0, len(rows), CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)


def _require_weights(model: Model) -> None:
    try:
        graph = onnx.load(model.source.paths["model.onnx"]).graph
    except Exception as error:  # protobuf and onnx raise errors of unrelated classes
        raise Refused(f"model.onnx of {model.source.title} could not be read.") from error
    operators = sorted({node.op_type for node in graph.node})
    if "QuantizeLinear" in operators:
        raise Refused(f"{model.source.title} is stored in 8 bits already.")
    if not set(operators) & set(WEIGHTED):
        raise Refused(
            f"{model.source.title} has no matrix or convolution weights to store in 8 bits. "
            f"It is made of: {', '.join(operators)}."
        )


def _quantize(model: Model, examples: Examples, build: Path, *, wanted: int, seed: int) -> None:
    """Static quantization, weights per channel, activations by their smallest and largest value in calibration."""
    rows = np.random.default_rng(seed).permutation(examples.train)[:wanted]
    prepared, raw = build.with_name("prepared.onnx"), build.with_name("raw.onnx")
    try:
        quant_pre_process(str(model.source.paths["model.onnx"]), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(raw),
            _Calibration(examples, rows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        graphs.save_stripped(onnx.load(raw), build)
    finally:
        prepared.unlink(missing_ok=True)
        raw.unlink(missing_ok=True)


def _latency(
    before: onnxruntime.InferenceSession,
    after: onnxruntime.InferenceSession,
    examples: Examples,
    rows: NDArray[np.int64],
    *,
    runs: int,
    output: str,
) -> dict[str, Any]:
    """Milliseconds of a call with one row: median over `runs`. The two take turns, so that a busy moment of the machine
    strikes both."""
    feeds = [examples.feed(rows[at : at + 1]) for at in range(min(len(rows), 32))]
    times: dict[str, list[float]] = {"before": [], "after": []}
    for call in range(WARM_UP_CALLS + runs):
        feed = feeds[call % len(feeds)]
        for name, session in (("before", before), ("after", after)):
            started = time.perf_counter_ns()
            session.run([output], feed)
            if call >= WARM_UP_CALLS:
                times[name].append((time.perf_counter_ns() - started) / 1e6)
    return {
        **{name: float(np.median(values)) for name, values in times.items()},
        "runs": runs,
        "batch": 1,
        "threads": 1,
    }


def _summary(model: Model, comparison: dict[str, Any]) -> str:
    size, paired = comparison["size_bytes"], comparison["accuracy"]
    return (
        f"An int8 version of {reporting.code(model.source.title)}: {size['before'] / size['after']:.1f} times smaller, "
        f"accuracy {100 * paired['difference']:+.2f} points "
        f"(95 % interval {100 * paired['low']:+.2f} to {100 * paired['high']:+.2f})."
    )


def _comparison_table(comparison: dict[str, Any], report: dict[str, Any]) -> str:
    size, latency, paired = comparison["size_bytes"], comparison["latency_ms"], comparison["accuracy"]
    table = reporting.markdown_table(
        ["", "Before", "int8"],
        [
            ["Size", f"{size['before']:,} B", f"{size['after']:,} B"],
            ["Latency of one row, one thread", f"{latency['before']:.3f} ms", f"{latency['after']:.3f} ms"],
        ],
    )
    verdict = "no difference shown" if paired["p_value"] > 0.05 else "the two differ"
    return (
        f"{table}\n\nOn the same {paired['n']} rows, {paired['lost']} right answers were lost and {paired['won']} won: "
        f"McNemar p = {paired['p_value']:.2f}, {verdict}. Largest difference of a probability {report['max_difference']:.3f}, "
        f"labels agree on {report['label_agreement']:.2%}."
    )
