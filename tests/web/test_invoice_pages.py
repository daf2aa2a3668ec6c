"""Invoices as people meet them: the list, the document, its file, and what stands on it."""

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pypdf import PdfReader

from accounts.permissions import Role
from accounts.services.members import add_member
from market.models import Invoice
from market.services.orders import place_order
from market.services.refunds import refund_order
from tests.factories.market import (
    SYSTEM,
    agreed,
    give_credits,
    make_company,
    make_listing,
    make_person,
    make_version,
    plan_of,
)
from tests.support.queries import count_of

WINE = {"kind": "one_time", "price_minor": 1000, "refund_window_days": 14}


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 100_000)
    return buyer


def buy(seller, buyer, name="wine"):
    listing = make_listing(seller, make_version(seller, name).repo, WINE, title=name.title())
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key=name)


def test_from_billing_details_to_a_credit_note_on_both_sides(browser, seller, buyer):
    browser.force_login(seller.user)
    form = "/invoices/details?owner=vineyard"
    details = {"legal_name": "Vineyard <AE>", "address": "Hill 1\nAthens", "country": "GR", "tax_id": "EL1"}
    wrong = browser.post(form, {**details, "address": "\n".join("abcdefgh")})
    assert (wrong.status_code, "at most 6 lines" in wrong.content.decode()) == (400, True)
    assert browser.post(form, details).status_code == 302
    assert "Nothing invoiced yet" in browser.get("/invoices?owner=vineyard&side=issued").content.decode()

    order = buy(seller, buyer)
    invoice = Invoice.objects.get()
    browser.force_login(buyer.user)
    assert f'href="/invoices/{invoice.uuid}"' in browser.get(f"/orders/{order.uuid}").content.decode()
    assert invoice.number in browser.get("/invoices?owner=tasters").content.decode()
    page = browser.get(f"/invoices/{invoice.uuid}").content.decode()
    for told in ("Vineyard &lt;AE&gt;", "Hill 1", "Greece", "EL1", "tasters", "10.00 CRD", "Paid in full"):
        assert told in page
    answer = browser.get(f"/invoices/{invoice.uuid}/file")
    assert answer["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    assert "Vineyard <AE>" in PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()

    refund_order(buyer.actor, order, key="r")
    assert "Credit note" in browser.get(f"/invoices/{invoice.uuid}").content.decode()
    lines = list(csv.DictReader(io.StringIO(read(browser.get("/invoices/all.csv?owner=tasters")))))
    assert [(line["kind"], line["total"]) for line in lines] == [("credit_note", "-10.00"), ("invoice", "10.00")]
    assert lines[0]["corrects"] == invoice.number
    only = browser.get(f"/invoices?owner=tasters&kind=credit_note&year={invoice.year}").content.decode()
    assert ">−10.00 CRD<" in only
    assert ">10.00 CRD<" not in only


def read(answer):
    return b"".join(answer.streaming_content).decode()


def test_documents_are_for_those_with_the_money_of_either_side(browser, seller, buyer):
    buy(seller, buyer)
    invoice = Invoice.objects.get()
    seen = {}
    for name, role, company in (
        ("clerk", Role.BUYER, buyer),
        ("guest", Role.MEMBER, buyer),
        ("porter", Role.BUYER, seller),
        ("eve", None, None),
    ):
        person = make_person(name)
        if role is not None:
            add_member(SYSTEM, company.namespace.organization, person.user, role)
        browser.force_login(person.user)
        seen[name] = [browser.get(f"/invoices/{invoice.uuid}{part}").status_code for part in ("", "/file")]
    assert seen == {"clerk": [200, 200], "guest": [404, 404], "porter": [404, 404], "eve": [404, 404]}


def test_a_buyer_of_an_organisation_reads_its_details_and_an_owner_changes_them(browser, buyer):
    clerk = make_person("clerk")
    add_member(SYSTEM, buyer.namespace.organization, clerk.user, Role.BUYER)
    browser.force_login(clerk.user)
    assert "Owners and admins" in browser.get("/invoices/details?owner=tasters").content.decode()
    assert browser.post("/invoices/details?owner=tasters", {"legal_name": "Mine"}).status_code == 403
    assert browser.get("/invoices?owner=tasters&side=issued").status_code == 403


def test_wrong_filters_are_refused_with_a_sentence(browser, buyer):
    browser.force_login(buyer.user)
    for wrong in ("year=26", "year=٢٠٢٦", "kind=letter", "side=lost"):
        assert browser.get(f"/invoices?owner=tasters&{wrong}").status_code == 400


def test_the_list_asks_no_more_for_more_documents(browser, seller, buyer):
    browser.force_login(buyer.user)
    buy(seller, buyer)

    def asked():
        browser.get("/invoices?owner=tasters")
        with CaptureQueriesContext(connection) as captured:
            browser.get("/invoices?owner=tasters")
        return count_of(captured)

    one = asked()
    for name in ("port", "rum", "gin"):
        buy(seller, buyer, name)
    assert asked() == one
