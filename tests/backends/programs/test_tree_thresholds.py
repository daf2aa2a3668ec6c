"""The LightGBM trap: converted as they are, trees answer differently for rows that sit exactly on a threshold."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.pipeline import Pipeline

from backends.programs import graphs
from backends.programs.splitting import held_out_split
from backends.programs.tables import export, learners
from backends.programs.tables.examples import TableExamples
from backends.programs.tables.reading import MATRIX, Column


def examples_of(load) -> TableExamples:
    data = load()
    is_classes = hasattr(data, "target_names")
    answers = data.target.astype(np.int64 if is_classes else np.float64)
    train, test = held_out_split(answers if is_classes else None, len(answers), test_fraction=0.2, seed=0)
    columns = [Column(name, name, is_text=False) for name in data.feature_names]
    classes = [str(name) for name in data.target_names] if is_classes else None
    arrays = {MATRIX: data.data.astype(np.float32)}
    return TableExamples(
        [str(row) for row in range(len(answers))], answers, classes, train, test, columns, arrays, False
    )


def trained(examples: TableExamples) -> Pipeline:
    pipeline = learners.build("lightgbm-small", examples, seed=0, threads=1)
    return pipeline.fit(learners.frame_of(examples, examples.train), learners.targets_of(examples, examples.train))


def largest_difference(pipeline: Pipeline, examples: TableExamples, feed: dict[str, NDArray], folder: Path) -> float:
    path = folder / "model.onnx"
    graphs.save_stripped(export.to_graph(pipeline, examples), path)
    output = export.PREDICTION if examples.classes is None else export.PROBABILITIES
    exported = graphs.open_graph(path, threads=1).run([output], feed)[0]
    return float(np.abs(exported - learners.predictions_of(pipeline, feed)).max())


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_rows_on_thresholds_get_the_same_probabilities_only_after_flooring(load, tmp_path: Path):
    examples = examples_of(load)
    pipeline = trained(examples)
    boundary = export.boundary_feed(export.splits_of(pipeline.named_steps["learner"]), examples, seed=0)
    everything = examples.feed(np.arange(len(examples.answers)))
    before = learners.predictions_of(pipeline, everything)
    assert largest_difference(pipeline, examples, boundary, tmp_path) > 5e-4

    export.floor_thresholds(pipeline.named_steps["learner"])

    assert largest_difference(pipeline, examples, boundary, tmp_path) < 2e-6
    assert largest_difference(pipeline, examples, everything, tmp_path) < 2e-6
    assert np.array_equal(learners.predictions_of(pipeline, everything), before)


def test_numbers_predicted_by_trees_survive_the_export(tmp_path: Path):
    examples = examples_of(load_diabetes)
    pipeline = trained(examples)
    boundary = export.boundary_feed(export.splits_of(pipeline.named_steps["learner"]), examples, seed=0)
    assert largest_difference(pipeline, examples, boundary, tmp_path) > 1
    export.floor_thresholds(pipeline.named_steps["learner"])
    assert largest_difference(pipeline, examples, boundary, tmp_path) < 1e-3


def test_boundary_rows_sit_on_thresholds():
    examples = examples_of(load_wine)
    pipeline = trained(examples)
    export.floor_thresholds(pipeline.named_steps["learner"])
    tree = pipeline.named_steps["learner"].booster_.dump_model()["tree_info"][0]["tree_structure"]
    rows = export.boundary_feed(export.splits_of(pipeline.named_steps["learner"]), examples, seed=0)[MATRIX]
    assert len(rows) == 4 * 128 + 3
    assert float(np.float32(tree["threshold"])) == tree["threshold"]


@pytest.mark.parametrize("value", [0.1, -0.1, 1e-35, 3.4e38, 1e39, 16777217.0, 0.0, 12.595000000000002])
def test_floor_is_the_largest_float32_not_above(value: float):
    floored = export.floor32(value)
    assert floored <= value
    assert np.float32(floored) == floored
    with np.errstate(over="ignore"):
        assert float(np.nextafter(np.float32(floored), np.float32(np.inf))) > value
