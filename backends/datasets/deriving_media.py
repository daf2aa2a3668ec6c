"""Following a recipe for pictures and sounds: which files stay, where they go, and what their annotations say then. Files that stay are named,
not copied: the caller knows them by digest. Only annotation files are written anew."""

import hashlib
import json
import posixpath
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree as ET

import soundfile  # type: ignore[import-untyped]  # it brings no types
import yaml
from PIL import Image

from backends.datasets import annotations
from backends.datasets.layouts import SPLITS, File, label_of, recognise, split_of
from backends.datasets.media_recipes import MediaRecipe
from backends.datasets.recipes import Wrong

_METADATA = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})


@dataclass
class _Out:
    """`moves`: old path → new path, the same where a file stays; `removed`; `written`: path → content."""

    moves: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    written: dict[str, bytes] = field(default_factory=dict)


def derive(folder: Path, entries: Sequence[dict[str, Any]], recipe: MediaRecipe) -> dict[str, Any]:
    """Write `out/<n>` for annotation files and say `{problem, total, kept, moves: [(old, new)], removed: [paths], written: [{number, path}]}`.
    A recipe that does not fit, and forms that are not derived, are a `problem`."""
    answer: dict[str, Any] = {"problem": "", "total": 0, "kept": 0, "moves": [], "removed": [], "written": []}
    files = [recognise(each["name"], Path(each["path"]), each["size_bytes"]) for each in entries]
    try:
        media, form = _media_of(files)
        keep = _staying(media, recipe)
        out = _plain(media, keep, recipe) if form == "" else _WITH[form](files, media, keep, recipe)
        _check(out, files)
    except Wrong as error:
        return {**answer, "problem": str(error)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ET.ParseError, yaml.YAMLError) as error:
        return {**answer, "problem": f"The annotations cannot be read: {str(error)[:200] or type(error).__name__}."}
    (folder / "out").mkdir()
    for number, (path, content) in enumerate(sorted(out.written.items())):
        (folder / "out" / str(number)).write_bytes(content)
        answer["written"].append({"number": number, "path": path})
    names = {file.name for file in media}
    answer["total"], answer["kept"] = len(media), len(names & set(out.moves))
    answer["moves"] = [list(pair) for pair in sorted(out.moves.items()) if pair[0] != pair[1]]
    answer["removed"] = sorted(out.removed)
    if not answer["kept"]:
        return {**answer, "problem": "The recipe leaves no file: nothing fits it."}
    return answer


def _media_of(files: Sequence[File]) -> tuple[list[File], str]:
    media = [file for file in files if file.form in {"image", "audio"}]
    if not media:
        raise Wrong("There are no pictures and no sounds in this version.")
    if any(PurePosixPath(file.name).name.lower() in _METADATA for file in files):
        raise Wrong(
            "A metadata file lists the files of this version by name; such sets are not derived here: filter its table instead."
        )
    forms = {file.form for file in files} & {"coco", "yolo", "voc"}
    if len(forms) > 1:
        raise Wrong(
            f"The annotations are of several forms ({', '.join(sorted(forms))}), of which it is not known how they belong together."
        )
    if not forms and annotations.describe([file for file in files if file.form == "image"]) is not None:
        raise Wrong(
            "Pictures with masks are not derived here: a class of a mask is a colour of its pixels, and pixels are not rewritten."
        )
    return media, next(iter(forms), "")


def _staying(media: Sequence[File], recipe: MediaRecipe) -> set[str]:
    """Files that the bounds and the splits let stay; classes are looked at by form."""
    return {file.name for file in media if _fits(file, recipe)}


def _fits(file: File, recipe: MediaRecipe) -> bool:
    if recipe.from_splits and file.split not in recipe.from_splits:
        return False
    if not recipe.bounds:
        return True
    try:
        if file.form == "image":
            with Image.open(file.path) as image:
                measured = {"width": float(image.width), "height": float(image.height)}
        else:
            measured = {"duration_s": float(soundfile.info(str(file.path)).duration)}
    except Exception:  # noqa: BLE001 - readers of damaged files raise whatever they like; what cannot be measured fits no bounds
        return False
    for name, limit in recipe.bounds.items():
        side, _, what = name.partition("_")
        if what in measured and (measured[what] < limit if side == "min" else measured[what] > limit):
            return False
    return True


def _place(file: File, recipe: MediaRecipe) -> str:
    """The split that a file goes to: the same bytes always to the same one."""
    if not recipe.splits:
        return ""
    with file.path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    at = int(hashlib.sha256(f"{recipe.seed}:{content}".encode()).hexdigest()[:15], 16) / 16**15
    end = 0.0
    for name, part in recipe.splits.items():
        end += part
        if at < end:
            return name
    return next(reversed(recipe.splits))


