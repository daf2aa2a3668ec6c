"""Datasets are looked into when a version of them is published: what they hold, and whether they keep their own rules."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from common.errors import Conflict, Invalid
from registry.models import DatasetPicture, DatasetProfile
from registry.queries import head_of
from registry.services import derivations, profiles
from registry.services.versions import publish_version
from tests.factories.market import make_person
from tests.factories.registry import add, commit, make_repo
from work.loops import run_due
from work.models import Task

RULES = """
version: 1
rules:
  - column: id
    unique: true
    nulls: false
  - column: age
    min: 0
    max: 120
    split: train
"""


@pytest.fixture
def person(db):
    return make_person("ada")


@pytest.fixture
def repo(person):
    return make_repo(person.actor, "people")


def table(rows: str) -> str:
    return f"id,name,age\n{rows}"


def png(seed: int, size: tuple[int, int] = (40, 30)) -> bytes:
    grain = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(grain).resize(size).save(sink, "PNG")
    return sink.getvalue()


def wav(rate: int = 8000) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, np.sin(np.arange(rate) / 9) * 0.5, rate, format="WAV")
    return sink.getvalue()


def profile(person, repo, files: dict[str, bytes | str]) -> dict:
    commit(person.actor, repo, *(add(path, content) for path, content in files.items()))
    return profiles.profile_dataset(head_of(repo).pk).content


def test_publishing_a_version_profiles_it_and_holds_it_against_its_rules(person, repo):
    commit(
        person.actor,
        repo,
        add("train.csv", table("1,Ann,30\n2,Ben,\n3,Cid,130\n")),
        add("test.csv", table("1,Ann,30\n1,Zoe,20\n")),
        add("data-rules.yaml", RULES),
    )
    version = publish_version(person.actor, repo, "main", name="1.0")
    run_due()
    made = profiles.known_profile(version.commit)
    assert made is not None
    assert made.is_valid is False
    tables = {each["split"]: each for each in made.content["tables"]}
    assert {split: each["rows"] for split, each in tables.items()} == {"test": 2, "train": 3}
    age = next(each for each in tables["train"]["columns"] if each["name"] == "age")
    assert (age["kind"], age["nulls"], age["min"], age["max"], age["mean"]) == ("integer", 1, 30, 130, 80)
    assert sum(age["histogram"]["counts"]) == 2
    assert tables["train"]["sample"][1] == ["2", "Ben", None]
    assert made.content["overlaps"] == [{"table": "data", "left": "test", "right": "train", "rows": 1, "examples": [1]}]
    failed = [
        (each["where"], each["demand"], each["examples"]) for each in made.content["validation"] if not each["passed"]
    ]
    assert failed == [
        ("data · test", "id is unique", ["row 1: 1", "row 2: 1"]),
        ("data · train", "age is at most 120", ["row 3: 130"]),
    ]


def test_same_files_are_looked_at_once_for_all_versions(person, repo):
    commit(person.actor, repo, add("rows.csv", table("1,Ann,30\n")))
    for name in ("1.0", "1.1"):
        publish_version(person.actor, repo, "main", name=name)
    run_due()
    assert DatasetProfile.objects.count() == 1
    assert DatasetProfile.objects.get().is_valid is None


def test_models_are_not_profiled(person):
    model = make_repo(person.actor, "net", kind="model")
    publish_version(person.actor, model, "main", name="1.0")
    assert not Task.objects.filter(name="registry.profile_dataset").exists()


def test_tables_of_every_format_are_read(person, repo):
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": [1.5, float("nan")], "raw": [b"x", None]}), sink)
    found = profile(
        person,
        repo,
        {"p.parquet": sink.getvalue(), "l.jsonl": '{"a": 1}\n{"a": null, "b": [1]}\n', "j.json": '[{"a": true}]'},
    )
    assert {each["form"]: each["rows"] for each in found["tables"]} == {"parquet": 2, "jsonl": 2, "json": 1}
    real = next(each for each in found["tables"] if each["form"] == "parquet")["columns"][0]
    assert (real["not_finite"], real["min"]) == (1, 1.5)


def test_table_with_an_odd_line_is_shown_as_text(person, repo):
    found = profile(person, repo, {"rows.csv": "a,b\n" + "1,2\n" * 30000 + "x,y,z,w\n"})
    assert found["tables"] or found["problems"]
    assert all("/" not in problem.replace("rows.csv", "") for problem in found["problems"])


def test_pictures_by_class_are_measured_and_shown(person, repo):
    files = {f"train/{label}/{number}.png": png(number + 10 * ord(label)) for label in "ab" for number in range(3)}
    found = profile(person, repo, {**files, "test/a/copy.png": png(0 + 10 * ord("a")), "train/b/bad.png": png(5)[:90]})
    train = next(each for each in found["images"]["splits"] if each["split"] == "train")
    assert found["layout"] == "images by class"
    assert (train["count"], train["corrupt"], train["classes"]) == (7, 1, [["b", 4], ["a", 3]])
    assert found["images"]["leaks"] == {"count": 1, "pairs": [["test/a/copy.png", "train/a/0.png"]]}
    assert [each["path"] for each in found["images"]["corrupt"]] == ["train/b/bad.png"]
    picture = DatasetPicture.objects.order_by("number").first()
    assert Image.open(io.BytesIO(picture.content)).size == (40, 30)


def test_sound_is_measured_with_its_outline(person, repo):
    found = profile(person, repo, {"dog/a.wav": wav(), "cat/b.wav": wav(16000), "cat/c.wav": wav()[:3000]})
    assert found["layout"] == "audio by class"
    split = found["audio"]["splits"][0]
    assert (split["count"], split["corrupt"], split["rates"]) == (3, 1, [["16000", 1], ["8000", 1]])
    sample = found["audio"]["samples"][0]
    assert (sample["duration_s"], len(sample["peaks"])) == (1.0, 120)
    assert 0.45 < max(sample["peaks"]) <= 0.51


COCO = """{"images": [{"id": 1, "width": 10, "height": 10, "file_name": "a.png"}],
"categories": [{"id": 3, "name": "cat"}], "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5]}]}"""
VOC = """<annotation><size><width>10</width><height>10</height></size>
<object><name>cat</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"""


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("coco", {"train/boxes.json": COCO}),
        ("yolo", {"labels/train/a.txt": "0 0.5 0.5 0.5 0.5\n", "data.yaml": "names: [cat]\n"}),
        ("voc", {"train/a.xml": VOC}),
    ],
)
def test_boxes_are_counted_in_every_format(person, repo, name, files):
    found = profile(person, repo, {**files, "train/a.png": png(1)})
    assert found["layout"] == name
    split = found["annotations"]["splits"][0]
    assert (split["split"], split["images"], split["objects"], split["classes"]) == ("train", 1, 1, [["cat", 1]])
    assert split["area"]["mean"] == pytest.approx(0.25)


