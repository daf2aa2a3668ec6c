"""Figures and their intervals, against values worked out by hand or by another library."""

import numpy as np
import pytest
from sklearn import metrics as reference

from backends.programs import scoring


def test_interval_of_a_share_is_wilsons():
    metric = scoring.wilson(9, 10)
    assert (metric.value, metric.n) == (0.9, 10)
    assert metric.low == pytest.approx(0.59585, abs=1e-5)
    assert metric.high == pytest.approx(0.98212, abs=1e-5)
    assert scoring.wilson(10, 10).high == 1.0
    assert scoring.wilson(0, 10).low == 0.0
    assert scoring.wilson(10, 10).low == pytest.approx(0.72247, abs=1e-5)


def test_figures_of_classes_agree_with_scikit_learn():
    generator = np.random.default_rng(1)
    scores = generator.dirichlet([1, 1, 1], 200)
    answers = generator.integers(0, 3, 200)
    metrics = scoring.classification_metrics(scores, answers, seed=0)
    predicted = scores.argmax(axis=1)
    assert list(metrics) == ["accuracy", "macro_f1", "log_loss"]
    assert metrics["accuracy"].value == reference.accuracy_score(answers, predicted)
    assert metrics["macro_f1"].value == pytest.approx(reference.f1_score(answers, predicted, average="macro"))
    assert metrics["log_loss"].value == pytest.approx(reference.log_loss(answers, scores))
    for metric in metrics.values():
        assert metric.low < metric.value < metric.high
        assert metric.n == 200


def test_area_under_the_curve_agrees_with_scikit_learn_on_ties():
    positive = np.array([0.1, 0.4, 0.4, 0.8, 0.4, 0.9])
    answers = np.array([0, 0, 1, 1, 0, 1])
    metrics = scoring.classification_metrics(np.column_stack([1 - positive, positive]), answers, seed=0)
    assert metrics["roc_auc"].value == pytest.approx(reference.roc_auc_score(answers, positive))


def test_figures_of_numbers_agree_with_scikit_learn():
    generator = np.random.default_rng(2)
    actual = generator.normal(size=150)
    predicted = actual + generator.normal(scale=0.3, size=150)
    metrics = scoring.regression_metrics(predicted, actual, seed=0)
    assert metrics["rmse"].value == pytest.approx(reference.root_mean_squared_error(actual, predicted))
    assert metrics["mae"].value == pytest.approx(reference.mean_absolute_error(actual, predicted))
    assert metrics["r2"].value == pytest.approx(reference.r2_score(actual, predicted))
    assert metrics["rmse"].low < metrics["rmse"].value < metrics["rmse"].high


def test_confusion_has_answers_in_rows():
    confusion = scoring.confusion_matrix(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 2)
    assert confusion.tolist() == [[1, 1], [1, 2]]
    assert scoring.per_class(confusion, ["no", "yes"]) == [
        {"class": "no", "rows": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5},
        {
            "class": "yes",
            "rows": 3,
            "precision": pytest.approx(2 / 3),
            "recall": pytest.approx(2 / 3),
            "f1": pytest.approx(2 / 3),
        },
    ]


def test_difference_of_two_models_counts_flips_and_tests_them():
    before = np.array([True] * 90 + [False] * 10)
    after = before.copy()
    after[:10] = False
    after[98:] = True
    paired = scoring.paired_difference(before, after, seed=0)
    assert (paired["lost"], paired["won"], paired["difference"], paired["n"]) == (10, 2, -0.08, 100)
    # Exact sign test: 2 * (C(12,0) + C(12,1) + C(12,2)) / 2**12.
    assert paired["p_value"] == pytest.approx(2 * (1 + 12 + 66) / 4096)
    assert -0.16 < paired["low"] < -0.08 < paired["high"] < 0.0


def test_a_model_against_itself_shows_no_difference():
    same = np.array([True, False] * 20)
    paired = scoring.paired_difference(same, same, seed=0)
    assert (paired["difference"], paired["low"], paired["high"], paired["p_value"]) == (0.0, 0.0, 0.0, 1.0)
