"""Cards that buyers left at Stripe, and usage that Stripe counts."""

from typing import Any

import stripe

from backends.contracts.payments import CardBackend, MeterBackend, Payment, PaymentState
from backends.errors import Missing, Rejected
from backends.payments.stripe_wire import Wire, meaning

INTENT = "pi_"
"""How the reference of a payment that was taken from a card begins; the one of a Checkout is that of its session."""
_EXPANDED = ["latest_charge.balance_transaction"]


class StripeCards(CardBackend, MeterBackend):
    """A buyer is a customer there; the card is the one that Checkout kept last (`setup_future_usage`)."""

    wire: Wire

    def create_customer(self, *, key: str, email: str, name: str) -> str:
        params: dict[str, Any] = {"name": name, "metadata": {"key": key}}
        if email:
            params["email"] = email
        made, _ = self.wire.create(self.wire.client.v1.customers.create, params, f"customer:{key}")
        return str(made.id)

    def charge(self, *, key: str, customer: str, amount_minor: int, currency: str, description: str) -> Payment:
        if amount_minor < 1:
            raise Rejected("a payment needs an amount of at least 1")
        v1 = self.wire.client.v1
        # by the customer's list, not by search: what was just written is in it
        earlier = self.wire.find(
            v1.payment_intents.list,
            {"customer": customer, "limit": 100},
            lambda each: _key_of(each) == key,
        )
        if earlier is not None:
            return _payment(earlier)
        cards = self.wire.read(v1.payment_methods.list, {"customer": customer, "type": "card", "limit": 1})
        if not cards.data:
            raise Missing("no card is left for this customer")
        params = {
            "amount": amount_minor,
            "currency": currency.lower(),
            "customer": customer,
            "payment_method": cards.data[0].id,
            "off_session": True,
            "confirm": True,
            "description": description[:250],
            "metadata": {"charge": key},
        }
        try:
            made, _ = self.wire.create(v1.payment_intents.create, params, f"charge:{key}")
        except Rejected as error:
            declined = error.__cause__
            if not isinstance(declined, stripe.CardError):
                raise
            return Payment(_intent_of(declined), PaymentState.FAILED, amount_minor, currency)
        return _payment(made)

    def look_charge(self, intent: str, *, key: str) -> Payment:
        """What Stripe says now of a payment that was taken from a card. Raises Missing."""
        found = self.wire.read(self.wire.client.v1.payment_intents.retrieve, intent, {"expand": _EXPANDED})
        if _key_of(found) != key:
            raise Missing(f"the payment {intent[:80]!r} has another key")
        return _payment(found)

    def charged(self, intent: str) -> str:
        """The reference of the payment of an intent, if it was taken from a card for an order of ours; else empty."""
        found = self.wire.read(self.wire.client.v1.payment_intents.retrieve, intent)
        return intent if _key_of(found) else ""

    def report_usage(self, *, key: str, meter: str, customer: str, quantity: int, at: int) -> None:
        params = {
            "event_name": meter,
            "identifier": key,
            "timestamp": at,
            "payload": {"stripe_customer_id": customer, "value": str(quantity)},
        }
        try:
            self.wire.client.v1.billing.meter_events.create(params)  # type: ignore[arg-type]  # a dict, as the API takes it
        except stripe.InvalidRequestError as error:
            # Stripe remembers the identifier and says so: it was counted
            if error.code == "duplicate_meter_event":
                return
            raise meaning(error) from error
        except stripe.StripeError as error:
            raise meaning(error) from error


def _key_of(intent: Any) -> str:
    found = getattr(intent.metadata, "charge", None)
    return found if isinstance(found, str) else ""


def _intent_of(declined: stripe.CardError) -> str:
    body = declined.json_body if isinstance(declined.json_body, dict) else {}
    return str(body.get("error", {}).get("payment_intent", {}).get("id", ""))


def fee_of(charge: Any, currency: str) -> int | None:
    """What Stripe keeps of a charge; None while it is not told, or when the platform's account is in another currency."""
    moved = charge.balance_transaction if charge is not None else None
    if not isinstance(moved, stripe.BalanceTransaction) or moved.currency.upper() != currency:
        return None
    return int(moved.fee)


def _payment(intent: Any) -> Payment:
    state = {"succeeded": PaymentState.CAPTURED, "processing": PaymentState.WAITING}.get(
        intent.status, PaymentState.FAILED
    )
    currency = intent.currency.upper()
    charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
    return Payment(
        intent.id,
        state,
        intent.amount,
        currency,
        refunded_minor=charge.amount_refunded if charge else 0,
        fee_minor=fee_of(charge, currency),
    )
