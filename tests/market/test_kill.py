"""A process that is killed while it trades leaves whole orders and no halves, and whoever repeats its work doubles nothing."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from market.models import Entitlement, LedgerTransaction, Order
from market.services.ledger import clearing, verify_ledger, wallet
from market.services.orders import place_order
from metering.queries import budget_of
from tests.factories.market import agreed, balance, give_credits, make_company, make_endpoint, make_listing, plan_of
from tests.support.databases import fetch_back, process_environment

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS, PRICE = 3, 7

TRADER = """
import django
django.setup()
from accounts.actors import for_user
from accounts.models import User
from market.models import Plan
from market.order_terms import terms_for
from market.services.orders import place_order

user, plan = User.objects.get(username="tasters-owner"), Plan.objects.get()
for number in range(100_000):
    agreed = {"plan_uuid": plan.uuid, "accept_terms": terms_for(plan).digest}
    place_order(for_user(user), buyer_namespace="tasters", **agreed, key=f"k{number}")
    print(number, flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_moment_orders_are_whole_and_the_same_keys_go_on(tmp_path):
    seller, buyer = make_company("vineyard"), make_company("tasters")
    give_credits(buyer, 1_000_000)
    plan = plan_of(make_listing(seller, make_endpoint(seller), {"kind": "pay_per_use", "price_minor": PRICE}))
    environment, told, rng = process_environment(tmp_path), -1, random.Random(11)
    for _ in range(KILLS):
        told = max(told, trade_until_killed(environment, told + rng.randint(2, 9)))
    fetch_back(tmp_path)
    count = Order.objects.count()
    assert count in {told + 1, told + 2}
    orders = list(Order.objects.order_by("pk").select_related("entitlement"))
    assert [order.key for order in orders] == [f"k{number}" for number in range(count)]
    assert {order.state for order in orders} == {"fulfilled"}
    assert [budget_of(order.entitlement.source).granted for order in orders] == [1] * count
    # credits, then capture and hold for each order
    assert (Entitlement.objects.count(), LedgerTransaction.objects.count()) == (count, 1 + 2 * count)
    assert (balance(wallet(buyer.namespace, "CRD")), balance(clearing("CRD"))) == (1_000_000 - PRICE * count, 0)
    assert verify_ledger().is_sound
    for order in orders:
        assert place_order(buyer.actor, buyer_namespace=buyer.name, **agreed(plan), key=order.key).pk == order.pk
    assert balance(wallet(buyer.namespace, "CRD")) == 1_000_000 - PRICE * count


def trade_until_killed(environment: dict[str, str], last: int) -> int:
    """Let a process buy until it tells of order `last`, then kill it where it stands; returns the last order it told of."""
    told = -1
    with subprocess.Popen(
        [sys.executable, "-c", TRADER], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            told = int(line)
            if told >= last:
                break
        process.kill()
        # what it said before it died counts as well
        told = max([told, *(int(line) for line in process.stdout.read().splitlines())])
    assert process.returncode == -signal.SIGKILL
    return told
