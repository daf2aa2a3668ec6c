"""The dashboards tell what the ledger, metering and the orders hold, by day, in as many queries for much as for little."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from common.clock import now
from common.errors import Invalid
from lineage.services.record import Ref, record_edge
from market.dashboard_periods import month_of, period_of
from market.dashboard_queries import seller_figures
from market.models import ListingViews
from market.queries import earned_between
from market.services import billing, listings, royalties
from market.services.orders import place_order
from market.services.partial_refunds import refund_part
from market.services.views import count_view, is_machine
from market.spending_queries import forecasts, spending_of
from registry.services.versions import publish_version
from tests.factories.accounts import make_token
from tests.factories.market import (
    agreed,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_version,
    plan_of,
)
from tests.support.api import Caller

pytestmark = pytest.mark.django_db
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def grower(db):
    return make_company("grower")


@pytest.fixture
def seller(grower, settings):
    settings.PLATFORM_FEE_PERCENT = 10
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 100_000)
    return buyer


@pytest.fixture
def wine(grower, seller):
    """20.00, of which a tenth of the seller's goes upstream."""
    first = make_version(grower, "grapes")
    royalties.declare_terms(grower.actor, first.repo, basis_points=1000)
    second = publish_version(grower.actor, first.repo, first.commit.oid, name="2.0")
    mine = make_version(seller, "wine", "model")
    record_edge(Ref("version", second.uuid), Ref("version", mine.uuid), "derived")
    listing = make_listing(seller, mine.repo, {"kind": "one_time", "price_minor": 2000}, publish=False)
    royalties.accept(seller.actor, listing, [each.terms.uuid for each in royalties.chain_of(listing)])
    return listings.publish_listing(seller.actor, listing)


@pytest.fixture
def digits(seller):
    return make_listing(seller, make_endpoint(seller), {"kind": "pay_per_use", "price_minor": 10}, title="Digits")


def buy(buyer, listing, quantity=1, key="k"):
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), quantity=quantity, key=key)


def test_the_parts_come_to_what_was_earned(seller, buyer, grower, wine, digits):
    refund_part(seller.actor, buy(buyer, wine), 500, key="r")
    calls = buy(buyer, digits, 100, "c")
    make_calls(calls.entitlement.source, 30)
    billing.bill_usage()
    found = seller_figures(seller.namespace, period_of())
    (money,) = found.money
    total = money.total
    assert (total.gross, total.refunds, total.fees, total.royalties_out) == (2300, 500, 180, 135)
    assert total.earned == earned_between(seller.namespace, "CRD").amount_minor == 1485
    assert money.standing.held_minor == 1485
    assert (found.interest.purchases, found.interest.calls) == (2, 30)
    assert [(each.listing.title, each.gross, each.interest.calls) for each in found.top] == [
        ("Wine", {"CRD": 1500}, 0), ("Digits", {"CRD": 300}, 30),
    ]  # fmt: skip
    (upstream,) = seller_figures(grower.namespace, period_of()).money
    assert upstream.total.royalties_in == upstream.total.earned == 135
    day_before = (now() - timedelta(days=1)).date().isoformat()
    assert seller_figures(seller.namespace, period_of(last=day_before)).money[0].total.gross == 0


def test_people_who_look_are_counted_and_nobody_is_noted(seller, buyer, wine):
    page, client = "/listings/vineyard/wine", Client()
    for agent in (BROWSER, BROWSER, "Googlebot/2.1", "curl/8.0", ""):
        assert client.get(page, headers={"User-Agent": agent}).status_code == 200
    client.force_login(seller.user)
    client.get(page, headers={"User-Agent": BROWSER})
    row = ListingViews.objects.get()
    assert (row.views, row.day) == (2, now().date())
    assert {field.name for field in ListingViews._meta.fields} == {"id", "listing", "day", "views"}
    listings.withdraw_listing(seller.actor, wine)
    wine.refresh_from_db()
    assert not count_view(wine, BROWSER)
    assert is_machine("python-requests/2.32")


