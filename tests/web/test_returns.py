"""Money back on the pages: a part given back, a request asked, decided, taken to the operator; the queues."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from market.models import ReturnRequest
from market.services.orders import place_order
from tests.factories.accounts import make_user
from tests.factories.market import agreed, give_credits, make_company, make_listing, make_version, plan_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(db):
    seller, buyer = make_company("vineyard"), make_company("tasters")
    give_credits(buyer, 10_000)
    listing = make_listing(seller, make_version(seller).repo, {"kind": "one_time", "price_minor": 2000})
    order = place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key="k")
    order.clients = {}
    for name, user in {"seller": seller.user, "buyer": buyer.user, "staff": make_user("steve", is_staff=True)}.items():
        order.clients[name] = Client()
        order.clients[name].force_login(user)
    return order


def test_the_seller_gives_a_part_back(order):
    client, path = order.clients["seller"], f"/orders/{order.uuid}/refunds"
    assert b"20.00 CRD is left" in client.get(path).content
    sent = {"amount": "20.001", "key": "p"}
    assert b"at most 2 digits" in client.post(path, sent).content
    assert b"is left of this order" in client.post(path, {"amount": "20.01", "key": "p"}).content
    for _ in range(2):
        assert client.post(path, {"amount": "3", "reason": "A scratch.", "key": "p"}).status_code == 302
    page = order.clients["buyer"].get(f"/orders/{order.uuid}").content.decode()
    assert "A scratch." in page
    assert "17.00 CRD" in page
    statement = order.clients["seller"].get("/statements?account=earnings&currency=CRD&owner=vineyard").content
    assert b"Part of the price of Wine given back" in statement


def test_asked_declined_and_decided_by_the_operator(order):
    buyer, seller, staff = (order.clients[name] for name in ("buyer", "seller", "staff"))
    assert b"Nothing waits for you" in seller.get("/sell/returns").content
    path = f"/orders/{order.uuid}/returns"
    assert b"20.00 CRD" in buyer.get(path).content
    assert buyer.post(path, {"amount": "5", "text": "<script>x</script> *No.*", "key": "a"}).status_code == 302
    made = ReturnRequest.objects.get()
    thread = f"/orders/returns/{made.uuid}"
    assert b"<em>No.</em>" in seller.get(thread).content
    assert b"<script>x" not in seller.get(thread).content
    assert f"/orders/returns/{made.uuid}" in seller.get("/sell/returns").content.decode()
    assert b"Money back" in seller.get("/sell").content
    refused = seller.post(f"{thread}/decision", {"amount": "5", "text": "", "decline": "1"})
    assert (refused.status_code, b"Say why" in refused.content) == (400, True)
    assert seller.post(f"{thread}/decision", {"amount": "5", "text": "Why?", "decline": "1"}).status_code == 302
    assert b"Not agreed?" in buyer.get(thread).content
    assert buyer.post(f"{thread}/messages", {"text": "Because."}).status_code == 302
    assert buyer.post(f"{thread}/escalation", {"text": "Look at it."}).status_code == 302
    assert str(made.uuid) in staff.get("/-/returns").content.decode()
    assert seller.get("/-/returns").status_code == 403
    assert staff.post(f"{thread}/decision", {"amount": "4.50", "text": "Fair.", "accept": "1"}).status_code == 302
    order.refresh_from_db()
    assert (order.state, order.refunded_minor) == ("fulfilled", 450)
    page = buyer.get(thread).content.decode()
    assert "Your decision" not in page
    assert "gave back" in page


def test_the_queue_costs_the_same_however_long_it_is(order):
    buyer, seller = order.clients["buyer"], order.clients["seller"]
    buyer.post(f"/orders/{order.uuid}/returns", {"amount": "1", "text": "x", "key": "a"})
    seller.get("/sell/returns")
    with CaptureQueriesContext(connection) as one:
        seller.get("/sell/returns")
    company = make_company("growers")
    give_credits(company, 10_000)
    plan = order.plan
    again = place_order(company.actor, buyer_namespace=company.name, **agreed(plan), key="k")
    client = Client()
    client.force_login(company.user)
    client.post(f"/orders/{again.uuid}/returns", {"amount": "1", "text": "x", "key": "a"})
    with CaptureQueriesContext(connection) as two:
        assert seller.get("/sell/returns").content.count(b"/orders/returns/") == 2
    assert len(one) == len(two)
