"""Questions in SQL on the page and through the API: asked once, kept for readers, limited."""

import pytest

from common.errors import NotFound, TooMany
from registry.models import Study
from registry.services import profiles, samples
from tests.factories.accounts import make_token
from tests.factories.market import make_company, make_person, make_version
from tests.support.api import Caller
from work.loops import run_due

pytestmark = pytest.mark.django_db
ROWS = b"name,weight\ncat,4.5\ndog,30\n"
PLACE = "/datasets/zoo/animals/sql"


@pytest.fixture
def version():
    made = make_version(make_company("zoo"), "animals", files={"animals.csv": ROWS, "Other-1.csv": b"a,A\n1,2\n"})
    profiles.profile_dataset(made.commit.pk)
    return made


def test_a_reader_asks_and_sees_the_answer(version, browser):
    browser.force_login(make_person("ana").user)
    page = browser.get(PLACE).content.decode()
    assert "SUMMARIZE animals" not in page  # an example is a link
    assert "How often each value occurs" in page
    assert "<h3>other</h3>" in page
    asking = f"{PLACE}/main?sql=FROM+animals+SELECT+max(weight)+AS+heaviest"
    assert "Asking…" in browser.get(asking).content.decode()
    run_due()
    page = browser.get(asking).content.decode()
    assert "heaviest" in page
    assert "<td>30.0</td>" in page
    answer = browser.get(f"{PLACE}.csv?sql=FROM+animals+SELECT+max(weight)+AS+heaviest")
    assert b"".join(answer.streaming_content).splitlines() == [b'"heaviest"', b'"30.0"']
    assert Study.objects.filter(kind="sql").count() == 1
    wrong = f"{PLACE}/main?sql=FROM+animals+SELECT+colour"
    browser.get(wrong)
    run_due()
    page = browser.get(wrong).content.decode()
    assert "Line 1, column 21" in page
    assert "The query failed." in page
    assert "Ask with SQL" in browser.get("/datasets/zoo/animals/data").content.decode()


def test_nobody_asks_without_a_name_and_strangers_see_no_private_rows(version, browser):
    assert "Sign in to ask." in browser.get(f"{PLACE}/main?sql=FROM+animals").content.decode()
    assert Study.objects.filter(kind="sql").count() == 0
    version.repo.visibility = "private"
    version.repo.save()
    eve = make_person("eve")
    browser.force_login(eve.user)
    assert browser.get(PLACE).status_code == 404
    with pytest.raises(NotFound):
        samples.ask_sample(eve.actor, version.repo, version.commit, "FROM animals")


def test_the_api_answers_when_the_sandbox_has(version, client, monkeypatch):
    ana = make_person("ana")
    caller = Caller(client, make_token(ana.user))
    place = "repos/dataset/zoo/animals/sql"
    waiting = caller.call("POST", place, {"query": "FROM animals"})
    assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")
    run_due()
    done = caller.call("POST", place, {"query": "FROM animals"})
    assert (done.status_code, done.json()["rows"]) == (200, [["cat", "4.5"], ["dog", "30.0"]])
    assert caller.call("POST", place, {"query": "x" * 4001}).status_code == 400
    assert Caller(client).call("POST", place, {"query": "FROM animals"}).status_code == 401
    monkeypatch.setattr(samples, "ASKED_IN_AN_HOUR", 1)
    samples.ask_sample(ana.actor, version.repo, version.commit, "FROM animals")
    with pytest.raises(TooMany):
        samples.ask_sample(ana.actor, version.repo, version.commit, "FROM animals LIMIT 1")


def test_tables_get_names_that_a_query_can_write():
    def table(name, split="all", columns=("a",)):
        return {
            "table": name,
            "split": split,
            "rows": 1,
            "sample": [["1"] * len(columns)],
            "columns": [{"name": each, "type": "BIGINT"} for each in columns],
        }

    content = {
        "tables": [
            table("Rows"),
            table("Rows", "test"),
            table("rows", "test"),
            table("2024"),
            table("ä"),
            table("x", columns=("a", "A", "")),
        ]
    }
    assert [each["name"] for each in samples.tables_of(content)] == [
        "rows",
        "rows_test",
        "rows_test_2",
        "table_2024",
        "table",
        "x",
    ]
    assert [name for name, _ in samples.tables_of(content)[-1]["columns"]] == ["a", "A_2", "column_3"]
    assert samples.tables_of({"problem": "none"}) == []
