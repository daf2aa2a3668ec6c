"""The learners for tables and the choice between them by cross-validation on the training rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from backends.programs.splitting import folds
from backends.programs.tables.examples import TableExamples
from backends.programs.tables.reading import MATRIX, MAX_LEVELS

FOLDS = 5
# Cross-validation ranks learners; beyond this many rows more data changes figures, not the ranking, and costs minutes.
MAX_RANKING_ROWS = 20_000

TREES: dict[str, dict[str, Any]] = {
    # Small tables need few leaves and large leaves, large ones the opposite; cross-validation knows which this is.
    "lightgbm": {"n_estimators": 200, "num_leaves": 31, "min_child_samples": 20, "learning_rate": 0.05},
    "lightgbm-small": {"n_estimators": 150, "num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.06},
}
CANDIDATES = {
    "auto": ("linear", "lightgbm-small", "lightgbm"),
    "linear": ("linear",),
    "lightgbm": ("lightgbm-small", "lightgbm"),
}


@dataclass(frozen=True)
class Choice:
    """The winner, and each candidate's mean loss over the folds: log loss for classes, RMSE for numbers. Lower is better."""

    learner: str
    losses: dict[str, float]


def choose(
    examples: TableExamples, *, wanted: str, seed: int, threads: int, report: Callable[[str, int, float], None]
) -> Choice:
    """The candidate with the lowest mean loss in cross-validation. `report(learner, fold, loss)` is called per fold."""
    rows = examples.train
    if len(rows) > MAX_RANKING_ROWS:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MAX_RANKING_ROWS])
    parts = folds(None if examples.classes is None else examples.answers[rows], len(rows), count=FOLDS, seed=seed)
    losses = {}
    for name in CANDIDATES[wanted]:
        fold_losses = []
        for number, part in enumerate(parts):
            held_out, learned = rows[part], np.delete(rows, part)
            pipeline = build(name, examples, seed=seed, threads=threads)
            pipeline.fit(frame_of(examples, learned), targets_of(examples, learned))
            fold_losses.append(_loss(pipeline, examples, held_out))
            report(name, number, fold_losses[-1])
        losses[name] = float(np.mean(fold_losses))
    return Choice(min(losses, key=lambda name: losses[name]), losses)


def build(name: str, examples: TableExamples, *, seed: int, threads: int) -> Pipeline:
    """An untrained pipeline: fill gaps, encode text, learn. Categories come from the training rows of `examples`."""
    is_linear = name == "linear"
    steps: list[tuple[str, Any]] = [("columns", _encoder(examples))]
    if is_linear:
        # Trees get no scaler: its rounding in float32 moves rows across thresholds.
        steps.append(("scale", StandardScaler()))
    settings = TREES.get(name, {}) | _steady(seed, threads)
    learner: Any
    if examples.classes is None:
        learner = Ridge(alpha=1.0) if is_linear else LGBMRegressor(**settings)
    else:
        learner = LogisticRegression(max_iter=2_000) if is_linear else LGBMClassifier(**settings)
    return Pipeline([*steps, ("learner", learner)])


def frame_of(examples: TableExamples, rows: NDArray[np.int64]) -> Any:
    """What the pipeline takes: the float32 matrix, or a frame with one column per input of the graph."""
    return as_frame(examples.feed(rows))


def as_frame(feed: dict[str, NDArray[Any]]) -> Any:
    if MATRIX in feed:
        return feed[MATRIX]
    return pd.DataFrame({name: values[:, 0] for name, values in feed.items()})


def targets_of(examples: TableExamples, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Class names, so that the graph answers with names; or float64 numbers."""
    answers = examples.answers[rows]
    return answers if examples.classes is None else np.array(examples.classes, dtype=object)[answers]


def predictions_of(pipeline: Pipeline, feed: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """float64[rows, classes] probabilities, or float64[rows, 1] numbers."""
    predict = pipeline.predict_proba if hasattr(pipeline, "predict_proba") else pipeline.predict
    predicted: NDArray[np.float64] = predict(as_frame(feed))
    return predicted.reshape(len(predicted), -1)


def _encoder(examples: TableExamples) -> Any:
    """float32 in, float32 out: the median of float32 numbers is rounded to float32 too, as the graph will hold it."""
    numbers = SimpleImputer(strategy="median")
    if examples.is_matrix:
        return numbers
    names = [column.input_name for column in examples.columns if not column.is_text]
    texts = [column.input_name for column in examples.columns if column.is_text]
    levels = [_levels(examples.arrays[name][examples.train]) for name in texts]
    one_hot = OneHotEncoder(categories=levels, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return ColumnTransformer([("numbers", numbers, names), ("texts", one_hot, texts)])


def _levels(values: NDArray[Any]) -> NDArray[Any]:
    """The commonest texts; any other one, seen or not, is «none of them»."""
    texts, counts = np.unique(values.ravel().astype(str), return_counts=True)
    commonest = np.argsort(-counts, kind="stable")[:MAX_LEVELS]
    return np.sort(texts[commonest]).astype(object)


def _steady(seed: int, threads: int) -> dict[str, Any]:
    """The same rows and seed give the same trees, on any number of threads."""
    return {
        "random_state": seed,
        "n_jobs": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _loss(pipeline: Pipeline, examples: TableExamples, rows: NDArray[np.int64]) -> float:
    predicted = predictions_of(pipeline, examples.feed(rows))
    if examples.classes is None:
        return float(np.sqrt(((predicted[:, 0] - examples.answers[rows]) ** 2).mean()))
    # A fold may lack a rare class altogether; its column is then missing and counts as impossible.
    full = np.zeros((len(rows), len(examples.classes)))
    full[:, [examples.classes.index(name) for name in pipeline.classes_]] = predicted
    return float(-np.log(np.clip(full[np.arange(len(rows)), examples.answers[rows]], 1e-15, 1)).mean())
