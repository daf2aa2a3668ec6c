"""What the evaluating program finds out. It sees a seller's model and a buyer's rows; what it returns is one metric with its interval
and, of classes that are large enough, precision, recall and F1. Nothing about a single row, and no word that the model holds."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.blind.metrics import CLASSES_SHOWN, DIGITS, METRICS, SMALL_CLASS, BlindMetric, rounded
from backends.programs import scoring
from backends.programs.graphs import Examples
from backends.programs.jobfolder import JobFolder, Refused
from backends.programs.models.opening import Model, ask, open_examples, open_model

NO_MODEL = "The model of this listing cannot be evaluated: it is no ONNX graph that can be run, or does not say what it takes and gives."
NO_ANSWERS = "The model could not answer these rows: they are not what it takes."
_CHUNK = 256


def evaluate(folder: JobFolder) -> dict[str, Any]:
    """`problem` is a sentence for the buyer when there is no score; what libraries and the model itself say never gets into it, as they
    may tell what a graph holds. The rows are those of the test set's own split where it names one, else all of them."""
    given = folder.parameters
    metric = METRICS[given["metric"]]
    try:
        model = open_model(folder)
    except Refused:
        return {"problem": NO_MODEL}
    if metric.is_share != (model.classes is not None):
        kind = "numbers" if model.classes is None else "classes"
        return {"problem": f"This model predicts {kind}, and {metric.title} is not a metric of those: choose another."}
    if metric.name == "roc_auc" and len(model.classes or ()) != 2:
        return {"problem": "ROC AUC is for models with two classes: choose accuracy or F1."}
    data = folder.input("data")
    try:
        # what is said here is about the buyer's own files, and the names of columns and classes that every caller is told
        examples = open_examples(model, data, target=given["target"], file=given["file"], seed=folder.seed)
    except Refused as refusal:
        return {"problem": str(refusal)}
    rows = examples.test if examples.has_own_split else np.arange(len(examples.answers))
    least, most = given["rows_min"], given["rows_max"]
    if not least <= len(rows) <= most:
        return {"problem": f"The test set has {len(rows):,} rows with an answer: give {least:,} to {most:,}."}
    if (different := _different(examples, rows)) < least:
        return {
            "problem": f"Only {different:,} of the {len(rows):,} rows differ in what the model is asked: {least:,} different ones are needed."
        }
    try:
        predicted = ask(model.session, model, examples, rows)
    except Refused:
        return {"problem": NO_ANSWERS}
    return {"problem": "", **_scored(metric, model, examples.answers[rows], predicted, seed=folder.seed)}


def _scored(
    metric: BlindMetric, model: Model, answers: NDArray[Any], predicted: NDArray[Any], *, seed: int
) -> dict[str, Any]:
    if not np.isfinite(predicted).all():
        return {"problem": NO_ANSWERS}
    classes: list[dict[str, Any]] = []
    if model.classes is None:
        found = scoring.regression_metrics(predicted[:, 0].astype(np.float64), answers.astype(np.float64), seed=seed)
    else:
        found = scoring.classification_metrics(predicted, answers, seed=seed)
        confusion = scoring.confusion_matrix(answers, predicted.argmax(axis=1), len(model.classes))
        classes = told_classes(confusion, model.classes)
    if metric.key not in found:
        return {"problem": "All rows of the test set have one class: ROC AUC needs both."}
    score = found[metric.key]
    # resampled ends of a skewed metric may both lie on one side of it
    ends = {"value": score.value, "low": min(score.low, score.value), "high": max(score.high, score.value)}
    return {**{name: rounded(value, metric) for name, value in ends.items()}, "n": score.n, "classes": classes}


def told_classes(confusion: NDArray[np.int64], names: list[str]) -> list[dict[str, Any]]:
    """Results per class of the classes that the test set has, the small ones as one row whose `class` is None; that one has no figures
    while it is small itself. `confusion`: row = the answer, column = what the model said."""
    found = confusion.sum(axis=1)
    large = [at for at in np.argsort(-found, kind="stable")[:CLASSES_SHOWN] if found[at] >= SMALL_CLASS]
    rest = [at for at in range(len(names)) if found[at] and at not in set(large)]
    told = [_class(confusion, names[at], [at]) for at in sorted(large)]
    if rest:
        few = int(found[rest].sum())
        told.append(
            _class(confusion, None, rest) if few >= SMALL_CLASS else {"class": None, "rows": few, **_NO_FIGURES}
        )
    return told


_NO_FIGURES = {"precision": None, "recall": None, "f1": None}


def _class(confusion: NDArray[np.int64], name: str | None, members: list[int]) -> dict[str, Any]:
    hits = int(sum(confusion[at, at] for at in members))
    rows, said = int(confusion[members].sum()), int(confusion[:, members].sum())
    return {
        "class": name,
        "rows": rows,
        "precision": round(hits / said, DIGITS) if said else 0.0,
        "recall": round(hits / rows, DIGITS),
        "f1": round(2 * hits / (rows + said), DIGITS),
    }


def _different(examples: Examples, rows: NDArray[np.int64]) -> int:
    """How many different questions the rows are. Copies of few rows would make one score tell what the model says to each."""
    seen: set[bytes] = set()
    for start in range(0, len(rows), _CHUNK):
        asked = examples.feed(rows[start : start + _CHUNK])
        for at in range(len(rows[start : start + _CHUNK])):
            digest = hashlib.blake2b(digest_size=16)
            for name in sorted(asked):
                value = asked[name][at]
                digest.update(repr(value.tolist()).encode() if value.dtype == object else value.tobytes())
                digest.update(b"\0")
            seen.add(digest.digest())
    return len(seen)
