"""Evaluating and quantizing models that were made elsewhere, and what is said about ones that do not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_breast_cancer
from sklearn.neural_network import MLPClassifier

from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models import evaluating, quantizing
from tests.backends.programs.jobs import Ran, write_spec


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    frame = load_breast_cancer(as_frame=True).frame
    features = frame.columns[:-1]
    frame[features] = (frame[features] - frame[features].mean()) / frame[features].std()
    return frame


@pytest.fixture
def data(cells: pd.DataFrame, tmp_path: Path) -> Path:
    folder = tmp_path / "cells"
    folder.mkdir()
    cells.to_parquet(folder / "cells.parquet", index=False)
    return folder


@pytest.fixture
def model(cells: pd.DataFrame, tmp_path: Path) -> Path:
    """A network of another tool, written with nothing but onnx; its input has its own name."""
    learner = MLPClassifier((64, 32), max_iter=60, random_state=0, tol=1e-2).fit(
        cells.iloc[:, :-1].to_numpy(np.float32), cells["target"]
    )
    last = learner.coefs_[2].astype(np.float32)
    weights = [*(values.astype(np.float32) for values in learner.coefs_[:2]), np.hstack([np.zeros_like(last), last])]
    offsets = [
        *(values.astype(np.float32) for values in learner.intercepts_[:2]),
        np.array([0, learner.intercepts_[2][0]], np.float32),
    ]
    nodes, before = [], "cells"
    for layer in range(3):
        nodes.append(helper.make_node("Gemm", [before, f"w{layer}", f"b{layer}"], [f"g{layer}"]))
        before = f"g{layer}"
        if layer < 2:
            nodes.append(helper.make_node("Relu", [before], [f"r{layer}"]))
            before = f"r{layer}"
    nodes.append(helper.make_node("Softmax", [before], ["scores"], axis=1))
    constants = [
        numpy_helper.from_array(values, f"{kind}{layer}")
        for kind, group in (("w", weights), ("b", offsets))
        for layer, values in enumerate(group)
    ]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("cells", TensorProto.FLOAT, [None, 30])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])],
        constants,
    )
    folder = tmp_path / "foreign"
    folder.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "model.onnx"
    )
    write_signature(folder, cells)
    return folder


def write_signature(folder: Path, cells: pd.DataFrame, **changes: Any) -> None:
    columns = list(cells.columns[:-1])
    signature = {
        "task": "tabular-classification",
        "inputs": [{"name": "cells", "datatype": "FP32", "shape": [-1, 30], "columns": columns, "image": None}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 2], "classes": ["0", "1"], "role": "probabilities"}
        ],
        "example": None,
    }
    (folder / "signature.json").write_text(json.dumps(signature | changes))


def ran(program: Any, recipe: str, tmp_path: Path, inputs: dict[str, Path], **parameters: object) -> Ran:
    folder = write_spec(tmp_path / "job", recipe, parameters, inputs)
    program.run(JobFolder(folder))
    return Ran(folder, 0, "")


def test_foreign_model_is_evaluated_on_every_row(tmp_path: Path, model: Path, data: Path):
    job = ran(evaluating, "evaluate", tmp_path, {"model": model, "data": data}, target="target")
    result = job.read("result.json")
    assert list(result["metrics"]) == ["accuracy", "macro_f1", "log_loss", "roc_auc"]
    accuracy = result["metrics"]["accuracy"]
    assert (accuracy["n"], accuracy["split"]) == (569, "all")
    assert accuracy["value"] > 0.95
    assert len(job.rows("evaluation/predictions.csv")) == 569
    confusion = job.rows("evaluation/confusion.csv")
    assert sum(int(row[name]) for row in confusion for name in ("0", "1")) == 569
    classes = job.read("outputs/metrics.json")["classes"]
    assert [row["rows"] for row in classes] == [212, 357]


def test_foreign_network_on_a_table_gets_an_int8_build(tmp_path: Path, model: Path, data: Path):
    (model / "training.json").write_text(json.dumps({"target": "target", "dataset": {"version_uuid": "cells"}}))
    inputs = {"model": model, "data": data}
    job = ran(quantizing, "quantize-int8", tmp_path, inputs, latency_runs=20, max_accuracy_loss=0.05)
    operators = {node.op_type for node in onnx.load(job.folder / "outputs" / "model.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert job.read("outputs/comparison.json")["accuracy"]["n"] == 113
    training = job.read("outputs/training.json")
    assert training["derived_from"] == {"title": "acme/foreign@v1", "version_uuid": "foreign"}
    assert training["target"] == "target"


def test_int8_build_that_loses_too_much_is_not_published(tmp_path: Path, model: Path, data: Path, cells: pd.DataFrame):
    # One weight a thousand times the others leaves 8 bits no room for them when it sets the scale of its whole column.
    graph = onnx.load(model / "model.onnx")
    for constant in graph.graph.initializer:
        if constant.name == "b0":
            values = numpy_helper.to_array(constant).copy()
            values[0] = 3e4
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
        if constant.name == "w1":
            values = numpy_helper.to_array(constant).copy()
            values[0] = 0
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    onnx.save(graph, model / "model.onnx")
    (model / "training.json").write_text(json.dumps({"target": "target"}))
    with pytest.raises(Refused, match=r"^The int8 model loses \d+\.\d\d% of accuracy, more than the 2\.00%"):
        ran(quantizing, "quantize-int8", tmp_path, {"model": model, "data": data}, latency_runs=20)
    assert not (tmp_path / "job" / "result.json").exists()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda model: (model / "model.onnx").unlink(), "acme/foreign@v1 has no model.onnx."),
        (
            lambda model: (model / "signature.json").unlink(),
            "acme/foreign@v1 has no signature.json that names its inputs and classes.",
        ),
        (
            lambda model: (model / "signature.json").write_text("{"),
            "signature.json of acme/foreign@v1 is not valid JSON.",
        ),
        (
            lambda model: (model / "signature.json").write_text('{"inputs": [], "outputs": [3]}'),
            "signature.json of acme/foreign@v1 does not describe inputs and outputs.",
        ),
        (
            lambda model: (model / "model.onnx").write_bytes(b"\x08\x09broken"),
            "model.onnx of acme/foreign@v1 is not a model that can be run: ",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused(tmp_path: Path, model: Path, data: Path, break_it: Any, message: str):
    break_it(model)
    with pytest.raises(Refused) as refusal:
        ran(evaluating, "evaluate", tmp_path, {"model": model, "data": data}, target="target")
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"outputs": [{"name": "nothing", "datatype": "FP32", "shape": [-1, 2], "classes": ["0", "1"]}]},
            "model.onnx of acme/foreign@v1 has no output «nothing», which signature.json names.",
        ),
        (
            {"outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 3], "classes": ["0", "1", "2"]}]},
            "acme/foreign@v1 gives 2 values a row, but its signature names 3.",
        ),
        (
            {"inputs": [{"name": "cells", "datatype": "FP32", "shape": [-1, 1], "columns": ["age"], "image": None}]},
            "acme/cells@v1 lacks columns that the model needs: age.",
        ),
        (
            {"inputs": [{"name": "cells", "datatype": "FP32", "shape": [-1, 1], "columns": ["mean area"]}]},
            "acme/foreign@v1 could not be asked: ",
        ),
        (
            {"outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2], "classes": ["no", "yes"]}]},
            "«target» holds answers that the model does not know: 0, 1.",
        ),
    ],
)
def test_signatures_that_do_not_fit_are_refused(
    tmp_path: Path, model: Path, data: Path, cells: pd.DataFrame, changes: dict[str, Any], message: str
):
    write_signature(model, cells, **changes)
    with pytest.raises(Refused) as refusal:
        ran(evaluating, "evaluate", tmp_path, {"model": model, "data": data}, target="target")
    assert str(refusal.value).startswith(message)


def test_model_without_a_target_needs_one_named(tmp_path: Path, model: Path, data: Path):
    with pytest.raises(Refused, match="Name the column of the answers"):
        ran(evaluating, "evaluate", tmp_path, {"model": model, "data": data})
