"""Rows of a table as a model takes them: one float32 matrix, or one array per column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backends.programs.jobfolder import Input, Refused
from backends.programs.splitting import held_out_split, named_split
from backends.programs.tables.reading import MATRIX, Column, numbers_of, read_table, text_of, texts_of

MIN_ROWS = 20
MIN_ROWS_PER_CLASS = 3
MAX_CLASSES = 200
# Whole numbers with no more different values than this are classes when nobody says otherwise.
MAX_NUMBERED_CLASSES = 20


@dataclass(frozen=True)
class TableExamples:
    """`arrays`: input name -> float32[rows, columns] or object[rows, columns] of str; one matrix when all features are
    numbers, else one array per column. `classes` is None for numeric answers. `has_own_split`: train and test are the
    dataset's, not ours."""

    ids: list[str]
    answers: NDArray[Any]
    classes: list[str] | None
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    columns: list[Column]
    arrays: dict[str, NDArray[Any]]
    has_own_split: bool

    @property
    def is_matrix(self) -> bool:
        return MATRIX in self.arrays

    def feed(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        return {name: values[rows] for name, values in self.arrays.items()}


def arrays_of(frame: pd.DataFrame, columns: list[Column]) -> dict[str, NDArray[Any]]:
    """The features as `TableExamples` holds them."""
    if not any(column.is_text for column in columns):
        return {MATRIX: np.column_stack([numbers_of(frame[column.name]) for column in columns])}
    return {
        column.input_name: (texts_of if column.is_text else numbers_of)(frame[column.name]).reshape(-1, 1)
        for column in columns
    }


def answered_rows(frame: pd.DataFrame, target: str) -> NDArray[np.int64]:
    """Rows that have an answer. Raises `Refused` when the column is missing or too few rows have one."""
    if target not in frame.columns:
        shown = ", ".join(frame.columns[:20]) + (" …" if len(frame.columns) > 20 else "")
        raise Refused(f"The table has no column «{target}». It has: {shown}.")
    answers = frame[target]
    is_number = pd.api.types.is_numeric_dtype(answers.dtype)
    rows = np.flatnonzero(np.isfinite(answers.to_numpy(np.float64, na_value=np.nan)) if is_number else answers.notna())
    if len(rows) < MIN_ROWS:
        raise Refused(f"Only {len(rows)} rows have an answer in «{target}»; at least {MIN_ROWS} are needed.")
    return rows


def task_of(answers: pd.Series, wanted: str) -> str:
    """Whether to learn classes or numbers: classification or regression. Raises `Refused` when the answers cannot be learned that way."""
    is_number = pd.api.types.is_numeric_dtype(answers.dtype) and not pd.api.types.is_bool_dtype(answers.dtype)
    if wanted == "regression":
        if not is_number:
            raise Refused(f"The answers in «{answers.name}» are not numbers, so they can only be classes.")
        return wanted
    if wanted == "classification" or not is_number:
        return "classification"
    is_whole = bool((answers == answers.round()).all())
    return "classification" if is_whole and answers.nunique() <= MAX_NUMBERED_CLASSES else "regression"


def classes_of(answers: pd.Series) -> tuple[list[str], NDArray[np.int64]]:
    """Class names in sorted order and int64[rows] indices into them. Raises `Refused` for answers nobody can learn."""
    texts = texts_of(answers)
    names, indices, counts = np.unique(texts.astype(str), return_inverse=True, return_counts=True)
    if len(names) == 1:
        raise Refused(
            f"Every row has the same answer «{names[0]}» in «{answers.name}»; a model needs at least two classes."
        )
    if len(names) > MAX_CLASSES:
        raise Refused(
            f"«{answers.name}» has {len(names)} different answers, more than the {MAX_CLASSES} classes that can be learned. "
            "Is it the right column?"
        )
    rare = [f"«{name}» ({count})" for name, count in zip(names, counts, strict=True) if count < MIN_ROWS_PER_CLASS]
    if rare:
        raise Refused(f"Each class needs at least {MIN_ROWS_PER_CLASS} rows. Too few: {', '.join(rare[:10])}.")
    return [str(name) for name in names], indices.astype(np.int64)


def split_rows(
    labels: NDArray[np.int64] | None, split: list[str] | None, rows: int, *, test_fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training and test rows: the dataset's own split where it has one, else drawn by the seed."""
    if split is not None:
        return named_split(split)
    return held_out_split(labels, rows, test_fraction=test_fraction, seed=seed)


def open_table(
    data: Input, *, signature: dict[str, Any], target: str, file: str, test_fraction: float, seed: int
) -> TableExamples:
    """The rows of another dataset version for a finished model, whose signature names the columns and classes.
    Raises `Refused` when columns are missing or answers are unknown to the model."""
    table = read_table(data, file=file)
    kept = answered_rows(table.frame, target)
    frame = table.frame.iloc[kept].reset_index(drop=True)
    wanted = [(name, entry["datatype"]) for entry in signature["inputs"] for name in entry["columns"] or []]
    missing = [name for name, _ in wanted if name not in frame.columns]
    if missing:
        raise Refused(f"{data.title} lacks columns that the model needs: {', '.join(missing[:10])}.")
    arrays = {entry["name"]: _input_array(frame, entry) for entry in signature["inputs"]}
    classes = next((entry["classes"] for entry in signature["outputs"] if entry.get("role") != "label"), None)
    answers = _known_answers(frame[target], classes)
    train, test = split_rows(
        answers if classes else None,
        None if table.split is None else [table.split[row] for row in kept],
        len(frame),
        test_fraction=test_fraction,
        seed=seed,
    )
    columns = [Column(name, name, is_text=datatype == "BYTES") for name, datatype in wanted]
    ids = [str(row) for row in kept]
    return TableExamples(ids, answers, classes, train, test, columns, arrays, table.split is not None)


def _input_array(frame: pd.DataFrame, entry: dict[str, Any]) -> NDArray[Any]:
    readers = {"FP32": numbers_of, "BYTES": texts_of}
    if entry["datatype"] not in readers or not entry["columns"]:
        raise Refused(f"The model's input «{entry['name']}» is not made of columns of numbers (FP32) or text (BYTES).")
    return np.column_stack([readers[entry["datatype"]](frame[name]) for name in entry["columns"]])


def _known_answers(values: pd.Series, classes: list[str] | None) -> NDArray[Any]:
    if classes is None:
        if not pd.api.types.is_numeric_dtype(values.dtype):
            raise Refused(f"The answers in «{values.name}» are not numbers, but the model predicts numbers.")
        numbers: NDArray[np.float64] = values.to_numpy(dtype=np.float64)
        return numbers
    index = {name: at for at, name in enumerate(classes)}
    texts = [text_of(value) for value in values]
    unknown = sorted({text for text in texts if text not in index})
    if unknown:
        raise Refused(f"«{values.name}» holds answers that the model does not know: {', '.join(unknown[:10])}.")
    return np.array([index[text] for text in texts], dtype=np.int64)
