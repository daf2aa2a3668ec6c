"""A buyer's bank takes the money back: access rests, the money waits, and the end is one of two, in whatever order it is told."""

import random
from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import AuditRecord
from common.clock import now
from lineage.services.record import Ref, record_edge
from market.models import Dispute, Entitlement
from market.services import listings, royalties
from market.services.ledger import earnings, held, verify_ledger
from market.services.refunds import refund_order
from metering.queries import budget_of
from registry.policies import visible_repos
from registry.services.versions import publish_version
from tests.factories.market import balance, make_calls, make_company, make_endpoint, make_listing, make_version, plan_of
from tests.support.stripe_server.state import DISPUTE_FEE
from tests.support.stripe_site import FEE, PRICE
from work.loops import run_due

PAID = {"provider": FEE - PRICE, "earned": 1799, "fees": 200, "provider_fees": -FEE}


def has_access(shop, order) -> bool:
    return visible_repos(shop.buyer.actor).filter(uuid=order.listing.subject_uuid).exists() and bool(
        Entitlement.objects.filter(order=order, frozen_at=None, revoked_at=None)
    )


@pytest.mark.parametrize("is_won", [True, False])
def test_a_dispute_freezes_and_ends(shop, is_won):
    order = shop.paid()
    reference = shop.server.state.dispute(order.payment_reference)
    assert shop.tell(order, times=3).state == "disputed"
    assert (shop.money(), has_access(shop, order)) == (
        {"provider": FEE - PRICE, "provider_fees": -FEE, "disputed": PRICE},
        False,
    )
    client = Client()
    client.force_login(shop.seller.user)
    assert b"The buyer&#x27;s bank has taken the money back" in client.get(f"/orders/{order.uuid}").content
    shop.server.state.close_dispute(reference, is_won=is_won)
    shop.tell(order, times=3, rng=random.Random(3))
    fees = FEE + DISPUTE_FEE
    if is_won:
        assert (order.state, has_access(shop, order)) == ("fulfilled", True)
        assert shop.money() == {**PAID, "provider": fees - PRICE, "provider_fees": -fees}
    else:
        assert (order.state, has_access(shop, order)) == ("lost", False)
        assert shop.money() == {"provider": fees, "provider_fees": -fees}
    told = client.get(f"/api/v1/orders/{order.uuid}/disputes").json()["items"]
    assert [(each["state"], each["amount_minor"]) for each in told] == [("won" if is_won else "lost", PRICE)]
    assert AuditRecord.objects.filter(tag__startswith="market:dispute:").count() == 4
    assert verify_ledger().is_sound


def test_the_end_may_be_told_first_and_the_payment_not_at_all(shop):
    order = shop.place()
    shop.server.state.pay(order.payment_reference)
    reference = shop.server.state.dispute(order.payment_reference)
    shop.server.state.close_dispute(reference, is_won=False)
    events = [each for each in shop.server.state.pending if "dispute" in each["type"]]
    shop.server.state.pending = events[::-1]
    assert shop.tell(order).state == "lost"
    assert Dispute.objects.get().state == "lost"


def test_calls_are_counted_and_the_rest_comes_back(shop):
    plan = plan_of(
        make_listing(
            shop.seller, make_endpoint(shop.seller), {"kind": "pay_per_use", "price_minor": 10, "currency": "EUR"}
        )
    )
    order = shop.order(plan, quantity=100)
    shop.server.state.pay(order.payment_reference)
    shop.tell(order)
    make_calls(order.entitlement.source, 30)
    reference = shop.server.state.dispute(order.payment_reference)
    shop.tell(order)
    waiting = held(shop.buyer.namespace, "EUR", order.uuid)
    assert (balance(waiting), budget_of(order.entitlement.source).closed_at is not None) == (0, True)
    run_due()
    shop.server.state.close_dispute(reference, is_won=True)
    shop.tell(order)
    budget = budget_of(order.entitlement.source)
    assert (order.state, balance(waiting), budget.closed_at, budget.left) == ("fulfilled", 700, None, 70)
    assert verify_ledger().is_sound


