"""The program of the recipe evaluate: a model and a dataset in; metrics with intervals, confusion and predictions out."""

from typing import Any

import numpy as np

from backends.programs import reporting
from backends.programs.jobfolder import JobFolder
from backends.programs.models.opening import ask, open_examples, open_model, unseen_rows

PACKAGES = ("numpy", "onnxruntime", "pandas", "pillow", "scipy")


def run(folder: JobFolder) -> None:
    """Ask the model about the rows it has not seen (or all) and compare with the answers."""
    folder.progress(0.05, "Opening the model")
    model = open_model(folder)
    data = folder.input("data")
    folder.progress(0.15, f"Reading {data.title}")
    given = folder.parameters
    examples = open_examples(model, data, target=given["target"], file=given["file"], seed=folder.seed)
    rows, split = unseen_rows(model, data, examples)
    if given["rows"] == "all":
        rows, split = np.arange(len(examples.answers)), "all"
    folder.progress(0.4, f"Asking about {len(rows)} rows")
    predicted = ask(model.session, model, examples, rows)
    folder.progress(0.7, "Comparing with the answers")
    sections: list[tuple[str, str]] = []
    details: dict[str, Any] = {}
    if model.classes is None:
        metrics = reporting.write_regression(
            folder, examples, rows, predicted[:, 0].astype(np.float64), dataset=data.title, split=split
        )
    else:
        metrics, by_class = reporting.write_classification(
            folder, examples, rows, predicted, model.classes, dataset=data.title, split=split
        )
        sections.append(("Results per class", reporting.class_table(by_class)))
        details["classes"] = by_class
    name, metric = next(iter(metrics.items()))
    reporting.finish(
        folder,
        metrics=metrics,
        signature=model.signature,
        packages=reporting.environment(*PACKAGES),
        equivalence=None,
        summary=f"{reporting.code(model.source.title)} on {reporting.code(data.title)} ({split} rows): "
        f"{name} {reporting.figure(metric)}.",
        sections=sections,
        card={"tags": ["evaluation"], "datasets": [data.title], "base_model": model.source.title},
        heading=f"{model.source.title} on {data.title}",
        details=details,
    )
