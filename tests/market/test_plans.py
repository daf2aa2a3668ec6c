"""Plans: prices by volume, what the next call costs, private offers, and that a plan that was bought never changes."""

from datetime import timedelta
from fractions import Fraction

import pytest

from common.clock import now, travel
from common.errors import Conflict, Invalid, NotFound
from market.models import Plan
from market.next_call import next_call_of
from market.policies import plans_on_sale, private_offers, require_plan, visible_listings
from market.prices import price_of, unit_price, unit_price_in_words
from market.queries import access_of, listing_for
from market.services import listings
from market.services.billing import settle_entitlement
from market.services.ledger import verify_ledger
from market.services.orders import place_order
from market.services.refunds import refund_order
from market.tiers import steps_in_words
from notices.models import Notice
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

TIERED = {"kind": "pay_per_use", "tiers": [(100, 20), (300, 15), (None, 10)], "included_units": 5}


@pytest.fixture
def seller(db):
    return make_company("vineyard")


@pytest.fixture
def buyer(seller):
    buyer = make_company("tasters")
    give_credits(buyer, 100_000)
    return buyer


def buy(buyer, plan, *, quantity=1, key="k1"):
    return place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan), quantity=quantity, key=key)


class TestVolume:
    def test_calls_are_priced_and_charged_step_by_step(self, seller, buyer):
        plan = plan_of(make_listing(seller, make_endpoint(seller), TIERED))
        assert price_of(plan) == "0.20 CRD / call, then by volume"
        assert steps_in_words(plan) == [
            "Calls 1 to 100: 0.20 CRD each",
            "Calls 101 to 300: 0.15 CRD each",
            "From call 301 on: 0.10 CRD each",
        ]
        order = buy(buyer, plan, quantity=400)
        assert order.total_minor == 100 * 20 + 200 * 15 + 100 * 10
        charged = []
        for first, count in ((0, 105), (105, 100), (205, 150), (355, 50)):
            make_calls(order.entitlement.source, count, first=first)
            charged.append(settle_entitlement(order.entitlement.pk))
        assert charged == [2000, 1500, 1500 + 500, 500]
        assert verify_ledger().is_sound

    def test_what_is_unused_is_paid_back_at_the_prices_of_the_last_steps(self, seller, buyer):
        plan = plan_of(make_listing(seller, make_endpoint(seller), TIERED))
        order = buy(buyer, plan, quantity=400)
        make_calls(order.entitlement.source, 305)
        assert refund_order(buyer.actor, order, key="r").refunded_minor == 100 * 10

    @pytest.mark.parametrize(
        ("tiers", "unit"),
        [
            ([(None, 5)], 1),
            ([(10, 5), (20, 4)], 1),
            ([(10, 5), (10, 4), (None, 3)], 1),
            ([(0, 5), (None, 4)], 1),
            ([(10, 0), (None, 4)], 1),
            ([(10, -5), (None, 4)], 1),
            ([(1500, 5), (None, 4)], 1000),
            ([(None, 5), (None, 4)], 1),
        ],
    )
    def test_steps_that_make_no_sense_are_refused(self, seller, tiers, unit):
        listing = make_listing(seller, make_endpoint(seller), publish=False)
        with pytest.raises(Invalid):
            listings.add_plan(seller.actor, listing, "pay_per_use", price_minor=5, unit_size=unit, tiers=tiers)
        assert Plan.objects.count() == 1

    def test_only_calls_have_them(self, seller):
        listing = make_listing(seller, make_version(seller).repo, publish=False)
        with pytest.raises(Invalid) as refusal:
            listings.add_plan(seller.actor, listing, "one_time", price_minor=20, tiers=TIERED["tiers"])
        assert "tiers" in refusal.value.fields["fields"]


class TestNextCall:
    def test_it_says_what_the_next_one_costs_and_what_is_left(self, seller, buyer):
        endpoint = make_endpoint(seller)
        order = buy(buyer, plan_of(make_listing(seller, endpoint, TIERED)), quantity=101)
        told, made = [], 0
        for upto in (0, 5, 104, 105, 106):
            make_calls(order.entitlement.source, upto - made, first=made)
            made = upto
            found = next_call_of(buyer.actor, endpoint.uuid)
            told.append((found.price, found.included_left, found.paid_left))
        assert told == [(0, 5, 101), (20, 0, 101), (20, 0, 2), (15, 0, 1), (None, 0, 0)]
        assert access_of(order.entitlement).next_call.price is None

    def test_the_oldest_with_calls_left_pays(self, seller, buyer):
        endpoint = make_endpoint(seller)
        listing = make_listing(seller, endpoint, {"kind": "pay_per_use", "price_minor": 10})
        assert next_call_of(buyer.actor, endpoint.uuid) is None
        first = buy(buyer, plan_of(listing))
        newer = listings.add_plan(seller.actor, listing, "pay_per_use", price_minor=30)
        second = buy(buyer, newer, key="k2")
        assert next_call_of(buyer.actor, endpoint.uuid).entitlement.pk == first.entitlement.pk
        make_calls(first.entitlement.source, 1)
        found = next_call_of(buyer.actor, endpoint.uuid)
        assert (found.entitlement.pk, found.price) == (second.entitlement.pk, 30)

    @pytest.mark.parametrize(
        ("minor", "currency", "words"),
        [
            (Fraction(0), "CRD", "free"),
            (Fraction(20), "CRD", "0.20 CRD"),
            (Fraction(250, 1000), "CRD", "0.0025 CRD"),
            (Fraction(1, 3), "CRD", "about 0.00333333 CRD"),
            (Fraction(12), "JPY", "12 JPY"),
            (Fraction(5, 2), "JPY", "2.5 JPY"),
            (Fraction(1500), "KWD", "1.500 KWD"),
            (Fraction(15, 10), "KWD", "0.0015 KWD"),
        ],
    )
    def test_a_price_below_the_minor_unit_is_told_exactly(self, minor, currency, words):
        assert unit_price_in_words("calls", minor, currency) == words
        assert unit_price("calls", minor, currency)[1] is not words.startswith("about")


