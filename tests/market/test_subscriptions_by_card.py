"""Subscriptions paid through the provider: the card that is left with the first payment pays the next periods."""

from contextlib import contextmanager
from datetime import timedelta

import pytest

from common import clock
from common.errors import Conflict
from market.models import Entitlement, Order, Subscription
from market.services import subscriptions
from market.services.ledger import verify_ledger
from market.services.payments import look_at_payment
from market.services.plan_switches import change_plan
from market.services.reconciliation import reconcile
from market.services.refunds import refund_order
from market.services.renewals import renew_due
from tests.factories.market import agreed, make_listing, make_version, plan_of
from tests.support.stripe_site import Shop
from work.loops import run_due

PLAN = {"kind": "subscription", "interval": "month", "price_minor": 2000, "currency": "EUR"}
FEE = 2000 * 15 // 1000 + 25


class CardShop:
    def __init__(self, shop: Shop) -> None:
        self.shop, self.state = shop, shop.server.state
        listing = make_listing(shop.seller, make_version(shop.seller).repo, PLAN, PLAN | {"price_minor": 5000})
        self.plans = [plan_of(listing), plan_of(listing, 2)]
        order = shop.order(self.plans[0])
        self.state.pay(order.payment_reference)
        shop.tell(order)

    @property
    def found(self) -> Subscription:
        return Subscription.objects.select_related("buyer", "order").get()

    def renew(self) -> Subscription:
        """As if the period were over now."""
        with self.at_the_end():
            renew_due()
            run_due()
            renew_due()
        return self.found

    @contextmanager
    def at_the_end(self, days: float = 0):
        with clock.travel(self.found.period_end - clock.now() + timedelta(days=days, minutes=1)):
            yield

    def decline(self, *, is_declined: bool = True) -> None:
        customer = next(each for each in self.state.objects.values() if each["object"] == "customer")
        customer["name"] = "declined" if is_declined else "tasters"

    def charges(self) -> int:
        return sum(each["object"] == "charge" for each in self.state.objects.values())

    def is_open(self) -> bool:
        return Entitlement.objects.filter(revoked_at=None, frozen_at=None).count() == 1


@pytest.fixture
def cards(shop):
    return CardShop(shop)


def test_the_card_that_was_left_pays_the_next_period_once(cards) -> None:
    assert (cards.found.state, cards.charges()) == ("active", 1)
    renewed = cards.renew()
    assert (renewed.number, renewed.state, cards.charges()) == (2, "active", 2)
    assert renewed.order.payment_reference.startswith("pi_")
    cards.shop.server.deliver(cards.shop.post)
    with cards.at_the_end(-30):
        run_due()
        reconcile()
        look_at_payment(renewed.order_id)
    assert cards.shop.money() == {
        "provider": 2 * (FEE - 2000), "earned": 3600, "fees": 400, "provider_fees": -2 * FEE,
    }  # fmt: skip
    assert (cards.charges(), Order.objects.count()) == (2, 2)
    assert verify_ledger().is_sound


def test_what_a_card_paid_goes_back_to_it(cards) -> None:
    renewed = cards.renew()
    order = refund_order(cards.shop.seller.actor, renewed.order, key="r")
    run_due()
    order.refresh_from_db()
    assert (order.state, order.returned_at is not None) == ("refunded", True)
    refunds = [each for each in cards.state.objects.values() if each["object"] == "refund"]
    assert [(each["amount"], each["payment_intent"]) for each in refunds] == [(2000, order.payment_reference)]
    assert cards.found.state == "ended"


def test_a_refused_card_is_asked_again_and_checkout_brings_access_back(cards) -> None:
    cards.decline()
    failed = cards.renew()
    assert (failed.state, failed.attempts, cards.is_open()) == ("past_due", 1, True)
    assert Order.objects.filter(state="cancelled").count() == 1
    for days in (1, 3, 7):
        with cards.at_the_end(days + 0.1):
            renew_due()
            run_due()
            renew_due()
    assert (cards.found.state, cards.found.attempts, cards.is_open()) == ("suspended", 4, False)
    with cards.at_the_end(8):
        order = subscriptions.pay_now(cards.shop.buyer.actor, cards.found)
        assert subscriptions.pay_now(cards.shop.buyer.actor, cards.found) == order
        run_due()
        order.refresh_from_db()
        cards.state.pay(order.payment_reference)
        # nobody tells of it: the buyer comes back to the page
        assert look_at_payment(order.pk).state == "fulfilled"
    assert (cards.found.state, cards.found.number, cards.is_open()) == ("active", 2, True)
    assert cards.found.period_start == Order.objects.get(pk=order.pk).term.starts_at


def test_a_checkout_that_is_left_keeps_the_card_from_being_asked_and_can_be_begun_again(cards) -> None:
    cards.decline()
    cards.renew()
    cards.decline(is_declined=False)
    with cards.at_the_end(0.5):
        order = subscriptions.pay_now(cards.shop.buyer.actor, cards.found)
        run_due()
        order.refresh_from_db()
    with cards.at_the_end(1.2):
        renew_due()
        run_due()
        assert (cards.charges(), cards.found.number) == (1, 1)
        cards.state.expire(order.payment_reference)
        look_at_payment(order.pk)
        renew_due()
        run_due()
    assert (cards.charges(), cards.found.number, cards.found.state) == (2, 2, "active")


def test_an_upgrade_through_checkout_begins_when_it_is_paid(cards) -> None:
    actor, plan = cards.shop.buyer.actor, cards.plans[1]
    _, switch = change_plan(actor, cards.found, **agreed(plan), key="up")
    order = switch.order
    run_due()
    order.refresh_from_db()
    assert (order.state, order.total_minor in {3000, 3001}, cards.found.plan_id) == ("placed", True, cards.plans[0].pk)
    with pytest.raises(Conflict, match="under way"):
        change_plan(actor, cards.found, **agreed(plan), key="again")
    cards.state.pay(order.payment_reference)
    look_at_payment(order.pk)
    assert (cards.found.plan_id, cards.found.number, cards.is_open()) == (cards.plans[1].pk, 2, True)


def test_a_disputed_period_rests_is_not_renewed_and_ends_when_it_is_lost(cards) -> None:
    session = cards.found.order.payment_reference
    dispute = cards.state.dispute(session)
    cards.shop.tell(cards.found.order)
    assert not cards.is_open()
    assert cards.renew().number == 1
    cards.state.close_dispute(dispute, is_won=False)
    cards.shop.tell(cards.found.order)
    assert (cards.found.state, cards.charges()) == ("ended", 1)
    assert verify_ledger().is_sound
