"""What the evaluating program lets out, of ordinary models and rows and of hostile ones, and what of its answer is believed."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.blind import sandboxed, scoring
from backends.blind.metrics import METRICS, SMALL_CLASS
from backends.programs.jobfolder import JobFolder
from tests.factories.blind import SIGNATURE, rows_of
from tests.factories.graphs import linear_model

GRAPH = linear_model([[0, 0], [0, 1]], [0, 0], input_name="features")
NUMBERS = {**SIGNATURE, "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 1], "classes": None}]}
ANSWER = {"problem": "", "value": 0.9, "low": 0.8, "high": 0.95, "n": 60, "classes": []}


def evaluated(folder, rows, *, metric="accuracy", graph=GRAPH, signature=SIGNATURE, training=None, **changes):
    folder = folder / "job"
    folder.mkdir()
    for name, files in {
        "model": {
            "model.onnx": graph,
            "signature.json": json.dumps(signature).encode(),
            "training.json": json.dumps({"target": "animal"} if training is None else training).encode(),
        },
        "data": {"test.csv": rows},
    }.items():
        (folder / name).mkdir()
        for path, content in files.items():
            (folder / name / path).write_bytes(content)
    given = {"metric": metric, "target": "", "file": "", "rows_min": 50, "rows_max": 100, **changes}
    inputs = {
        name: {"dir": name, "kind": kind, "title": f"The {name}"}
        for name, kind in (("model", "model"), ("data", "dataset"))
    }
    (folder / "spec.json").write_text(json.dumps({"recipe": "blind", "parameters": given, "inputs": inputs}))
    return scoring.evaluate(JobFolder(folder))


@pytest.mark.parametrize("metric", ["accuracy", "f1", "roc_auc"])
def test_shares_are_scored_with_their_interval_and_nothing_else_leaves(tmp_path, metric):
    found = evaluated(tmp_path, rows_of(), metric=metric)
    assert set(found) == {"problem", "value", "low", "high", "n", "classes"}
    assert found["value"] == 0.9 or metric == "roc_auc"
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
    assert sandboxed.checked(found, METRICS[metric], 50, 100).n == 60


@pytest.mark.parametrize(("metric", "value"), [("mae", 0.1), ("rmse", 0.1), ("r2", 0.0)])
def test_errors_are_scored_in_the_unit_of_the_answers(tmp_path, metric, value):
    # the softmax of one value is 1 whatever comes in
    graph = linear_model([[1.0], [1.0]], [0.0], input_name="features")
    rows = b"a,b,animal\n" + b"".join(b"%d,1,%s\n" % (n, b"1.1" if n % 2 else b"0.9") for n in range(60))
    found = evaluated(tmp_path, rows, metric=metric, graph=graph, signature=NUMBERS)
    assert (found["problem"], found["classes"], found["value"]) == ("", [], pytest.approx(value, abs=1e-3))
    assert sandboxed.checked(found, METRICS[metric], 50, 100).problem == ""


COPIES = b"a,b,animal\n" + b"1,1,dog\n" * 40 + b"1,-1,cat\n" * 40
ONE_CLASS = b"a,b,animal\n" + b"".join(b"%d,1,dog\n" % n for n in range(60))
REFUSED = {
    "few": (rows_of(40), {}, "The test set has 40 rows with an answer: give 50 to 100."),
    "many": (rows_of(101), {}, "The test set has 101 rows"),
    "copies": (COPIES, {}, "Only 2 of the 80 rows differ"),
    "unknown class": (rows_of().replace(b"dog", b"cow"), {}, "does not know: cow"),
    "other metric": (rows_of(), {"metric": "rmse"}, "This model predicts classes"),
    "other column": (rows_of(), {"target": "colour"}, "no column «colour»"),
    "one class": (ONE_CLASS, {"metric": "roc_auc"}, "ROC AUC needs both"),
    "no graph": (rows_of(), {"graph": b"no graph"}, scoring.NO_MODEL),
    "other input": (
        rows_of(),
        {"graph": linear_model(np.eye(2), [0, 0], input_name="secret_layer")},
        scoring.NO_ANSWERS,
    ),
    "no numbers": (
        rows_of(),
        {"graph": linear_model([[np.nan, 0], [0, 1]], [0, 0], input_name="features")},
        scoring.NO_ANSWERS,
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_scored_says_why_and_nothing_of_the_graph(tmp_path, case):
    rows, changes, reason = REFUSED[case]
    problem = evaluated(tmp_path, rows, **changes)["problem"]
    assert reason in problem
    assert "secret_layer" not in problem


def test_small_classes_are_told_together():
    confusion = np.diag([20, 4, 3, 0, 5])
    confusion[0, 3] = 2
    told = scoring.told_classes(confusion, ["a", "b", "c", "d", "e"])
    assert [(row["class"], row["rows"]) for row in told] == [("a", 22), ("e", 5), (None, 7)]
    assert told[2]["recall"] == 1.0
    (few,) = [row for row in scoring.told_classes(np.diag([20, 1, 2]), ["a", "b", "c"]) if row["class"] is None]
    assert few == {"class": None, "rows": 3, "precision": None, "recall": None, "f1": None}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_figure_stands_on_fewer_rows_than_a_small_class_has(seed):
    confusion = np.random.default_rng(seed).integers(0, 4, (4, 4))
    told = scoring.told_classes(confusion, list("abcd"))
    assert sum(row["rows"] for row in told) == confusion.sum()
    assert all(row["precision"] is None for row in told if row["rows"] < SMALL_CLASS)


@pytest.mark.parametrize(
    "change",
    [
        {"value": "0.9"}, {"value": float("nan")}, {"value": 2.0}, {"low": 0.95}, {"n": 49}, {"n": 1000}, {"n": True}, {"classes": {}},
        {"classes": [{"class": "cat"}]}, {"classes": [ANSWER] * 300}, {"problem": 3},
        {"classes": [{"class": "cat", "rows": 30, "precision": 1.5, "recall": 0.0, "f1": 0.0}]},
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_not_believed(change):
    assert sandboxed.checked({**ANSWER, **change}, METRICS["accuracy"], 50, 100) == sandboxed.Score(
        problem=sandboxed.FAILED
    )
    assert sandboxed.checked(None, METRICS["accuracy"], 50, 100).problem == sandboxed.FAILED


def test_hidden_digits_and_extra_members_do_not_come_through():
    smuggled = {**ANSWER, "value": 0.900012345678, "rows": ["a secret"], "classes": [
        {"class": "cat\n" + "x" * 500, "rows": 30, "precision": 0.123456789, "recall": None, "f1": None, "note": "a secret"},
    ]}  # fmt: skip
    score = sandboxed.checked(smuggled, METRICS["accuracy"], 50, 100)
    assert score.value == 0.9
    (row,) = score.classes
    assert (len(row["class"]), row["precision"], set(row)) == (
        200,
        0.1235,
        {"class", "rows", "precision", "recall", "f1"},
    )
