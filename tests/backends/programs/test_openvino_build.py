"""A network for OpenVINO answers as its ONNX graph does, or is refused with a reason."""

import json
from pathlib import Path

import joblib
import numpy as np
import openvino
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models import converting, openvino_build
from tests.backends.programs.jobs import Ran, write_spec
from tests.support import onnx_models

SIGNATURE = {
    "task": "tabular-classification",
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2], "classes": ["0", "1"], "role": "probabilities"}
    ],
}


@pytest.fixture
def cells(tmp_path: Path) -> pd.DataFrame:
    frame = load_breast_cancer(as_frame=True).frame
    (tmp_path / "rows").mkdir()
    frame.to_parquet(tmp_path / "rows" / "rows.parquet", index=False)
    return frame


@pytest.fixture
def network(tmp_path: Path, cells: pd.DataFrame) -> Path:
    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx_models.mlp())
    columns = list(cells.columns[:-1])
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 30], "columns": columns, "image": None}]
    (folder / "signature.json").write_text(json.dumps(SIGNATURE | {"inputs": inputs}))
    return folder


def built(tmp_path: Path, model: Path) -> Ran:
    folder = write_spec(
        tmp_path / "job", "convert-openvino", {"target": "target"}, {"model": model, "data": tmp_path / "rows"}
    )
    openvino_build.run(JobFolder(folder))
    return Ran(folder, 0, "")


def test_a_network_answers_alike(tmp_path: Path, network: Path, cells: pd.DataFrame) -> None:
    job = built(tmp_path, network)
    report = job.read("result.json")["equivalence"]
    assert (report["real_rows"], report["is_equivalent"]) == (569, True)
    outputs = job.folder / "outputs"
    assert sorted(path.name for path in outputs.iterdir()) == ["model.bin", "model.xml"]
    compiled = openvino.Core().compile_model(outputs / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rows = cells.drop(columns="target").to_numpy(np.float32)
    assert compiled({"x": rows})["probabilities"].shape == (569, 2)


def test_trees_are_refused_with_the_reason(tmp_path: Path, cells: pd.DataFrame) -> None:
    (tmp_path / "theirs").mkdir()
    forest = RandomForestClassifier(5, random_state=0).fit(cells.drop(columns="target").to_numpy(), cells["target"])
    joblib.dump(forest, tmp_path / "theirs" / "model.joblib")
    inputs = {"model": tmp_path / "theirs", "data": tmp_path / "rows"}
    first = write_spec(tmp_path / "first", "convert-onnx", {"target": "target"}, inputs)
    converting.run(JobFolder(first))
    signature = Ran(first, 0, "").read("result.json")["signature"]
    (first / "outputs" / "signature.json").write_text(json.dumps(signature))
    with pytest.raises(Refused, match="OpenVINO cannot take this model"):
        built(tmp_path, first / "outputs")


def test_what_answers_differently_is_not_published(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = openvino_build._answers
    monkeypatch.setattr(openvino_build, "_answers", lambda *given: true(*given) * np.float32(0.99))
    with pytest.raises(Refused, match="differs from the trained one"):
        built(tmp_path, network)
    assert not (tmp_path / "job" / "result.json").exists()
