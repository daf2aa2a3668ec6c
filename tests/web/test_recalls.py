"""Recalls as people meet them: the form, the progress, the banner, what one answers for."""

import pytest

from market.models import Recall, RecallItem
from market.services import recall_actions
from tests.factories.recalls import make_chain

pytestmark = pytest.mark.django_db


def text_of(response) -> str:
    assert response.status_code == 200, response.status_code
    return b"".join(response.streaming_content).decode() if response.streaming else response.content.decode()


def test_from_the_versions_page_to_a_closed_recall(browser):
    chain = make_chain()
    browser.force_login(chain.lab.user)
    assert "No recalls" in text_of(browser.get("/recalls"))
    page = text_of(browser.get("/datasets/lab/patients/versions/1.0"))
    assert f"/recalls/new?version={chain.data.uuid}" in page
    form = {
        "version_uuid": str(chain.data.uuid),
        "category": "data_rights",
        "severity": "warn",
        "reason": "<b>Consent</b> was taken back.",
        "private_note": "Ticket 4711.",
        "replacement": str(chain.fixed.uuid),
    }
    assert browser.post("/recalls/new", form | {"reason": " "}).status_code == 400
    home = browser.post("/recalls/new", form).url
    recall = Recall.objects.get()
    page = text_of(browser.get(home))
    for words in ("lab/triage 1.0", "maker/triage-plus 1.0", "Ticket 4711.", "0 of 2 handled", "&lt;b&gt;Consent"):
        assert words in page
    assert "2 private derivatives of" in page
    assert "Recalled on" in text_of(browser.get("/datasets/lab/patients/versions/1.0"))
    assert "lab/triage 1.0" not in text_of(browser.get(f"{home}?kind=holder"))
    words = {"reason": "Consent was taken back by 41.", "advice": "Delete it.", "private_note": "Ticket 4712."}
    assert browser.post(f"{home}/actions/change", words).status_code == 302
    page = text_of(browser.get(home))
    assert ("taken back by 41." in page, "Ticket 4712." in page, "Ticket 4711." in page) == (True, True, False)
    assert browser.post(f"{home}/actions/change", words | {"reason": " "}).status_code == 400
    for deed in ("freeze", "telling", "refunds", "walk", "retraining"):
        assert browser.post(f"{home}/actions/{deed}", {"seller": "lab"}).status_code == 302, deed
    assert browser.post(f"{home}/actions/bake").status_code == 404
    for _ in range(3):
        recall_actions.advance_recall(recall.pk)
    rows = text_of(browser.get(f"{home}/evidence.csv"))
    assert (rows.count("\n") > 10, "refunded" in rows) == (True, True)

    browser.force_login(chain.maker.user)
    page = text_of(browser.get(home))
    assert ("Ticket 471" in page, "lab/triage 1.0" in page, "maker/triage-plus 1.0" in page) == (False, False, True)
    item = RecallItem.objects.get(title="maker/triage-plus 1.0")
    refused = browser.post(f"{home}/items/{item.uuid}", {"deed": "contest"})
    assert (refused.status_code, "Say why" in refused.content.decode()) == (400, True)
    assert browser.post(f"{home}/items/{item.uuid}", {"deed": "contest", "note": "Not ours."}).status_code == 302
    assert "Not ours." in text_of(browser.get(f"{home}?state=contested"))
    assert browser.post(f"{home}/lifting", {"reason": "No."}).status_code == 403

    browser.logout()
    page = text_of(browser.get(home))
    assert ("Consent" in page, "triage" in page, "Progress" in page) == (True, False, False)
    assert browser.get(f"{home}/evidence.json").status_code in {302, 401}
