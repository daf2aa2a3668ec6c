"""Buyers at the payment provider, and the cards that they have left there."""

from typing import TYPE_CHECKING, cast

from backends.contracts.payments import Capability, CardBackend, Payment
from common.errors import Conflict, NotFound
from market.models import Order, ProviderAccount
from market.services.payment_backend import asked, backend

if TYPE_CHECKING:
    from accounts.models import Namespace

CUSTOMER = "customer"


def has_customer(buyer: "Namespace", backend_name: str) -> bool:
    """Whether the buyer has been at the provider for a subscription before: then there may be a card."""
    return ProviderAccount.objects.filter(namespace=buyer, backend=backend_name, role=CUSTOMER).exists()


def ensure_customer(buyer: "Namespace", backend_name: str) -> str:
    """Who keeps the buyer's card at the provider; empty when the backend keeps none. Outside of any transaction. Safe to repeat: the
    buyer's uuid is the key. Raises Unavailable when the provider does not answer."""
    provider = backend(backend_name)
    if Capability.CARDS not in provider.capabilities:
        return ""
    row = ProviderAccount.objects.filter(namespace=buyer, backend=backend_name, role=CUSTOMER).first()
    if row is None:
        email = buyer.user.email if buyer.user else ""
        made = asked(cast("CardBackend", provider).create_customer, key=str(buyer.uuid), email=email, name=buyer.name)
        row, _ = ProviderAccount.objects.get_or_create(
            namespace=buyer,
            backend=backend_name,
            role=CUSTOMER,
            defaults={"reference": made, "is_ready": True},
        )
    return row.reference


def charge(order: Order, customer: str) -> Payment:
    """Take the price of an order from the card that its buyer has left, or find what was taken: the order's uuid is the key. Outside of
    any transaction. Raises Conflict (`payment_refused`) when there is no card, Unavailable when the provider does not answer."""
    provider = cast("CardBackend", backend(order.payment_backend))
    try:
        return asked(
            provider.charge,
            key=str(order.uuid),
            customer=customer,
            amount_minor=order.total_minor,
            currency=order.currency,
            description=f"{order.listing.title}: {order.plan.name}",
        )
    except NotFound as error:
        raise Conflict("The payment provider has no card of yours.", code="payment_refused") from error