def test_masks_are_told_from_pictures(person, repo):
    sink = io.BytesIO()
    Image.fromarray(np.array([[0, 1], [1, 2]], dtype=np.uint8)).save(sink, "PNG")
    found = profile(person, repo, {"images/a.png": png(1), "masks/a.png": sink.getvalue()})
    assert found["layout"] == "masks"
    assert found["annotations"]["splits"][0]["classes"] == [["1", 2], ["0", 1], ["2", 1]]
    assert found["images"]["splits"][0]["count"] == 1


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("rules: [{column: a, typ: text}]", "Rule 1: `typ` is not known for column"),
        ("rules: []", "must have 1 to"),
        ("rules: [{images: {}}]", "Rule 1 asks for nothing"),
        ("rules: [{column: a, images: {readable: true}}]", "exactly one of"),
        ("rules: [{column: a, min: low}]", "Rule 1: `min` must be a number"),
        ("version: 2\nrules: [{leakage: false}]", "knows version 1"),
        ("rules: [*a]", "is not valid YAML"),
        ("- a", "must have a list under `rules`"),
    ],
)
def test_rules_with_a_slip_are_refused_with_the_reason(person, repo, rules, why):
    found = profile(person, repo, {"rows.csv": table("1,Ann,3\n"), "data-rules.yaml": rules})
    assert why in found["rules_problem"]
    assert DatasetProfile.objects.get().is_valid is False


def test_rule_about_what_is_not_there_fails(person, repo):
    found = profile(
        person,
        repo,
        {"rows.csv": table("1,Ann,3\n"), "data-rules.yaml": "rules: [{column: nope}, {images: {readable: true}}]"},
    )
    assert [each["passed"] for each in found["validation"]] == [False, False]


def test_hostile_names_and_values_stay_data(person, repo):
    name = 'x"; DROP TABLE t0; --'
    quoted = name.replace('"', '""')
    found = profile(
        person,
        repo,
        {
            "it's $files.csv": f'"{quoted}",b\n1,<b>\n',
            "data-rules.yaml": f"rules: [{{column: '{name}', allowed: [2]}}]",
        },
    )
    assert found["tables"][0]["columns"][0]["name"] == name
    assert found["validation"][0]["examples"] == ["row 1: 1"]


BLOCKING = """rules:
- {column: a, max: 5, block: true}
- {column: b, nulls: false}
- {leakage: false, near_texts: true, block: true}
"""


def test_data_that_break_a_blocking_rule_are_not_published_and_the_reason_is_told(person, repo):
    commit(person.actor, repo, add("data-rules.yaml", BLOCKING), add("rows.csv", "a,b\n1,\n7,x\n9,x\n"))
    with pytest.raises(Conflict, match="being held against"):
        publish_version(person.actor, repo, "main", name="1.0")
    assert Task.objects.filter(name="registry.profile_dataset", state="queued").exists()
    profiles.profile_dataset(head_of(repo).pk)
    with pytest.raises(Invalid, match=r"rule 1, a is at most 5 \(rows · all\): 2 of 3 are not so\.$"):
        publish_version(person.actor, repo, "main", name="1.0")
    assert not repo.versions.exists()
    # a rule that does not block is broken all the same, and a version is made of what keeps the others
    head = commit(person.actor, repo, add("rows.csv", "a,b\n1,\n5,x\n"))
    profiles.profile_dataset(head.pk)
    publish_version(person.actor, repo, "main", name="1.0")
    assert profiles.known_profile(head).is_valid is False
    asked = derivations.ask_for_derivation(person.actor, repo, "1.0", name="2.0", recipe={"columns": ["b"]})
    derivations.derive_dataset(asked.pk)
    asked.refresh_from_db()
    assert asked.state == "failed"
    assert "blocking rule" in asked.problem


def test_texts_nearly_the_same_in_two_splits_are_a_leak_for_who_asks(person, repo):
    words = [f"w{number}" for number in range(40)]
    rows = {split: f'id,text\n{split},"{" ".join([*words, split])}"\n' for split in ("train", "test")}
    files = [add(f"{split}.csv", content) for split, content in rows.items()]
    head = commit(person.actor, repo, add("data-rules.yaml", BLOCKING.replace("a,", "id,")), *files)
    profiles.profile_dataset(head.pk)
    results = {each["demand"]: each["failed"] for each in profiles.known_profile(head).content["validation"]}
    assert results["no rows or pictures of one split in another"] == 0
    assert results["no text of one split nearly the same in another"] == 1
