"""A part of the money goes back: everybody gives back their share, in however many parts, and never more than there was."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import Conflict, Forbidden, Invalid
from lineage.services.record import Ref, record_edge
from market.models import LedgerTransaction, Refund, RoyaltyTerms
from market.rating import shares_upto
from market.royalties import due_upto
from market.services import billing, listings, refunds, royalties
from market.services.ledger import clearing, earnings, fees, held, verify_ledger, wallet
from market.services.orders import place_order
from market.services.partial_refunds import refund_part
from market.services.reconciliation import reconcile
from metering.queries import budget_of
from notices.models import Notice
from registry.policies import visible_repos
from registry.services.versions import publish_version
from tests.factories.market import (
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
from tests.support.stripe_server import Fault
from tests.support.stripe_site import FEE, PRICE
from work.loops import run_due

START = 100_000


@pytest.fixture
def owners(db):
    """Data (7 %, at least 0.50) and a base model (11 %, at most 1.50) upstream."""
    return make_company("grower"), make_company("trainer")


@pytest.fixture
def seller(owners):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, START)
    return buyer


@pytest.fixture
def order(owners, seller, buyer, settings):
    """One model for 19.99, with two owners upstream."""
    settings.PLATFORM_FEE_PERCENT = 13
    mine = make_version(seller, "wine", "model")
    asked = ({"basis_points": 700, "minimum_minor": 50}, {"basis_points": 1100, "cap_minor": 150})
    for owner, terms in zip(owners, asked, strict=True):
        first = make_version(owner, owner.name)
        royalties.declare_terms(owner.actor, first.repo, **terms)
        second = publish_version(owner.actor, first.repo, first.commit.oid, name="2.0")
        record_edge(Ref("version", second.uuid), Ref("version", mine.uuid), "derived")
    listing = make_listing(seller, mine.repo, {"kind": "one_time", "price_minor": 1999}, publish=False)
    royalties.accept(seller.actor, listing, [each.terms.uuid for each in royalties.chain_of(listing)])
    listings.publish_listing(seller.actor, listing)
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), key="k1")


@pytest.fixture
def calls(seller, buyer):
    """1,000 prepaid calls for 100.00."""
    plan = {"kind": "pay_per_use", "price_minor": 10}
    listing = make_listing(seller, make_endpoint(seller), plan, title="Digits")
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing)), quantity=1000, key="calls")


def state(order, owners=()) -> dict[str, int]:
    parties = {each.name: earnings(each.namespace, "CRD") for each in owners}
    found = {
        "buyer": wallet(order.buyer, "CRD"), "seller": earnings(order.seller, "CRD"), "site": fees("CRD"),
        "held": held(order.buyer, "CRD", order.uuid), "clearing": clearing("CRD"), **parties,
    }  # fmt: skip
    return {name: balance(ref) for name, ref in found.items()}


def sold_for(price: int, owners) -> dict[str, int]:
    """What everybody has when the model is sold for `price`, reckoned without the ledger."""
    sold = shares_upto(price, 13)
    terms = RoyaltyTerms.objects.order_by("pk")
    dues = due_upto([each.share_in("CRD") for each in terms], sold.seller_minor)
    parts = {owner.name: due for owner, due in zip(owners, dues, strict=True)}
    rest = sold.seller_minor - sum(dues)
    return {"buyer": START - price, "seller": rest, "site": sold.fee_minor, "held": 0, "clearing": 0, **parts}


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 1999), min_size=1, max_size=6))
def test_any_parts_leave_everybody_as_one_sale_for_less(order, owners, seller, wanted):
    with transaction.atomic():
        left = 1999
        for number, part in enumerate([*wanted, 1999]):
            amount = min(part, left)
            if not amount:
                break
            refund_part(seller.actor, order, amount, key=f"r{number}")
            left -= amount
            assert state(order, owners) == sold_for(left, owners)
        order.refresh_from_db()
        assert (left, order.state, order.refunded_minor) == (0, "refunded", 1999)
        assert sum(order.refunds.values_list("amount_minor", flat=True)) == 1999
        assert verify_ledger().is_sound
        transaction.set_rollback(True)
    order.refresh_from_db()


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5000)), min_size=1, max_size=5))
def test_calls_that_are_left_cost_less_and_none_is_charged_twice(calls, seller, buyer, steps):
    with transaction.atomic():
        used = returned = 0
        for number, (more, part) in enumerate(steps):
            count, amount = min(more, 1000 - used), min(part, 9_999 - returned)
            make_calls(calls.entitlement.source, count, first=used)
            used += count
            billing.bill_usage()
            if amount:
                refund_part(seller.actor, calls, amount, key=f"r{number}")
                returned += amount
            price = 10_000 - returned
            sold = shares_upto(price * used // 1000, calls.fee_percent)
            assert state(calls) == {
                "buyer": START - price, "seller": sold.seller_minor, "site": sold.fee_minor,
                "held": price - sold.charged_minor, "clearing": 0,
            }  # fmt: skip
        assert refunds.refund_order(seller.actor, calls, key="end").state == "refunded"
        assert state(calls)["held"] == 0
        assert verify_ledger().is_sound
        transaction.set_rollback(True)
    calls.refresh_from_db()
    calls.entitlement.refresh_from_db()


def test_access_goes_on_unless_the_seller_ends_it(order, owners, seller, buyer):
    def may_read():
        return visible_repos(buyer.actor).filter(uuid=order.listing.subject_uuid, versions__isnull=False).exists()

    first = refund_part(seller.actor, order, 500, reason="One file was missing.", key="r1")
    order.refresh_from_db()
    assert (order.state, order.refunded_minor, order.entitlement.revoked_at) == ("fulfilled", 500, None)
    assert may_read()
    assert Notice.objects.filter(kind="market:royalty:returned").count() == 2
    last = refund_part(seller.actor, order, 500, ends_access=True, key="r2")
    order.refresh_from_db()
    order.entitlement.refresh_from_db()
    assert (order.state, order.refunded_minor) == ("refunded", 1000)
    assert order.entitlement.revoked_at is not None
    assert (first.ended_access, last.ended_access) == (False, True)
    assert state(order, owners) == sold_for(999, owners)
    with pytest.raises(Conflict):
        refund_part(seller.actor, order, 1, key="r3")


def test_ending_prepaid_calls_returns_what_is_unused_when_the_last_is_counted(calls, seller):
    budget = budget_of(calls.entitlement.source)
    make_calls(calls.entitlement.source, 500)
    type(budget).objects.filter(pk=budget.pk).update(held=1)
    refund_part(seller.actor, calls, 1000, ends_access=True, key="r")
    calls.refresh_from_db()
    assert calls.state == "refunding"
    type(budget).objects.filter(pk=budget.pk).update(held=0)
    assert refunds.finish_refunds() == 1
    calls.refresh_from_db()
    # 500 calls at 0.09 stay charged
    assert (calls.state, calls.refunded_minor) == ("refunded", 10_000 - 4_500)
    assert sorted(calls.refunds.values_list("amount_minor", flat=True)) == [1000, 4500]
    assert verify_ledger().is_sound


def test_the_whole_comes_back_with_the_calls_that_were_made(calls, seller, buyer):
    make_calls(calls.entitlement.source, 300)
    billing.bill_usage()
    refund_part(seller.actor, calls, 10_000, key="r")
    calls.refresh_from_db()
    assert (calls.state, balance(wallet(buyer.namespace, "CRD"))) == ("refunded", START)
    assert state(calls)["seller"] == 0


def test_the_key_makes_it_once_and_what_makes_no_sense_is_refused(order, seller, buyer):
    made = refund_part(seller.actor, order, 700, key="r1")
    assert refund_part(seller.actor, order, 700, key="r1") == made
    with pytest.raises(Conflict) as refusal:
        refund_part(seller.actor, order, 701, key="r1")
    assert refusal.value.code == "key_reused"
    with pytest.raises(Conflict):
        refunds.refund_order(seller.actor, order, key="r1")
    for amount in (0, -1, 1300, True, 1.5):
        with pytest.raises(Invalid):
            refund_part(seller.actor, order, amount, key="r2")
    with pytest.raises(Forbidden):
        refund_part(buyer.actor, order, 1, key="r2")
    assert refund_part(make_staff(), order, 1, key="r2").amount_minor == 1
    assert LedgerTransaction.objects.filter(kind="refund").count() == 2
    for change in ({"amount_minor": 1}, {"order_id": None}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Refund.objects.update(**change)


def make_staff():
    staff = make_person("steve")
    staff.user.is_staff = True
    staff.user.save(update_fields=["is_staff"])
    return staff.actor


def refunds_at(shop) -> list[int]:
    return [each["amount"] for each in shop.server.state.objects.values() if each["object"] == "refund"]


def test_parts_go_back_through_the_provider_each_once(shop):
    order = shop.paid()
    shop.server.faults.append(Fault("lost", "POST /v1/refunds"))
    refund_part(shop.seller.actor, order, 500, key="r1")
    refund_part(shop.seller.actor, order, 300, key="r2")
    run_due()
    reconcile()
    run_due()
    assert shop.tell(order).state == "fulfilled"
    assert (sorted(refunds_at(shop)), order.returned_at is not None) == ([300, 500], True)
    assert all(each.reference.startswith("re_") for each in order.refunds.all())
    assert shop.money()["provider"] == FEE - PRICE + 800
    refund_part(shop.seller.actor, order, PRICE - 800, key="r3")
    run_due()
    assert shop.tell(order).state == "refunded"
    assert (sum(refunds_at(shop)), shop.money()) == (PRICE, {"provider": FEE, "provider_fees": -FEE})
    assert verify_ledger().is_sound


def test_what_was_returned_on_the_providers_pages_is_not_sent_again(shop):
    order = shop.paid()
    intent = shop.server.state.objects[order.payment_reference]["payment_intent"]
    shop.server.state.refund({"payment_intent": intent, "amount": 200})
    shop.tell(order)
    refund_part(shop.seller.actor, order, 500, key="r1")
    refund_part(shop.seller.actor, order, 100, key="r2")
    run_due()
    assert refunds_at(shop) == [200, 300, 100]


def test_nothing_goes_back_while_a_bank_holds_it_and_less_after(shop):
    order = shop.paid()
    refund_part(shop.seller.actor, order, 999, key="r1")
    run_due()
    reference = shop.server.state.dispute(order.payment_reference, amount=1000)
    shop.tell(order)
    with pytest.raises(Conflict) as refusal:
        refund_part(shop.seller.actor, order, 1, key="r2")
    assert refusal.value.code == "disputed"
    shop.server.state.close_dispute(reference, is_won=True)
    shop.tell(order)
    assert refund_part(shop.seller.actor, order, 1000, key="r3").ended_access
    assert verify_ledger().is_sound


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_refunds_at_the_same_time_never_return_more_than_was_paid(order, seller):
    def one(number):
        try:
            return refund_part(seller.actor, order, 700, key=f"r{number}").amount_minor
        except (Invalid, Conflict) as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        outcomes = list(pool.map(one, [1, 2, 3, 4, 1]))
    order.refresh_from_db()
    assert order.refunded_minor == 1400 == sum(order.refunds.values_list("amount_minor", flat=True))
    assert outcomes.count("more_than_left") == 2 or outcomes.count(700) == 3
    assert verify_ledger().is_sound
