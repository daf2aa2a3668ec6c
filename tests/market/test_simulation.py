"""Weeks of trade in seconds: random purchases, calls, billing and refunds against a model that knows nothing of the database."""

import os
import random
from dataclasses import dataclass
from fractions import Fraction

import pytest

from common.errors import Conflict, OverBudget
from lineage.services.record import Ref, record_edge
from market.models import Order
from market.services import billing, coupons, listings, payout_accounts, payouts, royalties
from market.services.ledger import clearing, earnings, fees, held, issued, verify_ledger, wallet
from market.services.orders import place_order
from market.services.partial_refunds import refund_part
from market.services.refunds import refund_order
from metering.queries import budget_of
from registry.services.versions import publish_version
from tests.factories.market import (
    agreed,
    balance,
    give_credits,
    make_calls,
    make_company,
    make_endpoint,
    make_listing,
    make_version,
    plan_of,
)

SEQUENCES = int(os.environ.get("TRADE_SEQUENCES", "4"))  # noqa: TID251  on demand: 10,000
POINTS, LEAST, MOST = 750, 4, 40
FEE_PERCENT, PACK, PRICE, INCLUDED, DOWNLOAD = 10, 1000, 333, 7, 1999
LEAST_PAID = 1000
OFF = 1500
"""What the coupon takes off, in basis points."""
DEEDS = [
    "credits", "pack", "pack", "download", "with_coupon", "use", "use", "use", "bill", "refund", "part", "part", "payout", "replay",
]  # fmt: skip


@dataclass
class Bought:
    """One order in the model. A download is a pack of one call, used and billed at once."""

    buyer: str
    total: int
    granted: int = 1
    included: int = 0
    used: int = 0
    billed: int = 0
    is_open: bool = True
    is_download: bool = False

    def cost(self, calls: int) -> int:
        paid = min(max(calls - self.included, 0), self.granted - self.included)
        return int(Fraction(self.total * paid, self.granted - self.included))


