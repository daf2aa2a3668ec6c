"""Making versions from others as people do it: the columns as help, conditions, splits, what came of it."""

import pytest
from django.test import Client

from registry.models import DatasetDerivation
from registry.queries import version_named
from registry.services import derivations, profiles
from registry.services.versions import publish_version
from tests.backends.test_deriving_media import png
from tests.factories.market import make_person
from tests.factories.registry import add, commit, make_repo

HERE = "/datasets/ada/people/derivations"
EMPTY = {f"{part}_{number}": "" for part in ("column", "value") for number in range(1, 5)} | {
    f"is_{number}": "=" for number in range(1, 5)
}


@pytest.fixture
def person(db):
    return make_person("ada")


@pytest.fixture
def repo(person):
    repo = make_repo(person.actor, "people", visibility="public")
    rows = "".join(f"{number},{'Oslo' if number % 2 else 'Rome'}\n" for number in range(100))
    head = commit(person.actor, repo, add("people.csv", f"age,city\n{rows}"))
    publish_version(person.actor, repo, "main", name="1.0")
    profiles.profile_dataset(head.pk)
    return repo


@pytest.fixture
def ada(person, browser: Client) -> Client:
    browser.force_login(person.user)
    return browser


def test_a_person_filters_and_splits_a_version_and_follows_it_to_the_result(ada, repo):
    form = ada.get(HERE).content.decode()
    for part in ("Make a version from 1.0", 'id="known-columns"', "0 to 99", "integer", "Oslo", "None yet"):
        assert part in form
    told = {
        **EMPTY, "name": "2.0", "splits": "train 80, test 20", "seed": "7", "columns": "age, city", "drop_duplicates": "on",
        "column_1": "age", "is_1": ">=", "value_1": "18", "column_2": "city", "is_2": "in", "value_2": "Oslo, Rome",
        "column_3": "age", "is_3": "is not null",
    }  # fmt: skip
    assert ada.post(HERE, told).status_code == 302
    row = DatasetDerivation.objects.get()
    assert row.recipe["where"] == [
        {"column": "age", "is": ">=", "value": 18},
        {"column": "city", "is": "in", "value": ["Oslo", "Rome"]},
        {"column": "age", "is": "is not null", "value": None},
    ]
    assert row.recipe["splits"] == {"train": 0.8, "test": 0.2}
    assert 'hx-select="#derived"' in ada.get(HERE).content.decode()
    derivations.derive_dataset(row.pk)
    done = ada.get(HERE).content.decode()
    for part in ("/datasets/ada/people/versions/2.0", "/datasets/ada/people/lineage?version=2.0", "train 80%", "done"):
        assert part in done
    assert "82 of 100 rows" in version_named(repo, "2.0").notes


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "1.0"}, "has a version 1.0 already"),
        ({"name": "wrong name"}, "version"),
        ({"splits": "train 80, test 30"}, "sum to 100; these sum to 110"),
        ({"splits": "half and half"}, "names and parts"),
        ({"column_1": "age", "value_1": "old"}, "age holds numbers"),
        ({"group": "city"}, "there are none"),
    ],
)
def test_what_cannot_be_is_said_in_the_form(ada, repo, changed, said):
    answer = ada.post(HERE, {**EMPTY, "name": "2.0", **changed})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not DatasetDerivation.objects.exists()


def test_pictures_are_asked_for_by_class_and_size_and_the_api_lists_what_was_asked(ada, person, db):
    pets = make_repo(person.actor, "people")
    head = commit(person.actor, pets, *(add(f"{name}/{n}.png", png(n)) for name in ("cat", "dog") for n in range(3)))
    publish_version(person.actor, pets, "main", name="1.0")
    assert "is being found out" in ada.get(HERE).content.decode()
    profiles.profile_dataset(head.pk)
    form = ada.get(HERE).content.decode()
    assert "cat, dog" in form
    assert "Pictures with masks" in form
    assert ada.post(HERE, {"name": "2.0", "classes": "cat", "min_width": "10", "splits": ""}).status_code == 302
    derivations.derive_dataset(DatasetDerivation.objects.get().pk)
    rows = ada.get("/api/v1/repos/dataset/ada/people/derivations").json()["items"]
    assert [(row["name"], row["state"], row["recipe"]["media"]["classes"]) for row in rows] == [
        ("2.0", "done", ["cat"])
    ]


def test_without_a_version_it_says_what_to_do_and_readers_see_no_form(ada, person, browser: Client):
    make_repo(person.actor, "people", visibility="public")
    assert "Publish a version first" in ada.get(HERE).content.decode()
    browser.force_login(make_person("sam").user)
    assert "Make a version" not in browser.get(HERE).content.decode()
    assert browser.post(HERE, {}).status_code == 403
