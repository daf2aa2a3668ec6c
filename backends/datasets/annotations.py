"""Boxes and masks beside pictures: COCO, YOLO, Pascal VOC, and folders of masks."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import yaml
from PIL import Image

from backends.datasets.layouts import File
from backends.datasets.numbers import summary, top

COCO_BYTES = 200 * 1024**2
"""Read at once; a longer file is named and passed over."""
LISTED = 50
_MASKS = frozenset(
    {"mask", "masks", "annotations", "segmentation", "segmentations", "labels", "gt", "segmentationclass"}
)


def describe(files: Sequence[File]) -> dict[str, Any] | None:
    """Objects per split of the annotation format that most files speak; None when there is none."""
    forms = Counter(file.form for file in files if file.form in {"coco", "yolo", "voc"})
    if forms:
        form = forms.most_common(1)[0][0]
        members = [file for file in files if file.form == form]
        names = names_of_yolo(files) if form == "yolo" else {}
        read = {"coco": _coco, "yolo": lambda file: _yolo(file, names), "voc": _voc}[form]
        return _boxes(form, members, read)
    return _masks([file for file in files if file.form == "image"])


def _boxes(form: str, files: Sequence[File], read: Any) -> dict[str, Any]:
    splits: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for file in files:
        into = splits.setdefault(
            file.split, {"images": 0, "classes": Counter(), "per_image": [], "areas": [], "odd": 0}
        )
        try:
            for objects in read(file):
                into["images"] += 1
                into["per_image"].append(len(objects))
                for name, area in objects:
                    into["classes"][name[:100]] += 1
                    if area is None or not math.isfinite(area) or area <= 0 or area > 1.0001:
                        into["odd"] += 1
                    else:
                        into["areas"].append(area)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ET.ParseError) as error:
            if len(problems) < LISTED:
                problems.append(
                    f"{file.name} cannot be read as {form.upper()}: {str(error)[:120] or type(error).__name__}"
                )
    return {
        "format": form,
        "splits": [
            {
                "split": split,
                "images": each["images"],
                "objects": sum(each["classes"].values()),
                "without_objects": sum(n == 0 for n in each["per_image"]),
                "odd_boxes": each["odd"],
                "classes": top(each["classes"], 1000),
                "per_image": summary(each["per_image"]),
                "area": summary(each["areas"]),
            }
            for split, each in sorted(splits.items())
        ],
        "problems": problems,
    }


def _coco(file: File) -> Iterable[list[tuple[str, float | None]]]:
    """Objects of each picture: the class, and the box's part of the picture (cocodataset.org/#format-data)."""
    if file.size_bytes > COCO_BYTES:
        raise ValueError(f"it is longer than {COCO_BYTES // 1024**2} MB")
    content = json.loads(file.path.read_bytes())
    names = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
    sizes = {each["id"]: float(each.get("width") or 0) * float(each.get("height") or 0) for each in content["images"]}
    objects: dict[Any, list[tuple[str, float | None]]] = {each: [] for each in sizes}
    for each in content.get("annotations", []):
        if each["image_id"] not in objects:
            raise ValueError(f"an annotation names the image {str(each['image_id'])[:40]}, which is not in the list")
        box, whole = each.get("bbox"), sizes[each["image_id"]]
        area = float(box[2]) * float(box[3]) / whole if box and len(box) == 4 and whole else None
        objects[each["image_id"]].append((names.get(each.get("category_id"), str(each.get("category_id"))), area))
    return objects.values()


def _yolo(file: File, names: dict[int, str]) -> Iterable[list[tuple[str, float | None]]]:
    """One file a picture; `class x y width height` or a polygon, in parts of the picture (docs.ultralytics.com/datasets)."""
    objects: list[tuple[str, float | None]] = []
    with file.path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            words = line.split()
            if not words:
                continue
            values = [float(word) for word in words[1:]]
            if len(values) == 4:
                area = values[2] * values[3]
            elif len(values) >= 6 and len(values) % 2 == 0:
                points = np.array(values).reshape(-1, 2)
                area = float(np.prod(points.max(axis=0) - points.min(axis=0)))
            else:
                raise ValueError(f"a line of {len(words)} words is neither a box nor a polygon")
            objects.append((names.get(int(words[0]), words[0]), area))
    return [objects]


