"""Croissant and CycloneDX documents of strangers: what is taken from them, and what is passed over."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Invalid
from registry.services.documents import BYTES_LIMIT, CROISSANT, CYCLONEDX, Documents, documents_of, read_into
from registry.services.facts import refresh_facts
from registry.services.versions import publish_version
from tests.factories.accounts import actor_of, make_user
from tests.factories.registry import add, commit, make_repo

CROISSANT_HEAD = {"@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0"}
CYCLONEDX_HEAD = {"bomFormat": "CycloneDX", "specVersion": "1.6"}


@pytest.fixture
def alice(db):
    return actor_of(make_user("alice"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ("{}", "not a Croissant"),
        ('{"@type": "sc:Dataset", "conformsTo": "http://evil.example"}', "not a Croissant"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a":' * 50 + "1" + "}" * 50, "nested"),
        ('{"a": "' + "x" * BYTES_LIMIT + '"}', "larger"),
        ("\0", "not valid JSON"),
    ],
)
def test_a_hostile_document_is_passed_over_with_a_note(alice, text, why) -> None:
    made = commit(alice, make_repo(alice), add("croissant.json", text))
    found = documents_of(made)
    [note] = found.notes
    assert note["note"].startswith("Passed over: ")
    assert why in note["note"]
    assert found == Documents(notes=[note])
    # nor does it keep anybody from publishing
    assert publish_version(alice, made.repo, "main", name="1").signature == {}


def test_the_card_goes_before_the_documents(alice) -> None:
    document = CROISSANT_HEAD | {
        "license": "https://creativecommons.org/licenses/by/4.0/", "description": "Rows of cells.", "keywords": ["cells"],
    }  # fmt: skip
    repo = make_repo(alice)
    commit(alice, repo, add("croissant.json", json.dumps(document)))
    refresh_facts(repo.pk)
    repo.refresh_from_db()
    assert (repo.licence, repo.description) == ("cc-by-4.0", "Rows of cells.")
    assert {row.tag for row in repo.tag_rows.all()} == {"license:cc-by-4.0", "cells"}
    [note] = repo.facts["documents"]
    assert "also requires name, url, creator" in note["note"]
    commit(alice, repo, add("README.md", "---\nlicense: mit\ndescription: From the card.\n---\n"))
    refresh_facts(repo.pk)
    repo.refresh_from_db()
    assert (repo.licence, repo.description) == ("mit", "From the card.")


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("MIT", "mit"),
        ("https://spdx.org/licenses/CC-BY-4.0.html", "cc-by-4.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/deed.en", "cc-by-nc-sa-3.0"),
        ("https://www.apache.org/licenses/LICENSE-2.0", "apache-2.0"),
        (["https://opensource.org/licenses/MIT"], "mit"),
        ({"name": "Own licence"}, "own licence"),
    ],
)
def test_licences_get_the_ids_that_cards_use(written, taken) -> None:
    found = Documents()
    read_into(found, CROISSANT, CROISSANT_HEAD | {"license": written})
    assert found.licence == taken


def test_a_bill_of_materials_without_a_model_says_nothing(alice) -> None:
    bom = CYCLONEDX_HEAD | {"components": [{"type": "library", "name": "x", "licenses": [{"license": {"id": "MIT"}}]}]}
    found = documents_of(commit(alice, make_repo(alice, kind="model"), add("x.cdx.json", json.dumps(bom))))
    assert found.licence == ""
    assert "no machine-learning model" in found.notes[0]["note"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "license description keywords recordSet field name dataType @id metadata component components type licenses "
                "expression id modelCard modelParameters task considerations useCases en".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from([CROISSANT, CYCLONEDX]), st.dictionaries(st.sampled_from(
    ["license", "description", "keywords", "recordSet", "metadata", "components", "conformsTo"]), JSON))  # fmt: skip
def test_no_document_makes_the_reader_fail(kind, body) -> None:
    found = Documents()
    head = CROISSANT_HEAD if kind == CROISSANT else CYCLONEDX_HEAD
    try:
        read_into(found, kind, head | body)
    except Invalid:
        assert found == Documents()
    json.dumps([found.licence, found.description, found.task, found.intended_use, found.keywords, found.tables])
    assert len(found.licence) <= 80
    assert all(isinstance(word, str) for word in found.keywords)