def moved(path: str, split: str) -> str:
    """Where a file lies in another split: the folder that names a split is replaced, else one is put before the path."""
    if not split:
        return path
    parts = path.split("/")
    for number, part in enumerate(parts[:-1]):
        if part.lower() in SPLITS:
            return "/".join([*parts[:number], split, *parts[number + 1 :]])
    return f"{split}/{path}"


def _plain(media: Sequence[File], keep: set[str], recipe: MediaRecipe) -> _Out:
    known = {label_of(file.name) for file in media}
    _require_classes(recipe, known)
    out = _Out()
    for file in media:
        if file.name in keep and (not recipe.classes or label_of(file.name) in recipe.classes):
            out.moves[file.name] = moved(file.name, _place(file, recipe))
        else:
            out.removed.add(file.name)
    return out


def _require_classes(recipe: MediaRecipe, known: set[str]) -> None:
    if absent := [name for name in recipe.classes if name not in known]:
        there = ", ".join(sorted(known - {""})[:30]) or "none"
        raise Wrong(f"There is no class {absent[0]}; there are {there}.")


def _coco(files: Sequence[File], media: Sequence[File], keep: set[str], recipe: MediaRecipe) -> _Out:
    by_name = {file.name: file for file in media}
    by_end: dict[str, list[str]] = defaultdict(list)
    for file in media:
        by_end[PurePosixPath(file.name).name].append(file.name)
    sets = [(file, _read_coco(file)) for file in files if file.form == "coco"]
    _require_classes(recipe, {str(each["name"]) for _, content in sets for each in content.get("categories", [])})
    out = _Out(removed=set(by_name))
    for file, content in sets:
        out.removed.add(file.name)
        wanted = {
            each["id"]
            for each in content.get("categories", [])
            if not recipe.classes or str(each["name"]) in recipe.classes
        }
        objects = [each for each in content.get("annotations", []) if each.get("category_id") in wanted]
        with_objects = {each["image_id"] for each in objects}
        parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for image in content["images"]:
            name = _picture_named(str(image["file_name"]), file, by_end)
            if name not in keep or (recipe.classes and image["id"] not in with_objects):
                continue
            split = _place(by_name[name], recipe)
            out.moves[name] = moved(name, split)
            out.removed.discard(name)
            parts[split].append({**image, "file_name": _file_name(out.moves[name], moved(file.name, split))})
        for split, images in parts.items():
            ids = {image["id"] for image in images}
            kept = {
                **content,
                "images": images,
                "annotations": [each for each in objects if each["image_id"] in ids],
                "categories": [each for each in content.get("categories", []) if each["id"] in wanted],
            }
            out.written[moved(file.name, split)] = json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()
    return out


def _read_coco(file: File) -> dict[str, Any]:
    if file.size_bytes > annotations.COCO_BYTES:
        raise Wrong(f"{file.name} is longer than {annotations.COCO_BYTES // 1024**2} MB and is not rewritten.")
    content = json.loads(file.path.read_bytes())
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise Wrong(f"{file.name} has no list of images.")
    return content


def _picture_named(file_name: str, file: File, by_end: dict[str, list[str]]) -> str:
    """The picture that a COCO file means: names are relative to a folder that it does not tell."""
    fits = [name for name in by_end[PurePosixPath(file_name).name] if f"/{name}".endswith(f"/{file_name}")]
    near = [name for name in fits if split_of(name) == file.split] if len(fits) > 1 else fits
    if len(near) != 1:
        found = "no picture of that name is here" if not fits else "several pictures have that name"
        raise Wrong(f"{file.name} names the picture {file_name[:100]}, and {found}.")
    return near[0]


def _file_name(picture: str, annotation: str) -> str:
    """How a COCO file names a picture: from its own folder, or else from the root."""
    folder = posixpath.dirname(annotation)
    return picture[len(folder) + 1 :] if folder and picture.startswith(f"{folder}/") else picture


def _voc(files: Sequence[File], media: Sequence[File], keep: set[str], recipe: MediaRecipe) -> _Out:
    notes = {file.name: _read_voc(file) for file in files if file.form == "voc"}
    _require_classes(recipe, {each.findtext("name") or "" for root in notes.values() for each in root.iter("object")})
    pairs = _pairs([file for file in files if file.form == "voc"], media)
    out = _Out(removed={file.name for file in media} | set(notes))
    for picture in media:
        note = pairs.get(picture.name)
        if picture.name not in keep or (note is None and recipe.classes):
            continue
        split = _place(picture, recipe)
        root = notes[note] if note is not None else None
        others = (
            [
                each
                for each in root.findall("object")
                if recipe.classes and (each.findtext("name") or "") not in recipe.classes
            ]
            if root is not None
            else []
        )
        if root is not None and recipe.classes and len(others) == len(root.findall("object")):
            continue
        _take(out, picture.name, split)
        if note is not None and root is not None:
            if others:
                for each in others:
                    root.remove(each)
                out.written[moved(note, split)] = ET.tostring(root, encoding="utf-8")
            else:
                _take(out, note, split)
    return out


