"""Royalties: terms follow lineage, are accepted before selling, paid with every sale, and undone with it."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from common import clock
from common.errors import Conflict, Forbidden, Invalid
from common.ids import new_uuid
from lineage.services.record import Ref, record_edge
from market.models import Account, OrderRoyalty, RoyaltyAcceptance, RoyaltyTerms
from market.royalties import WHOLE, Share, due_between, due_upto
from market.services import billing, listings, royalties
from market.services.ledger import earnings, fees, held, verify_ledger, wallet
from market.services.orders import place_order
from market.services.refunds import refund_order
from notices.models import Notice
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

MINOR = st.integers(0, 10**12)
SHARES = st.lists(
    st.builds(
        lambda points, low, more: Share(points, low, None if more is None else low + more),
        st.integers(0, 2500), st.integers(0, 500), st.none() | st.integers(1, 5000),
    ),
    max_size=4,
)  # fmt: skip


@given(SHARES, MINOR)
def test_parts_are_whole_and_never_more_than_there_is(shares, received):
    due = due_upto(shares, received)
    assert all(part >= 0 for part in due)
    assert sum(due) <= received
    for share, part in zip(shares, due, strict=True):
        assert share.cap_minor is None or part <= share.cap_minor
    if sum(max(s.minimum_minor, received * s.basis_points // WHOLE) for s in shares) <= received > 0:
        assert all(
            part == min(max(share.minimum_minor, received * share.basis_points // WHOLE), share.cap_minor or received)
            for share, part in zip(shares, due, strict=True)
        )


@given(SHARES, st.lists(st.integers(0, 10**9), max_size=12))
def test_it_does_not_matter_in_how_many_steps_an_order_is_charged(shares, steps):
    paid, before = [0] * len(shares), 0
    for step in steps:
        paid = [a + b for a, b in zip(paid, due_between(shares, before, before + step), strict=True)]
        before += step
    assert paid == due_upto(shares, before)


@pytest.fixture
def grower(db):
    """Owns the data at the beginning of the chain."""
    return make_company("grower")


@pytest.fixture
def trainer(grower):
    return make_company("trainer")


@pytest.fixture
def seller(trainer):
    return make_company("seller")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 100_000)
    return buyer


def derive(source, target) -> None:
    """As a job notes it: version → run → version."""
    run = Ref("job", new_uuid())
    record_edge(Ref("version", source.uuid), run, "input")
    record_edge(run, Ref("version", target.uuid), "output")


def declared(owner, name, kind="dataset", **terms):
    """A version that was published under these terms."""
    first = make_version(owner, name, kind)
    royalties.declare_terms(owner.actor, first.repo, **terms)
    return publish_version(owner.actor, first.repo, first.commit.oid, name="2.0")


def agree(seller, listing):
    royalties.accept(seller.actor, listing, [each.terms.uuid for each in royalties.chain_of(listing)])


def on_sale(seller, version, *plans, **more):
    listing = make_listing(seller, version.repo, *plans, publish=False, **more)
    agree(seller, listing)
    return listings.publish_listing(seller.actor, listing)


def buy(buyer, listing, *, plan=1, quantity=1, key="k1"):
    return place_order(
        buyer.actor, buyer_namespace=buyer.name, **agreed(plan_of(listing, plan)), quantity=quantity, key=key
    )


@pytest.fixture
def chain(grower, trainer, seller):
    """Data (2.5 %, at least 0.50) → base model (10 %, at most 1.50) → the seller's model; the data also reach it directly."""
    data = declared(grower, "grapes", basis_points=250, minimum_minor=50)
    base = declared(trainer, "base", "model", basis_points=1000, cap_minor=150)
    tuned = make_version(seller, "tuned", "model")
    derive(data, base)
    derive(base, tuned)
    derive(data, tuned)
    return data, base, tuned


ONE_TIME = {"kind": "one_time", "price_minor": 2000}


