"""The pages of blind evaluations: the buyer's way from the listing to a public certificate, and what the seller sees of it."""

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from market.models import BlindEvaluation
from market.services import blind
from tests.factories.blind import make_closed_model, make_evaluated, make_test_set
from tests.factories.market import make_company, make_person

pytestmark = pytest.mark.django_db
PLACE = "/listings/lab/animals"


@pytest.fixture
def seller(db):
    return make_company("lab")


@pytest.fixture
def buyer(db):
    return make_company("clinic")


@pytest.fixture
def listing(seller):
    return make_closed_model(seller)


def text_of(answer) -> str:
    return answer.content.decode()


def test_a_buyer_asks_from_the_listing(buyer, listing, browser):
    browser.force_login(buyer.user)
    assert f'href="{PLACE}/evaluation"' in text_of(browser.get(PLACE))
    assert "First a test set" in text_of(browser.get(f"{PLACE}/evaluation"))
    data = make_test_set(buyer)
    page = text_of(browser.get(f"{PLACE}/evaluation"))
    assert "clinic/held-out, version 1.0" in page
    key = re.search(r'name="key" value="([^"]+)"', page)[1]
    form = {"test_set": f"{data.uuid}:clinic", "metric": "f1", "key": key}
    first = browser.post(f"{PLACE}/evaluation", form)
    assert browser.post(f"{PLACE}/evaluation", form).url == first.url
    made = BlindEvaluation.objects.get()
    assert (first.url, made.metric, made.buyer.name) == (f"/evaluations/{made.uuid}", "f1", "clinic")
    waiting = text_of(browser.get(first.url))
    assert 'hx-get="/evaluations/' in waiting
    assert "Cancel the evaluation" in waiting
    assert browser.post(f"{first.url}/cancellation").status_code == 302
    assert "cancelled" in text_of(browser.get("/evaluations"))
    answer = browser.post(f"{PLACE}/evaluation", {**form, "test_set": "x:clinic"})
    assert answer.status_code == 400


def test_from_a_score_to_the_listing_and_back(seller, buyer, listing, browser):
    made = make_evaluated(buyer, listing).evaluation
    sellers = f"/sell/{listing.uuid}/evaluations"
    browser.force_login(seller.user)
    page = text_of(browser.get(sellers))
    assert "not published" in page
    assert "clinic" not in page
    assert browser.get(f"/certificates/{made.uuid}").status_code == 404
    assert browser.get(f"/evaluations/{made.uuid}").status_code == 404
    browser.force_login(buyer.user)
    page = text_of(browser.get(f"/evaluations/{made.uuid}"))
    assert "0.8 – 0.95" in page
    assert "Per class" in page
    browser.post(f"/evaluations/{made.uuid}/publication")
    browser.force_login(seller.user)
    assert "by clinic" in text_of(browser.get(sellers))
    browser.post(f"{sellers}/{made.uuid}", {"shown": "1"})
    browser.logout()
    assert "Measured by buyers on their own data" in text_of(browser.get(PLACE))
    assert "Digest of the test set" in text_of(browser.get(f"/certificates/{made.uuid}"))
    browser.force_login(buyer.user)
    browser.post(f"/evaluations/{made.uuid}/withdrawal")
    browser.logout()
    assert "Measured by buyers" not in text_of(browser.get(PLACE))
    assert browser.get(f"/certificates/{made.uuid}").status_code == 404


def test_anybody_checks_a_certificate(buyer, listing, browser):
    made = make_evaluated(buyer, listing)
    blind.publish_certificate(buyer.actor, made.evaluation)
    document = browser.get(f"/certificates/{made.evaluation.uuid}/file").content
    page = browser.post("/certificates/verify", {"document": document.decode()})
    assert "Genuine." in text_of(page)
    page = browser.post("/certificates/verify", {"file": SimpleUploadedFile("c.json", document)})
    assert "Genuine." in text_of(page)
    forged = json.loads(document)
    forged["certificate"]["value"] = "0.99"
    page = browser.post("/certificates/verify", {"document": json.dumps(forged)})
    assert "Do not trust it." in text_of(page)
    for given in ({}, {"document": "hello"}, {"document": document.decode(), "public_key": "hello"}):
        assert browser.post("/certificates/verify", given).status_code == 400
    assert made.key.public_pem in text_of(browser.get("/certificates/verify"))


def test_a_seller_closes_the_listing_to_evaluation(seller, buyer, listing, browser):
    browser.force_login(seller.user)
    assert "Evaluate on my data" not in text_of(browser.get(PLACE))
    assert browser.post(f"/sell/{listing.uuid}/evaluations", {"runs": "0"}).status_code == 302
    assert browser.post(f"/sell/{listing.uuid}/evaluations", {"runs": "-1"}).status_code == 400
    browser.force_login(make_person("eve").user)
    assert "Evaluate on my data" not in text_of(browser.get(PLACE))
    assert "Not open to blind evaluation" in text_of(browser.get(f"{PLACE}/evaluation"))
