"""Charging calls and undoing orders: to the last minor unit, once, whatever comes in between."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from accounts.models import AuditRecord
from accounts.permissions import Action
from accounts.services.audit import verify
from common import clock
from common.errors import Conflict, Forbidden, NotFound
from compute.endpoint_policies import can as can_call
from market import queries
from market.models import LedgerTransaction, Order
from market.services import billing
from market.services.ledger import earnings, fees, held, verify_ledger, wallet
from market.services.orders import place_order
from market.services.refunds import finish_refunds, refund_order
from metering.queries import budget_of
from metering.services import budgets
from registry.policies import can
from registry.services.repos import delete_repo
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
from work.door import enqueue
from work.loops import run_due

PER_CALL = {
    "kind": "pay_per_use",
    "price_minor": 250,
    "unit_size": 1000,
    "included_units": 100,
    "refund_window_days": 14,
}


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 10_000)
    return buyer


@pytest.fixture
def endpoint(seller):
    return make_endpoint(seller)


@pytest.fixture
def order(seller, buyer, endpoint):
    """Four packs: 1,000 minor units for 4,000 calls, and 100 free ones."""
    listing = make_listing(seller, endpoint, PER_CALL)
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), quantity=4, key="k1")


def money(order):
    refs = [
        wallet(order.buyer, "CRD"),
        held(order.buyer, "CRD", order.uuid),
        earnings(order.seller, "CRD"),
        fees("CRD"),
    ]
    return [balance(ref) for ref in refs]


class TestBilling:
    def test_calls_are_charged_from_what_was_put_aside(self, order):
        source = order.entitlement.source
        make_calls(source, 100)
        assert billing.bill_usage() == 1
        assert money(order) == [9_000, 1_000, 0, 0]
        make_calls(source, 400, first=100)
        assert billing.bill_usage() == 1
        assert money(order) == [9_000, 900, 90, 10]

    def test_billing_again_and_again_charges_nothing_more(self, order):
        make_calls(order.entitlement.source, 500)
        billing.bill_usage()
        moved = LedgerTransaction.objects.count()
        assert (billing.bill_usage(), billing.bill_usage()) == (0, 0)
        assert (LedgerTransaction.objects.count(), money(order)) == (moved, [9_000, 900, 90, 10])

    def test_steps_of_any_size_come_to_the_exact_price(self, order):
        source, first = order.entitlement.source, 0
        for step in (1, 3, 107, 989, 1_500, 1_500):
            make_calls(source, step, first=first)
            billing.bill_usage()
            first += step
        assert money(order) == [9_000, 0, 900, 100]
        order.entitlement.refresh_from_db()
        assert order.entitlement.settled_up_at is not None
        assert verify_ledger().is_sound

    def test_a_call_that_is_reported_twice_is_charged_once(self, order):
        make_calls(order.entitlement.source, 500)
        make_calls(order.entitlement.source, 500)
        billing.bill_usage()
        assert money(order) == [9_000, 900, 90, 10]

    def test_calls_beyond_the_pack_cost_nothing(self, order):
        make_calls(order.entitlement.source, 4_300)
        billing.bill_usage()
        assert money(order) == [9_000, 0, 900, 100]

    def test_the_task_does_it(self, order):
        make_calls(order.entitlement.source, 500)
        enqueue("market.bill_usage")
        run_due()
        assert money(order) == [9_000, 900, 90, 10]

    def test_usage_and_cost_are_shown_before_they_are_charged(self, buyer, order):
        make_calls(order.entitlement.source, 500)
        access = queries.entitlements_of(buyer.namespace).items[0]
        assert (access.used_units, access.left_units, access.charged_minor) == (500, 3_600, 100)

    def test_a_ledger_that_does_not_add_up_is_reported(self, order):
        billing.check_ledger()
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("DROP TRIGGER market_account_follows_entries")
            else:
                cursor.execute("SET session_replication_role = replica")
            cursor.execute("UPDATE market_account SET balance_minor = balance_minor + 1 WHERE kind = 'wallet'")
            if connection.vendor != "sqlite":
                cursor.execute("SET session_replication_role = origin")
        with pytest.raises(billing.LedgerUnsound, match=r"wallet.* says 9001, its entries come to 9000"):
            billing.check_ledger()


class TestRefundOfCalls:
    def test_used_calls_are_charged_and_the_rest_goes_back(self, buyer, endpoint, order):
        make_calls(order.entitlement.source, 500)
        refunded = refund_order(buyer.actor, order, reason="Not what we need", key="r1")
        assert (refunded.state, refunded.refunded_minor) == ("refunded", 900)
        assert money(order) == [9_900, 0, 90, 10]
        assert not can_call(buyer.actor, endpoint, Action.ENDPOINT_USE)
        assert budget_of(order.entitlement.source).closed_at is not None
        assert queries.entitlements_of(buyer.namespace).items == []
        assert verify_ledger().is_sound
        assert verify().first_bad is None

    def test_while_calls_are_in_flight_the_money_waits_for_them(self, buyer, endpoint, order):
        source = order.entitlement.source
        assert budgets.hold(budget_of(source).pk, "process-1", 50) == 50
        make_calls(source, 110, owner="nobody")
        assert refund_order(buyer.actor, order, key="r1").state == "refunding"
        assert not can_call(buyer.actor, endpoint, Action.ENDPOINT_USE)
        assert money(order) == [9_000, 1_000, 0, 0]
        assert finish_refunds() == 0
        make_calls(source, 40, first=110, owner="process-1")
        budgets.release("process-1")
        assert finish_refunds() == 1
        assert finish_refunds() == 0
        order.refresh_from_db()
        # 150 calls, 50 of them paid: 12.5 minor units, rounded down
        assert (order.state, order.refunded_minor, money(order)) == ("refunded", 988, [9_988, 0, 11, 1])

    def test_a_pack_that_is_used_up_returns_nothing(self, buyer, order):
        make_calls(order.entitlement.source, 4_100)
        assert refund_order(buyer.actor, order, key="r1").refunded_minor == 0
        assert money(order) == [9_000, 0, 900, 100]

    def test_late_calls_after_the_refund_are_recorded_and_not_charged(self, buyer, order):
        refund_order(buyer.actor, order, key="r1")
        make_calls(order.entitlement.source, 500)
        assert billing.bill_usage() == 0
        assert money(order) == [10_000, 0, 0, 0]


class TestRefundOfDownload:
    @pytest.fixture
    def repo(self, seller):
        return make_version(seller).repo

    @pytest.fixture
    def order(self, seller, buyer, repo):
        listing = make_listing(seller, repo, {"kind": "one_time", "price_minor": 1999, "refund_window_days": 14})
        return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key="k1")

    def test_all_of_it_is_unwound(self, seller, buyer, repo, order):
        repo.refresh_from_db()
        assert can(buyer.actor, repo, Action.REPO_READ)
        refunded = refund_order(buyer.actor, order, key="r1")
        assert (refunded.state, refunded.refunded_minor) == ("refunded", 1999)
        assert [balance(ref) for ref in (wallet(order.buyer, "CRD"), earnings(order.seller, "CRD"), fees("CRD"))] == [
            10_000,
            0,
            0,
        ]
        assert not can(buyer.actor, repo, Action.REPO_READ)
        order.listing.refresh_from_db()
        assert order.listing.sales == 0
        assert verify_ledger().is_sound

    def test_the_same_key_again_changes_nothing_another_key_is_refused(self, buyer, order):
        refund_order(buyer.actor, order, key="r1")
        before = (LedgerTransaction.objects.count(), AuditRecord.objects.count())
        assert refund_order(buyer.actor, order, key="r1").state == "refunded"
        with pytest.raises(Conflict) as refusal:
            refund_order(SYSTEM, order, key="r2")
        assert refusal.value.code == "refunded_already"
        assert (LedgerTransaction.objects.count(), AuditRecord.objects.count()) == before

    def test_it_works_when_what_was_sold_is_deleted(self, seller, buyer, repo, order):
        delete_repo(seller.actor, repo)
        assert refund_order(buyer.actor, order, key="r1").state == "refunded"
        assert balance(wallet(order.buyer, "CRD")) == 10_000

    def test_after_the_window_only_the_seller_and_staff_can(self, seller, buyer, order):
        with clock.travel(timedelta(days=14, minutes=1)):
            with pytest.raises(Forbidden) as refusal:
                refund_order(buyer.actor, order, key="r1")
            assert refusal.value.code == "refund_window_over"
            order.refresh_from_db()
            assert (order.state, balance(wallet(order.buyer, "CRD"))) == ("fulfilled", 8_001)
            assert refund_order(seller.actor, order, key="r1").state == "refunded"

    def test_strangers_do_not_even_see_it(self, order):
        with pytest.raises(NotFound):
            refund_order(make_person("eve").actor, order, key="r1")
        assert Order.objects.get().state == "fulfilled"

    def test_after_a_refund_it_can_be_bought_again(self, buyer, order):
        refund_order(buyer.actor, order, key="r1")
        again = place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(order.plan), key="k2")
        assert (again.state, balance(wallet(order.buyer, "CRD"))) == ("fulfilled", 8_001)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def together(self, *deeds):
        def one(deed):
            try:
                return deed()
            except Conflict as error:
                return error.code
            finally:
                connection.close()

        with ThreadPoolExecutor(len(deeds)) as pool:
            return list(pool.map(one, deeds))

    def test_billing_beside_itself_and_beside_a_refund_charges_each_call_once(self, buyer, order):
        make_calls(order.entitlement.source, 500)
        outcomes = self.together(
            *[billing.bill_usage] * 5,
            *[lambda key=f"r{n}": refund_order(buyer.actor, order, key=key).state for n in range(5)],
        )
        assert sorted(map(str, outcomes[5:])) == ["refunded", *["refunded_already"] * 4]
        assert money(order) == [9_900, 0, 90, 10]
        assert verify_ledger().is_sound
