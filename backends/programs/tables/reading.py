"""A table from the files of a dataset, and which of its columns can be learned from.

One truth: numbers are rounded to float32 here, before anything is learned, because float32 is what a caller sends later.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray

from backends.programs.jobfolder import Input, Refused
from backends.programs.splitting import TEST_NAMES, TRAIN_NAMES

# The input of a model whose features are all numbers: one array is the quickest request to build and to read.
MATRIX = "features"
# Best first: where a dataset has the same table in several formats, the typed one is read.
FORMATS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
MISSING_TEXTS = ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]
# A text column with more texts than this, most of them different, is a name or a note, not a category.
MAX_LEVELS = 40


@dataclass(frozen=True)
class Table:
    """`frame` as read; `file` its path in the dataset; `split` one name per row where the dataset brings a split."""

    frame: pd.DataFrame
    file: str
    split: list[str] | None


@dataclass(frozen=True)
class Column:
    """One feature. `input_name` is its name in a graph with one input per column. `is_text`: categories, else numbers."""

    name: str
    input_name: str
    is_text: bool


def read_table(data: Input, *, file: str) -> Table:
    """The table of a dataset version: `file` if named, else train and test files, else the only table there is."""
    tables = {path: at for path, at in data.paths.items() if Path(path).suffix.lower() in FORMATS}
    if file:
        if file not in tables:
            raise Refused(f"{data.title} has no table «{file}». Its tables: {_listed(tables)}.")
        return _with_split_column(_read(tables[file], file), file)
    if not tables:
        raise Refused(f"{data.title} has no CSV, TSV, Parquet or JSON-lines file.")
    by_stem: dict[str, str] = {}
    for path in sorted(tables, key=lambda path: FORMATS.index(Path(path).suffix.lower())):
        by_stem.setdefault(path.removesuffix(Path(path).suffix), path)
    parts = {Path(stem).name.lower(): path for stem, path in by_stem.items()}
    if len(parts) == len(by_stem) and parts.keys() <= TRAIN_NAMES | TEST_NAMES and len(parts) > 1:
        return _joined({name: _read(tables[path], path) for name, path in sorted(parts.items())})
    if len(by_stem) > 1:
        raise Refused(
            f"{data.title} has several tables: {_listed(by_stem.values())}. Name one in the parameter «file»."
        )
    (path,) = by_stem.values()
    return _with_split_column(_read(tables[path], path), path)


def usable_columns(
    frame: pd.DataFrame, *, leave_out: set[str], train: NDArray[np.int64]
) -> tuple[list[Column], dict[str, str]]:
    """The columns to learn from, and why each other one is left out. Only training rows decide."""
    columns: list[Column] = []
    reasons: dict[str, str] = {}
    taken = {MATRIX}
    for name in frame.columns:
        if name in leave_out:
            continue
        values = frame[name].iloc[train]
        reason = _reason_to_leave_out(values)
        if reason:
            reasons[name] = reason
            continue
        columns.append(Column(name, _input_name(name, taken), is_text=not is_number(values)))
    return columns, reasons


def numbers_of(values: pd.Series) -> NDArray[np.float32]:
    """float32[rows], missing and infinite values as NaN."""
    numbers: NDArray[np.float64] = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        rounded = numbers.astype(np.float32)
    rounded[~np.isfinite(rounded)] = np.nan
    return rounded


def texts_of(values: pd.Series) -> NDArray[Any]:
    """object[rows] of str, missing values as the empty text, whole numbers without a decimal point."""
    return np.array(["" if pd.isna(value) else text_of(value) for value in values], dtype=object)


def text_of(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _reason_to_leave_out(values: pd.Series) -> str:
    present = values.dropna()
    if present.empty:
        return "empty"
    if not is_number(values):
        if not present.map(lambda value: isinstance(value, str)).all():
            return "dates, lists and objects are not learned from"
        distinct = present.nunique()
        if distinct > MAX_LEVELS and distinct > len(present) / 2:
            return "nearly every row has its own text"
        return "the same in every row" if distinct == 1 and len(present) == len(values) else ""
    numbers = numbers_of(values)
    if np.isnan(numbers).all():
        return "no usable numbers"
    if (numbers == numbers[0]).all():
        return "the same in every row"
    is_whole = pd.api.types.is_integer_dtype(values.dtype)
    if (
        is_whole
        and len(present) == len(values)
        and len(values) > 2
        and (present.sort_index().diff().iloc[1:] > 0).all()
    ):
        # Training rows are in the order of the file, so a number that only rises counts the rows.
        return "counts the rows"
    return ""


def is_number(values: pd.Series) -> bool:
    """Whether a column holds numbers or truth values, not text."""
    return bool(pd.api.types.is_numeric_dtype(values.dtype)) and not pd.api.types.is_complex_dtype(values.dtype)


def _input_name(name: str, taken: set[str]) -> str:
    """A plain name for an input of the graph, unlike all of `taken`, to which it is added."""
    plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "column"
    candidate, number = plain, 2
    while candidate in taken:
        candidate, number = f"{plain}_{number}", number + 1
    taken.add(candidate)
    return candidate


def _read(path: Path, name: str) -> pd.DataFrame:
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".parquet": lambda path: pyarrow.parquet.read_table(path).to_pandas(),
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
    }
    try:
        frame = readers.get(path.suffix.lower(), _read_separated)(path)
    except (ValueError, csv.Error, OSError) as error:
        # pandas' and pyarrow's parser errors are ValueErrors; a cut-off file is an OSError for pyarrow.
        raise Refused(f"{name} could not be read: {error}.") from error
    frame.columns = [str(column) for column in frame.columns]
    doubled = frame.columns[frame.columns.duplicated()].unique()
    if len(doubled):
        raise Refused(f"{name} has more than one column called «{doubled[0]}».")
    # Categories and decimals become what they stand for.
    for column in frame.columns[frame.dtypes == "category"]:
        frame[column] = frame[column].astype(frame[column].cat.categories.dtype)
    return frame.reset_index(drop=True)


def _read_json_lines(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, dtype=False)


def _read_separated(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head = file.readline()
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=head.count)
    return pd.read_csv(
        path, sep=separator, encoding="utf-8-sig", low_memory=False, na_values=MISSING_TEXTS, keep_default_na=False
    )


def _joined(parts: dict[str, pd.DataFrame]) -> Table:
    columns = {tuple(sorted(frame.columns)) for frame in parts.values()}
    if len(columns) > 1:
        raise Refused("The training and test tables have different columns.")
    split = [name for name, frame in parts.items() for _ in range(len(frame))]
    return Table(pd.concat(parts.values(), ignore_index=True), "", split)


def _with_split_column(frame: pd.DataFrame, file: str) -> Table:
    if "split" not in frame.columns:
        return Table(frame, file, None)
    names = texts_of(frame["split"]).tolist()
    if not {name.strip().lower() for name in names} <= TRAIN_NAMES | TEST_NAMES:
        return Table(frame, file, None)  # a feature that happens to be called split
    return Table(frame.drop(columns="split"), file, names)


def _listed(names: Any) -> str:
    shown = sorted(names)
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "") if shown else "none"
