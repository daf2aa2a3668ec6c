"""Models as their frameworks save them, each asked and converted the way its framework wants it.

Opening such a file may run code that somebody put into it. That is why this module is only ever imported by a job's program,
which runs isolated and is marked as foreign code, and never by the site.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import joblib
import numpy as np
import onnx
import torch
from lightgbm import Booster, LGBMModel
from numpy.typing import NDArray
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType as BoosterTensorType
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from xgboost import XGBModel

from backends.programs import graphs
from backends.programs.graphs import BATCH
from backends.programs.jobfolder import Input, Refused
from backends.programs.models import boosters
from backends.programs.tables import export, learners
from backends.programs.tables.reading import text_of


class Source(Protocol):
    """A model of a framework."""

    @property
    def classes(self) -> list[str] | None:
        """None for numbers and for a model that does not name its classes."""

    @property
    def columns(self) -> int | None:
        """How many columns it was trained on; None when it does not say."""

    @property
    def names(self) -> list[str] | None:
        """The columns by name and in order, where it was trained on a table with names."""

    @property
    def takes_names(self) -> bool:
        """It picks columns by name, so each must be an input of its own."""

    @property
    def packages(self) -> tuple[str, ...]:
        """What opened and converted it."""

    def answers(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """What it says itself: [rows, outputs]. Raises whatever its framework raises."""

    def to_graph(self, signature: dict[str, Any]) -> onnx.ModelProto:
        """A graph with the inputs and the one output that `signature` names. Raises whatever the converter raises."""

    def splits(self) -> list[tuple[int, float]]:
        """(column, threshold) where the answer jumps, if it is made of trees."""


def open_source(source: Input, file: str) -> tuple[Source, str]:
    """The framework's model in a version and its path: `file` if named, else the only one. Raises `Refused`."""
    found = [path for path in source.paths if Path(path).suffix.lower() in OPENERS]
    if file and file not in source.paths:
        raise Refused(f"{source.title} has no file «{file}».")
    if file and file not in found:
        raise Refused(f"«{file}» has none of the endings that can be converted: {', '.join(OPENERS)}.")
    if not file and len(found) != 1:
        seen = ", ".join(found[:10]) or "none"
        raise Refused(
            f"{source.title} should hold one file of {', '.join(OPENERS)}; it holds {seen}. Name one in the parameter «file»."
        )
    path = file or found[0]
    try:
        return OPENERS[Path(path).suffix.lower()](source.paths[path]), path
    except Refused:
        raise
    except Exception as error:  # a stranger's pickle can raise anything
        raise Refused(
            f"{path} of {source.title} could not be opened: {type(error).__name__}: {_first_line(error)}"
        ) from error


