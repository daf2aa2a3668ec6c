"""The dashboards tell what the ledger, metering and the orders hold, by day, in as many queries for much as for little."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.permissions import Role
from accounts.services import members, teams
from accounts.services.tokens import issue
from common import clock
from common.clock import now
from common.errors import Invalid
from common.ids import new_uuid
from lineage.services.record import Ref, record_edge
from market.dashboard_periods import month_of, period_of
from market.dashboard_queries import seller_figures
from market.models import ListingViews, Order
from market.queries import earned_between
from market.rating import spread
from market.services import billing, ledger, listings, royalties
from market.services.orders import place_order
from market.services.partial_refunds import refund_part
from market.services.views import count_view, is_machine
from market.spending_queries import forecasts, spending_of
from market.use_queries import Used
from metering.meters import Meter
from metering.services.usage import Usage, record
from registry.services.versions import publish_version
from tests.factories.accounts import make_token
from tests.factories.market import (
    SYSTEM,
    agreed,
    balance,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_person,
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


@pytest.fixture
def staffed(buyer):
    """Tokens of the buyer's people: ann (lab), bob (lab and ward), cem (in no team)."""
    organization, tokens = buyer.namespace.organization, {}
    rooms = {name: teams.create_team(buyer.actor, organization, name) for name in ("lab", "ward")}
    for name, places in {"ann": ["lab"], "bob": ["lab", "ward"], "cem": []}.items():
        person = make_person(name)
        members.add_member(SYSTEM, organization, person.user, Role.MEMBER)
        for place in places:
            teams.add_to_team(buyer.actor, rooms[place], name)
        tokens[name] = str(issue(person.actor, name="notebook", scopes=["*"])[0].uuid)
    return tokens


def test_tokens_and_teams_share_what_calls_cost_to_the_last_cent(client, seller, buyer, staffed):
    rated = {"kind": "pay_per_use", "included_units": 1, "tiers": [(2, 7), (None, 3)]}
    endpoint = make_listing(seller, make_endpoint(seller), rated, {"kind": "free"}, title="Digits")
    order = buy(buyer, endpoint, 10)
    source = order.entitlement.source
    with clock.frozen(now() - timedelta(days=2)):
        make_calls(source, 1, first=900)
    make_calls(source, 3, units=2, token=staffed["ann"])
    make_calls(source, 2, first=10, token=staffed["bob"])
    make_calls(source, 1, first=20, token=staffed["cem"])
    make_calls(source, 1, first=30, token=str(new_uuid()))
    billing.bill_usage()
    (money,) = spending_of(buyer.namespace, period_of(days="7")).money
    charged = order.total_minor - balance(ledger.held(buyer.namespace, "CRD", order.uuid))
    assert money.use.total == Used(8, charged)
    assert charged == 2 * 7 + 8 * 3
    for parts in (
        money.use.by_day.values(),
        *([each.total for each in rows] for rows in (money.use.tokens, money.use.teams)),
    ):
        assert (sum(part.calls for part in parts), sum(part.cost_minor for part in parts)) == (8, charged)
    # the included unit went two days ago: of the ten paid ones of today ann drew six
    today = period_of(days="1")
    use = spending_of(buyer.namespace, today).money[0].use
    assert [(each.name, each.total.cost_minor) for each in use.tokens] == [
        ("ann: notebook", 23), ("bob: notebook", 7), ("cem: notebook", 4), ("", 4),
    ]  # fmt: skip
    assert [(each.teams, each.total.cost_minor) for each in use.teams] == [
        (("lab",), 23), (("lab", "ward"), 7), ((), 4), (None, 4),
    ]  # fmt: skip
    client.force_login(buyer.user)
    page = client.get("/library/spending?owner=tasters&days=1").content.decode()
    for words in ("lab and ward", "In no team", "Cannot be told", "0.23 CRD", "0.38 CRD"):
        assert words in page, words
    lines = b"".join(client.get("/library/spending/calls.csv?owner=tasters&days=1").streaming_content).decode()
    assert '"lab, ward","Digits","CRD",2,0.07' in lines
    told = Caller(Client(), make_token(buyer.user, "*")).call("GET", "namespaces/tasters/spending?days=1").json()
    assert told["money"][0]["use"]["total"] == {"calls": 7, "cost_minor": 38}
    assert told["money"][0]["use"]["teams"][1] == {"teams": ["lab", "ward"], "calls": 2, "cost_minor": 7}


def test_use_that_was_paid_before_is_shown_and_what_costs_nothing_costs_nothing(client, seller, buyer, staffed):
    quota = {
        "kind": "subscription", "price_minor": 500, "interval": "month", "included_units": 4, "overage_minor": 5,
        "overage_units": 100,
    }  # fmt: skip
    endpoint = make_endpoint(seller)
    digits = make_listing(seller, endpoint, quota, title="Digits")
    source = buy(buyer, digits).entitlement.source
    make_calls(source, 3, token=staffed["ann"])
    make_calls(source, 3, first=3, token=staffed["bob"])
    own = Usage(Meter.INFERENCE_CALLS, "inference", "own", 1, endpoint.uuid, now(), buyer.namespace.uuid)
    record(own)
    found = spending_of(buyer.namespace, period_of())
    use = found.money[0].use
    assert (use.total, [each.total.cost_minor for each in use.tokens]) == (Used(6, 10), [5, 5])
    assert (found.free.total, found.free.tokens[0].name) == (Used(1, 0), "")
    Order.objects.update(paid_at=now() - timedelta(days=40))
    later = spending_of(buyer.namespace, period_of())
    assert (later.money[0].total.orders, later.money[0].use.total) == (0, Used(6, 10))
    client.force_login(buyer.user)
    assert b"Calls without a purchase" in client.get("/library/spending?owner=tasters").content


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), max_size=20))
def test_parts_sum_to_the_whole_and_none_is_off_by_one(total, weights):
    total = total if sum(weights) else 0
    parts = spread(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part * sum(weights) - total * weight) <= sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


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
