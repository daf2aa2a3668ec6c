"""The program of the recipe tabular-train: a table in; a measured, exported and checked pipeline out."""

from typing import Any

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.pipeline import Pipeline

from backends.programs import equivalence, graphs, reporting
from backends.programs.jobfolder import Input, JobFolder, Refused
from backends.programs.tables import export, learners
from backends.programs.tables.examples import (
    TableExamples,
    answered_rows,
    arrays_of,
    classes_of,
    split_rows,
    task_of,
)
from backends.programs.tables.reading import MATRIX, read_table, usable_columns

PACKAGES = ("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "pandas", "pyarrow", "scikit-learn", "skl2onnx")
LEARNER_NAMES = {
    "linear": "a linear model",
    "lightgbm": "gradient-boosted trees",
    "lightgbm-small": "small boosted trees",
}


def run(folder: JobFolder) -> None:
    """Read, choose by cross-validation, train, export, compare the export with the pipeline, measure on held-out rows."""
    data = folder.input("data")
    folder.progress(0.02, f"Reading {data.title}")
    examples, table_file, task, left_out = _prepare(folder, data)
    folder.progress(
        0.1, f"{len(examples.train)} training rows, {len(examples.test)} held out, {len(examples.columns)} columns"
    )

    done = 0

    def report(learner: str, fold: int, loss: float) -> None:
        nonlocal done
        done += 1
        total = learners.FOLDS * len(learners.CANDIDATES[wanted])
        folder.metric(f"cross-validation loss, {learner}", fold, loss)
        folder.progress(0.1 + 0.6 * done / total, f"Cross-validation: {learner}, fold {fold + 1} of {learners.FOLDS}")

    wanted = folder.parameters["learner"]
    choice = learners.choose(examples, wanted=wanted, seed=folder.seed, threads=folder.threads, report=report)
    folder.progress(0.72, f"Training {LEARNER_NAMES[choice.learner]} on all training rows")
    pipeline = learners.build(choice.learner, examples, seed=folder.seed, threads=folder.threads)
    pipeline.fit(learners.frame_of(examples, examples.train), learners.targets_of(examples, examples.train))

    folder.progress(0.8, "Exporting to ONNX and comparing with the trained pipeline")
    report_of_export = _export(folder, pipeline, examples)

    folder.progress(0.9, "Measuring on the held-out rows")
    signature = _signature(examples, task)
    folder.output_json("signature.json", signature)
    session = graphs.open_graph(folder.output("model.onnx"), threads=folder.threads)
    output = export.PREDICTION if examples.classes is None else export.PROBABILITIES
    predicted = graphs.answers_of(session, examples, examples.test, output=output)
    if examples.classes is None:
        metrics = reporting.write_regression(
            folder, examples, examples.test, predicted[:, 0].astype(np.float64), dataset=data.title, split="test"
        )
    else:
        metrics, _ = reporting.write_classification(
            folder, examples, examples.test, predicted, examples.classes, dataset=data.title, split="test"
        )
    target = folder.parameters["target"]
    folder.output_json(
        "training.json",
        {
            "recipe": folder.recipe,
            "parameters": folder.parameters,
            "seed": folder.seed,
            "dataset": {"title": data.title, "version_uuid": data.version_uuid},
            "task": task,
            "target": target,
            "file": table_file,
            "test_fraction": folder.parameters["test_fraction"],
            "learner": choice.learner,
            "cross_validation_losses": choice.losses,
            "left_out_columns": left_out,
        },
    )
    reporting.finish(
        folder,
        metrics=metrics,
        signature=signature,
        packages=reporting.environment(*PACKAGES),
        equivalence=report_of_export,
        summary=_summary(target, data, choice, metrics),
        sections=_sections(examples, choice, left_out, report_of_export),
        card={
            "library_name": "onnx",
            "pipeline_tag": task,
            "tags": ["tabular", "onnx", choice.learner.split("-")[0]],
            "datasets": [data.title],
        },
        heading=f"Model trained on {data.title}",
        details={"cross_validation_losses": choice.losses},
    )


def _prepare(folder: JobFolder, data: Input) -> tuple[TableExamples, str, str, dict[str, str]]:
    """The examples, the table's path, the task and the columns left out with reasons."""
    given = folder.parameters
    table = read_table(data, file=given["file"])
    ignored = {name.strip() for name in given["ignore"].split(",") if name.strip()}
    unknown = sorted(ignored - set(table.frame.columns))
    if unknown:
        raise Refused(f"The table has no column «{unknown[0]}» to leave out.")
    if given["target"] in ignored:
        raise Refused(f"«{given['target']}» is both the column to predict and one to leave out.")
    kept = answered_rows(table.frame, given["target"])
    frame = table.frame.iloc[kept].reset_index(drop=True)
    task = task_of(frame[given["target"]], given["task"])
    if task == "classification":
        classes, answers = classes_of(frame[given["target"]])
    else:
        classes, answers = None, frame[given["target"]].to_numpy(dtype=np.float64)
        if np.ptp(answers) == 0:
            raise Refused(f"Every row has the same answer in «{given['target']}»; there is nothing to learn.")
    train, test = split_rows(
        answers if classes else None,
        None if table.split is None else [table.split[row] for row in kept],
        len(frame),
        test_fraction=given["test_fraction"],
        seed=folder.seed,
    )
    if classes and len(np.unique(answers[train])) < len(classes):
        raise Refused("The training rows of the dataset's own split lack some of the classes.")
    columns, left_out = usable_columns(frame, leave_out=ignored | {given["target"]}, train=train)
    if not columns:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:10])
        raise Refused(f"No column is left to learn from. {reasons}".strip())
    ids = [str(row) for row in kept]
    arrays = arrays_of(frame, columns)
    examples = TableExamples(ids, answers, classes, train, test, columns, arrays, table.split is not None)
    return examples, table.file, f"tabular-{task}", left_out


