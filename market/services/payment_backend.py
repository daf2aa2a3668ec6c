"""The payment backend of this installation, and where the money of an order comes from."""

from functools import cache
from typing import Any

from django.conf import settings

from backends import catalogue
from backends.contracts.payments import Capability, PaymentBackend
from market.models import Order
from market.services import ledger
from market.services.ledger import AccountRef


def backend_name() -> str:
    return str(settings.PAYMENTS["BACKEND"])


def backend() -> PaymentBackend:
    """One for the process."""
    return _loaded(backend_name())


def is_in_ledger(name: str | None = None) -> bool:
    """Whether payments come out of wallets in our own ledger, at once and without network."""
    return Capability.LEDGER in _loaded(name or backend_name()).capabilities


def source_of(order: Order) -> AccountRef:
    """The account that pays an order and gets its refund: the buyer's wallet, or what the provider holds."""
    if is_in_ledger(order.payment_backend):
        return ledger.wallet(order.buyer, order.currency)
    return ledger.provider(order.currency)


@cache
def _loaded(name: str) -> PaymentBackend:
    options: dict[str, Any] = settings.PAYMENTS["OPTIONS"]
    backend: PaymentBackend = catalogue.load("payments", name, **options)
    return backend
