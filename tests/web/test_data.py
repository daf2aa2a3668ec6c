"""The page about the content of a dataset, and of what differs between two versions."""

import csv
import io

import pytest
from django.test import Client

from registry.models import DatasetComparison, DatasetProfile
from registry.services.versions import publish_version
from tests.factories.market import make_person
from tests.factories.registry import add, commit, make_repo
from tests.registry.test_profiles import png, wav
from work.loops import run_due

HERE = "/datasets/ada/people/data"


@pytest.fixture
def person(db):
    return make_person("ada")


@pytest.fixture
def repo(person):
    return make_repo(person.actor, "people", visibility="public")


@pytest.fixture
def two(person, repo):
    rows = [f"{number},{number * 2},{'ab'[number % 2]}" for number in range(100)]
    commit(person.actor, repo, add("rows.csv", "id,x,letter\n" + "\n".join(rows) + "\n"), add("old.txt", "Old."))
    publish_version(person.actor, repo, "main", name="1.0")
    changed = [*rows[1:50], "50,9999,<b>", *[f"{number},{number * 2},a" for number in range(51, 103)]]
    commit(person.actor, repo, add("rows.csv", "id,x,letter\n" + "\n".join(changed) + "\n"), add("new.txt", "New."))
    publish_version(person.actor, repo, "main", name="2.0")


def text(browser: Client, href: str) -> str:
    answer = browser.get(href)
    assert answer.status_code == 200
    return answer.content.decode()


def test_first_look_waits_for_the_worker_and_the_next_shows_columns_and_rows(person, repo, browser: Client):
    rows = "\n".join(f"{number},name {number}" for number in range(60))
    commit(person.actor, repo, add("train.csv", f"id,name\n{rows}\n"), add("test.csv", "id,name\n1,<script>\n"))
    waiting = text(browser, HERE)
    assert "The data is being looked into" in waiting
    assert 'hx-select="#data"' in waiting
    run_due()
    shown = text(browser, HERE)
    assert "hx-get" not in shown
    for part in (
        "Tables",
        "60 rows, 2 columns",
        "Histogram of id from",
        "name 24",
        "Rows 1 to 25 of 60",
        "?table=data%3Atrain%3Acsv&amp;row=26#rows",
    ):
        assert part in shown, part
    assert "name 25<" not in shown
    assert "name 25<" in text(browser, f"{HERE}?table=data:train:csv&row=26")
    other = text(browser, f"{HERE}?split=test")
    assert "&lt;script&gt;" in other
    assert "<script>" not in other.split('id="data"')[1].split("</main>")[0]


def test_the_same_table_in_two_formats_can_be_told_apart(person, repo, browser: Client):
    commit(person.actor, repo, add("rows.csv", "id,x\n1,first\n"), add("rows.jsonl", '{"id": 1, "x": "second"}\n'))
    browser.get(HERE)
    run_due()
    shown = text(browser, HERE)
    assert "rows · csv" in shown
    assert "rows · jsonl" in shown
    assert "second" in text(browser, f"{HERE}?table=rows:all:jsonl")


def test_pictures_sound_and_text_are_shown(person, repo, browser: Client):
    commit(
        person.actor, repo, add("train/a/1.png", png(1)), add("train/b/2.png", png(2)), add("train/b/3.png", png(3)),
        add("sound/a.wav", wav()), add("notes/a.txt", "Some words."),
    )  # fmt: skip
    browser.get(HERE)
    run_due()
    shown = text(browser, HERE)
    address = shown.split('<img src="')[1].split('"')[0]
    assert "Waveform of sound/a.wav" in shown
    assert "Some words." in shown
    picture = browser.get(address)
    assert picture["Content-Type"] in {"image/png", "image/jpeg"}
    assert "sandbox" in picture["Content-Security-Policy"]
    assert browser.get(address.rsplit("/", 1)[0] + "/99").status_code == 404


def test_broken_rules_are_shown_beside_the_version(person, repo, browser: Client):
    commit(
        person.actor,
        repo,
        add("a.csv", "id\n1\n1\n"),
        add("data-rules.yaml", "rules: [{column: id, unique: true}]"),
    )
    publish_version(person.actor, repo, "main", name="1.0")
    assert "not looked into yet" in text(browser, "/datasets/ada/people/versions/1.0")
    run_due()
    shown = text(browser, f"{HERE}/1.0")
    assert "id is unique" in shown
    assert "2 of 2" in shown
    assert "breaks its rules" in shown
    assert "breaks its rules" in text(browser, "/datasets/ada/people/versions/1.0")
    assert "Filter and split" not in shown
    browser.force_login(person.user)
    assert "Filter and split" in text(browser, f"{HERE}/1.0")


def test_only_a_rule_that_blocks_says_so(person, repo, browser: Client):
    rules = "rules: [{column: id, unique: true}, {column: id, min: 0, block: true}]"
    commit(person.actor, repo, add("a.csv", "id\n1\n1\n"), add("data-rules.yaml", rules))
    browser.get(HERE)
    run_due()
    assert text(browser, HERE).count("A version that breaks it is not published.") == 1


def test_empty_dataset_teaches_the_first_step(repo, browser: Client):
    browser.get(HERE)
    run_due()
    assert "No data to show yet" in text(browser, HERE)


def test_difference_by_key_with_drift_and_files(two, browser: Client):
    href = "/datasets/ada/people/data-compare?left=1.0&right=2.0"
    assert "The rows are being compared" in text(browser, href)
    run_due()
    shown = text(browser, href)
    found = DatasetComparison.objects.get().content["tables"][0]
    assert (found["key"], found["added"], found["removed"], found["changed"]) == (["id"], 3, 1, 26)
    assert found["changed_columns"] == [["letter", 26], ["x", 1]]
    drift = {each["column"]: each for each in found["drift"]}
    assert drift["letter"]["p_value"] < 0.01
    assert drift["id"]["p_value"] > 0.5
    for part in ("drifted", "no drift shown", "&lt;b&gt;", "new.txt", "by id", "http"):
        assert part in shown
    rows = list(
        csv.reader(io.StringIO(browser.get(href.replace("data-compare", "data-compare.csv")).getvalue().decode()))
    )
    assert ["rows", "all", "row changed", "50", "x", "100", "9999", ""] in rows
    assert ["rows", "all", "row removed", "0", "letter", "a", "", ""] in rows


def test_key_that_repeats_is_told_and_whole_rows_are_compared(two, browser: Client):
    href = "/datasets/ada/people/data-compare?left=1.0&right=2.0&key=letter"
    browser.get(href)
    run_due()
    assert "letter does not name one row each" in text(browser, href)
    found = DatasetComparison.objects.get().content["tables"][0]
    assert (found["added"], found["removed"]) == (29, 27)


def test_private_content_stays_private(person, browser: Client):
    repo = make_repo(person.actor, "secret")
    commit(person.actor, repo, add("a.csv", "id\n1\n"))
    for part in ("data", "data/main", "data-compare", "data-compare.csv", "data-pictures/main/0"):
        assert browser.get(f"/datasets/ada/secret/{part}").status_code == 404
    assert DatasetProfile.objects.count() == 0