class TestOffers:
    @pytest.fixture
    def listing(self, seller):
        return make_listing(seller, make_version(seller).repo, {"kind": "one_time", "price_minor": 1000})

    def offer(self, seller, listing, **terms):
        more = {"offered_to": "Tasters", "price_minor": 700, "offer_note": "As agreed"} | terms
        return listings.add_plan(seller.actor, listing, "one_time", **more)

    def test_only_its_buyer_sees_and_buys_it(self, seller, buyer, listing):
        stranger = make_person("eve")
        give_credits(stranger, 5_000)
        offer = self.offer(seller, listing)
        assert [plan.pk for plan in plans_on_sale(stranger.actor, listing)] == [plan_of(listing).pk]
        assert [plan.pk for plan in plans_on_sale(buyer.actor, listing)] == [plan_of(listing).pk, offer.pk]
        assert [plan.pk for plan in listing_for(buyer.actor, listing.subject_uuid).offers] == [plan_of(listing).pk]
        assert list(private_offers(buyer.actor)) == [offer]
        assert not private_offers(stranger.actor).exists()
        for refused in (
            lambda: require_plan(stranger.actor, offer.uuid),
            lambda: buy(stranger, offer),
            # the owner of the buying organisation, for herself
            lambda: place_order(buyer.actor, buyer_namespace="tasters-owner", **agreed(offer), key="self", quantity=1),
        ):
            with pytest.raises(NotFound):
                refused()
        assert buy(buyer, offer).total_minor == 700

    def test_the_buyer_is_told_once_when_it_can_be_bought(self, seller, buyer):
        draft = make_listing(seller, make_version(seller).repo, publish=False)
        offer = self.offer(seller, draft)
        told = Notice.objects.filter(kind="market:offer:made")
        assert not told.exists()
        listings.publish_listing(seller.actor, draft)
        self.offer(seller, draft, offered_to="vineyard-owner")
        assert told.get(user=buyer.user).text == "vineyard offers you Wine for 7.00 CRD. “As agreed”"
        assert str(offer.uuid) in told.get(user=buyer.user).url

    def test_it_ends(self, seller, buyer, listing):
        offer = self.offer(seller, listing, offer_ends_at=now() + timedelta(hours=1))
        with travel(timedelta(hours=2)):
            assert not private_offers(buyer.actor).exists()
            with pytest.raises(Conflict, match="This offer ended on") as refusal:
                buy(buyer, offer)
        assert refusal.value.code == "offer_ended"

    def test_it_opens_a_listing_that_is_not_for_everybody(self, seller, buyer):
        listing = make_listing(seller, make_version(seller).repo, visibility="organization")
        assert not visible_listings(buyer.actor).filter(pk=listing.pk).exists()
        self.offer(seller, listing)
        assert visible_listings(buyer.actor).filter(pk=listing.pk).exists()
        assert [plan.number for plan in plans_on_sale(buyer.actor, listing)] == [1, 2]

    @pytest.mark.parametrize(
        ("terms", "field"),
        [
            ({"offered_to": "nobody-here"}, "offered_to"),
            ({"offered_to": "vineyard"}, "offered_to"),
            ({"offered_to": ""}, "offered_to"),
            ({"offer_note": "x" * 501}, "offer_note"),
            ({"offer_ends_at": timedelta(0)}, "offer_ends_at"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, seller, buyer, listing, terms, field):
        terms = {name: now() if isinstance(value, timedelta) else value for name, value in terms.items()}
        with pytest.raises(Invalid) as refusal:
            self.offer(seller, listing, **terms)
        assert field in refusal.value.fields["fields"]
        assert Plan.objects.count() == 1


def test_what_was_bought_keeps_its_plan(seller, buyer):
    listing = make_listing(seller, make_endpoint(seller), TIERED)
    old = plan_of(listing)
    order = buy(buyer, old, quantity=10)
    new = listings.add_plan(seller.actor, listing, "pay_per_use", price_minor=99)
    listings.retire_plan(seller.actor, old)
    make_calls(order.entitlement.source, 6)
    assert settle_entitlement(order.entitlement.pk) == 20
    order.refresh_from_db()
    assert (order.plan_id, old.number, new.number) == (old.pk, 1, 2)
    with pytest.raises(Conflict):
        buy(buyer, old, key="k2")