def names_of_yolo(files: Sequence[File]) -> dict[int, str]:
    """Names of the classes, from the YAML file beside the labels."""
    for file in files:
        if file.form != "yaml" or file.size_bytes > 256 * 1024:
            continue
        try:
            found = yaml.safe_load(file.path.read_bytes())
        except (yaml.YAMLError, ValueError, RecursionError):
            continue
        names = found.get("names") if isinstance(found, dict) else None
        if isinstance(names, list):
            return {number: str(name) for number, name in enumerate(names)}
        if isinstance(names, dict):
            return {int(number): str(name) for number, name in names.items() if str(number).isdigit()}
    return {}


def _voc(file: File) -> Iterable[list[tuple[str, float | None]]]:
    """One file a picture (host.robots.ox.ac.uk/pascal/VOC)."""
    if file.size_bytes > 4 * 1024**2:
        raise ValueError("it is longer than 4 MB")
    raw = file.path.read_bytes()
    if b"<!ENTITY" in raw:
        raise ValueError("it declares entities")
    root = ET.fromstring(raw)  # noqa: S314 - in the sandbox, and nothing in it can expand
    whole = float(root.findtext("size/width") or 0) * float(root.findtext("size/height") or 0)
    objects: list[tuple[str, float | None]] = []
    for each in root.iter("object"):
        ends = [float(each.findtext(f"bndbox/{name}") or "nan") for name in ("xmin", "ymin", "xmax", "ymax")]
        area = max(0.0, ends[2] - ends[0]) * max(0.0, ends[3] - ends[1]) / whole if whole else None
        objects.append((each.findtext("name") or "(no name)", area))
    return [objects]


def is_mask(name: str) -> bool:
    """Whether a picture's path says that it is a mask."""
    return any(part.lower() in _MASKS for part in PurePosixPath(name).parts[:-1])


def _masks(pictures: Sequence[File]) -> dict[str, Any] | None:
    """Masks lie in a folder of their own, one for each picture of the same name; values of pixels are classes."""
    masks = [file for file in pictures if is_mask(file.name)]
    stems = {PurePosixPath(file.name).stem for file in pictures if not is_mask(file.name)}
    paired = [file for file in masks if PurePosixPath(file.name).stem.removesuffix("_mask") in stems]
    if not paired or len(paired) * 2 < len(masks):
        return None
    splits: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for file in paired[:5000]:
        into = splits.setdefault(file.split, {"images": 0, "pixels": Counter(), "shares": []})
        try:
            with Image.open(file.path) as image:
                pixels = np.asarray(image if image.mode in {"P", "L", "1", "I", "I;16"} else image.convert("L"))
        except Exception as error:  # noqa: BLE001 - readers of damaged pictures raise whatever they like
            problems.append(f"{file.name}: {str(error)[:100]}")
            continue
        values, counts = np.unique(pixels, return_counts=True)
        if len(values) > 256:
            problems.append(f"{file.name} has more than 256 values: it is no mask of classes.")
            continue
        into["images"] += 1
        into["pixels"].update({str(int(value)): int(n) for value, n in zip(values, counts, strict=True)})
        into["shares"].append(float(counts[values != 0].sum()) / pixels.size)
    return {
        "format": "masks",
        "splits": [
            {
                "split": split,
                "images": each["images"],
                "objects": each["images"],
                "without_objects": sum(share == 0 for share in each["shares"]),
                "odd_boxes": 0,
                "classes": top(each["pixels"], 256),
                "per_image": {"count": 0},
                "area": summary(each["shares"]),
            }
            for split, each in sorted(splits.items())
        ],
        "problems": problems[:LISTED],
    }