def test_pages_api_and_files_tell_the_same(client, seller, buyer, wine):
    refund_part(seller.actor, buy(buyer, wine), 500, key="r")
    client.force_login(seller.user)
    page = client.get("/sell/dashboard?owner=vineyard").content.decode()
    assert "20.00 CRD" in page
    assert 'data-value="20.00"' in page
    lines = b"".join(client.get("/sell/dashboard/days.csv?owner=vineyard&days=1").streaming_content).decode()
    assert "20.00,5.00,0.00,1.50,1.35,0.00,12.15,0.00,0,0,1,0" in lines
    assert "15.00" in b"".join(client.get("/sell/dashboard/listings.csv?owner=vineyard").streaming_content).decode()
    script = Caller(Client(), make_token(seller.user, "*"))
    told = script.call("GET", "namespaces/vineyard/dashboard?days=7&time_zone=Asia/Tokyo").json()
    assert (told["money"][0]["total"]["earned_minor"], told["listings"][0]["purchases"]) == (1215, 1)
    customer = Client()
    customer.force_login(buyer.user)
    assert "15.00 CRD" in customer.get("/library/spending?owner=tasters").content.decode()
    assert b"20.00,5.00" in b"".join(customer.get("/library/spending.csv?owner=tasters").streaming_content)
    spent = Caller(Client(), make_token(buyer.user, "*")).call("GET", "namespaces/tasters/spending").json()
    (money,) = spent["money"]
    assert money["total"] == {"orders": 1, "paid_minor": 2000, "refunded_minor": 500}
    assert (money["listings"][0]["title"], money["members"][0]["member"]) == ("Wine", "tasters-owner")
    assert spent["forecast"][0]["so_far_minor"] == 1500
    assert script.call("GET", "namespaces/tasters/spending").status_code in {403, 404}
    for wrong in ("days=0", "days=x", "since=2026-13-01", "since=2026-02-01&until=2026-01-01", "time_zone=Mars"):
        assert script.call("GET", f"namespaces/vineyard/dashboard?{wrong}").status_code == 400, wrong


def test_calls_are_told_by_token(seller, buyer, digits):
    order = buy(buyer, digits, 100)
    make_calls(order.entitlement.source, 3)
    (found,) = spending_of(buyer.namespace, period_of()).tokens
    assert (found.title, found.token, found.calls) == ("Digits", "", 3)


def test_the_forecast_goes_on_as_the_month_began(buyer, wine, monkeypatch):
    buy(buyer, wine)
    month = month_of("UTC")
    for passed, expected in ((0.5, 4000), (0.25, 8000), (1, 2000)):
        at = month.since + (month.until - month.since) * passed
        monkeypatch.setattr("market.spending_queries.now", lambda at=at: at)
        assert forecasts(buyer.namespace, month)[0].until_end == expected


def test_empty_pages_say_so(client, seller):
    client.force_login(seller.user)
    assert b"Nothing to show yet" in client.get("/sell/dashboard?owner=vineyard").content
    assert b"Nothing spent in these days" in client.get("/library/spending?owner=vineyard").content


def test_much_costs_as_many_queries_as_little(seller, buyer, wine, digits):
    buy(buyer, wine)
    with CaptureQueriesContext(connection) as one:
        seller_figures(seller.namespace, period_of())
        spending_of(buyer.namespace, period_of())
    for number in range(3):
        buy(buyer, digits, 10, f"k{number}")
    with CaptureQueriesContext(connection) as two:
        seller_figures(seller.namespace, period_of())
        spending_of(buyer.namespace, period_of())
    assert len(two) <= len(one)


def test_periods_are_days_of_the_person():
    period = period_of(first="2026-03-29", last="2026-03-29", zone="Europe/Berlin")
    assert (period.until - period.since).total_seconds() == 86400
    assert (period.until.timestamp() - period.since.timestamp()) == 23 * 3600
    assert period.days == [date(2026, 3, 29)]
    with pytest.raises(Invalid):
        period_of(first="2024-01-01", last="2026-01-01")
