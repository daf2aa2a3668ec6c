"""The real data sets of the demonstration, as files: what ships inside scikit-learn, with its true source and licence."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from sklearn import datasets


@dataclass(frozen=True)
class DemoSet:
    """One data set: the name of its repository, a line about it, its card, and how its files are written into a folder."""

    name: str
    description: str
    card: str
    write: Callable[[Path], None]


def digits() -> tuple[NDArray[np.uint8], list[str]]:
    """uint8[1797, 8, 8] grey, 0–255, and the digit that each image shows."""
    bunch = datasets.load_digits()
    return np.rint(bunch.images * 255 / 16).astype(np.uint8), [str(digit) for digit in bunch.target]


def cells() -> pd.DataFrame:
    """569 rows: 30 measures of cell nuclei, and `diagnosis` (malignant or benign)."""
    return _named(datasets.load_breast_cancer(as_frame=True), "diagnosis")


def wines() -> pd.DataFrame:
    """178 rows: 13 chemical measures of a wine, and `cultivar`, the grower it comes from."""
    return _named(datasets.load_wine(as_frame=True), "cultivar")


def _named(bunch: Any, target: str) -> pd.DataFrame:
    frame: pd.DataFrame = bunch.frame.drop(columns="target")
    frame[target] = [str(bunch.target_names[number]) for number in bunch.target]
    return frame


def _write_digits(folder: Path) -> None:
    images, labels = digits()
    (folder / "images").mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "label"])
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = f"images/{number:04d}.png"
            Image.fromarray(image).save(folder / path)
            writer.writerow([path, label])


def _write_table(frame: pd.DataFrame, name: str, folder: Path) -> None:
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    frame.to_csv(folder / f"{name}.csv", index=False)


def _card(title: str, task: str, tags: list[str], size: str, body: str) -> str:
    lines = "".join(f"- {tag}\n" for tag in tags)
    return (
        f"---\nlicense: cc-by-4.0\npretty_name: {title}\ntask_categories:\n- {task}\nsize_categories:\n- {size}\n"
        f"tags:\n{lines}---\n\n# {title}\n\n{body.strip()}\n"
    )


_SHIPPED = "The copy here is the one that ships with scikit-learn"

SETS = (
    DemoSet(
        name="handwritten-digits",
        description="1,797 scanned handwritten digits, 8×8 pixels, as PNG files with labels.",
        card=_card(
            "Handwritten digits",
            "image-classification",
            ["digits", "handwriting", "images"],
            "1K<n<10K",
            f"""
1,797 images of handwritten digits from 13 people. Each is 8×8 pixels: a 32×32 scan in which the set pixels of every 4×4
block were counted.

| File | What it holds |
| --- | --- |
| `images/0000.png` … `images/1796.png` | grey images; a count of 0–16 became a brightness of 0–255 |
| `labels.csv` | `file`, `label` |

## Source and licence

*Optical Recognition of Handwritten Digits*, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
[doi.org/10.24432/C50P49](https://doi.org/10.24432/C50P49), licensed under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). {_SHIPPED} (`load_digits`): the test part of the original.
Changed: stored as PNG files.
""",
        ),
        write=_write_digits,
    ),
    DemoSet(
        name="breast-cancer-wisconsin",
        description="Measures of cell nuclei from 569 fine-needle aspirates, malignant or benign.",
        card=_card(
            "Breast cancer Wisconsin (diagnostic)",
            "tabular-classification",
            ["medicine", "tabular"],
            "n<1K",
            f"""
569 rows. Thirty numbers describe the cell nuclei seen in the image of a fine-needle aspirate of a breast mass: mean,
standard error and worst value of ten measures. The column `diagnosis` says `malignant` (212) or `benign` (357).
`breast-cancer.parquet` and `breast-cancer.csv` hold the same rows.

Not for use on patients.

## Source and licence

*Breast Cancer Wisconsin (Diagnostic)*, W. Wolberg, O. Mangasarian, N. Street and W. Street, 1993, UCI Machine Learning
Repository, [doi.org/10.24432/C5DW2B](https://doi.org/10.24432/C5DW2B), licensed under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). {_SHIPPED} (`load_breast_cancer`). Changed: the answer is written
as a word.
""",
        ),
        write=lambda folder: _write_table(cells(), "breast-cancer", folder),
    ),
    DemoSet(
        name="wine-recognition",
        description="Chemical analysis of 178 wines from three growers of one region in Italy.",
        card=_card(
            "Wine recognition",
            "tabular-classification",
            ["chemistry", "tabular"],
            "n<1K",
            f"""
178 rows. Thirteen quantities found by chemical analysis of wines grown in the same region in Italy by three different
cultivators. The column `cultivar` says which one: `class_0` (59), `class_1` (71) or `class_2` (48).
`wine.parquet` and `wine.csv` hold the same rows.

## Source and licence

*Wine*, S. Aeberhard and M. Forina, 1992, UCI Machine Learning Repository,
[doi.org/10.24432/C5PC7J](https://doi.org/10.24432/C5PC7J), licensed under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). {_SHIPPED} (`load_wine`). Changed: the answer is written as a word.
""",
        ),
        write=lambda folder: _write_table(wines(), "wine", folder),
    ),
)
