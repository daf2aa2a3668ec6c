"""Many processes that renew, pay, change and cancel at the same time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from common import clock
from common.errors import Conflict, OverBudget
from market.models import Entitlement, Order, Subscription
from market.services import subscriptions
from market.services.ledger import verify_ledger, wallet
from market.services.orders import place_order
from market.services.plan_switches import change_plan
from market.services.refunds import refund_order
from market.services.renewals import renew_due
from tests.factories.market import (
    agreed,
    balance,
    digest_of,
    give_credits,
    make_company,
    make_listing,
    make_version,
    plan_of,
)

MONTHLY = {"kind": "subscription", "interval": "month", "price_minor": 1000, "trial_days": 5}


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
class TestConcurrency:
    def together(self, *deeds):
        def one(deed):
            try:
                with clock.travel(self.ahead):
                    return deed()
            except (Conflict, OverBudget) as error:
                return error.code
            finally:
                connection.close()

        with ThreadPoolExecutor(len(deeds)) as pool:
            return list(pool.map(one, deeds))

    @pytest.fixture
    def found(self):
        self.ahead = timedelta(0)
        seller, self.buyer = make_company("vineyard"), make_company("tasters")
        self.listing = make_listing(seller, make_version(seller).repo, MONTHLY, MONTHLY | {"price_minor": 3000})
        give_credits(self.buyer, 10_000)
        made = self.together(*[lambda key=f"k{number}": self.order(key) for number in range(6)])
        assert sorted(made) == ["fulfilled", *["subscribed_already"] * 5]
        return Subscription.objects.get()

    def order(self, key):
        plan = plan_of(self.listing)
        return place_order(self.buyer.actor, buyer_namespace="tasters", **agreed(plan), key=key).state

    def test_a_period_is_collected_once_by_ten_runs(self, found):
        self.ahead = found.period_end - clock.now() + timedelta(seconds=5)
        self.together(*[renew_due] * 10)
        found.refresh_from_db()
        assert (found.state, found.number, Order.objects.count()) == ("active", 2, 2)
        assert balance(wallet(self.buyer.namespace, "CRD")) == 9000

    def test_renewals_upgrades_refunds_and_cancellations_never_deadlock(self, found):
        self.ahead = found.period_end - clock.now() + timedelta(seconds=5)
        actor, dear = self.buyer.actor, plan_of(self.listing, 2).uuid
        self.together(renew_due)
        order = Order.objects.latest("pk")
        self.ahead += timedelta(days=10)
        deeds = [
            renew_due,
            lambda: change_plan(actor, found, dear, key="up", accept_terms=digest_of(dear))[0].number,
            lambda: subscriptions.cancel(actor, found).state,
            lambda: refund_order(actor, order, key="r").state,
            lambda: subscriptions.pay_now(actor, found),
        ] * 3
        self.together(*deeds)
        open_ones = Entitlement.objects.filter(revoked_at=None, frozen_at=None).count()
        found.refresh_from_db()
        assert open_ones == int(found.state == "active")
        assert verify_ledger().is_sound