def _export(folder: JobFolder, pipeline: Pipeline, examples: TableExamples) -> dict[str, Any]:
    """Write model.onnx and return its equivalence report. Raises `Refused` when the graph differs from the pipeline."""
    if isinstance(pipeline.named_steps["learner"], LGBMClassifier | LGBMRegressor):
        export.floor_thresholds(pipeline.named_steps["learner"])
    path = folder.output("model.onnx")
    graphs.save_stripped(export.to_graph(pipeline, examples), path)
    session = graphs.open_graph(path, threads=folder.threads)
    output = export.PREDICTION if examples.classes is None else export.PROBABILITIES
    # Held-out rows first, then training rows: at least 256 together where the table has them, at most 4,096.
    real = np.concatenate([examples.test, examples.train])[:4096]
    boundary = export.boundary_feed(export.splits_of(pipeline.named_steps["learner"]), examples, seed=folder.seed)
    reference = np.concatenate(
        [learners.predictions_of(pipeline, examples.feed(real)), learners.predictions_of(pipeline, boundary)]
    )
    exported = np.concatenate(
        [graphs.answers_of(session, examples, real, output=output), session.run([output], boundary)[0]]
    )
    # Numbers are compared in units of their spread: a difference of 1 is nothing where answers lie thousands apart.
    scale = float(np.std(examples.answers[examples.train])) if examples.classes is None else 1.0
    report = equivalence.compare(reference, exported, real_rows=len(real), model=path, scale=scale or 1.0)
    equivalence.require_equivalent(report)
    return report


def _signature(examples: TableExamples, task: str) -> dict[str, Any]:
    columns = examples.columns
    if examples.is_matrix:
        inputs = [_tensor(MATRIX, "FP32", [-1, len(columns)], columns=[column.name for column in columns])]
    else:
        inputs = [
            _tensor(column.input_name, "BYTES" if column.is_text else "FP32", [-1, 1], columns=[column.name])
            for column in columns
        ]
    if examples.classes is None:
        outputs = [_result(export.PREDICTION, "FP32", [-1, 1], None, None)]
    else:
        outputs = [
            _result(export.LABEL, "BYTES", [-1], examples.classes, "label"),
            _result(export.PROBABILITIES, "FP32", [-1, len(examples.classes)], examples.classes, "probabilities"),
        ]
    example = reporting.example_of(inputs, examples.feed(examples.test[:1]))
    return {"task": task, "inputs": inputs, "outputs": outputs, "example": example}


def _tensor(name: str, datatype: str, shape: list[int], *, columns: list[str]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "columns": columns, "image": None}


def _result(name: str, datatype: str, shape: list[int], classes: list[str] | None, role: str | None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "classes": classes, "role": role}


def _summary(target: str, data: Input, choice: learners.Choice, metrics: dict[str, dict[str, Any]]) -> str:
    name = "accuracy" if "accuracy" in metrics else "rmse"
    return (
        f"Predicts {reporting.code(target)} with {LEARNER_NAMES[choice.learner]}, trained on {reporting.code(data.title)}: "
        f"{name} {reporting.figure(metrics[name])} on held-out rows."
    )


def _sections(
    examples: TableExamples,
    choice: learners.Choice,
    left_out: dict[str, str],
    report: dict[str, Any],
) -> list[tuple[str, str]]:
    losses = reporting.markdown_table(
        ["Candidate", "Cross-validation loss (lower is better)"],
        ([LEARNER_NAMES[name], f"{loss:.4g}"] for name, loss in choice.losses.items()),
    )
    split = "as the dataset divides them" if examples.has_own_split else "drawn by a fixed seed"
    inputs = f"{len(examples.columns)} columns: " + ", ".join(
        reporting.code(column.name) + (" (text)" if column.is_text else "") for column in examples.columns[:60]
    )
    unused = "".join(f"\n- {reporting.code(name)}: {reason}" for name, reason in left_out.items())
    return [
        (
            "Training",
            f"{len(examples.train)} rows for training, {len(examples.test)} held out, {split}.\n\n{losses}",
        ),
        ("Inputs", inputs + (f"\n\nNot used:\n{unused}" if unused else "")),
        (
            "Export",
            (
                f"One ONNX graph of the whole pipeline. Against the trained pipeline on {report['real_rows']} rows and "
                f"{report['boundary_rows']} boundary rows: largest difference {report['max_difference']:.1e}, "
                f"labels agree on {report['label_agreement']:.2%}."
            ),
        ),
    ]
