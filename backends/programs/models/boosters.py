"""XGBoost's models: its estimators inside of scikit-learn's pipelines, and its boosters in their own binary format."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost as convert_estimator
from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from xgboost import Booster, DMatrix, XGBClassifier, XGBRegressor

from backends.programs import graphs
from backends.programs.jobfolder import Refused

_PROBABILITIES = {"binary:logistic", "multi:softprob"}
_NUMBERS = {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:squaredlogerror"}
_COLUMN = re.compile(r"f(\d+)")


@dataclass
class XgBoostBooster:
    """A booster in XGBoost's own binary format: data, no code. It knows numbers of classes, not their names."""

    booster: Booster
    objective: str
    classes = None
    takes_names = False
    packages = ("numpy", "onnx", "onnxmltools", "onnxruntime", "xgboost-cpu")

    @property
    def columns(self) -> int | None:
        return int(self.booster.num_features())

    @property
    def names(self) -> list[str] | None:
        found = self.booster.feature_names
        return None if found is None else list(found)

    def answers(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        (matrix,) = feed.values()
        found = self.booster.predict(DMatrix(matrix, feature_names=self.booster.feature_names))
        if self.objective == "binary:logistic":
            return np.column_stack([1 - found, found])
        return found.reshape(len(matrix), -1)

    def to_graph(self, signature: dict[str, Any]) -> onnx.ModelProto:
        # the converter reads the place of a column out of names like f3
        self.booster.feature_names = None
        entry = signature["inputs"][0]
        graph: onnx.ModelProto = convert_xgboost(
            self.booster, "model", [(entry["name"], FloatTensorType([None, entry["shape"][1]]))], target_opset=15
        )
        return graphs.with_one_output(graph, -1, signature["outputs"][0]["name"])

    def splits(self) -> list[tuple[int, float]]:
        return splits_in(self.booster)


def open_booster(path: Path) -> XgBoostBooster:
    """Raises XGBoost's error for a file that is none of its own, `Refused` for an objective whose answers are not compared here."""
    booster = Booster()
    booster.load_model(path)
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    if objective not in _PROBABILITIES | _NUMBERS:
        raise Refused(
            f"{path.name} was trained for «{objective}». What can be converted: {', '.join(sorted(_PROBABILITIES | _NUMBERS))}."
        )
    return XgBoostBooster(booster, objective)


def splits_in(booster: Booster) -> list[tuple[int, float]]:
    """(column, threshold) of every node, without repeats."""
    columns = {name: at for at, name in enumerate(booster.feature_names or [])}
    nodes = booster.trees_to_dataframe()
    nodes = nodes[nodes["Feature"] != "Leaf"].dropna(subset=["Split"])
    found = zip(nodes["Feature"], nodes["Split"], strict=True)
    return sorted({(columns[name] if name in columns else _place(name), float(split)) for name, split in found})


def register_xgboost() -> None:
    """Tell skl2onnx how XGBoost's estimators are converted. Harmless twice."""
    update_registered_converter(
        XGBClassifier,
        "XGBoostXGBClassifier",
        calculate_linear_classifier_output_shapes,
        convert_estimator,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    update_registered_converter(
        XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes, convert_estimator
    )


def _place(name: str) -> int:
    found = _COLUMN.fullmatch(name)
    assert found, f"XGBoost calls the columns of a table without names f0, f1 …, not {name}"
    return int(found[1])