def test_a_disputed_part_leaves_the_rest_of_the_calls_to_the_buyer(shop):
    plan = plan_of(
        make_listing(
            shop.seller, make_endpoint(shop.seller), {"kind": "pay_per_use", "price_minor": 10, "currency": "EUR"}
        )
    )
    order = shop.order(plan, quantity=100)
    shop.server.state.pay(order.payment_reference)
    shop.tell(order)
    reference = shop.server.state.dispute(order.payment_reference, amount=400)
    shop.server.state.close_dispute(reference, is_won=False)
    shop.tell(order)
    assert (order.state, order.refunded_minor, order.returned_at is not None) == ("lost", 600, True)
    assert balance(held(shop.buyer.namespace, "EUR", order.uuid)) == 0
    assert shop.money().get("disputed") is None
    assert verify_ledger().is_sound


def test_owners_upstream_bear_their_part(shop):
    grower = make_company("grower")
    grapes = make_version(grower, "grapes")
    royalties.declare_terms(grower.actor, grapes.repo, basis_points=1000)
    grapes = publish_version(grower.actor, grapes.repo, grapes.commit.oid, name="2.0")
    wine = make_version(shop.seller, "port")
    record_edge(Ref("version", grapes.uuid), Ref("version", wine.uuid), "derived")
    offered = {"kind": "one_time", "price_minor": PRICE, "currency": "EUR"}
    listing = make_listing(shop.seller, wine.repo, offered, publish=False)
    royalties.accept(shop.seller.actor, listing, [each.terms.uuid for each in royalties.chain_of(listing)])
    order = shop.order(plan_of(listings.publish_listing(shop.seller.actor, listing)))
    shop.server.state.pay(order.payment_reference)
    shop.tell(order)
    share = earnings(grower.namespace, "EUR")
    assert balance(share) == 179
    half = shop.server.state.dispute(order.payment_reference, amount=1000)
    shop.tell(order)
    # 1999 are 1620 of the seller, 179 of the grower and 200 of the platform; of 1000 they bear 810, 90 and 100
    assert (balance(share), shop.money()["earned"], shop.money()["fees"]) == (179 - 90, 1620 - 810, 200 - 100)
    shop.server.state.close_dispute(half, is_won=True)
    shop.tell(order)
    assert (balance(share), order.state) == (179, "fulfilled")
    assert verify_ledger().is_sound


@pytest.mark.parametrize("is_won", [True, False])
def test_two_disputes_of_one_order(shop, is_won):
    order = shop.paid()
    state = shop.server.state
    first, second = (state.dispute(order.payment_reference, amount=amount) for amount in (700, 1299))
    state.close_dispute(first, is_won=True)
    shop.tell(order)
    assert (order.state, has_access(shop, order)) == ("disputed", False)
    state.close_dispute(second, is_won=is_won)
    shop.tell(order)
    assert order.state == ("fulfilled" if is_won else "lost")
    assert shop.money().get("disputed") is None
    assert verify_ledger().is_sound


def test_a_dispute_after_the_refund_is_borne_by_the_platform(shop):
    order = shop.paid()
    refund_order(shop.seller.actor, order, key="r")
    run_due()
    reference = shop.server.state.dispute(order.payment_reference)
    assert shop.tell(order).state == "refunded"
    assert shop.money()["fees"] == -PRICE
    shop.server.state.close_dispute(reference, is_won=True)
    shop.tell(order)
    assert (order.state, shop.money().get("fees", 0), shop.money().get("disputed", 0)) == ("refunded", 0, 0)


def test_a_seller_opens_an_account_and_is_told_when_it_is_ready(shop):
    client = Client()
    client.force_login(shop.seller.user)
    page = f"/earnings/account?owner={shop.seller.name}"
    assert b"needs an account" in client.get(page).content
    assert b"/setup/acct_" in client.post(page).content
    assert b"business type" in client.get(page).content
    address = f"/api/v1/namespaces/{shop.seller.name}/seller-account"
    account = next(each for each in shop.server.state.objects if each.startswith("acct_"))
    shop.server.state.onboard(account)
    shop.server.deliver(shop.post)
    run_due()
    assert client.get(address).json() == {"is_offered": True, "is_ready": True, "needs": [], "url": ""}
    assert b"The account is ready" in client.get(page).content
    assert sum(each.startswith("acct_") for each in shop.server.state.objects) == 1
    assert now() - timedelta(minutes=5) < AuditRecord.objects.get(tag="market:account:changed").at
