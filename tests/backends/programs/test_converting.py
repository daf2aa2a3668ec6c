"""Models of the frameworks become ONNX and answer alike, or are refused with a reason."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from xgboost import XGBClassifier, XGBRegressor

from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models import converting, foreign
from tests.backends.programs.jobs import Ran, run, write_spec

CLASSIFIERS = {
    "forest": lambda: RandomForestClassifier(20, random_state=0),
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    "lightgbm": lambda: LGBMClassifier(n_estimators=15, min_child_samples=5, verbose=-1),
    "xgboost": lambda: XGBClassifier(n_estimators=15),
}
REGRESSORS = {
    "ridge": lambda: make_pipeline(StandardScaler(), Ridge()),
    "extra trees": lambda: ExtraTreesRegressor(20, random_state=0),
    "lightgbm": lambda: LGBMRegressor(n_estimators=15, verbose=-1),
    "xgboost": lambda: XGBRegressor(n_estimators=15),
}


@pytest.fixture
def wine(tmp_path: Path) -> pd.DataFrame:
    frame = load_wine(as_frame=True).frame
    put_table(tmp_path, frame)
    return frame


def put_table(tmp_path: Path, frame: pd.DataFrame) -> None:
    (tmp_path / "rows").mkdir()
    frame.to_parquet(tmp_path / "rows" / "rows.parquet", index=False)


def put_model(tmp_path: Path, estimator: Any, name: str = "model.joblib") -> Path:
    (tmp_path / "theirs").mkdir()
    joblib.dump(estimator, tmp_path / "theirs" / name)
    return tmp_path / "theirs"


def converted(tmp_path: Path, **parameters: object) -> Ran:
    inputs = {"model": tmp_path / "theirs", "data": tmp_path / "rows"}
    folder = write_spec(
        tmp_path / f"job {len(list(tmp_path.iterdir()))}", "convert-onnx", {"target": "target"} | parameters, inputs
    )
    converting.run(JobFolder(folder))
    return Ran(folder, 0, "")


def numbers_of(frame: pd.DataFrame) -> np.ndarray:
    return frame.drop(columns="target").to_numpy(np.float32, copy=True)


def answers_of(job: Ran, feed: dict[str, np.ndarray]) -> np.ndarray:
    return onnxruntime.InferenceSession(job.folder / "outputs" / "model.onnx").run(None, feed)[0]


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_answers_alike(tmp_path: Path, wine: pd.DataFrame, make) -> None:
    estimator = make().fit(numbers_of(wine), wine["target"])
    put_model(tmp_path, estimator)
    job = converted(tmp_path)
    report = job.read("result.json")["equivalence"]
    assert (report["real_rows"], report["label_agreement"], report["is_equivalent"]) == (178, 1.0, True)
    assert report["boundary_rows"] > 0
    mine = answers_of(job, {"features": numbers_of(wine)})
    np.testing.assert_allclose(mine, estimator.predict_proba(numbers_of(wine)), atol=1e-4)
    signature = job.read("result.json")["signature"]
    assert signature["outputs"][0]["classes"] == ["0", "1", "2"]
    assert signature["inputs"][0]["columns"] == list(wine.columns[:-1])
    assert [path.name for path in (job.folder / "outputs").iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("make", REGRESSORS.values(), ids=REGRESSORS)
def test_a_regressor_answers_alike(tmp_path: Path, make) -> None:
    frame = load_diabetes(as_frame=True).frame
    put_table(tmp_path, frame)
    estimator = make().fit(numbers_of(frame), frame["target"])
    put_model(tmp_path, estimator, "model.pkl")
    job = converted(tmp_path)
    assert job.read("result.json")["equivalence"]["is_equivalent"]
    mine = answers_of(job, {"features": numbers_of(frame)})[:, 0]
    np.testing.assert_allclose(mine, estimator.predict(numbers_of(frame)), rtol=1e-4)
    assert 0 < job.read("result.json")["equivalence"]["max_relative_difference"] < 1e-3


def test_a_pipeline_over_names_and_texts_keeps_one_input_for_each_column(tmp_path: Path, wine: pd.DataFrame) -> None:
    frame = wine.assign(region=np.where(wine["hue"] > 1, "north", "south"))[["alcohol", "proline", "region", "target"]]
    frame.to_parquet(tmp_path / "rows" / "rows.parquet", index=False)
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["alcohol", "proline"]), ("texts", OneHotEncoder(), ["region"])]
    )
    estimator = make_pipeline(columns, LogisticRegression(max_iter=500))
    estimator.fit(frame.drop(columns="target"), frame["target"])
    put_model(tmp_path, estimator)
    signature = converted(tmp_path).read("result.json")["signature"]
    assert [(each["name"], each["datatype"]) for each in signature["inputs"]] == [
        ("alcohol", "FP32"), ("proline", "FP32"), ("region", "BYTES"),
    ]  # fmt: skip
    assert signature["example"]["inputs"][2]["data"][0] in {"north", "south"}


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_booster_in_its_own_text_format(tmp_path: Path, load) -> None:
    frame = load(as_frame=True).frame
    put_table(tmp_path, frame)
    learner = LGBMClassifier(n_estimators=15, min_child_samples=5, verbose=-1).fit(numbers_of(frame), frame["target"])
    (tmp_path / "theirs").mkdir()
    learner.booster_.save_model(tmp_path / "theirs" / "model.txt")
    job = converted(tmp_path)
    mine = answers_of(job, {"features": numbers_of(frame)})
    np.testing.assert_allclose(mine, learner.predict_proba(numbers_of(frame)), atol=1e-4)
    assert job.read("result.json")["equivalence"]["boundary_rows"] > 20


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_booster_of_xgboost_in_its_binary_format(tmp_path: Path, load) -> None:
    frame = load(as_frame=True).frame
    put_table(tmp_path, frame)
    learner = XGBClassifier(n_estimators=15).fit(numbers_of(frame), frame["target"])
    (tmp_path / "theirs").mkdir()
    learner.save_model(tmp_path / "theirs" / "model.ubj")
    job = converted(tmp_path)
    mine = answers_of(job, {"features": numbers_of(frame)})
    np.testing.assert_allclose(mine, learner.predict_proba(numbers_of(frame)), atol=1e-4)
    assert job.read("result.json")["equivalence"]["boundary_rows"] > 20


def test_a_booster_of_xgboost_keeps_the_names_of_its_columns(tmp_path: Path) -> None:
    frame = load_diabetes(as_frame=True).frame
    shuffled = frame[["target", *reversed(frame.columns[:-1])]]
    put_table(tmp_path, shuffled)
    learner = XGBRegressor(n_estimators=15).fit(frame.drop(columns="target"), frame["target"])
    (tmp_path / "theirs").mkdir()
    learner.save_model(tmp_path / "theirs" / "model.ubj")
    job = converted(tmp_path)
    assert job.read("result.json")["signature"]["inputs"][0]["columns"] == list(frame.columns[:-1])
    mine = answers_of(job, {"features": numbers_of(frame)})[:, 0]
    np.testing.assert_allclose(mine, learner.predict(frame.drop(columns="target")), rtol=1e-4)


def test_an_objective_without_comparable_answers_is_refused(tmp_path: Path, wine: pd.DataFrame) -> None:
    learner = XGBClassifier(n_estimators=3, objective="multi:softmax").fit(numbers_of(wine), wine["target"])
    booster = learner.get_booster()
    booster.set_param({"objective": "multi:softmax"})
    (tmp_path / "theirs").mkdir()
    booster.save_model(tmp_path / "theirs" / "model.ubj")
    with pytest.raises(Refused, match="was trained for «multi:softmax»"):
        converted(tmp_path)


SIGNATURE = {
    "task": "tabular-classification",
    "outputs": [
        {"name": "p", "datatype": "FP32", "shape": [-1, 3], "classes": ["0", "1", "2"], "role": "probabilities"}
    ],
}


def put_keras(tmp_path: Path, wine: pd.DataFrame, *layers: str) -> None:
    """A network that Keras itself makes, in a process of its own: it chooses its backend while it is imported."""
    (tmp_path / "theirs").mkdir()
    program = (
        "import keras, sys; keras.utils.set_random_seed(0); L = keras.layers; "
        f"keras.Sequential([keras.Input((13,)), {', '.join(layers)}]).save(sys.argv[1])"
    )
    environment = {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program, tmp_path / "theirs" / "net.keras"], env=environment, check=True)
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 13], "columns": list(wine.columns[:-1]), "image": None}]
    (tmp_path / "theirs" / "signature.json").write_text(json.dumps(SIGNATURE | {"inputs": inputs}))


def test_a_network_of_keras(tmp_path: Path, wine: pd.DataFrame) -> None:
    put_keras(tmp_path, wine, "L.BatchNormalization()", "L.Dense(8, 'relu')", "L.Dense(3, 'softmax')")
    job = run(
        tmp_path / "job 1",
        "convert-onnx",
        {"target": "target"},
        {"model": tmp_path / "theirs", "data": tmp_path / "rows"},
    )
    assert job.exit_code == 0, job.log
    assert job.read("result.json")["equivalence"]["is_equivalent"]
    assert answers_of(job, {"x": numbers_of(wine)}).shape == (178, 3)


def test_a_network_of_keras_that_carries_code_is_refused(tmp_path: Path, wine: pd.DataFrame) -> None:
    put_keras(tmp_path, wine, "L.Lambda(lambda x: x * 2)", "L.Dense(3, 'softmax')")
    job = run(
        tmp_path / "job 1",
        "convert-onnx",
        {"target": "target"},
        {"model": tmp_path / "theirs", "data": tmp_path / "rows"},
    )
    assert (job.exit_code, "Lambda" in job.read("error.json")["message"]) == (2, True)


def test_a_torch_program_with_a_signature(tmp_path: Path, wine: pd.DataFrame) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.BatchNorm1d(13), torch.nn.Linear(13, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3), torch.nn.Softmax(1)
    )
    network(torch.from_numpy(numbers_of(wine)))
    network.eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, (torch.from_numpy(numbers_of(wine)[:2]),), dynamic_shapes=(batch,))
    (tmp_path / "theirs").mkdir()
    torch.export.save(program, tmp_path / "theirs" / "net.pt2")
    with pytest.raises(Refused, match=r"needs a signature\.json"):
        converted(tmp_path)
    signature = {
        "task": "tabular-classification",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 13], "columns": list(wine.columns[:-1]), "image": None}
        ],
        "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [-1, 3], "classes": ["0", "1", "2"], "role": "probabilities"}
        ],
        "example": None,
    }
    (tmp_path / "theirs" / "signature.json").write_text(json.dumps(signature))
    inputs = {"model": tmp_path / "theirs", "data": tmp_path / "rows"}
    # as the worker runs it: a process of its own
    job = run(tmp_path / "job 2", "convert-onnx", {"target": "target"}, inputs)
    assert job.exit_code == 0, job.log
    with torch.no_grad():
        expected = network(torch.from_numpy(numbers_of(wine))).numpy()
    np.testing.assert_allclose(answers_of(job, {"x": numbers_of(wine)}), expected, atol=1e-4)


def test_a_graph_that_answers_otherwise_is_not_published(tmp_path: Path, wine: pd.DataFrame, monkeypatch) -> None:
    estimator = RandomForestClassifier(20, random_state=0).fit(numbers_of(wine), wine["target"])
    other = RandomForestClassifier(20, random_state=1).fit(numbers_of(wine), wine["target"])
    put_model(tmp_path, estimator)
    honest = foreign.SklearnModel.to_graph
    monkeypatch.setattr(
        foreign.SklearnModel, "to_graph", lambda _, signature: honest(foreign.SklearnModel(other), signature)
    )
    with pytest.raises(Refused, match="differs from the trained one by up to"):
        converted(tmp_path)
    assert not list(tmp_path.glob("job*/result.json"))


class _Explodes:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise RuntimeError('boom')",)


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (lambda folder: joblib.dump({"weights": [1]}, folder / "model.pkl"), "holds a dict, not a model"),
        (lambda folder: joblib.dump(_Explodes(), folder / "model.pkl"), "could not be opened: RuntimeError: boom"),
        (lambda folder: (folder / "model.joblib").write_bytes(b"nonsense"), "could not be opened"),
        (lambda folder: (folder / "model.txt").write_text("hello"), "not a model in LightGBM's text format"),
        (lambda folder: (folder / "model.pt2").write_bytes(b"PK\x03\x04"), "could not be opened"),
        (lambda folder: (folder / "model.bin").write_bytes(b"x"), "it holds none"),
        (lambda folder: [(folder / name).write_text("x") for name in ("a.txt", "b.pkl")], "Name one in the parameter"),
    ],
)  # fmt: skip
def test_what_cannot_be_opened_is_refused(tmp_path: Path, wine: pd.DataFrame, put, reason: str) -> None:
    (tmp_path / "theirs").mkdir()
    put(tmp_path / "theirs")
    with pytest.raises(Refused, match=reason):
        converted(tmp_path)


def test_models_that_do_not_fit_the_data_are_refused(tmp_path: Path, wine: pd.DataFrame) -> None:
    without = put_model(tmp_path, SVC().fit(numbers_of(wine), wine["target"]))
    with pytest.raises(Refused, match="labels without probabilities"):
        converted(tmp_path)
    joblib.dump(
        LogisticRegression(max_iter=5000).fit(numbers_of(wine)[:, :4], wine["target"]), without / "model.joblib"
    )
    with pytest.raises(Refused, match="takes 4 columns"):
        converted(tmp_path)
    with pytest.raises(Refused, match="has no column «nothing»"):
        converted(tmp_path, target="nothing")
    with pytest.raises(Refused, match="Name the column of the answers"):
        converted(tmp_path, target="")
    with pytest.raises(Refused, match=r"has no file «other\.pkl»"):
        converted(tmp_path, file="other.pkl")
