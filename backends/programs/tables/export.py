"""A trained pipeline as one ONNX graph, the LightGBM trap avoided, and the rows that would show it.

LightGBM compares numbers with thresholds in double precision, ONNX trees hold them in single. Converted as it is, a
threshold is rounded to the nearest float32, sometimes upwards, and every row that sits exactly there takes the other
branch: probabilities were seen to be off by 0.12 while all labels agreed. So thresholds are first rounded *down* to
float32: x <= t and x <= floor32(t) are the same for every float32 x, so the model itself does not change.
"""

import re
from typing import Any

import numpy as np
import onnx
from lightgbm import Booster, LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.pipeline import Pipeline

from backends.programs.tables.examples import TableExamples
from backends.programs.tables.reading import MATRIX

OPSETS = {"": 17, "ai.onnx.ml": 3}
MAX_BOUNDARY_ROWS = 512
LABEL, PROBABILITIES, PREDICTION = "label", "probabilities", "prediction"


def floor_thresholds(learner: LGBMClassifier | LGBMRegressor) -> None:
    """Round every threshold of a trained learner down to float32, in place. Predictions for float32 rows stay the same."""
    learner._Booster = Booster(model_str=floored(learner.booster_.model_to_string()))  # noqa: SLF001 - there is no setter


def floored(text: str) -> str:
    """A booster's text with every threshold rounded down to float32."""
    text = re.sub(r"^threshold=(.*)$", lambda line: "threshold=" + _floored(line[1]), text, flags=re.MULTILINE)
    # The sizes give each tree's place in the text, which has changed; without them it is read tree by tree.
    return re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)


def floor32(value: float) -> float:
    """The largest float32 that is not above `value`."""
    with np.errstate(over="ignore"):
        nearest = np.float32(value)
    return float(nearest if float(nearest) <= value else np.nextafter(nearest, np.float32(-np.inf)))


def to_graph(pipeline: Pipeline, examples: TableExamples) -> onnx.ModelProto:
    """The whole pipeline, from raw columns to answers. The thresholds of a LightGBM learner must have been floored."""
    register_lightgbm()
    if examples.is_matrix:
        inputs = [(MATRIX, FloatTensorType([None, len(examples.columns)]))]
    else:
        inputs = [
            (column.input_name, (StringTensorType if column.is_text else FloatTensorType)([None, 1]))
            for column in examples.columns
        ]
    if examples.classes is None:
        outputs = [(PREDICTION, FloatTensorType([None, 1]))]
        options = {}
    else:
        outputs = [(LABEL, StringTensorType([None])), (PROBABILITIES, FloatTensorType([None, len(examples.classes)]))]
        options = {id(pipeline.named_steps["learner"]): {"zipmap": False}}
    graph: onnx.ModelProto = convert_sklearn(
        pipeline, "pipeline", inputs, final_types=outputs, options=options, target_opset=OPSETS
    )
    return graph


def boundary_feed(
    splits: list[tuple[int, float]], examples: TableExamples, *, seed: int, with_gaps: bool = True
) -> dict[str, NDArray[Any]]:
    """Rows where an export goes wrong first: real rows moved exactly onto a threshold of the trees (`splits`: column, threshold),
    to the float32 nearest to it and one step to either side; and rows with zeros, and unless the model takes none, gaps and
    unknown text."""
    generator = np.random.default_rng(seed)
    numbers = [column for column in examples.columns if not column.is_text]
    splits = [(feature, threshold) for feature, threshold in splits if feature < len(numbers)]
    if len(splits) > MAX_BOUNDARY_ROWS // 4:
        splits = [splits[at] for at in generator.choice(len(splits), MAX_BOUNDARY_ROWS // 4, replace=False)]
    places = []
    for feature, threshold in splits:
        nearest = np.float32(threshold)
        steps = [nearest, np.nextafter(nearest, np.float32(-np.inf)), np.nextafter(nearest, np.float32(np.inf))]
        places += [(feature, value) for value in [*steps, np.float32(floor32(threshold))]]
    extremes = 3
    chosen = generator.choice(examples.train, len(places) + extremes)
    feed = {name: values.copy() for name, values in examples.feed(chosen).items()}
    for row, (feature, value) in enumerate(places):
        if examples.is_matrix:
            feed[MATRIX][row, feature] = value
        else:
            feed[numbers[feature].input_name][row, 0] = value
    for values in feed.values():
        is_text = values.dtype == object
        if not is_text:
            values[-1], values[-2], values[-3] = np.nan if with_gaps else 1.0, 0.0, -1.0
        elif with_gaps:
            values[-1], values[-2], values[-3] = "", "unheard of", ""
    return feed


def splits_of(learner: Any) -> list[tuple[int, float]]:
    """(feature, threshold) of every node of a tree learner, without repeats; nothing for a linear one."""
    if isinstance(learner, LGBMClassifier | LGBMRegressor):
        return splits_in(learner.booster_.model_to_string())
    members = [learner, *np.ravel(getattr(learner, "estimators_", []))]
    trees = [each.tree_ for each in members if hasattr(each, "tree_")]
    nodes = [(tree.feature[at], tree.threshold[at]) for tree in trees for at in np.flatnonzero(tree.feature >= 0)]
    return sorted({(int(feature), float(threshold)) for feature, threshold in nodes})


def splits_in(text: str) -> list[tuple[int, float]]:
    """The same of a booster's text."""
    features = re.findall(r"^split_feature=(.*)$", text, flags=re.MULTILINE)
    thresholds = re.findall(r"^threshold=(.*)$", text, flags=re.MULTILINE)
    pairs = zip(" ".join(features).split(), " ".join(thresholds).split(), strict=True)
    return sorted({(int(feature), float(threshold)) for feature, threshold in pairs})


def _floored(thresholds: str) -> str:
    return " ".join(repr(floor32(float(threshold))) for threshold in thresholds.split())


def register_lightgbm() -> None:
    """Tell skl2onnx how LightGBM's estimators are converted. Harmless twice."""
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    update_registered_converter(
        LGBMRegressor,
        "LightGbmLGBMRegressor",
        calculate_linear_regressor_output_shapes,
        convert_lightgbm,
        options={"split": None},
    )
