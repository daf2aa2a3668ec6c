"""Invoices by the API: what a buyer's and a seller's bookkeeping reads."""

import pytest

from tests.factories.accounts import make_token
from tests.factories.market import (
    digest_of,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.api import Caller

pytestmark = pytest.mark.django_db


def caller(client, party, *scopes) -> Caller:
    return Caller(client, make_token(party.user, *(scopes or ("*",))))


def test_from_details_over_the_invoice_to_its_credit_note(client):
    seller, buyer = make_company("vineyard"), make_company("tasters")
    give_credits(buyer, 10_000)
    maker, customer, stranger = (caller(client, each) for each in (seller, buyer, make_person("eve")))
    address = "namespaces/vineyard/billing-details"
    assert maker.call("PUT", address, {"legal_name": "Vineyard AE", "country": "gr"}).json()["country"] == "GR"
    assert maker.call("PUT", address, {"tax_id": "EL1"}).json()["legal_name"] == "Vineyard AE"
    assert maker.call("PUT", address, {"country": "XX"}).json()["fields"] == {"country": "unknown"}
    assert customer.call("GET", address).status_code == 403

    plan = {"kind": "one_time", "price_minor": 1000, "refund_window_days": 14}
    listing = make_listing(seller, make_version(seller).repo, plan)
    plan_uuid = plan_of(listing).uuid
    wanted = {"plan": str(plan_uuid), "buyer": "tasters", "accept_terms": digest_of(plan_uuid)}
    order = customer.call("POST", "orders", wanted, **{"Idempotency-Key": "k"}).json()
    (row,) = customer.call("GET", "invoices?namespace=tasters").json()["items"]
    assert (row["kind"], row["order"], row["total_minor"], row["issuer"]) == (
        "invoice",
        order["uuid"],
        1000,
        "vineyard",
    )
    detail = customer.call("GET", f"invoices/{row['uuid']}").json()
    assert (detail["issuer_details"]["tax_id"], detail["credit_notes"]) == ("EL1", [])
    assert [(line["description"], line["total_minor"]) for line in detail["lines"]] == [("Wine: One-time", 1000)]
    pdf = maker.call("GET", f"invoices/{row['uuid']}/pdf")
    assert (pdf["Content-Type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert stranger.call("GET", f"invoices/{row['uuid']}").status_code == 404
    assert stranger.call("GET", "invoices").json()["items"] == []
    assert customer.call("GET", "invoices?namespace=vineyard&side=issued").status_code == 403

    customer.call("POST", f"orders/{order['uuid']}/refund", {"reason": "Dry"}, **{"Idempotency-Key": "r"})
    note, invoice = maker.call("GET", "invoices?namespace=vineyard&side=issued").json()["items"]
    assert (note["kind"], note["corrects"], note["reason"]) == ("credit_note", invoice["uuid"], "Dry")
    assert maker.call("GET", f"invoices/{invoice['uuid']}").json()["credit_notes"] == [note["uuid"]]
    assert [each["number"][-6:] for each in (invoice, note)] == ["000001", "000002"]
    assert maker.call("GET", "invoices?kind=letter").json()["fields"] == {"kind": "unknown"}
