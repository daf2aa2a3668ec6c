"""Training on tables: real tables through the whole program, and what is said about tables that cannot be learned from."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.tables import training
from tests.backends.programs.jobs import Ran, run, write_spec


def wine() -> pd.DataFrame:
    return load_wine(as_frame=True).frame


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "wine"
    folder.mkdir()
    return folder


def trained_here(tmp_path: Path, data: Path, parameters: dict[str, object], name: str = "job", seed: int = 0) -> Ran:
    """The program in this process: quicker where the process itself is not the question."""
    folder = write_spec(tmp_path / name, "tabular-train", parameters, {"data": data}, seed=seed)
    training.run(JobFolder(folder))
    return Ran(folder, 0, "")


def refusal(tmp_path: Path, data: Path, parameters: dict[str, object]) -> str:
    with pytest.raises(Refused) as refused:
        trained_here(tmp_path, data, parameters)
    assert not (tmp_path / "job" / "result.json").exists()
    return str(refused.value)


def test_wine_job_leaves_a_model_with_everything_about_it(tmp_path: Path, data: Path):
    wine().to_parquet(data / "wine.parquet", index=False)
    wine().to_csv(data / "wine.csv", index=False)
    job = run(tmp_path / "job", "tabular-train", {"target": "target", "license": "cc-by-4.0"}, {"data": data})
    assert job.exit_code == 0, job.log
    outputs = job.folder / "outputs"
    assert sorted(path.relative_to(outputs).as_posix() for path in outputs.rglob("*") if path.is_file()) == [
        "README.md",
        "environment.json",
        "evaluation/confusion.csv",
        "evaluation/per_class.json",
        "evaluation/predictions.csv",
        "metrics.json",
        "model.onnx",
        "signature.json",
        "training.json",
    ]
    result = job.read("result.json")
    accuracy = result["metrics"]["accuracy"]
    assert accuracy["value"] >= 0.94
    assert (accuracy["n"], accuracy["dataset"], accuracy["split"]) == (36, "acme/wine@v1", "test")
    assert accuracy["low"] < accuracy["value"] <= accuracy["high"]
    assert result["equivalence"]["is_equivalent"]
    assert (result["equivalence"]["real_rows"], result["equivalence"]["label_agreement"]) == (178, 1.0)
    assert result["signature"] == job.read("outputs/signature.json")
    assert result["environment"]["packages"]["lightgbm"] == "4.7.0"
    assert job.read("outputs/training.json")["file"] == "wine.parquet"
    assert (outputs / "README.md").read_text().startswith("---\nlicense: cc-by-4.0\nlibrary_name: onnx\n")
    assert len(job.rows("evaluation/predictions.csv")) == 36
    progress = [json.loads(line) for line in (job.folder / "progress.jsonl").read_text().splitlines()]
    assert progress[-1]["fraction"] == 1.0
    assert progress == sorted(progress, key=lambda line: line["fraction"])
    assert not (job.folder / "error.json").exists()
    assert "Warning" not in job.log


def test_example_of_the_signature_gets_the_recorded_prediction(tmp_path: Path, data: Path):
    wine().to_csv(data / "wine.csv", index=False)
    job = trained_here(tmp_path, data, {"target": "target", "learner": "lightgbm"})
    signature = job.read("outputs/signature.json")
    (entry,) = signature["inputs"]
    assert (entry["name"], entry["datatype"], entry["shape"]) == ("features", "FP32", [-1, 13])
    assert entry["columns"] == list(wine().columns[:-1])
    (example,) = signature["example"]["inputs"]
    session = onnxruntime.InferenceSession(job.folder / "outputs" / "model.onnx")
    label, probabilities = session.run(
        None, {"features": np.array(example["data"], np.float32).reshape(example["shape"])}
    )
    first = job.rows("evaluation/predictions.csv")[0]
    assert label.tolist() == [first["predicted"]]
    assert probabilities.max() == pytest.approx(float(first["probability"]), abs=1e-5)
    assert [output["role"] for output in signature["outputs"]] == ["label", "probabilities"]
    assert signature["outputs"][1]["classes"] == ["0", "1", "2"]


def test_equivalence_is_asked_on_rows_that_sit_on_thresholds(tmp_path: Path, data: Path):
    load_breast_cancer(as_frame=True).frame.to_csv(data / "cells.csv", index=False)
    job = trained_here(tmp_path, data, {"target": "target", "learner": "lightgbm"})
    report = job.read("result.json")["equivalence"]
    assert (report["real_rows"], report["boundary_rows"]) == (569, 515)
    assert report["max_difference"] < 1e-5


def test_export_that_differs_is_not_published(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch):
    load_breast_cancer(as_frame=True).frame.to_csv(data / "cells.csv", index=False)
    monkeypatch.setattr("backends.programs.tables.export.floor_thresholds", lambda _: None)
    message = refusal(tmp_path, data, {"target": "target", "learner": "lightgbm"})
    assert message.startswith("The exported model differs from the trained one by up to 0.0")


@pytest.mark.parametrize("learner", ["linear", "lightgbm"])
def test_mixed_table_takes_one_input_per_column(tmp_path: Path, data: Path, learner: str):
    frame = load_breast_cancer(as_frame=True).frame.iloc[:, [0, 1, 20, 21, 30]]
    frame["target"] = np.where(frame["target"] == 0, "malignant", "benign")
    frame["clinic"] = np.where(frame["mean texture"] > 19, "Nord", "Süd «1»")
    frame["was seen"] = frame["worst radius"] > 16
    frame.loc[3, "mean radius"] = None
    frame.loc[4, "clinic"] = None
    frame["number"] = range(len(frame))
    frame["note"] = [f"patient {row}" for row in range(len(frame))]
    frame["visited"] = pd.Timestamp("2024-01-01")
    frame["same"] = 1
    frame.to_parquet(data / "cells.parquet", index=False)
    job = trained_here(tmp_path, data, {"target": "target", "learner": learner})
    signature = job.read("outputs/signature.json")
    assert [(entry["name"], entry["datatype"], entry["columns"]) for entry in signature["inputs"]] == [
        ("mean_radius", "FP32", ["mean radius"]),
        ("mean_texture", "FP32", ["mean texture"]),
        ("worst_radius", "FP32", ["worst radius"]),
        ("worst_texture", "FP32", ["worst texture"]),
        ("clinic", "BYTES", ["clinic"]),
        ("was_seen", "FP32", ["was seen"]),
    ]
    assert job.read("outputs/training.json")["left_out_columns"] == {
        "number": "counts the rows",
        "note": "nearly every row has its own text",
        "visited": "dates, lists and objects are not learned from",
        "same": "the same in every row",
    }
    assert job.read("result.json")["metrics"]["accuracy"]["value"] > 0.9
    session = onnxruntime.InferenceSession(job.folder / "outputs" / "model.onnx")
    feed = {
        entry["name"]: np.array(entry["data"], object if entry["datatype"] == "BYTES" else np.float32).reshape(
            entry["shape"]
        )
        for entry in signature["example"]["inputs"]
    }
    assert session.run(["label"], feed)[0].tolist() == [job.rows("evaluation/predictions.csv")[0]["predicted"]]


def test_numbers_are_predicted_from_json_lines(tmp_path: Path, data: Path):
    load_diabetes(as_frame=True).frame.to_json(data / "diabetes.jsonl", orient="records", lines=True)
    job = trained_here(tmp_path, data, {"target": "target"})
    result = job.read("result.json")
    assert result["signature"]["task"] == "tabular-regression"
    assert list(result["metrics"]) == ["rmse", "mae", "r2"]
    assert result["metrics"]["r2"]["value"] > 0.3
    assert result["signature"]["outputs"] == [
        {"name": "prediction", "datatype": "FP32", "shape": [-1, 1], "classes": None, "role": None}
    ]


def test_split_of_the_dataset_is_kept(tmp_path: Path, data: Path):
    frame = wine()
    frame["split"] = ["test" if row % 10 == 0 else "train" for row in range(len(frame))]
    frame.to_csv(data / "wine.csv", index=False)
    job = trained_here(tmp_path, data, {"target": "target", "learner": "linear"})
    assert [row["row"] for row in job.rows("evaluation/predictions.csv")] == [str(row) for row in range(0, 178, 10)]
    assert "split" not in job.read("outputs/signature.json")["inputs"][0]["columns"]


def test_train_and_test_files_are_the_split(tmp_path: Path, data: Path):
    shuffled = wine().sample(frac=1, random_state=0)
    shuffled.iloc[:138].to_csv(data / "train.csv", index=False)
    shuffled.iloc[138:].to_csv(data / "test.csv", index=False)
    job = trained_here(tmp_path, data, {"target": "target", "learner": "linear"})
    assert job.read("result.json")["metrics"]["accuracy"]["n"] == 40


def test_same_seed_gives_the_same_bytes_and_another_seed_other_rows(tmp_path: Path, data: Path):
    wine().to_csv(data / "wine.csv", index=False)
    parameters: dict[str, object] = {"target": "target", "learner": "lightgbm"}
    first, again = (trained_here(tmp_path, data, parameters, name) for name in ("first", "again"))
    other = trained_here(tmp_path, data, parameters, "other", seed=1)
    for path in ("model.onnx", "metrics.json", "evaluation/predictions.csv", "README.md"):
        assert (first.folder / "outputs" / path).read_bytes() == (again.folder / "outputs" / path).read_bytes()
    held_out = [{row["row"] for row in job.rows("evaluation/predictions.csv")} for job in (first, other)]
    assert held_out[0] != held_out[1]


def test_job_that_cannot_succeed_says_why_and_leaves_no_result(tmp_path: Path, data: Path):
    wine().to_csv(data / "wine.csv", index=False)
    job = run(tmp_path / "job", "tabular-train", {"target": "price"}, {"data": data})
    assert job.exit_code == 2
    message = job.read("error.json")["message"]
    assert message.startswith("The table has no column «price». It has: alcohol, malic_acid, ash, ")
    assert not (job.folder / "result.json").exists()
    assert "Traceback" not in job.log


@pytest.mark.parametrize(
    ("change", "parameters", "message"),
    [
        (lambda frame: frame.head(12), {}, "Only 12 rows have an answer in «target»; at least 20 are needed."),
        (
            lambda frame: frame.assign(target="red"),
            {},
            "Every row has the same answer «red» in «target»; a model needs at least two classes.",
        ),
        (
            lambda frame: frame.assign(target=["rare"] + ["common"] * 177),
            {},
            "Each class needs at least 3 rows. Too few: «rare» (1).",
        ),
        (
            lambda frame: frame.assign(target=[f"name {row // 2}" for row in range(178)]),
            {"task": "regression", "file": "wine.csv"},
            "The answers in «target» are not numbers, so they can only be classes.",
        ),
        (
            lambda frame: pd.concat([frame] * 4).assign(target=[f"name {row // 3}" for row in range(712)]),
            {},
            "«target» has 238 different answers, more than the 200 classes that can be learned. Is it the right column?",
        ),
        (lambda frame: frame[["target"]], {}, "No column is left to learn from."),
        (lambda frame: frame, {"ignore": "colour"}, "The table has no column «colour» to leave out."),
        (
            lambda frame: frame,
            {"ignore": "ash, target"},
            "«target» is both the column to predict and one to leave out.",
        ),
        (
            lambda frame: frame,
            {"file": "../../spec.json"},
            "acme/wine@v1 has no table «../../spec.json». Its tables: wine.csv.",
        ),
        (
            lambda frame: frame.assign(target=4.5),
            {"task": "regression"},
            "Every row has the same answer in «target»; there is nothing to learn.",
        ),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused(
    tmp_path: Path,
    data: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    parameters: dict[str, object],
    message: str,
):
    change(wine()).to_csv(data / "wine.csv", index=False)
    assert refusal(tmp_path, data, {"target": "target", **parameters}) == message


@pytest.mark.parametrize(
    ("name", "content", "start"),
    [
        ("notes.txt", b"nothing", "acme/wine@v1 has no CSV, TSV, Parquet or JSON-lines file."),
        ("wine.csv", b"\xff\xfe\x00broken", "wine.csv could not be read: "),
        ("wine.csv", b"", "wine.csv could not be read: "),
        ("wine.parquet", b"PAR1 cut off", "wine.parquet could not be read: "),
        ("wine.jsonl", b'{"a": 1}\n{"a": ', "wine.jsonl could not be read: "),
        ("wine.csv", b'a,b\n"1,2\n', "wine.csv could not be read: "),
    ],
)
def test_unreadable_files_are_refused_by_name(tmp_path: Path, data: Path, name: str, content: bytes, start: str):
    (data / name).write_bytes(content)
    assert refusal(tmp_path, data, {"target": "target"}).startswith(start)


def test_several_tables_need_a_choice(tmp_path: Path, data: Path):
    wine().to_csv(data / "red.csv", index=False)
    wine().to_csv(data / "white.csv", index=False)
    message = refusal(tmp_path, data, {"target": "target"})
    assert message == "acme/wine@v1 has several tables: red.csv, white.csv. Name one in the parameter «file»."


def test_every_cell_may_be_missing_or_infinite_somewhere(tmp_path: Path, data: Path):
    frame = wine().astype({"target": object})
    frame.loc[::7, "ash"] = np.inf
    frame.loc[::5, "hue"] = np.nan
    frame.loc[0, "target"] = None
    frame.to_csv(data / "wine.csv", index=False)
    job = trained_here(tmp_path, data, {"target": "target", "learner": "linear"})
    assert job.read("result.json")["equivalence"]["real_rows"] == 177
