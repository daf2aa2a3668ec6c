"""A shop that is paid through Stripe: fixtures for tests that import them."""

from dataclasses import dataclass

import pytest
from django.test import Client

from market.models import Order
from market.services import payment_backend
from market.services.ledger import clearing, disputed, earnings, fees, provider, provider_fees
from market.services.orders import place_order
from tests.factories.market import Party, agreed, balance, make_company, make_listing, make_version, plan_of
from tests.support.stripe_server import SECRET_KEY, WEBHOOK_SECRET, StripeServer
from work.loops import run_due

PRICE = 1999
FEE = PRICE * 15 // 1000 + 25


@dataclass
class Shop:
    server: StripeServer
    seller: Party
    buyer: Party
    client: Client

    def place(self, key: str = "k1", title: str = "Wine", **plan) -> Order:
        """An order of something new, and its payment asked for."""
        name = title.lower()
        repo = make_version(self.seller, name).repo
        offered = {"kind": "one_time", "price_minor": PRICE, "currency": "EUR", **plan}
        return self.order(plan_of(make_listing(self.seller, repo, offered, title=title)), key)

    def order(self, plan, key: str = "k1", quantity: int = 1) -> Order:
        order = place_order(
            self.buyer.actor, buyer_namespace=self.buyer.name, **agreed(plan), quantity=quantity, key=key
        )
        run_due()
        order.refresh_from_db()
        return order

    def paid(self, key: str = "k1", title: str = "Wine", **plan) -> Order:
        """`place`, paid and told of."""
        order = self.place(key, title, **plan)
        self.server.state.pay(order.payment_reference)
        return self.tell(order)

    def tell(self, order: Order, **how) -> Order:
        """Everything that happened is delivered and taken in."""
        self.server.deliver(self.post, **how)
        run_due()
        order.refresh_from_db()
        return order

    def post(self, headers, raw: bytes) -> int:
        kind = headers["Content-Type"]
        rest = {name: value for name, value in headers.items() if name != "Content-Type"}
        return self.client.post("/hooks/payments/stripe", raw, content_type=kind, headers=rest).status_code

    def money(self) -> dict[str, int]:
        """Every account of the platform, the provider and the seller that is not at zero."""
        found = {
            "provider": provider("EUR"), "earned": earnings(self.seller.namespace, "EUR"), "fees": fees("EUR"),
            "provider_fees": provider_fees("EUR"), "disputed": disputed("EUR"), "clearing": clearing("EUR"),
        }  # fmt: skip
        return {name: balance(ref) for name, ref in found.items() if balance(ref)}


def configure(settings, server: StripeServer) -> None:
    settings.PAYMENTS = {
        "BACKEND": "stripe",
        "OPTIONS": {
            "stripe": {
                "secret_key": SECRET_KEY,
                "webhook_secrets": (WEBHOOK_SECRET,),
                "api_base": server.url,
                "timeout_s": 5,
            }
        },
    }


@pytest.fixture
def stripe_server(settings):
    with StripeServer() as server:
        configure(settings, server)
        payment_backend.forget_loaded()
        yield server
    payment_backend.forget_loaded()


@pytest.fixture
def shop(db, stripe_server):
    made = Shop(stripe_server, make_company("vineyard"), make_company("tasters"), Client())
    run_due()
    return made
