"""Licences as people meet them: publishing one, choosing one, seeing what stands in the way, waiving it."""

import pytest

from lineage.services.record import Ref, record_edge
from market.models import LicenceWaiver
from registry.models import CustomLicence, Repo
from tests.factories.market import make_company, make_listing, make_person, make_version

pytestmark = pytest.mark.django_db


def text_of(response) -> str:
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_from_a_custom_licence_to_a_waiver(browser):
    shop, lab = make_company("shop"), make_company("lab")
    browser.force_login(lab.user)
    form = {
        "namespace": "lab",
        "name": "study",
        "title": "Study only",
        "text": "<b>For study.</b>",
        "terms": ["derivatives"],
    }
    made = browser.post("/licences/new", form)
    assert (made.status_code, made.url) == (302, "/licences/LicenseRef-lab-study")
    page = text_of(browser.get(made.url))
    assert "No commercial use" in page
    assert "&lt;b&gt;For study." in page
    assert browser.post("/licences/new", form | {"text": "Other words."}).url == "/licences/LicenseRef-lab-study-v2"
    assert CustomLicence.objects.count() == 2
    assert "LicenseRef-lab-study-v2" in text_of(browser.get("/licences/LicenseRef-lab-study"))
    assert browser.post("/licences/new", form | {"name": "?", "title": ""}).status_code == 400
    assert "For study." in text_of(browser.get("/licences/new?of=LicenseRef-lab-study"))
    assert "Apache-2.0" in text_of(browser.get("/licences?q=apache"))
    assert browser.get("/licences/Unheard-Of").status_code == 404

    data = make_version(lab, "cells", licence="")
    assert "No licence is stated" in text_of(browser.get("/datasets/lab/cells/licence"))
    assert browser.post("/datasets/lab/cells/licence", {"licence": "own words"}).status_code == 400
    assert browser.post("/datasets/lab/cells/licence", {"licence": "licenseref-lab-study"}).status_code == 302
    assert Repo.objects.get(name="cells").licence.lower() == "licenseref-lab-study"

    model = make_version(shop, "digits", "model")
    record_edge(Ref("version", data.uuid), Ref("version", model.uuid), "derived")
    listing = make_listing(shop, model.repo, {"kind": "one_time", "price_minor": 5}, title="Digits", publish=False)
    browser.force_login(shop.user)
    refusal = browser.post(f"/sell/{listing.uuid}/publication")
    assert refusal.status_code == 409
    assert "does not allow commercial use" in refusal.content.decode()
    page = text_of(browser.get("/shop/digits/licence"))
    assert "conflict: commercial use" in page
    assert "data-conflict" in page
    assert "Write a waiver" not in page
    assert "does not allow commercial use" in text_of(browser.get(f"/listings/shop/{listing.slug}/licence"))

    browser.force_login(lab.user)
    form = {
        "upstream": data.repo.uuid,
        "downstream": model.repo.uuid,
        "rules": ["commercial_use"],
        "text": "Contract 7.",
    }
    assert "Write a waiver" in text_of(browser.get("/shop/digits/licence"))
    assert "Commercial use" in text_of(browser.get(f"/waivers/new?upstream={data.repo.uuid}&rule=commercial_use"))
    assert browser.post("/waivers/new", form | {"text": ""}).status_code == 400
    signed = browser.post("/waivers/new", form)
    assert signed.status_code == 302
    assert "Contract 7." in text_of(browser.get(signed.url))
    assert "Nothing stands in the way" in text_of(browser.get("/shop/digits/licence"))

    browser.force_login(shop.user)
    assert browser.post(f"/sell/{listing.uuid}/publication").status_code == 302
    assert browser.post(f"{signed.url}/revocation").status_code == 403
    assert "lab/cells → shop/digits" in text_of(browser.get("/waivers"))
    browser.force_login(make_person("eve").user)
    assert browser.get(signed.url).status_code == 404
    assert "No waivers" in text_of(browser.get("/waivers"))
    browser.force_login(lab.user)
    assert browser.post(f"{signed.url}/revocation", {"reason": "It ended."}).status_code == 302
    assert "It ended." in text_of(browser.get(signed.url))
    assert LicenceWaiver.objects.get().revocation.reason == "It ended."
    assert "revoked" in text_of(browser.get("/datasets/lab/cells/licence"))
    assert "conflict: commercial use" in text_of(browser.get("/shop/digits/licence"))
