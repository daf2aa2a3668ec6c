"""Invoices, credit notes and usage statements: what they say, that they sum up, and that nothing alters them."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from fractions import Fraction
from io import BytesIO

import pytest
from django.db import Error, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from common import clock
from common.errors import Conflict, Forbidden, Invalid
from common.ids import new_uuid
from market import invoice_queries, invoices
from market.invoice_pdf import pdf_of
from market.invoices import Bought, Month
from market.models import Entitlement, Invoice, InvoiceCounter, InvoiceLine
from market.rating import CallPack, Tier, charge_upto, list_price
from market.services import billing, invoicing
from market.services.billing_details import set_billing_details
from market.services.orders import place_order
from market.services.refunds import refund_order
from tests.factories.market import (
    agreed,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
    make_version,
    plan_of,
)

WINE = {"kind": "one_time", "price_minor": 1000, "refund_window_days": 14}
CALLS = {
    "kind": "pay_per_use",
    "price_minor": 20,
    "included_units": 10,
    "refund_window_days": 14,
    "tiers": [(100, 20), (None, 10)],
}


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 100_000)
    return buyer


@pytest.fixture
def order(seller, buyer):
    return buy(buyer, make_listing(seller, make_version(seller).repo, WINE))


@pytest.fixture
def calls(seller, buyer):
    """150 paid calls, 100 of them at 0.20 and 50 at 0.10, after 10 that are included."""
    return buy(buyer, make_listing(seller, make_endpoint(seller), CALLS, title="Digits"), quantity=150)


def buy(buyer, listing, *, quantity=1, key="k", **more):
    return place_order(
        buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), quantity=quantity, key=key, **more
    )


def said(row):
    return [(line.description, line.quantity, line.unit_price, line.total_minor) for line in row.lines.order_by("pk")]


def test_what_is_paid_is_invoiced_once_and_in_the_sellers_name(seller, buyer, order):
    row = Invoice.objects.get()
    assert (row.kind, row.issuer.name, row.recipient.name) == ("invoice", "vineyard", "tasters")
    assert row.number == f"VINEYARD-{clock.now().year}-000001"
    assert (row.net_minor, row.tax_minor, row.total_minor, row.order) == (1000, 0, 1000, order)
    assert said(row) == [("Wine: One-time", 1, "10.00 CRD", 1000)]
    with transaction.atomic():
        assert invoicing.issue_for(order) == row


def test_what_costs_nothing_has_no_invoice(seller, buyer):
    buy(buyer, make_listing(seller, make_version(seller).repo))
    assert not Invoice.objects.exists()
    assert not InvoiceCounter.objects.exists()


def test_prepaid_calls_are_invoiced_by_tier_when_they_are_bought(calls):
    assert said(Invoice.objects.get()) == [
        ("Digits: Pay per use: calls 1 to 100", 100, "0.20 CRD / call", 2000),
        ("Digits: Pay per use: calls 101 to 150", 50, "0.10 CRD / call", 500),
    ]


def test_a_document_keeps_what_its_parties_were_called_then(seller, buyer):
    first = {"legal_name": "Οινοποιία ΑΕ", "address": "Οδός 1\n  10431   Αθήνα ", "country": "gr", "tax_id": "EL1"}
    set_billing_details(seller.actor, seller.namespace, **first)
    buy(buyer, make_listing(seller, make_version(seller).repo, WINE))
    set_billing_details(seller.actor, seller.namespace, legal_name="Other")
    document = invoice_queries.document_of(Invoice.objects.select_related("order", "corrects").get())
    assert (document.issuer.title, document.issuer.lines) == ("Οινοποιία ΑΕ", ["Οδός 1", "10431 Αθήνα", "Greece"])
    assert (document.recipient.title, document.recipient.lines) == ("tasters", [])


def test_a_refund_is_a_credit_note_over_the_invoice(seller, buyer, order):
    refund_order(buyer.actor, order, key="r", reason="Too dry")
    invoice, note = Invoice.objects.order_by("pk")
    assert (note.kind, note.corrects, note.total_minor, note.reason) == ("credit_note", invoice, 1000, "Too dry")
    assert note.sequence == 2
    refund_order(buyer.actor, order, key="r")
    assert Invoice.objects.count() == 2


def test_credit_follows_what_was_returned_and_never_passes_the_invoice(order):
    with transaction.atomic():
        assert invoicing.credit_upto(order, 300).total_minor == 300
        assert invoicing.credit_upto(order, 300) is None
        assert invoicing.credit_upto(order, 450).total_minor == 150
        assert invoicing.credit_upto(order, 5000).total_minor == 550
        assert invoicing.credit_upto(order, 9000) is None


def test_of_calls_what_was_not_used_is_credited(buyer, calls):
    make_calls(calls.entitlement.source, 60)
    refund_order(buyer.actor, calls, key="r")
    assert Invoice.objects.get(kind="credit_note").total_minor == 2500 - 50 * 20


def test_an_order_from_before_there_were_invoices_gets_both(order):
    old = another(order, key="old", payment_reference="")
    with transaction.atomic():
        note = invoicing.credit_upto(old, 400)
    assert (note.corrects.order, note.total_minor) == (old, 400)


def another(row, **changes):
    """A copy of a row, as no service would make it."""
    row.pk, row.uuid = None, new_uuid()
    for name, value in changes.items():
        setattr(row, name, value)
    row.save()
    return row


@pytest.mark.parametrize("table", [Invoice, InvoiceLine])
def test_the_database_refuses_to_alter_documents(order, table):
    for deed in (lambda: table.objects.update(total_minor=1, net_minor=1), lambda: table.objects.all().delete()):
        with pytest.raises(Error), transaction.atomic():
            deed()
    assert Invoice.objects.get().total_minor == InvoiceLine.objects.get().total_minor == 1000


def test_the_database_refuses_gaps_further_lines_and_too_much_credit(order):
    row, line = Invoice.objects.get(), InvoiceLine.objects.get()
    counter = InvoiceCounter.objects.get()

    def skip(by):
        counter.last = 1 + by
        counter.save()

    def credit():
        skip(1)
        changes = {"kind": "credit_note", "corrects": Invoice.objects.get(), "net_minor": 1001, "total_minor": 1001}
        another(row, sequence=2, source="s", **changes)

    deeds = [
        lambda: skip(2),
        lambda: (skip(1), skip(2)),
        counter.delete,
        lambda: another(Invoice.objects.get(), sequence=7, source="s"),
        lambda: another(line, position=2),
        credit,
    ]
    for deed in deeds:
        with pytest.raises(Error), transaction.atomic():
            deed()
    assert (Invoice.objects.count(), InvoiceLine.objects.count(), InvoiceCounter.objects.get().last) == (1, 1, 1)


def test_a_transaction_that_dies_leaves_no_gap(seller, buyer, order):
    def dies():
        with transaction.atomic():
            assert invoicing.issue_for(another(order, key="dies", payment_reference="")).sequence == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dies()
    port = make_listing(seller, make_version(seller, "port").repo, WINE, title="Port")
    assert Invoice.objects.get(order=buy(buyer, port, key="k2")).sequence == 2


def test_a_months_calls_are_stated_once_by_order_and_tier(seller, buyer, calls):
    make_calls(calls.entitlement.source, 60)
    billing.bill_usage()
    make_calls(calls.entitlement.source, 60, first=60)
    billing.bill_usage()
    month = Month.of(clock.now())
    with pytest.raises(Conflict):
        invoicing.close_period(buyer.namespace, month)
    with clock.travel(timedelta(days=40)):
        assert invoicing.close_month(month) == invoicing.close_month(month) == 1
    row = Invoice.objects.get(kind="usage_statement")
    assert (row.total_minor, row.recipient, row.period_from) == (2100, buyer.namespace, month.first_day)
    assert said(row) == [
        ("Digits: calls 1 to 10 (included)", 10, "", 0),
        ("Digits: calls 11 to 110", 100, "0.20 CRD / call", 2000),
        ("Digits: calls 111 to 120", 10, "0.10 CRD / call", 100),
    ]
    assert {line.order_id for line in row.lines.all()} == {calls.pk}


def test_a_statement_follows_the_ledger_when_the_price_was_lowered_meanwhile(buyer, calls):
    make_calls(calls.entitlement.source, 60)
    billing.bill_usage()
    Entitlement.objects.update(held_minor=1000)
    with clock.travel(timedelta(days=40)):
        (row,) = invoicing.close_period(buyer.namespace, Month.of(clock.now() - timedelta(days=40)))
    assert said(row) == [("Digits: calls 1 to 60", 60, "", 1000)]


def test_billing_details_are_the_managers_to_change(seller, buyer):
    with pytest.raises(Forbidden):
        set_billing_details(buyer.actor, seller.namespace, legal_name="Mine")
    for wrong in ({"country": "XX"}, {"email": "nowhere"}, {"address": "\n".join("abcdefg")}, {"tax_id": "x\ny"}):
        with pytest.raises(Invalid):
            set_billing_details(seller.actor, seller.namespace, **wrong)
    assert invoice_queries.billing_details_of(seller.namespace).pk is None


def test_a_person_numbers_apart_from_others(seller, buyer, order):
    person = make_person("painter")
    other = buy(buyer, make_listing(person, make_version(person, "port").repo, WINE), key="k2")
    assert Invoice.objects.get(order=other).number.startswith("PAINTER-")
    assert [row.sequence for row in Invoice.objects.all()] == [1, 1]


tiers = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=2, max_size=4).map(
    lambda steps: tuple(
        Tier(None if i + 1 == len(steps) else sum(n for n, _ in steps[: i + 1]), price or int(not i))
        for i, (_, price) in enumerate(steps)
    )
)


@given(
    st.one_of(st.just(()), tiers), st.integers(1, 200), st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 100)
)
@settings(max_examples=60, deadline=None)
def test_lines_of_an_order_sum_to_what_was_paid(steps, quantity, price, discount, tax):
    gross = list_price(price, 1, steps, quantity)
    off = gross * discount // 100
    paid = gross - off
    if not paid:
        return
    bought = Bought("T", "JPY", quantity, paid, off, "C", paid * tax // 100, "rows", 1, price, steps)
    lines = invoices.order_lines(bought)
    assert sum(line.total_minor for line in lines) == paid
    assert sum(line.tax_minor for line in lines) == paid * tax // 100


@given(
    st.one_of(st.just(()), tiers),
    st.integers(0, 10**6),
    st.integers(0, 20),
    st.lists(st.integers(0, 80), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_usage_lines_sum_to_what_was_charged_over_any_cuts(steps, total, included, cuts):
    pack = CallPack(included + 200, included, total, steps)
    marks = [0]
    for cut in cuts:
        marks.append(min(marks[-1] + cut, pack.granted_units))
    told = 0
    for before, used in itertools.pairwise(marks):
        lines = invoices.usage_lines(
            "T", "rows", pack, used_before=before, used=used, say=lambda price: str(Fraction(price))
        )
        assert sum(line.quantity for line in lines) == used - before
        told += sum(line.total_minor for line in lines)
    assert told == charge_upto(pack, marks[-1])


@given(st.integers(1, 10**6), st.integers(0, 100), st.lists(st.integers(1, 10**6), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_taxes_of_credit_notes_sum_to_that_of_the_invoice(total, percent, amounts):
    tax, before, credited = total * percent // 100, 0, 0
    for amount in [*amounts, total]:
        part = min(amount, total - before)
        if not part:
            break
        line = invoices.credit_line("N", total_minor=total, tax_minor=tax, before_minor=before, amount_minor=part)
        assert 0 <= line.tax_minor <= line.total_minor == part
        before, credited = before + part, credited + line.tax_minor
    assert (before, credited) == (total, tax)


def test_months_are_what_people_mean():
    month = Month.parse("2026-12")
    assert (month.first_day.isoformat(), month.last_day.isoformat()) == ("2026-12-01", "2026-12-31")
    assert (str(month), str(month.previous), month.until.year) == ("2026-12", "2026-11", 2027)
    for wrong in ("2026-13", "2026-1", "now", "٢٠٢٦-01"):
        with pytest.raises(Invalid):
            Month.parse(wrong)


def test_the_file_says_what_the_page_says_and_never_changes(seller, buyer):
    details = {"legal_name": "Οινοποιία Žluťoučký ΑΕ", "address": "Οδός 1\nКиїв", "country": "GR", "tax_id": "EL123"}
    set_billing_details(seller.actor, seller.namespace, **details)
    set_billing_details(buyer.actor, buyer.namespace, legal_name="日本", purchase_order="PO-7")
    buy(buyer, make_listing(seller, make_version(seller).repo, WINE))
    document = invoice_queries.document_of(Invoice.objects.select_related("order", "corrects").get())
    made = pdf_of(document)
    with clock.travel(timedelta(days=3)):
        assert pdf_of(document) == made
    text = PdfReader(BytesIO(made)).pages[0].extract_text()
    for told in ("Invoice", document.row.number, *details.values(), "PO-7", "10.00 CRD", "Page 1 of 1", "Greece", "??"):
        for word in told.replace("GR", "Greece").split("\n"):
            assert word in text


@pytest.mark.parametrize(("currency", "shown"), [("JPY", "1,000 JPY"), ("KWD", "1.000 KWD")])
def test_amounts_have_the_digits_of_their_currency(seller, buyer, currency, shown):
    give_credits(buyer, 5000, currency=currency, key=currency)
    buy(buyer, make_listing(seller, make_version(seller).repo, {**WINE, "currency": currency}))
    document = invoice_queries.document_of(Invoice.objects.select_related("order", "corrects").get())
    assert shown in PdfReader(BytesIO(pdf_of(document))).pages[0].extract_text()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_numbers_have_no_gap_however_many_buy_at_once_and_some_die(seller):
    listing = make_listing(seller, make_version(seller).repo, WINE)
    buyers = [make_company(f"buyer{number}") for number in range(8)]
    for each in buyers:
        give_credits(each, 1000)

    def one(number):
        try:
            with transaction.atomic():
                buy(buyers[number], listing)
                transaction.set_rollback(number % 4 == 3)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    assert sorted(row.sequence for row in Invoice.objects.all()) == [1, 2, 3, 4, 5, 6]
    assert InvoiceCounter.objects.get().last == 6


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_month_that_is_closed_twice_at_once_is_stated_once(buyer, calls):
    make_calls(calls.entitlement.source, 60)
    billing.bill_usage()
    month = Month.of(clock.now())

    def close(_):
        try:
            with clock.travel(timedelta(days=40)):
                return [row.pk for row in invoicing.close_period(buyer.namespace, month)]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        closed = list(pool.map(close, range(4)))
    assert closed == [closed[0]] * 4
    assert Invoice.objects.filter(kind="usage_statement").count() == 1