class Trade:
    """Each deed is done to the site and, by plain arithmetic, to the model."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.seller, self.buyers = make_company("vineyard"), {name: make_company(name) for name in ("ada-co", "ben-co")}
        self.grower = make_company("grower")
        pay = {"kind": "pay_per_use", "price_minor": PRICE, "unit_size": PACK, "included_units": INCLUDED}
        endpoint, table = make_endpoint(self.seller), make_version(self.seller)
        upstream = make_version(self.grower, "grapes")
        royalties.declare_terms(
            self.grower.actor, upstream.repo, basis_points=POINTS, minimum_minor=LEAST, cap_minor=MOST
        )
        upstream = publish_version(self.grower.actor, upstream.repo, upstream.commit.oid, name="2.0")
        for made in (endpoint.version_uuid, table.uuid):
            record_edge(Ref("version", upstream.uuid), Ref("version", made), "derived")
        self.calls = self.offer(endpoint, pay, "Calls")
        self.table = self.offer(table.repo, {"kind": "one_time", "price_minor": DOWNLOAD}, "Table")
        self.wallets, self.issued = dict.fromkeys(self.buyers, 0), 0
        coupons.create_coupon(self.seller.actor, self.seller.name, "LESS", percent_bp=OFF)
        self.paid_out = {self.seller.name: 0, self.grower.name: 0}
        self.accounts = {
            each.name: payout_accounts.set_payout_account(
                each.actor, each.namespace, currency="CRD", method="wallet"
            ).pk
            for each in (self.seller, self.grower)
        }
        self.bought: dict[str, Bought] = {}
        self.orders: dict[str, Order] = {}
        self.coupons: dict[str, str] = {}

    def offer(self, subject, plan, title):
        listing = make_listing(self.seller, subject, plan, title=title, publish=False)
        royalties.accept(self.seller.actor, listing, [each.terms.uuid for each in royalties.chain_of(listing)])
        return listings.publish_listing(self.seller.actor, listing)

    def step(self, key: str) -> None:
        getattr(self, self.rng.choice(DEEDS))(key, self.rng.choice(sorted(self.buyers)))

    def credits(self, key, name):
        give_credits(self.buyers[name], 2500, key=key)
        self.wallets[name] += 2500
        self.issued += 2500

    def pack(self, key, name):
        quantity = self.rng.randint(1, 3)
        is_first = not any(each.buyer == name and not each.is_download for each in self.bought.values())
        included = INCLUDED if is_first else 0
        self.buy(key, self.calls, quantity, Bought(name, PRICE * quantity, PACK * quantity + included, included))

    def download(self, key, name):
        if any(each.buyer == name and each.is_download and each.is_open for each in self.bought.values()):
            with pytest.raises(Conflict):
                self.place(key, name, self.table, 1)
            return
        self.buy(key, self.table, 1, Bought(name, DOWNLOAD, used=1, billed=1, is_download=True))

    def with_coupon(self, key, name):
        is_first = not any(each.buyer == name and not each.is_download for each in self.bought.values())
        included = INCLUDED if is_first else 0
        total = PRICE * 2 - PRICE * 2 * OFF // 10_000
        self.buy(key, self.calls, 2, Bought(name, total, PACK * 2 + included, included), coupon="less")

    def buy(self, key, listing, quantity, bought, coupon=""):
        if self.wallets[bought.buyer] < bought.total:
            with pytest.raises(OverBudget):
                self.place(key, bought.buyer, listing, quantity, coupon)
            return
        self.orders[key] = self.place(key, bought.buyer, listing, quantity, coupon)
        self.bought[key] = bought
        self.wallets[bought.buyer] -= bought.total

    def place(self, key, name, listing, quantity, coupon=""):
        plan, self.coupons[key] = plan_of(listing), coupon
        return place_order(
            self.buyers[name].actor, buyer_namespace=name, **agreed(plan), quantity=quantity, key=key, coupon=coupon
        )

    def use(self, key, name):
        packs = sorted(key for key, each in self.bought.items() if each.is_open and not each.is_download)
        if packs:
            used, count = self.rng.choice(packs), self.rng.randint(1, 40)
            make_calls(self.orders[used].entitlement.source, count, first=self.bought[used].used)
            self.bought[used].used += count
            assert budget_of(self.orders[used].entitlement.source).used == self.bought[used].used

    def bill(self, key, name):
        billing.bill_usage()
        for each in self.bought.values():
            each.billed = each.used if each.is_open else each.billed

    def refund(self, key, name):
        if self.orders:
            undone = self.rng.choice(sorted(self.orders))
            refund_order(self.seller.actor, self.orders[undone], key=f"r{undone}")
            each = self.bought[undone]
            if each.is_open:
                kept = 0 if each.is_download else each.cost(each.used)
                self.wallets[each.buyer] += each.total - kept
                each.is_open, each.billed = False, 0 if each.is_download else each.used

    def part(self, key, name):
        """What is left of an order is as if it had cost that much less."""
        if self.orders:
            some = self.rng.choice(sorted(self.orders))
            each = self.bought[some]
            amount = self.rng.randint(1, max(each.total, 1))
            if not each.is_open:
                with pytest.raises(Conflict):
                    refund_part(self.seller.actor, self.orders[some], amount, key=key)
                return
            refund_part(self.seller.actor, self.orders[some], amount, key=key)
            self.wallets[each.buyer] += amount
            each.total -= amount
            each.is_open = each.total > 0

    def payout(self, key, name):
        earned = dict(zip(self.paid_out, self.earned(), strict=True))
        for each in (self.seller, self.grower):
            left = earned[each.name] - self.paid_out[each.name]
            made = payouts.pay_out(self.accounts[each.name], run=key)
            assert (made.amount_minor if made else 0) == (left if left >= LEAST_PAID else 0)
            if made:
                payouts.send_payout(made.pk)
                self.paid_out[each.name] += made.amount_minor

    def split(self):
        """(platform, seller, grower) of each order, for what was charged of it."""
        for each in self.bought.values():
            amount = each.cost(each.billed)
            fee = -((100 - amount * FEE_PERCENT * 2) // 200)
            received = amount - fee
            upstream = min(received, MOST, max(LEAST, int(Fraction(received * POINTS, 10_000)))) if received else 0
            yield fee, received - upstream, upstream

    def earned(self):
        """What seller and grower have earned so far."""
        shares = list(self.split())
        return sum(each[1] for each in shares), sum(each[2] for each in shares)

    def replay(self, key, name):
        if self.orders:
            again = self.rng.choice(sorted(self.orders))
            order = self.orders[again]
            same = self.place(again, order.buyer.name, order.listing, order.quantity, self.coupons[again])
            assert same.pk == order.pk


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(SEQUENCES))
def test_trade_matches_the_model(seed, settings):
    settings.PAYOUT_HOLDING_DAYS, settings.PAYOUT_MINIMUM = 0, ["10"]
    trade = Trade(seed)
    for number in range(60):
        trade.step(f"s{number}")
    wallets = {name: balance(wallet(buyer.namespace, "CRD")) for name, buyer in trade.buyers.items()}
    assert wallets == trade.wallets
    assert balance(fees("CRD")) == sum(each[0] for each in trade.split())
    for each, earned in zip((trade.seller, trade.grower), trade.earned(), strict=True):
        paid = trade.paid_out[each.name]
        assert balance(wallet(each.namespace, "CRD")) == paid
        assert balance(earnings(each.namespace, "CRD")) == earned - paid
    assert (balance(issued("CRD")), balance(clearing("CRD"))) == (-trade.issued, 0)
    for key, each in trade.bought.items():
        left = 0 if each.is_download or not each.is_open else each.total - each.cost(each.billed)
        assert balance(held(trade.orders[key].buyer, "CRD", trade.orders[key].uuid)) == left
    assert verify_ledger().is_sound
    assert Order.objects.count() == len(trade.orders)