def _take(out: _Out, name: str, split: str) -> None:
    out.moves[name] = moved(name, split)
    out.removed.discard(name)


def _read_voc(file: File) -> ET.Element:
    raw = file.path.read_bytes() if file.size_bytes <= 4 * 1024**2 else b"<!ENTITY"
    if b"<!ENTITY" in raw:
        raise Wrong(f"{file.name} is longer than 4 MB, or declares entities.")
    return ET.fromstring(raw)  # noqa: S314 - in the sandbox, and nothing in it can expand


def _yolo(files: Sequence[File], media: Sequence[File], keep: set[str], recipe: MediaRecipe) -> _Out:
    names = annotations.names_of_yolo(files)
    notes = [file for file in files if file.form == "yolo"]
    numbers = {name: str(number) for number, name in names.items()}
    if recipe.classes:
        _require_classes(recipe, set(numbers) or {line.split()[0] for note in notes for line in _lines(note)})
    wanted = {numbers.get(name, name) for name in recipe.classes}
    pairs = _pairs(notes, media)
    by_name = {note.name: note for note in notes}
    out = _Out(removed={file.name for file in media} | set(by_name))
    for picture in media:
        note = pairs.get(picture.name)
        if picture.name not in keep or (note is None and recipe.classes):
            continue
        lines = _lines(by_name[note]) if note is not None else []
        left = [line for line in lines if not recipe.classes or line.split()[0] in wanted]
        if recipe.classes and not left:
            continue
        split = _place(picture, recipe)
        _take(out, picture.name, split)
        if note is not None and len(left) < len(lines):
            out.written[moved(note, split)] = ("\n".join(left) + "\n").encode()
        elif note is not None:
            _take(out, note, split)
    if recipe.splits:
        _rewrite_yaml(files, media, out, recipe)
    return out


def _lines(note: File) -> list[str]:
    return [line for line in note.path.read_text("utf-8", "replace").splitlines() if line.strip()]


def _rewrite_yaml(files: Sequence[File], media: Sequence[File], out: _Out, recipe: MediaRecipe) -> None:
    """The file that says where the pictures of each split lie, which is another place now."""
    folders: dict[str, set[str]] = defaultdict(set)
    for file in media:
        if (path := out.moves.get(file.name)) is not None:
            folders[split_of(path)].add(posixpath.dirname(path))
    for file in files:
        if file.form != "yaml" or file.size_bytes > 256 * 1024:
            continue
        content = yaml.safe_load(file.path.read_bytes())
        if not isinstance(content, dict) or "names" not in content:
            continue
        known = {"train": "train", "val": "validation", "test": "test"}
        kept = {key: value for key, value in content.items() if key not in {*known, "path"}}
        base = posixpath.dirname(file.name)
        places = {
            key: sorted(posixpath.relpath(each, base or ".") for each in folders[split])
            for key, split in known.items()
            if folders.get(split)
        }
        others = sorted(set(recipe.splits) - set(SPLITS))
        if others:
            raise Wrong(f"A YOLO set has the splits train, val and test; {others[0]} is none of them.")
        out.written[file.name] = yaml.safe_dump({**places, **kept}, sort_keys=False, allow_unicode=True).encode()
        out.removed.add(file.name)


def _pairs(notes: Sequence[File], media: Sequence[File]) -> dict[str, str]:
    """Picture → annotation of the same name, in the same folder or in one beside it (images and labels). Raises Wrong when several could
    be meant."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for note in notes:
        by_stem[PurePosixPath(note.name).stem].append(note.name)
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for picture in media:
        fits = by_stem.get(PurePosixPath(picture.name).stem, [])
        near = [name for name in fits if split_of(name) == picture.split] if len(fits) > 1 else fits
        if len(near) > 1:
            near = [name for name in near if label_of(name) == label_of(picture.name)] or near
        if len(near) > 1:
            raise Wrong(f"Several annotation files could belong to {picture.name}: {', '.join(sorted(near)[:3])}.")
        if near and near[0] in taken:
            raise Wrong(f"{near[0]} could belong to {taken[near[0]]} and to {picture.name}.")
        if near:
            found[picture.name] = near[0]
            taken[near[0]] = picture.name
    return found


def _check(out: _Out, files: Sequence[File]) -> None:
    """No two files in one place."""
    targets: dict[str, str] = {}
    gone = out.removed | set(out.moves)
    still = {file.name for file in files} - gone
    for source, target in [*out.moves.items(), *((path, path) for path in out.written)]:
        if target in targets or target in still:
            raise Wrong(f"{source} and {targets.get(target, target)} would both become {target}: rename one.")
        targets[target] = source


_WITH = {"coco": _coco, "voc": _voc, "yolo": _yolo}
