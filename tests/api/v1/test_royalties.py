"""Royalties by the API and on the pages: declared, seen, accepted, paid, looked up."""

import pytest

from lineage.services.record import Ref, record_edge
from registry.services.versions import publish_version
from tests.factories.accounts import make_token
from tests.factories.market import digest_of, give_credits, make_company, make_listing, make_version
from tests.support.api import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(client):
    grower, seller, buyer = (make_company(name) for name in ("grower", "seller", "tasters"))
    give_credits(buyer, 10_000)
    return grower, seller, buyer


def caller(client, party) -> Caller:
    return Caller(client, make_token(party.user, "*"))


def test_declared_seen_accepted_and_paid(client, people, settings):
    settings.PLATFORM_FEE_PERCENT = 10
    grower, seller, _ = people
    data = make_version(grower, "grapes")
    owner, maker, customer = (caller(client, each) for each in people)
    address = "repos/dataset/grower/grapes/royalties"
    assert owner.call("GET", address).json() == {"current": None, "history": []}
    refused = owner.call("PUT", address, {"basis_points": 10_001})
    assert refused.status_code == 400
    declared = owner.call("PUT", address, {"basis_points": 250, "minimum_minor": 30}).json()
    assert declared["current"]["to"] == "grower"
    assert maker.call("PUT", address, {"basis_points": 1}).status_code == 403
    newer = publish_version(grower.actor, data.repo, data.commit.oid, name="2.0")
    mine = make_version(seller, "tuned", "model")
    record_edge(Ref("version", newer.uuid), Ref("version", mine.uuid), "derived")
    listing = make_listing(seller, mine.repo, {"kind": "one_time", "price_minor": 1000}, publish=False, title="Tuned")

    refused = maker.call("POST", "listings/seller/tuned/publication", {})
    assert (refused.status_code, refused.json()["code"]) == (409, "royalties_not_accepted")
    chain = maker.call("GET", "listings/seller/tuned/royalties").json()
    assert [each["is_accepted"] for each in chain["upstream"]] == [False]
    wanted = [each["terms"]["uuid"] for each in chain["upstream"]]
    for _ in range(2):
        agreed = maker.call("POST", "listings/seller/tuned/royalties", {"accept": wanted}).json()
        assert [each["is_accepted"] for each in agreed["upstream"]] == [True]
    assert maker.call("POST", "listings/seller/tuned/publication", {}).status_code == 201
    plan = str(listing.plans.get().uuid)
    wish = {"plan": plan, "buyer": "tasters", "accept_terms": digest_of(plan)}
    bought = customer.call("POST", "orders", wish, **{"Idempotency-Key": "k1"})
    assert bought.status_code == 201, bought.json()
    flow = {"listing": "seller/tuned", "orders": 1, "amount_minor": 30, "currency": "CRD"}
    assert owner.call("GET", "namespaces/grower/royalties").json() == {
        "received": [{**flow, "other": "seller"}], "paid": [],
    }  # fmt: skip
    assert maker.call("GET", "namespaces/seller/royalties").json()["paid"] == [{**flow, "other": "grower"}]

    told = owner.call("GET", "namespaces/grower/statement?account=earnings").json()["items"]
    assert [(each["text"], each["order"]) for each in told] == [("Royalty from Tuned", None)]
    assert "tasters" not in str(told)


def test_pages_show_the_chain_and_take_the_agreement(client, people):
    grower, seller, _ = people
    data = make_version(grower, "grapes")
    client.force_login(grower.user)
    assert b"asks nothing" in client.get("/sell/royalties?owner=grower").content
    form = f"/sell/royalties/{data.repo.uuid}"
    refused = client.post(form, {"percent": "120", "currency": "CRD"})
    assert (refused.status_code, b"100" in refused.content) == (400, True)
    refused = client.post(form, {"percent": "5", "currency": "CRD", "minimum": "2.00", "cap": "1.00"})
    assert b"not below the minimum" in refused.content
    client.post(form, {"percent": "2.5", "currency": "CRD", "minimum": "0.30"})
    assert "2.5 % to grower, at least 0.30 CRD an order" in client.get("/sell/royalties?owner=grower").content.decode()
    assert b'value="2.5"' in client.get(form).content

    newer = publish_version(grower.actor, data.repo, data.commit.oid, name="2.0")
    mine = make_version(seller, "tuned", "model")
    record_edge(Ref("version", newer.uuid), Ref("version", mine.uuid), "derived")
    listing = make_listing(seller, mine.repo, {"kind": "one_time", "price_minor": 1000}, publish=False, title="Tuned")
    client.force_login(seller.user)
    editor = f"/sell/{listing.uuid}"
    page = client.get(editor).content.decode()
    assert "Accept these royalties" in page
    assert "grower/grapes 2.0" in page
    assert client.post(f"{editor}/publication").status_code == 409
    client.post(f"{editor}/royalties", {"terms": [str(data.uuid)]})
    assert "Accept these royalties" in client.get(editor).content.decode()
    wanted = page.split('name="terms" value="')[1].split('"')[0]
    client.post(f"{editor}/royalties", {"terms": [wanted]})
    assert "Accept these royalties" not in client.get(editor).content.decode()
    assert client.post(f"{editor}/publication").status_code == 302
