"""What was charged and stated over months, recounted from the usage records alone, in another way than the product does."""

import os
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from common import clock
from compute.services import endpoints
from market.invoices import Month
from market.models import AccountKind, Entitlement, Invoice, InvoiceLine, LedgerEntry, Order, TransactionKind
from market.services import billing, invoicing, listings
from market.services.ledger import verify_ledger
from market.services.orders import place_order
from metering.models import UsageRecord
from metering.units import SIZES, Unit
from tests.factories.market import (
    agreed,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
)

pytestmark = pytest.mark.django_db

CUSTOMERS = int(os.environ.get("USAGE_CUSTOMERS", "25"))  # noqa: TID251  on demand: 10,000
START = datetime(2026, 1, 20, tzinfo=UTC)
DAYS = 50


def plans_of_all_kinds(seller, endpoint, listing, rng):
    made = []
    for unit in Unit:
        endpoint_unit = {"token_input": "x"} if unit == Unit.TOKENS else {}
        if unit != Unit.CALLS:
            endpoints.declare_unit(seller.actor, endpoint, unit, **endpoint_unit)
        for size in SIZES[unit]:
            step = size * rng.randint(1, 40)
            for tiers in ([], [(step, 700), (step * 3, 300), (None, 11)]):
                plan = {"unit": unit, "unit_size": size, "included_units": rng.choice([0, size, 7]), "tiers": tiers}
                price = {} if tiers else {"price_minor": rng.randint(1, 900)}
                made.append(listings.add_plan(seller.actor, listing, "pay_per_use", **plan, **price))
    return made


def cost_of_first(order: Order, count: int) -> int:
    """Minor units of the first `count` units, price by price: a reference that adds fractions up and rounds once."""
    plan = order.plan
    free = order.entitlement.included_units
    paid = order.quantity * plan.unit_size
    total = Fraction(0)
    start, edges = 0, [(up_to, price) for up_to, price in plan.tiers] or [(None, plan.price_minor)]
    for up_to, price in edges:
        end = min(paid if up_to is None else up_to, paid, max(count - free, 0))
        total += Fraction(price, plan.unit_size) * max(0, end - start)
        start = max(start, end)
    return int(total)


def test_charges_and_statements_are_the_sum_of_the_records_counted_anew() -> None:
    rng = random.Random(11)
    with clock.frozen(START):
        seller = make_company("vineyard")
        endpoint = make_endpoint(seller)
        listing = make_listing(seller, endpoint)
        plans = plans_of_all_kinds(seller, endpoint, listing, rng)
        orders = []
        for number in range(CUSTOMERS):
            buyer = make_company(f"buyer{number}")
            give_credits(buyer, 10**7, key=f"c{number}")
            for plan in rng.sample(plans, 2):
                quantity = rng.randint(1, 60)
                wanted = {"buyer_namespace": buyer.name, "quantity": quantity, "key": f"{number}:{plan.number}"}
                orders.append(place_order(buyer.actor, **agreed(plan), **wanted))
    made: dict[int, int] = defaultdict(int)
    for day in range(DAYS):
        with clock.frozen(START + timedelta(days=day)):
            for order in rng.sample(orders, len(orders) // 4):
                size, count = order.plan.unit_size, rng.randint(1, 4)
                units = 1 if order.plan.unit == Unit.CALLS else rng.randint(1, size * 3)
                make_calls(order.entitlement.source, count, first=made[order.pk], units=units)
                made[order.pk] += count
            if rng.random() < 0.3:
                billing.bill_usage()
    end = START + timedelta(days=DAYS)
    with clock.frozen(end):
        billing.bill_usage()
    for month in (Month(2026, 1), Month(2026, 2), Month(2026, 3)):
        with clock.frozen(end + timedelta(days=60)):
            invoicing.close_month(month)
            assert invoicing.close_month(month) in {0, Invoice.objects.filter(period_from=month.first_day).count()}

    used: dict[str, int] = defaultdict(int)
    for source, units in UsageRecord.objects.values_list("budget__source", "units"):
        used[source] += units
    charged, stated = defaultdict(int), defaultdict(int)
    moved = LedgerEntry.objects.filter(account__kind=AccountKind.HELD, transaction__kind=TransactionKind.USAGE)
    for order_id, amount in moved.values_list("transaction__order", "amount_minor"):
        charged[order_id] -= amount
    lines = InvoiceLine.objects.filter(invoice__kind="usage_statement")
    for order_id, total in lines.values_list("order", "total_minor"):
        stated[order_id] += total
    wrong = []
    for order in Order.objects.select_related("plan", "entitlement"):
        count = min(used[order.entitlement.source], order.entitlement.granted_units)
        found = (cost_of_first(order, count), charged[order.pk], stated[order.pk])
        if len(set(found)) > 1:
            wrong.append((order.pk, found))
    assert wrong == []
    assert len(charged) > CUSTOMERS
    assert Entitlement.objects.filter(settled_units__gt=0).count() > CUSTOMERS
    assert verify_ledger().is_sound