def test_a_sale_pays_the_whole_chain_and_a_refund_takes_it_back(chain, grower, trainer, seller, buyer, settings):
    settings.PLATFORM_FEE_PERCENT = 10
    listing = make_listing(seller, chain[2].repo, ONE_TIME, publish=False)
    found = royalties.chain_of(listing)
    # the data by the shorter way, once, and the model
    assert [(each.terms.namespace.name, each.steps) for each in found] == [("grower", 2), ("trainer", 2)]
    with pytest.raises(Conflict, match=r"2\.5 % to grower, at least 0\.50 CRD an order; 10 % to trainer") as refusal:
        listings.publish_listing(seller.actor, listing)
    assert refusal.value.code == "royalties_not_accepted"
    royalties.accept(seller.actor, listing, [found[0].terms.uuid])
    with pytest.raises(Conflict, match="first: 10 % to trainer"):
        listings.publish_listing(seller.actor, listing)
    with pytest.raises(Forbidden):
        royalties.accept(trainer.actor, make_listing(seller, make_endpoint(seller), title="Other"), [])
    royalties.accept(seller.actor, listing, [each.terms.uuid for each in found])
    listing = listings.publish_listing(seller.actor, listing)
    assert RoyaltyAcceptance.objects.count() == 2

    order = buy(buyer, listing)
    refs = [earnings(each.namespace, "CRD") for each in (grower, trainer, seller)]
    # 18.00 for the seller after the fee: 2.5 % of it are below the minimum, 10 % above the cap
    assert [balance(ref) for ref in [*refs, fees("CRD")]] == [50, 150, 1600, 200]
    assert Notice.objects.filter(kind="market:royalty:paid").count() >= 2
    refund_order(buyer.actor, order, key="r1")
    assert [balance(ref) for ref in [*refs, fees("CRD"), wallet(buyer.namespace, "CRD")]] == [0, 0, 0, 0, 100_000]
    assert verify_ledger().is_sound


def test_calls_pay_as_they_are_charged(chain, grower, trainer, seller, buyer, settings):
    settings.PLATFORM_FEE_PERCENT = 10
    endpoint = make_endpoint(seller)
    record_edge(Ref("version", chain[1].uuid), Ref("version", endpoint.version_uuid), "derived")
    plan = {"kind": "pay_per_use", "price_minor": 333, "unit_size": 1000}
    listing = make_listing(seller, endpoint, plan, publish=False)
    agree(seller, listing)
    listings.publish_listing(seller.actor, listing)
    order = buy(buyer, listing, quantity=3)
    source = order.entitlement.source
    done = 0
    for count in (1, 700, 799, 500):
        make_calls(source, count, first=done)
        done += count
        billing.bill_usage()
    shares = [Share(250, 50), Share(1000, 0, 150)]
    charged = 999 * 2000 // 3000
    received = charged - (charged * 10 * 2 + 99) // 200
    got = [balance(earnings(each.namespace, "CRD")) for each in (grower, trainer)]
    assert sorted(got) == sorted(due_upto(shares, received))
    assert balance(earnings(seller.namespace, "CRD")) == received - sum(got)
    refund_order(seller.actor, order, key="back")
    # what was used stays paid, to everybody
    assert [balance(earnings(each.namespace, "CRD")) for each in (grower, trainer)] == got
    assert balance(held(buyer.namespace, "CRD", order.uuid)) == 0
    assert verify_ledger().is_sound


def test_later_terms_never_touch_versions_that_are_there(grower, seller, buyer):
    old = make_version(grower, "grapes")
    royalties.declare_terms(grower.actor, old.repo, basis_points=5000)
    mine = make_version(seller, "tuned", "model")
    derive(old, mine)
    listing = on_sale(seller, mine, ONE_TIME)
    assert royalties.chain_of(listing) == []
    with clock.travel(timedelta(hours=1)):
        new = publish_version(grower.actor, old.repo, old.commit.oid, name="2.0")
    with clock.travel(timedelta(hours=2)):
        royalties.declare_terms(grower.actor, old.repo, basis_points=9000)
    other = make_version(seller, "second", "model")
    derive(new, other)
    second = make_listing(seller, other.repo, ONE_TIME, publish=False, title="Second")
    assert [each.terms.basis_points for each in royalties.chain_of(second)] == [5000]
    with clock.travel(timedelta(hours=3)):
        royalties.declare_terms(grower.actor, old.repo, basis_points=0)
    assert [each.terms.basis_points for each in royalties.chain_of(second)] == [5000]
    # a newer version of the seller's own follows the first, and is not made of it
    third = publish_version(seller.actor, other.repo, other.commit.oid, name="3.0")
    assert royalties.chain_of(second) == []
    derive(new, third)
    assert len(royalties.chain_of(second)) == 1


