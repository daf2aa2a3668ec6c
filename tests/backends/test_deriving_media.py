"""Sets of pictures and sounds, filtered and split: which files stay, where they go, what their annotations say then."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from backends.datasets import media_recipes
from backends.datasets.deriving_media import derive, moved
from backends.datasets.recipes import Wrong


def png(number: int, width: int = 40, height: int = 30) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (number % 256, number // 256, 90)).save(out, "PNG")
    return out.getvalue()


def wav(seconds: float) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.linspace(-0.5, 0.5, int(8000 * seconds)), 8000, format="WAV")
    return out.getvalue()


def derived(
    folder: Path, files: dict[str, bytes | str], recipe: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The answer, and the set as it is afterwards."""
    (folder / "copies").mkdir()
    entries = []
    content = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    for number, (name, data) in enumerate(content.items()):
        path = folder / "copies" / str(number)
        path.write_bytes(data)
        entries.append({"name": name, "path": str(path), "size_bytes": len(data)})
    answer = derive(folder, entries, media_recipes.parse(recipe))
    after = {
        name: data
        for name, data in content.items()
        if name not in {*answer["removed"], *(old for old, _ in answer["moves"])}
    }
    after |= {new: content[old] for old, new in answer["moves"]}
    after |= {each["path"]: (folder / "out" / str(each["number"])).read_bytes() for each in answer["written"]}
    return answer, after


def test_pictures_by_class_are_filtered_by_class_size_and_split_and_nothing_is_copied(tmp_path: Path) -> None:
    files = {f"train/{name}/{number}.png": png(number, 20 + number) for name in ("cat", "dog") for number in range(10)}
    files |= {"test/cat/x.png": png(99), "README.md": b"# Pets\n"}
    answer, after = derived(
        tmp_path, files, {"media": {"classes": ["cat"], "from_splits": ["train"], "min_width": 23, "max_width": 26}}
    )
    assert answer["problem"] == ""
    assert set(after) == {"README.md", *(f"train/cat/{number}.png" for number in range(3, 7))}
    assert (answer["total"], answer["kept"], answer["moves"], answer["written"]) == (21, 4, [], [])


def test_a_split_is_the_same_each_time_and_equal_files_go_together(tmp_path: Path) -> None:
    files = {f"{name}/{number}.png": png(number) for name in ("cat", "dog") for number in range(60)}
    sets = []
    for turn, seed in enumerate((1, 1, 2)):
        place = tmp_path / str(turn)
        place.mkdir()
        answer, after = derived(place, files, {"media": {}, "splits": {"train": 0.7, "test": 0.3}, "seed": seed})
        assert answer["problem"] == ""
        assert len(after) == 120
        sets.append({path for path in after if path.startswith("train/")})
    assert sets[0] == sets[1] != sets[2]
    assert 60 < len(sets[0]) < 110
    assert {path.replace("cat", "dog") for path in sets[0] if "cat" in path} == {
        path for path in sets[0] if "dog" in path
    }


def test_sounds_are_filtered_by_their_length(tmp_path: Path) -> None:
    files = {"yes/a.wav": wav(0.2), "yes/b.wav": wav(1.0), "no/c.wav": wav(3.0), "no/broken.wav": b"RIFF\0\0\0\0WAVEx"}
    answer, after = derived(tmp_path, files, {"media": {"min_duration_s": 0.5, "max_duration_s": 2}})
    assert (answer["problem"], set(after)) == ("", {"yes/b.wav"})


