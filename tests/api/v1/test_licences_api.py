"""Licences, checks and waivers through the first-party API."""

import pytest

from lineage.services.record import Ref, record_edge
from tests.factories.accounts import make_token
from tests.factories.market import make_company, make_endpoint, make_listing, make_version
from tests.support.api import Caller

pytestmark = pytest.mark.django_db

TERMS = {
    "commercial_use": True, "derivatives": True, "redistribution": True, "hosting": False, "share_alike": False,
    "attribution": True,
}  # fmt: skip


def test_from_terms_to_a_sale(client):
    shop, lab = make_company("shop"), make_company("lab")
    seller, owner, nobody = Caller(client, make_token(shop.user)), Caller(client, make_token(lab.user)), Caller(client)
    body = {"namespace": "lab", "name": "files", "title": "Files only", "text": "No service.", "terms": TERMS}
    assert nobody.call("POST", "licences", body).status_code == 401
    assert seller.call("POST", "licences", body).status_code == 403
    assert owner.call("POST", "licences", body | {"name": "x" * 61}).status_code == 400
    made = owner.call("POST", "licences", body)
    assert (made.status_code, made.json()["key"], made.json()["terms"]) == (201, "LicenseRef-lab-files", TERMS)
    assert nobody.call("GET", "licences/licenseref-lab-files").json()["text"] == "No service."
    assert [each["number"] for each in nobody.call("GET", "licences?namespace=lab").json()["items"]] == [1]
    assert {"Apache-2.0"} == {
        each["key"] for each in nobody.call("GET", "licences/standard?search=apache-2").json()["items"]
    }

    base = make_version(lab, "base", "model", licence="")
    place = "repos/model/lab/base/licence"
    assert seller.call("PUT", place, {"licence": "mit"}).status_code == 403
    assert owner.call("PUT", place, {"licence": "LicenseRef-lab-none"}).status_code == 400
    chosen = owner.call("PUT", place, {"licence": "LicenseRef-lab-files"}).json()
    assert owner.call("PUT", place, {"licence": "LicenseRef-lab-files"}).json() == chosen

    endpoint = make_endpoint(shop)
    record_edge(Ref("version", base.uuid), Ref("version", endpoint.version_uuid), "derived")
    listing = make_listing(shop, endpoint, {"kind": "pay_per_use", "price_minor": 2}, title="Digits", publish=False)
    refusal = seller.call("POST", f"listings/shop/{listing.slug}/publication")
    assert (refusal.status_code, refusal.json()["code"]) == (409, "licence_conflict")
    check = seller.call("GET", f"licence-checks/endpoint/{endpoint.uuid}").json()
    assert [(each["upstream"], each["rule"]) for each in check["conflicts"]] == [("lab/base 1.0", "hosting")]
    assert (check["licence"], check["attribution"]) == ("MIT", ["lab/base 1.0", "shop/digits 1.0"])
    given = seller.call("GET", f"licence-checks/endpoint/{endpoint.uuid}?paid=false").json()
    assert [each["rule"] for each in given["conflicts"]] == ["hosting"]
    assert seller.call("GET", f"licence-checks/nothing/{endpoint.uuid}").status_code == 404

    edge = {"upstream": str(base.repo.uuid), "downstream": check["conflicts"][0]["downstream_repo"], "text": "Host it."}
    assert seller.call("POST", "waivers", edge | {"rules": ["hosting"]}).status_code == 403
    assert owner.call("POST", "waivers", edge | {"rules": ["unchecked"]}).status_code == 400
    waiver = owner.call("POST", "waivers", edge | {"rules": ["hosting"], "version": str(base.uuid)}).json()
    assert (waiver["owner"], waiver["holder"], waiver["revoked_at"]) == ("lab", "shop", None)
    assert seller.call("GET", f"waivers/{waiver['uuid']}").json() == waiver
    assert seller.call("POST", f"listings/shop/{listing.slug}/publication").status_code == 201
    assert seller.call("GET", f"licence-checks/endpoint/{endpoint.uuid}").json()["waivers"] == [waiver["uuid"]]
    ended = owner.call("POST", f"waivers/{waiver['uuid']}/revocation", {"reason": "Enough."})
    assert (ended.status_code, ended.json()["revocation_reason"]) == (201, "Enough.")
    assert [each["uuid"] for each in owner.call("GET", "waivers").json()["items"]] == [waiver["uuid"]]
    assert not seller.call("GET", f"licence-checks/endpoint/{endpoint.uuid}").json()["is_free"]
