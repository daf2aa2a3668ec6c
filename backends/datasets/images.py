"""Pictures: sizes, damage, sharpness, perceptual hashes, near-copies, thumbnails."""

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from backends.datasets.layouts import ALL, File
from backends.datasets.numbers import summary, top

SAMPLES = 48
THUMBNAIL = 160
"""Longest side in pixels."""
CLASSES = 1000
LISTED = 100
PAIRS = 100_000
"""Pairs are counted up to here: a folder of copies of one picture has millions."""
"""Corrupt files and pairs that are named."""
BLURRED = 0.01
"""Sharpness below which a picture counts as blurred."""
_PIXELS = 64_000_000
_LOOK = 512
"""Sharpness is measured at this longest side, so that it does not depend on the resolution alone."""
_BITS = 6
"""Two pictures whose 63-bit hashes differ in at most so many bits may be copies; the correlation of their 16 × 16 miniatures confirms."""
_CORRELATION = 0.95

_GRID = np.arange(32)
_COSINES = np.cos(np.pi / 32 * (_GRID[:, None] + 0.5) * np.arange(8)[None, :]).astype(np.float32)
"""float32[32, 8]: the lowest eight rows of the DCT-II."""


@dataclass(frozen=True)
class Picture:
    """What reading one picture told. `sharpness`: variance of the Laplacian, divided by the variance of the picture. `small`:
    float32[256], the 16 × 16 grey miniature, centred and of length 1 (0 for a flat picture)."""

    file: File
    width: int = 0
    height: int = 0
    mode: str = ""
    format: str = ""
    sharpness: float = 0.0
    hash: int = 0
    small: np.ndarray | None = None
    problem: str = ""