COCO = {
    "info": {"year": 2026},
    "images": [{"id": number, "file_name": f"{number}.png", "width": 40, "height": 30} for number in range(20)],
    "annotations": [
        {"id": 100 + number, "image_id": number, "category_id": 1 + number % 2, "bbox": [1, 2, 3, 4],
         "segmentation": [[1, 2, 4, 2, 4, 6]], "area": 12, "iscrowd": 0}
        for number in range(20)
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
}  # fmt: skip


def test_coco_keeps_the_objects_of_the_pictures_that_stay_in_every_split(tmp_path: Path) -> None:
    files = {f"images/{number}.png": png(number) for number in range(20)} | {"annotations/all.json": json.dumps(COCO)}
    recipe = {"media": {"classes": ["cat"]}, "splits": {"train": 0.5, "test": 0.5}, "seed": 3}
    answer, after = derived(tmp_path, files, recipe)
    assert (answer["problem"], answer["kept"]) == ("", 10)
    seen = []
    for split in ("train", "test"):
        told = json.loads(after[f"{split}/annotations/all.json"])
        assert [each["name"] for each in told["categories"]] == ["cat"]
        assert {each["image_id"] for each in told["annotations"]} == {each["id"] for each in told["images"]}
        assert all(each["segmentation"] for each in told["annotations"])
        for image in told["images"]:
            assert after[image["file_name"]] == files[f"images/{image['id']}.png"]
            assert image["file_name"].startswith(f"{split}/")
            seen.append(image["id"])
    assert sorted(seen) == list(range(0, 20, 2))
    assert len(after) == 12
    # what was made is read again
    again = tmp_path / "again"
    again.mkdir()
    answer, _ = derived(again, dict(after), {"media": {"from_splits": ["train"]}})
    assert answer["problem"] == ""


VOC = "<annotation><filename>{0}.png</filename><size><width>40</width><height>30</height></size>{1}</annotation>"
OBJECT = "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"


def test_voc_objects_of_other_classes_go_and_pictures_without_any_too(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {f"JPEGImages/{number}.png": png(number) for number in range(3)}
    files |= {
        "Annotations/0.xml": VOC.format(0, OBJECT.format("cat") + OBJECT.format("dog")),
        "Annotations/1.xml": VOC.format(1, OBJECT.format("dog")),
        "Annotations/2.xml": VOC.format(2, OBJECT.format("cat")),
    }
    answer, after = derived(tmp_path, files, {"media": {"classes": ["cat"]}, "splits": {"train": 1.0}})
    assert answer["problem"] == ""
    assert set(after) == {
        f"train/{folder}/{name}"
        for folder, end in (("JPEGImages", "png"), ("Annotations", "xml"))
        for name in (f"0.{end}", f"2.{end}")
    }
    assert b"dog" not in after["train/Annotations/0.xml"]
    assert after["train/Annotations/2.xml"].decode() == files["Annotations/2.xml"]
    assert [each["path"] for each in answer["written"]] == ["train/Annotations/0.xml"]


def test_yolo_lines_and_the_places_of_the_splits_are_written_anew(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames: {0: cat, 1: dog}\n"
    }
    for number in range(12):
        split = "train" if number < 8 else "val"
        files[f"images/{split}/{number}.png"] = png(number)
        files[f"labels/{split}/{number}.txt"] = (
            f"{number % 2} 0.5 0.5 0.1 0.1\n0 0.2 0.2 0.1 0.1 0.3 0.3\n" if number else "1 0.5 0.5 0.1 0.1\n"
        )
    recipe = {"media": {"classes": ["cat"]}, "splits": {"train": 0.6, "test": 0.4}, "seed": 1}
    answer, after = derived(tmp_path, files, recipe)
    assert (answer["problem"], answer["kept"]) == ("", 11)
    pictures = {path for path in after if path.endswith(".png")}
    assert {path.split("/")[1] for path in pictures} == {"train", "test"}
    for path in pictures:
        lines = after[path.replace("images", "labels").replace(".png", ".txt")].decode().split("\n")
        assert all(line.startswith("0 ") for line in lines if line)
    told = yaml.safe_load(after["data.yaml"])
    assert told == {"train": ["images/train"], "test": ["images/test"], "names": {0: "cat", 1: "dog"}}


@pytest.mark.parametrize(
    ("files", "recipe", "said"),
    [
        pytest.param({"a.csv": "a\n1\n"}, {"media": {"classes": ["x"]}}, "no pictures and no sounds", id="tables"),
        pytest.param({"cat/1.png": png(1)}, {"media": {"classes": ["bird"]}}, "no class bird; there are cat", id="class"),
        pytest.param({"cat/1.png": png(1)}, {"media": {"min_width": 4000}}, "leaves no file", id="nothing left"),
        pytest.param({"1.png": png(1), "metadata.csv": "file_name,x\n1.png,1\n"}, {"media": {"min_width": 1}}, "metadata file", id="metadata"),
        pytest.param({"images/1.png": png(1), "masks/1.png": png(2)}, {"media": {"min_width": 1}}, "masks are not derived", id="masks"),
        pytest.param(
            {"1.png": png(1), "1.txt": "0 0.5 0.5 0.1 0.1\n", "a.json": json.dumps(COCO)}, {"media": {"min_width": 1}}, "several forms", id="two forms"
        ),
        pytest.param({"images/1.png": png(1), "a.json": json.dumps(COCO)}, {"media": {"min_width": 1}}, "no picture of that name", id="missing"),
        pytest.param({"train/cat/1.png": png(1), "test/cat/1.png": png(1)}, {"media": {}, "splits": {"all": 1.0}}, "would both become", id="one place"),
        pytest.param(
            {"images/1.png": png(1), "labels/1.txt": "0 0.5 0.5 0.1 0.1\n", "d.yaml": "names: [cat]\n"},
            {"media": {}, "splits": {"extra": 1.0}}, "is none of them", id="yolo split",
        ),
        pytest.param({"a.png": png(1), "a.json": '{"images": [{"id": 1}], "annotations": [], "categories": []}'}, {"media": {"min_width": 1}}, "cannot be read", id="bad coco"),
    ],
)  # fmt: skip
def test_what_is_not_derived_is_said(tmp_path: Path, files, recipe, said: str) -> None:
    answer, _ = derived(tmp_path, files, recipe)
    assert said in answer["problem"]
    assert answer["moves"] == answer["written"] == [] or said == "leaves no file"


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"media": {}}, "asks for nothing"),
        ({"media": []}, "must be an object"),
        ({"media": {"colour": "red"}}, "colour"),
        ({"media": {"classes": "cat"}}, "list of up to"),
        ({"media": {"min_width": -1}}, "number from 0 on"),
        ({"media": {"min_width": 9, "max_width": 3}}, "above"),
        ({"media": {"min_width": 9}, "where": []}, "beside"),
        ({"media": {}, "splits": {"train": 0.5}}, "sum to 1"),
        ({"media": {"min_width": 9}, "seed": True}, "seed"),
    ],
)
def test_a_recipe_is_read_strictly(recipe, said: str) -> None:
    with pytest.raises(Wrong, match=said):
        media_recipes.parse(recipe)


def test_a_recipe_is_written_as_it_is_read() -> None:
    recipe = media_recipes.parse({"media": {"classes": ["a"], "min_width": 3}, "splits": {"train": 1}, "seed": 2})
    assert media_recipes.parse(media_recipes.plain(recipe)) == recipe
    assert moved("a/train/b/1.png", "test") == "a/test/b/1.png"
    assert moved("a/1.png", "test") == "test/a/1.png"
