"""The profile of a dataset: what it is made of, in one bounded answer, with pictures to show beside it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backends.datasets import annotations, audio, checks, images, neighbours, tables, texts
from backends.datasets.engine import connect
from backends.datasets.layouts import File, recognise
from backends.datasets.rules import Rule

FOLDERS = 5


def profile(folder: Path, entries: Sequence[dict[str, Any]], rules: Sequence[Rule]) -> dict[str, Any]:
    """Look at the files `entries` (`name`, `path`, `size_bytes`) in `folder`, which takes what is spilled and, as `pictures/<n>`, the
    thumbnails. Whatever cannot be read is a sentence in `problems`; nothing of it raises."""
    files = [recognise(each["name"], Path(each["path"]), each["size_bytes"]) for each in entries]
    found: dict[str, Any] = {"problems": [], "tables": [], "overlaps": [], "images": None, "audio": None, "text": None}
    connection = None
    loaded: list[tuple[str, str, str, Sequence[File], str]] = []
    if any(file.is_table for file in files):
        connection = connect(folder)
        loaded, problems = tables.load_all(connection, files)
        found["problems"] += problems
        for name, table, split, members, note in loaded:
            found["tables"].append(
                {
                    "table": table,
                    "split": split,
                    "form": members[0].form,
                    "files": [file.name for file in members[:20]],
                    "file_count": len(members),
                    "note": note,
                    **tables.describe(connection, name),
                }
            )
        found["overlaps"] = tables.overlaps(connection, loaded)
        found["similar_texts"] = neighbours.similar_texts(connection, loaded)
    found["annotations"] = annotations.describe(files)
    found["problems"] += (found["annotations"] or {}).pop("problems", [])
    pictures = _images(folder, files, found)
    clips = _audio(files, found)
    plain = [file for file in files if file.form == "text"]
    if plain:
        found["text"] = texts.describe(plain, has_classes=_has_classes(plain))
    found["forms"] = images.top(Counter(file.form for file in files), 20)
    found["layout"] = _layout(found)
    leaks = (
        sum(each["rows"] for each in found["overlaps"]) + (found["images"] or {"leaks": {"count": 0}})["leaks"]["count"]
    )
    near = sum(each["between_splits"] for each in found.get("similar_texts", []))
    results = checks.run(
        rules, connection, loaded, pictures, clips, file_count=len(files), leaks=leaks, near_leaks=near
    )
    found["validation"] = results
    return found


def _images(folder: Path, files: Sequence[File], found: dict[str, Any]) -> list[images.Picture]:
    has_masks = (found["annotations"] or {}).get("format") == "masks"
    shown = [file for file in files if file.form == "image" and not (has_masks and annotations.is_mask(file.name))]
    if not shown:
        return []
    has_classes = found["annotations"] is None and _has_classes(shown)
    found["images"], pictures = images.describe(shown, has_classes=has_classes)
    (folder / "pictures").mkdir()
    samples: list[dict[str, Any]] = []
    for each in images.samples(pictures, has_classes=has_classes):
        try:
            raw = images.thumbnail(each.file.path)
        except Exception:  # noqa: BLE001, S112 - readers of damaged pictures raise whatever they like; another one is shown
            continue
        (folder / "pictures" / str(len(samples))).write_bytes(raw)
        samples.append(
            {
                "path": each.file.name,
                "split": each.file.split,
                "label": each.file.label if has_classes else "",
                "width": each.width,
                "height": each.height,
                "picture": len(samples),
            }
        )
    found["images"]["samples"] = samples
    return pictures


def _audio(files: Sequence[File], found: dict[str, Any]) -> list[audio.Clip]:
    sounds = [file for file in files if file.form == "audio"]
    if not sounds:
        return []
    found["audio"], clips = audio.describe(sounds, has_classes=_has_classes(sounds))
    return clips


def _has_classes(files: Sequence[File]) -> bool:
    """Whether folders are classes: more than one of them, each with a file at least, and fewer than files."""
    labels = {file.label for file in files}
    return 1 < len(labels) < max(len(files), 3) and "" not in labels


def _layout(found: dict[str, Any]) -> str:
    """One word for the whole; what is most telling wins."""
    if found["annotations"]:
        return str(found["annotations"]["format"])
    for key, name in (("images", "images"), ("audio", "audio"), ("tables", "tables"), ("text", "text")):
        if found[key]:
            has_classes = key in {"images", "audio"} and any(each["class_count"] for each in found[key]["splits"])
            return f"{name} by class" if has_classes else name
    return "files"
