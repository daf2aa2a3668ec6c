"""Labelled images from the files of a dataset, scaled to one size.

One truth: pixels are kept as uint8 and handed out as float32 0–1, so a caller who sends `pixel / 255` sends what was learned.
"""

import csv
import io
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backends.programs.jobfolder import Input, Refused
from backends.programs.splitting import TEST_NAMES, TRAIN_NAMES, held_out_split, named_split

INPUT = "image"
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
MIN_IMAGES = 20
MIN_IMAGES_PER_CLASS = 3
MAX_CLASSES = 1_000
# Images that differ in size, or are larger than this, are scaled to a square of this side unless the caller names one.
DEFAULT_SIDE = 64
# All images are held at once while training; 1.5 GB is 120,000 colour images of 64 pixels.
MAX_BYTES = 1_500_000_000
MAX_PIXELS_PER_IMAGE = 50_000_000


@dataclass(frozen=True)
class ImageExamples:
    """`pixels` uint8[images, channels, height, width], RGB or grey, 0–255. `answers` int64[images] indices into `classes`.
    `has_own_split`: train and test are the dataset's, not ours."""

    ids: list[str]
    answers: NDArray[np.int64]
    classes: list[str]
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    has_own_split: bool
    input_name: str = INPUT

    def feed(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """float32[rows, channels, height, width], 0–1."""
        return {self.input_name: self.pixels[rows].astype(np.float32) / np.float32(255)}


@dataclass(frozen=True)
class Labelled:
    """What a dataset says about its images: path -> label, and path -> split name where it has a split."""

    labels: dict[str, str]
    split: dict[str, str] | None


def open_images(
    data: Input,
    *,
    image_size: int,
    test_fraction: float,
    seed: int,
    classes: list[str] | None = None,
    shape: tuple[int, int, int] | None = None,
    input_name: str = INPUT,
) -> ImageExamples:
    """Every labelled image of a version. `image_size` 0: their own size when all are alike and small, else 64.

    For a finished model its `classes`, `shape` (channels, height, width) and `input_name` are given and kept to. Raises `Refused` for
    unreadable images, unknown or too few labels."""
    labelled = read_labels(data)
    names = classes or _classes_of(labelled)
    index = {name: at for at, name in enumerate(names)}
    unknown = sorted({label for label in labelled.labels.values() if label not in index})
    if unknown:
        raise Refused(f"{data.title} has labels that the model does not know: {', '.join(unknown[:10])}.")
    paths = list(labelled.labels)
    channels, height, width = shape or _common_shape(data, paths, image_size)
    if len(paths) * channels * height * width > MAX_BYTES:
        raise Refused(
            f"{len(paths)} images of {width}×{height} pixels do not fit into memory; choose a smaller «image_size»."
        )
    pixels = np.empty((len(paths), channels, height, width), dtype=np.uint8)
    for at, path in enumerate(paths):
        pixels[at] = _pixels(data, path, channels, height, width)
    answers = np.array([index[label] for label in labelled.labels.values()], dtype=np.int64)
    if labelled.split is not None:
        train, test = named_split([labelled.split[path] for path in paths])
    else:
        train, test = held_out_split(answers, len(paths), test_fraction=test_fraction, seed=seed)
    return ImageExamples(paths, answers, names, train, test, pixels, labelled.split is not None, input_name)


def read_labels(data: Input) -> Labelled:
    """labels.csv where there is one, else the names of the folders: <class>/… or <train|test>/<class>/…"""
    if "labels.csv" in data.paths:
        return _from_csv(data)
    images = [path for path in data.paths if Path(path).suffix.lower() in SUFFIXES]
    if not images:
        raise Refused(f"{data.title} has no images (PNG, JPEG, WebP, BMP, GIF or TIFF).")
    parts = {path: path.split("/") for path in images}
    shallow = [path for path, names in parts.items() if len(names) < 2]
    if shallow:
        raise Refused(f"{data.title} has no labels.csv, and {shallow[0]} is in no folder named after its class.")
    firsts = {names[0].lower() for names in parts.values()}
    if firsts <= TRAIN_NAMES | TEST_NAMES and all(len(names) > 2 for names in parts.values()):
        return Labelled(
            {path: names[1] for path, names in parts.items()}, {path: names[0] for path, names in parts.items()}
        )
    return Labelled({path: names[0] for path, names in parts.items()}, None)


def _from_csv(data: Input) -> Labelled:
    try:
        text = data.paths["labels.csv"].read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"labels.csv could not be read: {error}.") from error
    fields = reader.fieldnames or []
    if "file" not in fields or "label" not in fields:
        raise Refused(f"labels.csv needs the columns file and label; it has: {', '.join(fields) or 'none'}.")
    labels: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        file, label = (row["file"] or "").strip(), (row["label"] or "").strip()
        if not file or not label:
            raise Refused(f"Line {number} of labels.csv has no file or no label.")
        if file not in data.paths:
            raise Refused(f"Line {number} of labels.csv names «{file}», which the dataset does not have.")
        if file in labels:
            raise Refused(f"Line {number} of labels.csv names «{file}» a second time.")
        labels[file] = label
    if "split" not in fields:
        return Labelled(labels, None)
    return Labelled(labels, {row["file"].strip(): row["split"] or "" for row in rows})