@dataclass
class SklearnModel:
    """Anything with scikit-learn's interface, the estimators of LightGBM and XGBoost among it."""

    estimator: Any

    @property
    def packages(self) -> tuple[str, ...]:
        own = ("xgboost-cpu",) if isinstance(self.learner, XGBModel) else ("lightgbm",)
        return ("joblib", "numpy", "onnx", "onnxmltools", "onnxruntime", "scikit-learn", "skl2onnx", *own)

    @property
    def learner(self) -> Any:
        return self.estimator.steps[-1][1] if isinstance(self.estimator, Pipeline) else self.estimator

    @property
    def classes(self) -> list[str] | None:
        found = getattr(self.estimator, "classes_", None)
        return None if found is None else [text_of(each) for each in np.asarray(found).tolist()]

    @property
    def columns(self) -> int | None:
        return getattr(self.estimator, "n_features_in_", None)

    @property
    def names(self) -> list[str] | None:
        found = getattr(self.estimator, "feature_names_in_", None)
        return None if found is None else [str(each) for each in found]

    @property
    def takes_names(self) -> bool:
        steps = [each for _, each in self.estimator.steps] if isinstance(self.estimator, Pipeline) else [self.estimator]
        return self.names is not None and any(isinstance(each, ColumnTransformer) for each in steps)

    def answers(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        return learners.predictions_of(self.estimator, feed)

    def to_graph(self, signature: dict[str, Any]) -> onnx.ModelProto:
        if isinstance(self.learner, LGBMModel):
            export.floor_thresholds(self.learner)
        export.register_lightgbm()
        boosters.register_xgboost()
        inputs = [
            (
                each["name"],
                (StringTensorType if each["datatype"] == "BYTES" else FloatTensorType)([None, each["shape"][1]]),
            )
            for each in signature["inputs"]
        ]
        options = {} if self.classes is None else {id(self.learner): {"zipmap": False}}
        graph: onnx.ModelProto = convert_sklearn(
            self.estimator, "model", inputs, options=options, target_opset=export.OPSETS
        )
        return graphs.with_one_output(graph, -1, signature["outputs"][0]["name"])

    def splits(self) -> list[tuple[int, float]]:
        if isinstance(self.learner, XGBModel):
            return boosters.splits_in(self.learner.get_booster())
        return export.splits_of(self.learner)


@dataclass
class LightGbmBooster:
    """A booster in LightGBM's own text format: data, no code. It knows numbers of classes, not their names."""

    booster: Booster
    classes = None
    takes_names = False
    packages = ("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime")

    @property
    def columns(self) -> int | None:
        return int(self.booster.num_feature())

    @property
    def names(self) -> list[str] | None:
        return None

    def answers(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        (matrix,) = feed.values()
        found = np.asarray(self.booster.predict(matrix))
        if self._is_binary:
            return np.column_stack([1 - found, found])
        return found.reshape(len(matrix), -1)

    def to_graph(self, signature: dict[str, Any]) -> onnx.ModelProto:
        entry = signature["inputs"][0]
        floored = Booster(model_str=export.floored(self.booster.model_to_string()))
        graph: onnx.ModelProto = convert_lightgbm(
            floored,
            "model",
            [(entry["name"], BoosterTensorType([None, entry["shape"][1]]))],
            target_opset=15,
            zipmap=False,
        )
        return graphs.with_one_output(graph, -1, signature["outputs"][0]["name"])

    def splits(self) -> list[tuple[int, float]]:
        return export.splits_in(self.booster.model_to_string())

    @property
    def _is_binary(self) -> bool:
        return self.booster.params.get("objective", "").startswith("binary") or (
            "objective=binary" in self.booster.model_to_string(num_iteration=1)[:2000]
        )


@dataclass
class TorchProgram:
    """A program of `torch.export` (.pt2): the graph and its weights, without the classes that it was written with."""

    program: torch.export.ExportedProgram
    classes = None
    columns = None
    names = None
    takes_names = False
    packages = ("numpy", "onnx", "onnxruntime", "onnxscript", "torch")

    def answers(self, feed: dict[str, NDArray[Any]]) -> NDArray[Any]:
        module = self.program.module()
        rows = len(next(iter(feed.values())))
        found = []
        for start in range(0, rows, BATCH):
            tensors = [torch.from_numpy(np.ascontiguousarray(each[start : start + BATCH])) for each in feed.values()]
            with torch.no_grad():
                said = module(*tensors)
            found.append((said[0] if isinstance(said, tuple | list) else said).numpy())
        return np.concatenate(found).reshape(rows, -1)

    def to_graph(self, signature: dict[str, Any]) -> onnx.ModelProto:
        made = torch.onnx.export(
            self.program,
            (),
            dynamo=True,
            input_names=[each["name"] for each in signature["inputs"]],
            output_names=[signature["outputs"][0]["name"]],
            verbose=False,
        )
        assert made is not None  # without a file to write to, the exporter returns its program
        return made.model_proto

    def splits(self) -> list[tuple[int, float]]:
        return []


def _open_pickle(path: Path) -> SklearnModel:
    estimator = joblib.load(path)
    if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "predict"):
        raise Refused(f"{path.name} holds a {type(estimator).__name__}, not a model with scikit-learn's interface.")
    if hasattr(estimator, "classes_") and not hasattr(estimator, "predict_proba"):
        raise Refused(
            f"{path.name} gives labels without probabilities, so its answers cannot be compared closely enough. Train it with "
            "probabilities (SVC: probability=True, others: CalibratedClassifierCV)."
        )
    return SklearnModel(estimator)


def _open_booster(path: Path) -> LightGbmBooster:
    text = path.read_text()
    if not text.startswith("tree"):
        raise Refused(f"{path.name} is not a model in LightGBM's text format.")
    return LightGbmBooster(Booster(model_str=text))


def _open_program(path: Path) -> TorchProgram:
    return TorchProgram(torch.export.load(path))


def _open_xgboost(path: Path) -> boosters.XgBoostBooster:
    return boosters.open_booster(path)


def _open_keras(path: Path) -> Source:
    # loading Keras takes seconds, and only its own files need it
    from backends.programs.models import keras_models

    return keras_models.open_network(path)


OPENERS: dict[str, Callable[[Path], Source]] = {
    ".joblib": _open_pickle,
    ".pkl": _open_pickle,
    ".pickle": _open_pickle,
    ".lgb": _open_booster,
    ".txt": _open_booster,
    ".pt2": _open_program,
    ".ubj": _open_xgboost,
    ".keras": _open_keras,
}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
