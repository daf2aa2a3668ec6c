"""What every program hands back: signature, model card, metrics, evaluation tables and the environment, written the same way."""

import csv
import platform
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from backends.programs.graphs import Examples
from backends.programs.jobfolder import JobFolder
from backends.programs.scoring import (
    Metric,
    classification_metrics,
    confusion_matrix,
    per_class,
    regression_metrics,
)

# An example input larger than this is not worth its place in a version's row; people try such models with their own image.
MAX_EXAMPLE_VALUES = 16_384


def environment(*packages: str) -> dict[str, Any]:
    """The versions that made the result."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in sorted(packages)},
    }


def example_of(signature_inputs: list[dict[str, Any]], feed: dict[str, NDArray[Any]]) -> dict[str, Any] | None:
    """One row in the shape of an Open Inference request; None where it is too large. Gaps are sent as 0 and empty text:
    JSON has no NaN."""
    if sum(values.size for values in feed.values()) > MAX_EXAMPLE_VALUES:
        return None
    inputs = []
    for entry in signature_inputs:
        values = feed[entry["name"]]
        flat = values.ravel().tolist() if values.dtype == object else np.nan_to_num(values).ravel().tolist()
        # Seven digits say all that a float32 holds.
        data = [float(f"{value:.7g}") if isinstance(value, float) else value for value in flat]
        inputs.append({"name": entry["name"], "datatype": entry["datatype"], "shape": list(values.shape), "data": data})
    return {"inputs": inputs}


def write_classification(
    folder: JobFolder,
    examples: Examples,
    rows: NDArray[np.int64],
    probabilities: NDArray[Any],
    classes: list[str],
    *,
    dataset: str,
    split: str,
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Writes evaluation/predictions.csv, confusion.csv and per_class.json; returns the metrics and the results per class."""
    answers = examples.answers[rows]
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(answers, predicted, len(classes))
    _write_csv(
        folder,
        "evaluation/predictions.csv",
        ["row", "answer", "predicted", "probability", "is_right"],
        (
            [examples.ids[row], classes[answer], classes[said], f"{scores[said]:.6f}", int(answer == said)]
            for row, answer, said, scores in zip(rows, answers, predicted, probabilities, strict=True)
        ),
    )
    _write_csv(
        folder,
        "evaluation/confusion.csv",
        ["answer", *classes],
        ([name, *counts.tolist()] for name, counts in zip(classes, confusion, strict=True)),
    )
    by_class = per_class(confusion, classes)
    folder.output_json("evaluation/per_class.json", {"classes": by_class})
    metrics = classification_metrics(probabilities, answers, seed=folder.seed)
    return _described(metrics, dataset, split), by_class


def write_regression(
    folder: JobFolder,
    examples: Examples,
    rows: NDArray[np.int64],
    predicted: NDArray[np.float64],
    *,
    dataset: str,
    split: str,
) -> dict[str, dict[str, Any]]:
    """Writes evaluation/predictions.csv; returns the metrics. `predicted` float64[rows]."""
    answers = examples.answers[rows]
    _write_csv(
        folder,
        "evaluation/predictions.csv",
        ["row", "answer", "predicted", "error"],
        (
            [examples.ids[row], repr(float(answer)), repr(float(said)), repr(float(said - answer))]
            for row, answer, said in zip(rows, answers, predicted, strict=True)
        ),
    )
    return _described(regression_metrics(predicted, answers, seed=folder.seed), dataset, split)


def finish(
    folder: JobFolder,
    *,
    metrics: dict[str, dict[str, Any]],
    signature: dict[str, Any],
    packages: dict[str, Any],
    equivalence: dict[str, Any] | None,
    summary: str,
    sections: list[tuple[str, str]],
    card: dict[str, Any],
    heading: str,
    details: dict[str, Any] | None = None,
) -> None:
    """Write the card and the JSON files, then result.json. `sections` are headings with Markdown; `card` is front matter;
    `heading` is used when the caller gave no title; `details` joins metrics.json."""
    folder.output_json("metrics.json", {"metrics": metrics, "equivalence": equivalence, **(details or {})})
    folder.output_json("environment.json", packages)
    folder.output("README.md").write_text(_card(folder, metrics, summary, sections, card, heading))
    folder.progress(1.0, "Done")
    folder.finish(
        {
            "metrics": metrics,
            "signature": signature,
            "environment": packages,
            "equivalence": equivalence,
            "summary": summary,
        }
    )


def finish_build(
    folder: JobFolder,
    *,
    signature: dict[str, Any],
    packages: dict[str, Any],
    equivalence: dict[str, Any],
    summary: str,
) -> None:
    """Write result.json of a program that makes a build: the outputs are the build, and what is said of it stands beside it."""
    folder.progress(1.0, "Done")
    folder.finish({"signature": signature, "environment": packages, "equivalence": equivalence, "summary": summary})


def code(text: object) -> str:
    """Text of strangers inside Markdown: as code, on one line, unable to end it."""
    return "`" + " ".join(str(text).replace("`", "'").replace("|", "/").split()) + "`"


def markdown_table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def class_table(by_class: list[dict[str, Any]]) -> str:
    """The results of `per_class` as Markdown."""
    return markdown_table(
        ["Class", "Rows", "Precision", "Recall", "F1"],
        (
            [code(row["class"]), str(row["rows"]), *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))]
            for row in by_class
        ),
    )


def figure(metric: dict[str, Any]) -> str:
    return f"{metric['value']:.4g} ({metric['low']:.4g}–{metric['high']:.4g})"


def _card(
    folder: JobFolder,
    metrics: dict[str, dict[str, Any]],
    summary: str,
    sections: list[tuple[str, str]],
    card: dict[str, Any],
    heading: str,
) -> str:
    licence = {"license": folder.parameters["license"]} if folder.parameters.get("license") else {}
    front = yaml.safe_dump(
        {**licence, **card, "metrics": list(metrics)}, allow_unicode=True, sort_keys=False, width=120
    )
    data = folder.input("data")
    title = " ".join(folder.parameters.get("title", "").split()) or heading
    table = markdown_table(
        ["Metric", "Value (95 % interval)", "Rows"],
        ([name, figure(metric), str(metric["n"])] for name, metric in metrics.items()),
    )
    split = next(iter(metrics.values()))["split"]
    parts = [
        f"---\n{front}---\n\n# {title}\n\n{summary}",
        f"## Results\n\nMeasured on {code(data.title)}, {split} rows.\n\n{table}",
        *(f"## {heading}\n\n{text}" for heading, text in sections),
    ]
    return "\n\n".join(parts) + "\n"


def _described(metrics: dict[str, Metric], dataset: str, split: str) -> dict[str, dict[str, Any]]:
    return {name: metric.described(dataset=dataset, split=split) for name, metric in metrics.items()}


def _write_csv(folder: JobFolder, path: str, header: list[str], rows: Iterable[list[Any]]) -> None:
    with folder.output(path).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