def look(file: File) -> Picture:
    """Decode the picture whole; `problem` says why that was not possible."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file.path) as image:
                if image.width * image.height > _PIXELS:
                    return Picture(
                        file,
                        image.width,
                        image.height,
                        image.mode,
                        image.format or "",
                        problem="more than 64 million pixels",
                    )
                image.load()
                return _measured(file, image)
    except Exception as error:  # noqa: BLE001 - readers of damaged pictures raise whatever they like
        return Picture(
            file,
            problem=(str(error).split("\n", 1)[0].replace(str(file.path), "the file") or type(error).__name__)[:160],
        )


def _measured(file: File, image: Image.Image) -> Picture:
    grey = image.convert("L")
    looked = grey.copy()
    looked.thumbnail((_LOOK, _LOOK))
    small = np.asarray(grey.resize((16, 16), Image.Resampling.BILINEAR), dtype=np.float32).ravel()
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return Picture(
        file,
        image.width,
        image.height,
        image.mode,
        image.format or "",
        sharpness_of(np.asarray(looked, dtype=np.float32)),
        hash_of(grey),
        small / length if length else small,
    )


def sharpness_of(grey: np.ndarray) -> float:
    """Variance of the Laplacian over the variance of the picture (float32[height, width], 0–255); 0 for a flat one."""
    variance = float(grey.var())
    if variance < 1e-6 or min(grey.shape) < 3:
        return 0.0
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return float(laplacian.var()) / variance


def hash_of(grey: Image.Image) -> int:
    """The 63-bit perceptual hash: signs of the lowest 8 × 8 cosine coefficients but the first, about their median."""
    pixels = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float32)
    low = (_COSINES.T @ pixels @ _COSINES).ravel()[1:]
    bits = low > np.median(low)
    return int(sum(1 << place for place, bit in enumerate(bits) if bit))


def near_pairs(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    """Indices of pictures that look the same, each pair once: hashes within `_BITS`, confirmed by the miniatures. Every pair is
    compared, a block at a time: 20,000 pictures take some seconds and few megabytes."""
    if not pictures:
        return []
    hashes = np.array([each.hash for each in pictures], dtype=np.uint64)
    smalls = np.stack([each.small if each.small is not None else np.zeros(256, np.float32) for each in pictures])
    found: list[tuple[int, int]] = []
    for start in range(0, len(hashes), 256):
        block = hashes[start : start + 256]
        distance = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        rows, columns = np.nonzero(distance <= _BITS)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            first, second = start + row, start + column
            if second > first and float(smalls[first] @ smalls[second]) >= _CORRELATION:
                found.append((first, second))
                if len(found) >= PAIRS:
                    return found
    return found


def thumbnail(path: Path) -> bytes:
    """A PNG of at most THUMBNAIL pixels a side."""
    with Image.open(path) as image:
        image.draft("RGB", (THUMBNAIL * 2, THUMBNAIL * 2))
        turned = ImageOps.exif_transpose(image) or image
        shown = turned.convert("RGBA" if "A" in turned.getbands() or "transparency" in turned.info else "RGB")
        shown.thumbnail((THUMBNAIL, THUMBNAIL))
        sink = io.BytesIO()
        shown.convert("RGB").save(sink, "JPEG", quality=80) if shown.mode == "RGB" else shown.save(
            sink, "PNG", optimize=True
        )
        return sink.getvalue()


def describe(files: Sequence[File], *, has_classes: bool) -> tuple[dict[str, Any], list[Picture]]:
    """Statistics per split, damaged files, copies and leaks between splits; and the pictures, for rules and samples."""
    pictures = [look(file) for file in sorted(files, key=lambda each: each.name)]
    good = [each for each in pictures if not each.problem]
    splits = []
    for split in sorted({each.file.split for each in pictures}, key=_order):
        members = [each for each in pictures if each.file.split == split]
        whole = [each for each in members if not each.problem]
        classes = Counter(each.file.label for each in members) if has_classes else Counter()
        splits.append(
            {
                "split": split,
                "count": len(members),
                "corrupt": len(members) - len(whole),
                "blurred": sum(each.sharpness < BLURRED for each in whole),
                "width": summary([each.width for each in whole]),
                "height": summary([each.height for each in whole]),
                "sharpness": summary([each.sharpness for each in whole]),
                "modes": top(Counter(each.mode for each in whole), 10),
                "formats": top(Counter(each.format for each in whole), 10),
                "classes": top(classes, CLASSES),
                "class_count": len(classes),
            }
        )
    pairs = near_pairs(good)
    leaks = [pair for pair in pairs if len({good[pair[0]].file.split, good[pair[1]].file.split}) == 2]
    leaks = [pair for pair in leaks if ALL not in {good[each].file.split for each in pair}]
    return {
        "splits": splits,
        "corrupt": [{"path": each.file.name, "problem": each.problem} for each in pictures if each.problem][:LISTED],
        "near_duplicates": {"count": len(pairs), "pairs": [_names(good, pair) for pair in pairs[:LISTED]]},
        "leaks": {"count": len(leaks), "pairs": [_names(good, pair) for pair in leaks[:LISTED]]},
    }, pictures


def samples(pictures: Sequence[Picture], *, has_classes: bool, limit: int = SAMPLES) -> list[Picture]:
    """A few good pictures of every split, the classes of each taken in turn."""
    groups: dict[tuple[str, str], list[Picture]] = {}
    for each in pictures:
        if not each.problem:
            groups.setdefault((each.file.split, each.file.label if has_classes else ""), []).append(each)
    queues = [groups[key] for key in sorted(groups, key=lambda key: (_order(key[0]), key[1]))]
    chosen: list[Picture] = []
    while queues and len(chosen) < limit:
        chosen += [queue.pop(0) for queue in queues[: limit - len(chosen)]]
        queues = [queue for queue in queues if queue]
    return sorted(chosen, key=lambda each: (_order(each.file.split), each.file.name))


def _names(pictures: Sequence[Picture], pair: tuple[int, int]) -> list[str]:
    return [pictures[each].file.name for each in pair]


def _order(split: str) -> tuple[int, str]:
    known = ["train", "validation", "test"]
    return (known.index(split) if split in known else len(known), split)
