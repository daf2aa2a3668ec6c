"""What is shown of money and purchases is what the ledger says, page by page."""

from datetime import timedelta

import pytest

from common import clock
from common.clock import now
from common.money import Money
from market import queries
from market.policies import visible_entitlements, visible_orders
from market.services import billing, ledger
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


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 10_000)
    return buyer


def buy(buyer, listing, key, quantity=1):
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), quantity=quantity, key=key)


@pytest.fixture
def download(seller):
    return make_listing(seller, make_version(seller).repo, {"kind": "one_time", "price_minor": 1999})


@pytest.fixture
def calls(seller):
    return make_listing(
        seller, make_endpoint(seller), {"kind": "pay_per_use", "price_minor": 250, "unit_size": 1000}, title="Digits"
    )


def test_balances_by_currency(seller, buyer, download, calls):
    give_credits(buyer, 700, currency="EUR", key="euro")
    buy(buyer, download, "k1")
    buy(buyer, calls, "k2", quantity=2)
    assert queries.balance(buyer.namespace, "CRD") == Money(7_501, "CRD")
    assert queries.balance(make_person("eve").namespace, "CRD") == Money(0, "CRD")
    assert queries.balances(buyer.namespace) == [
        queries.Balances("CRD", 7_501, 500, 0),
        queries.Balances("EUR", 700, 0, 0),
    ]
    assert queries.balances(seller.namespace) == [queries.Balances("CRD", 0, 0, 1_799)]


def test_the_statement_pages_backwards_with_running_balances(buyer, download, calls, django_assert_num_queries):
    buy(buyer, download, "k1")
    buy(buyer, calls, "k2", quantity=2)
    first = queries.statement(buyer.namespace, limit=2)
    assert [(entry.amount_minor, entry.balance_after_minor) for entry in first.items] == [(-500, 7_501), (-1999, 8_001)]
    assert [entry.transaction.order.listing.title for entry in first.items] == ["Digits", "Wine"]
    second = queries.statement(buyer.namespace, limit=2, cursor=first.next_cursor)
    assert [(entry.amount_minor, entry.transaction.order) for entry in second.items] == [(10_000, None)]
    assert second.next_cursor is None
    with django_assert_num_queries(2):
        [
            entry.transaction.order and entry.transaction.order.listing.title
            for entry in queries.statement(buyer.namespace).items
        ]


def test_earnings_count_calls_as_they_are_made_and_take_refunds_off(seller, buyer, download, calls):
    began = now()
    bought = buy(buyer, download, "k1")
    order = buy(buyer, calls, "k2", quantity=4)
    make_calls(order.entitlement.source, 400)
    billing.bill_usage()
    found = {each.listing.title: each for each in queries.earnings_by_listing(seller.namespace)}
    assert found == {
        "Wine": queries.Earned(download, "CRD", 1_799, 1, 1_999, 0),
        "Digits": queries.Earned(calls, "CRD", 90, 1, 1_000, 0),
    }
    with clock.travel(timedelta(hours=1)):
        refund_order(buyer.actor, bought, key="r1")
        later = queries.earnings_by_listing(seller.namespace, since=began + timedelta(minutes=30))
    assert later == [queries.Earned(download, "CRD", -1_799, 0, 0, 0)]
    assert queries.earned_between(seller.namespace, "CRD") == Money(90, "CRD")
    assert queries.earned_between(seller.namespace, "CRD", until=began + timedelta(minutes=30)) == Money(1_889, "CRD")
    assert ledger.verify_ledger().is_sound


def test_what_one_has_access_to(buyer, download, calls, django_assert_num_queries):
    buy(buyer, download, "k1")
    order = buy(buyer, calls, "k2")
    make_calls(order.entitlement.source, 4)
    with django_assert_num_queries(2):
        page = queries.entitlements_of(buyer.namespace)
    found = [
        (each.entitlement.listing.title, each.used_units, each.left_units, each.charged_minor) for each in page.items
    ]
    assert found == [("Digits", 4, 996, 1), ("Wine", None, None, 0)]
    assert queries.entitlement_for(buyer.actor, download) == page.items[1].entitlement
    refund_order(buyer.actor, order, key="r1")
    assert [each.entitlement.listing.title for each in queries.entitlements_of(buyer.namespace).items] == ["Wine"]


def test_orders_and_sales_page_newest_first_without_a_query_a_row(
    seller, buyer, download, calls, django_assert_num_queries
):
    orders = [buy(buyer, download, "k0"), *(buy(buyer, calls, f"k{number}") for number in range(1, 4))]
    first = queries.orders_of(buyer.namespace, limit=3)
    second = queries.orders_of(buyer.namespace, limit=3, cursor=first.next_cursor)
    assert first.items + second.items == orders[::-1]
    with django_assert_num_queries(1):
        page = queries.sales_of(seller.namespace)
        assert [(order.listing.title, order.buyer.name, order.plan.name) for order in page.items][-1] == (
            "Wine",
            "tasters",
            "One-time",
        )


def test_strangers_see_no_orders_and_no_entitlements(seller, buyer, download):
    order = buy(buyer, download, "k1")
    eve = make_person("eve").actor
    assert (list(visible_orders(eve)), list(visible_entitlements(eve))) == ([], [])
    assert list(visible_orders(seller.actor)) == list(visible_orders(buyer.actor)) == [order]


def test_the_listing_of_a_subject_is_found_by_those_who_may_see_it(seller, download):
    found = queries.listing_for(make_person("eve").actor, download.subject_uuid)
    assert (found, [plan.price_minor for plan in found.offers]) == (download, [1999])