def _classes_of(labelled: Labelled) -> list[str]:
    counts = Counter(labelled.labels.values())
    if len(labelled.labels) < MIN_IMAGES:
        raise Refused(f"There are only {len(labelled.labels)} labelled images; at least {MIN_IMAGES} are needed.")
    if len(counts) == 1:
        raise Refused(f"Every image has the same label «{next(iter(counts))}»; a model needs at least two classes.")
    if len(counts) > MAX_CLASSES:
        raise Refused(f"There are {len(counts)} different labels, more than the {MAX_CLASSES} that can be learned.")
    rare = [f"«{name}» ({count})" for name, count in sorted(counts.items()) if count < MIN_IMAGES_PER_CLASS]
    if rare:
        raise Refused(f"Each class needs at least {MIN_IMAGES_PER_CLASS} images. Too few: {', '.join(rare[:10])}.")
    return sorted(counts)


def _common_shape(data: Input, paths: list[str], image_size: int) -> tuple[int, int, int]:
    """(channels, height, width) for all images: one channel only when every image is grey."""
    sizes: set[tuple[int, int]] = set()
    is_grey = True
    for path in paths:
        with _opened(data, path) as image:
            sizes.add(image.size)
            is_grey = is_grey and image.mode in {"1", "L", "LA", "I", "I;16"}
    channels = 1 if is_grey else 3
    if image_size:
        return channels, image_size, image_size
    if len(sizes) == 1:
        ((width, height),) = sizes
        if max(width, height) <= DEFAULT_SIDE and min(width, height) >= 4:
            return channels, height, width
    return channels, DEFAULT_SIDE, DEFAULT_SIDE


def _pixels(data: Input, path: str, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    try:
        with _opened(data, path) as image:
            plain: Image.Image = image.convert("L" if channels == 1 else "RGB")
            if plain.size != (width, height):
                plain = plain.resize((width, height), Image.Resampling.BILINEAR)
            values = np.asarray(plain, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise Refused(f"{path} is damaged: {error}.") from error
    return values.reshape(1, height, width) if channels == 1 else values.transpose(2, 0, 1)


def _opened(data: Input, path: str) -> Image.Image:
    """The image with its header read. Only known formats, and no picture that unpacks to gigabytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(data.paths[path], formats=FORMATS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Refused(f"{path} is not a readable PNG, JPEG, WebP, BMP, GIF or TIFF image.") from error
    if image.width * image.height > MAX_PIXELS_PER_IMAGE:
        raise Refused(f"{path} has {image.width}×{image.height} pixels; at most {MAX_PIXELS_PER_IMAGE:,} are read.")
    return image
