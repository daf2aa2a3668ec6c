"""Statements: opening, every entry in words, closing; at any moment and for any period."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from common import clock
from common.money import Money
from market import statements
from market.models import AccountKind, TransactionKind
from market.services import ledger, orders, refunds
from market.services.ledger import Leg
from tests.factories.market import agreed, give_credits, make_company, make_listing, make_version, plan_of

DAY = timedelta(days=1)


@pytest.fixture
def trade(db):
    seller, buyer = make_company("vineyard"), make_company("tasters")
    give_credits(buyer, 10_000)
    plan = {"kind": "one_time", "price_minor": 1000, "refund_window_days": 14}
    listing = make_listing(seller, make_version(seller).repo, plan, title="=Wine")
    with clock.travel(DAY):
        order = orders.place_order(buyer.actor, buyer_namespace="tasters", **agreed(plan_of(listing)), key="k")
    with clock.travel(2 * DAY):
        refunds.refund_order(buyer.actor, order, key="r")
    return seller, buyer, order


def test_both_sides_read_what_happened_in_words(trade):
    seller, buyer, order = trade
    found = statements.statement_of(buyer.namespace, AccountKind.WALLET, "CRD")
    assert [(line.text, line.amount.amount_minor, line.balance.amount_minor) for line in found.page.items] == [
        ("Refund of =Wine", 1000, 10_000),
        ("Bought =Wine", -1000, 9000),
        ("Credits of this site", 10_000, 10_000),
    ]
    assert [line.order for line in found.page.items] == [order.uuid, order.uuid, None]
    found = statements.statement_of(seller.namespace, AccountKind.EARNINGS, "CRD")
    assert [(line.text, str(line.amount)) for line in found.page.items] == [
        ("Sale of =Wine to tasters refunded", "-9.00 CRD"),
        ("Sold =Wine to tasters, after the fee of the site", "9.00 CRD"),
    ]


def test_a_period_opens_and_closes_with_what_was_there(trade):
    _, buyer, _ = trade
    start = clock.now() + timedelta(hours=12)
    found = statements.statement_of(buyer.namespace, AccountKind.WALLET, "CRD", since=start, until=start + DAY)
    assert [line.text for line in found.page.items] == ["Bought =Wine"]
    assert (found.opening, found.closing) == (Money(10_000, "CRD"), Money(9000, "CRD"))
    found = statements.statement_of(buyer.namespace, AccountKind.WALLET, "EUR")
    assert (found.opening, found.page.items) == (Money(0, "EUR"), [])


class TestAnyMoment(TestCase):
    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(-50, 50).filter(bool)), max_size=30))
    @settings(max_examples=20, deadline=None)
    def test_a_past_balance_is_the_sum_of_what_came_before(self, moves):
        """Moves of two accounts interleaved, several at the same instant."""
        start = datetime(2026, 1, 1, tzinfo=UTC)
        one, two = ledger.clearing("CRD"), ledger.fees("CRD")
        at, known = start, []
        for number, (pause, amount) in enumerate(moves):
            at += timedelta(hours=pause)
            ref = (one, two)[number % 2]
            with clock.frozen(at):
                ledger.post(
                    TransactionKind.ISSUE, "m", str(number), [Leg(ledger.issued("CRD"), -amount), Leg(ref, amount)]
                )
            known.append((at, ref, amount))
        for ref in (one, two):
            account = ledger.lock([ref])[ref]
            for hours in range(-1, (at - start) // timedelta(hours=1) + 2):
                moment = start + timedelta(hours=hours)
                for is_before in (False, True):
                    position = statements.position_at(account, moment, is_before=is_before)
                    expected = sum(
                        amount
                        for when, where, amount in known
                        if where == ref and (when < moment if is_before else when <= moment)
                    )
                    assert statements._left_by(account, position).amount_minor == expected
                assert statements.balance_at(account, moment) == Money(
                    sum(amount for when, where, amount in known if where == ref and when <= moment), "CRD"
                )


def test_pages_of_a_statement_hold_every_entry_once(trade, client):
    _, buyer, _ = trade
    for number in range(7):
        give_credits(buyer, 10 + number, key=f"more{number}")
    seen, cursor = [], None
    while True:
        found = statements.statement_of(buyer.namespace, AccountKind.WALLET, "CRD", cursor=cursor, limit=3)
        seen += found.page.items
        cursor = found.page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len({line.transaction for line in seen}) == 10
    assert sum(line.amount.amount_minor for line in seen) == found.closing.amount_minor


def test_the_page_the_file_and_the_api_tell_the_same(trade, client):
    _, buyer, order = trade
    client.force_login(buyer.user)
    query = "owner=tasters&account=wallet&currency=CRD&since=2020-01-01&until=2099-12-31"
    shown = client.get(f"/statements?{query}").content.decode()
    assert "Refund of =Wine" in shown
    assert f'href="/orders/{order.uuid}"' in shown
    assert shown.count("100.00 CRD") >= 2
    rows = list(csv.reader(io.StringIO(b"".join(client.get(f"/statements/entries.csv?{query}")).decode())))
    assert rows[0] == ["date", "what", "amount", "balance", "currency", "transaction", "order", "payout"]
    assert [row[1] for row in rows[1:]] == [
        "Refund of =Wine", "Bought =Wine", "Credits of this site",
    ]  # fmt: skip
    api = client.get(
        "/api/v1/namespaces/tasters/statement?account=wallet&currency=CRD&since=2020-01-01T00:00:00Z"
    ).json()
    assert (api["opening_minor"], api["closing_minor"]) == (0, 10_000)
    assert [item["text"] for item in api["items"]] == [row[1] for row in rows[1:]]
    assert api["items"][0]["order"] == str(order.uuid)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("account=held", 400),
        ("currency=XXX", 400),
        ("since=yesterday", 400),
        ("since=2026-02-01&until=2026-01-01", 400),
        ("", 200),
        ("account=earnings", 200),
    ],
)
def test_a_wrong_period_is_refused_with_a_sentence(trade, client, query, status):
    client.force_login(trade[1].user)
    assert client.get(f"/statements?owner=tasters&{query}").status_code == status
