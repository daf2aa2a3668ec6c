"""New versions from old ones by a declared recipe: rows, splits, lineage, and what is refused."""

import io

import pyarrow.parquet as pq
import pytest

from common.errors import Conflict, Forbidden, Invalid
from lineage.queries import visible_subgraph
from lineage.services.record import Ref
from registry.queries import all_files, blob_of, version_named
from registry.services import derivations, storage
from registry.services.versions import publish_version
from tests.backends.test_deriving_media import png
from tests.factories.market import make_person
from tests.factories.registry import add, commit, make_repo
from work.loops import run_due


@pytest.fixture
def ada(db):
    return make_person("ada").actor


@pytest.fixture
def repo(ada):
    repo = make_repo(ada, "people", visibility="public")
    rows = "".join(f"{number},{number % 10},{'ab'[number % 2]}\n" for number in range(400))
    commit(ada, repo, add("people.csv", f"id,house,letter\n{rows}0,0,a\n"), add("README.md", "# People"))
    publish_version(ada, repo, "main", name="1.0")
    return repo


def tables(repo, name: str) -> dict:
    entries = [entry for entry in all_files(version_named(repo, name).commit) if entry.path.endswith(".parquet")]
    return {
        entry.path: pq.read_table(io.BytesIO(storage.read_blob(blob_of(entry), entry.size_bytes))).to_pydict()
        for entry in entries
    }


def test_rows_are_filtered_and_split_into_a_version_with_its_lineage(ada, repo):
    recipe = {
        "where": [{"column": "id", "is": "<", "value": 300}, {"column": "letter", "is": "in", "value": ["a"]}],
        "columns": ["id", "house"],
        "drop_duplicates": True,
        "splits": {"train": 0.6, "test": 0.4},
        "group": "house",
    }
    asked = derivations.ask_for_derivation(ada, repo, "1.0", name="2.0", recipe=recipe)
    run_due()
    asked.refresh_from_db()
    assert (asked.state, asked.problem) == ("done", "")
    found = tables(repo, "2.0")
    assert set(found) == {"people/train.parquet", "people/test.parquet"}
    train, test = found["people/train.parquet"], found["people/test.parquet"]
    assert sorted([*train["id"], *test["id"]]) == list(range(0, 300, 2))
    assert not {*train["house"]} & {*test["house"]}
    assert list(train) == ["id", "house"]
    paths = {entry.path for entry in all_files(version_named(repo, "2.0").commit)}
    assert "people.csv" not in paths
    assert "README.md" in paths
    graph = visible_subgraph(ada, Ref("version", version_named(repo, "2.0").uuid))
    assert "derived" in {edge.relation for edge in graph.edges}
    assert "150 of 401 rows of 1.0" in version_named(repo, "2.0").notes


def test_same_recipe_gives_the_same_split_and_a_repeated_task_nothing_new(ada, repo):
    for name in ("2.0", "3.0"):
        derivations.ask_for_derivation(ada, repo, "1.0", name=name, recipe={"splits": {"train": 0.5, "test": 0.5}})
    run_due()
    assert tables(repo, "2.0") == tables(repo, "3.0")
    done = repo.derivations.first()
    assert derivations.derive_dataset(done.pk).version_id == done.version_id
    assert repo.versions.count() == 3


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        ({"where": [{"column": "nope", "is": "=", "value": 1}]}, "There is no column nope"),
        ({"where": [{"column": "id", "is": "<", "value": "x'; DROP TABLE rows"}]}, "does not fit the table"),
        ({"table": "other"}, "There is no table other"),
    ],
)
def test_recipe_that_does_not_fit_ends_with_the_reason(ada, repo, recipe, why):
    asked = derivations.ask_for_derivation(ada, repo, "1.0", name="2.0", recipe=recipe)
    run_due()
    asked.refresh_from_db()
    assert asked.state == "failed"
    assert why in asked.problem
    assert repo.versions.count() == 1
    assert repo.branches.count() == 1


@pytest.mark.parametrize(
    "recipe",
    [
        {"code": "rm"},
        {"where": [{"column": "id", "is": "like", "value": "x"}]},
        {"where": [{"column": "id", "is": "=", "value": {"a": 1}}]},
        {"splits": {"train": 0.5}},
        {"splits": {"../x": 1}},
        {"group": "house"},
        [],
    ],
)
def test_recipe_that_is_none_is_refused_at_once(ada, repo, recipe):
    with pytest.raises(Invalid):
        derivations.ask_for_derivation(ada, repo, "1.0", name="2.0", recipe=recipe)
    assert not repo.derivations.exists()


def test_only_who_writes_may_ask_and_a_name_is_used_once(ada, repo):
    with pytest.raises(Forbidden):
        derivations.ask_for_derivation(make_person("bob").actor, repo, "1.0", name="2.0", recipe={})
    with pytest.raises(Conflict):
        derivations.ask_for_derivation(ada, repo, "1.0", name="1.0", recipe={})


def test_pictures_become_a_version_by_digest_with_their_annotations_rewritten(ada):
    boxes = make_repo(ada, "boxes")
    files = {f"images/{number}.png": png(number) for number in range(6)}
    notes = {f"labels/{number}.txt": f"{number % 2} 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.1 0.1\n" for number in range(6)}
    yaml = {"data.yaml": "names: [cat, dog]\n"}
    commit(ada, boxes, *(add(path, content) for path, content in {**files, **notes, **yaml}.items()))
    publish_version(ada, boxes, "main", name="1.0")
    before = {entry.ref for entry in all_files(version_named(boxes, "1.0").commit) if entry.path.endswith(".png")}
    recipe = {"media": {"classes": ["cat"]}, "splits": {"train": 0.5, "test": 0.5}}
    asked = derivations.ask_for_derivation(ada, boxes, "1.0", name="2.0", recipe=recipe)
    for _ in range(2):
        derivations.derive_dataset(asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.problem) == ("done", "")
    entries = {entry.path: entry for entry in all_files(version_named(boxes, "2.0").commit)}
    pictures = {path for path in entries if path.endswith(".png")}
    assert len(pictures) == 3
    assert {entries[path].ref for path in pictures} <= before
    assert all(path.startswith(("train/", "test/")) for path in pictures)
    texts = [storage.read_blob(blob_of(entry), 1000) for path, entry in entries.items() if path.endswith(".txt")]
    assert texts == [b"0 0.5 0.5 0.2 0.2\n"] * 3
    assert "3 of 6 files of 1.0" in version_named(boxes, "2.0").notes


def test_a_set_that_is_not_derived_fails_with_the_reason(ada, repo):
    asked = derivations.ask_for_derivation(ada, repo, "1.0", name="2.0", recipe={"media": {"min_width": 3}})
    derivations.derive_dataset(asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.problem) == ("failed", "There are no pictures and no sounds in this version.")