def test_what_has_run_out_or_is_ones_own_asks_nothing(grower, seller, buyer):
    data = declared(grower, "grapes", basis_points=250, until=clock.now() + timedelta(days=5))
    own = declared(seller, "own", basis_points=700)
    mine = make_version(seller, "tuned", "model")
    derive(data, mine)
    derive(own, mine)
    listing = make_listing(seller, mine.repo, ONE_TIME, publish=False)
    assert [each.version for each in royalties.chain_of(listing)] == [data]
    with clock.travel(timedelta(days=6)):
        assert royalties.chain_of(listing) == []
        listings.publish_listing(seller.actor, listing)
        buy(buyer, listing)
    assert not OrderRoyalty.objects.exists()


def test_new_upstream_holds_sales_until_it_is_accepted(grower, seller, buyer):
    mine = make_version(seller, "tuned", "model")
    listing = on_sale(seller, mine, ONE_TIME)
    derive(declared(grower, "grapes", basis_points=250), mine)
    for key in ("a", "b"):
        with pytest.raises(Conflict) as refusal:
            buy(buyer, listing, key=key)
        assert refusal.value.code == "royalties_not_accepted"
    assert Notice.objects.filter(kind="market:royalties").count() == 1
    with pytest.raises(Conflict):
        listings.add_plan(seller.actor, listing, "one_time", price_minor=5)
    listings.add_plan(seller.actor, listing, "free")
    agree(seller, listing)
    order = buy(buyer, listing, key="c")
    assert [row.terms.namespace.name for row in order.royalties.all()] == ["grower"]


def test_more_than_everything_cannot_be_sold(grower, trainer, seller):
    mine = make_version(seller, "tuned", "model")
    for owner in (grower, trainer):
        derive(declared(owner, f"of-{owner.name}", basis_points=6000), mine)
    listing = make_listing(seller, mine.repo, ONE_TIME, {"kind": "free"}, publish=False)
    with pytest.raises(Conflict, match="120 %"):
        agree(seller, listing)
    with pytest.raises(Conflict, match="120 %") as refusal:
        listings.publish_listing(seller.actor, listing)
    assert refusal.value.code == "royalties_exceed"
    listings.retire_plan(seller.actor, plan_of(listing, 1))
    # for nothing, there is nothing to share
    listings.publish_listing(seller.actor, listing)


def test_terms_are_checked_declared_once_and_kept(grower, seller):
    version = make_version(grower, "grapes")
    for wrong in (
        {"basis_points": 10_001}, {"basis_points": -1}, {"basis_points": 5, "minimum_minor": -1},
        {"basis_points": 5, "cap_minor": 0}, {"basis_points": 5, "minimum_minor": 7, "cap_minor": 6},
        {"basis_points": 5, "currency": "XXX"}, {"basis_points": 5, "until": clock.now()}, {"basis_points": 10**9},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            royalties.declare_terms(grower.actor, version.repo, **wrong)
    royalties.declare_terms(grower.actor, version.repo, basis_points=0)
    assert not RoyaltyTerms.objects.exists()
    terms = royalties.declare_terms(grower.actor, version.repo, basis_points=5)
    assert royalties.declare_terms(grower.actor, version.repo, basis_points=5) == terms
    with pytest.raises(Forbidden):
        royalties.declare_terms(seller.actor, version.repo, basis_points=5)
    with pytest.raises(Forbidden):
        royalties.declare_terms(make_person("eve").actor, version.repo, basis_points=5)
    for row in (terms,):
        with pytest.raises(DatabaseError), transaction.atomic():
            RoyaltyTerms.objects.filter(pk=row.pk).update(basis_points=6)
        with pytest.raises(DatabaseError), transaction.atomic():
            row.delete()
    assert Account.objects.count() == 0
