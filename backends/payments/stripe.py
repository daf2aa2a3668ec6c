"""Payments through Stripe: Checkout for buyers, Connect for sellers, cards kept for later, meters.

What Stripe promises and this leans on: an idempotency key gives the first answer again for at least 24 hours, a server error
included; events are signed, come at least once and in any order, and can be listed for 30 days. So nothing here trusts an event or a
key that may have been forgotten: objects carry our key in their metadata, and are looked up by it before money moves a second time."""

import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import stripe

from backends.contracts.payments import (
    Capability,
    Change,
    Changes,
    Dispute,
    DisputeState,
    Listing,
    Payment,
    PaymentBackend,
    PaymentState,
    Refund,
    RefundState,
    Topic,
)
from backends.errors import ConfigError, Missing, Rejected
from backends.payments.stripe_accounts import StripeAccounts
from backends.payments.stripe_cards import INTENT, StripeCards, fee_of
from backends.payments.stripe_wire import THREE_DIGITS, Wire, first_of, text_of

TOLERANCE_S = 300
"""How far a delivery's time may be off, in both directions: Stripe's own figure."""
_HEADER_LIMIT = 4096
_PAGE = 100
_EXPANDED = ["payment_intent.latest_charge.balance_transaction"]
_LOST = {"lost"}
_WON = {"won", "warning_closed", "prevented"}
_REFUND_STATES = {"succeeded": RefundState.DONE, "failed": RefundState.FAILED, "canceled": RefundState.FAILED}
_GIVEN_UP = {"requires_payment_method", "canceled"}


class StripePayments(StripeAccounts, StripeCards, PaymentBackend):
    """`secret_key` says by its prefix whether it is for tests; `webhook_secrets`: any of them proves a delivery, so that one can be
    replaced while deliveries signed with the old one still come. `with_tax`: Stripe Tax reckons the tax within the price."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.EVENTS, Capability.DISPUTES, Capability.ACCOUNTS, Capability.CARDS, Capability.METERS}
    )

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_secrets: Sequence[str],
        api_base: str = "",
        with_tax: bool = False,
        timeout_s: float = 8,
    ) -> None:
        if not secret_key.strip():
            raise ConfigError("Stripe needs a secret key: set STRIPE_SECRET_KEY")
        if not webhook_secrets or not all(secret.strip() for secret in webhook_secrets):
            raise ConfigError(
                "a blank webhook secret would let anybody sign: set STRIPE_WEBHOOK_SECRETS to what Stripe shows for the endpoint"
            )
        self._secrets = tuple(webhook_secrets)
        self._is_live = "_live_" in secret_key
        self._with_tax = with_tax
        self.wire = Wire(secret_key, api_base, timeout_s)

    # -- payments

    def start(
        self,
        *,
        key: str,
        amount_minor: int,
        currency: str,
        description: str,
        return_url: str = "",
        cancel_url: str = "",
        customer: str = "",
    ) -> Payment:
        self._check_amount(amount_minor, currency)
        price: dict[str, Any] = {
            "currency": currency.lower(),
            "unit_amount": amount_minor,
            "product_data": {"name": description[:250] or "Order"},
        }
        if self._with_tax:
            # what the buyer was shown is what the buyer pays: the tax is within it
            price["tax_behavior"] = "inclusive"
        metadata = {"order": key}
        params: dict[str, Any] = {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "client_reference_id": key,
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
            "success_url": return_url or "https://example.org/",
            "cancel_url": cancel_url or return_url or "https://example.org/",
        }
        if self._with_tax:
            params["automatic_tax"] = {"enabled": True}
        if customer:
            params["customer"] = customer
            params["payment_intent_data"]["setup_future_usage"] = "off_session"
        # A session that was made but whose address nobody was told cannot be paid, so after a lost answer a second one does no harm.
        session, is_first = self.wire.create(self.wire.client.v1.checkout.sessions.create, params, f"start:{key}")
        return self._payment(session) if is_first else self.look(session.id, key=key)

    def look(self, reference: str, *, key: str) -> Payment:
        if reference.startswith(INTENT):
            return self.look_charge(reference, key=key)
        session = self._session(reference)
        if session.client_reference_id != key:
            raise Missing(f"the payment {reference[:80]!r} has another key")
        return self._payment(session)

    def refund(self, reference: str, amount_minor: int, *, key: str) -> Refund:
        intent = self._intent(reference)
        # Stripe may have forgotten the key after a day; the refund itself carries it for ever.
        earlier = self._refund_of(intent, key)
        if earlier is not None:
            if earlier.amount_minor != amount_minor and earlier.state != RefundState.FAILED:
                raise Rejected("this key was used for a refund of another amount")
            return earlier
        if amount_minor < 1 or not intent:
            raise Rejected("a refund gives back at least 1, of what was paid")
        params = {"payment_intent": intent, "amount": amount_minor, "metadata": {"key": key}}
        made, _ = self.wire.create(
            self.wire.client.v1.refunds.create, params, f"refund:{key}", find=lambda: self._refund_object(intent, key)
        )
        return _refund(made)

    def look_refund(self, reference: str, *, key: str) -> Refund | None:
        return self._refund_of(self._intent(reference), key)

    def look_dispute(self, reference: str) -> Dispute:
        found = self.wire.read(self.wire.client.v1.disputes.retrieve, reference)
        payment = ""
        if found.payment_intent is not None:
            intent = _id(found.payment_intent)
            params = {"payment_intent": intent, "limit": 1}
            sessions = self.wire.read(self.wire.client.v1.checkout.sessions.list, params)
            payment = sessions.data[0].id if sessions.data else self.charged(intent)
        state = (
            DisputeState.LOST
            if found.status in _LOST
            else DisputeState.WON
            if found.status in _WON
            else DisputeState.OPEN
        )
        return Dispute(
            found.id,
            payment,
            state,
            found.amount,
            found.currency.upper(),
            found.reason,
            sum(each.fee for each in found.balance_transactions),
            found.evidence_details.due_by,
        )

    # -- what has happened

    def read_event(self, headers: Mapping[str, str], raw: bytes) -> Change:
        header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), "")
        self._check_signature(header, raw)
        try:
            told = json.loads(raw)
            return self._change(told)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Rejected("the event cannot be read") from error

    def changes(self, listing: Listing, *, since: int, cursor: str = "") -> Changes:
        params: dict[str, Any] = {"created": {"gte": since}, "limit": _PAGE}
        if cursor:
            params["starting_after"] = cursor
        v1 = self.wire.client.v1
        if listing == Listing.EVENTS:
            found = self.wire.read(v1.events.list, params)
            items = [self._change(each.to_dict()) for each in found.data]
        elif listing == Listing.PAYMENTS:
            found = self.wire.read(v1.checkout.sessions.list, params)
            items = [
                Change("", "session", Topic.PAYMENT, each.id, each.client_reference_id or "", each.created)
                for each in found.data
            ]
        elif listing == Listing.REFUNDS:
            found = self.wire.read(v1.refunds.list, {**params, "expand": ["data.charge"]})
            items = [
                Change("", "refund", Topic.PAYMENT, "", _key_of_charge(each.charge), each.created)
                for each in found.data
            ]
        else:
            found = self.wire.read(v1.disputes.list, params)
            items = [Change("", "dispute", Topic.DISPUTE, each.id, "", each.created) for each in found.data]
        return Changes(tuple(items), found.data[-1].id if found.has_more and found.data else "")

    # -- helpers

    def _check_amount(self, amount_minor: int, currency: str) -> None:
        if amount_minor < 1:
            raise Rejected("a payment needs an amount of at least 1")
        if currency in THREE_DIGITS and amount_minor % 10:
            raise Rejected(f"Stripe takes amounts of {currency} in steps of ten of its smallest unit")

    def _session(self, reference: str) -> Any:
        return self.wire.read(self.wire.client.v1.checkout.sessions.retrieve, reference, {"expand": _EXPANDED})

    def _payment(self, session: Any) -> Payment:
        currency = session.currency.upper()
        intent = session.payment_intent if isinstance(session.payment_intent, stripe.PaymentIntent) else None
        charge = intent.latest_charge if intent and isinstance(intent.latest_charge, stripe.Charge) else None
        if session.status == "expired":
            state = PaymentState.FAILED
        elif session.status == "complete" and session.payment_status != "unpaid":
            state = PaymentState.CAPTURED
        elif session.status == "complete" and intent is not None and intent.status in _GIVEN_UP:
            # a transfer that the buyer's bank refused days later
            state = PaymentState.FAILED
        else:
            state = PaymentState.WAITING
        details = session.total_details
        return Payment(
            reference=session.id,
            state=state,
            amount_minor=session.amount_total,
            currency=currency,
            url=(session.url or "") if session.status == "open" else "",
            refunded_minor=charge.amount_refunded if charge else 0,
            fee_minor=fee_of(charge, currency),
            tax_minor=details.amount_tax if details is not None and self._with_tax else None,
        )

    def _intent(self, reference: str) -> str:
        """What Stripe calls the money of a payment; empty while there is none. Raises Missing."""
        if reference.startswith(INTENT):
            return reference
        session = self._session(reference)
        return _id(session.payment_intent) if session.payment_intent is not None else ""

    def _refund_of(self, intent: str, key: str) -> Refund | None:
        found = self._refund_object(intent, key)
        return _refund(found) if found is not None else None

    def _refund_object(self, intent: str, key: str) -> Any:
        if not intent:
            return None
        params: dict[str, Any] = {"payment_intent": intent, "limit": _PAGE}
        return self.wire.find(
            self.wire.client.v1.refunds.list, params, lambda each: text_of(each.metadata, "key") == key
        )

    def _check_signature(self, header: str, raw: bytes) -> None:
        """Raises Rejected unless one of the secrets signed exactly these bytes, now. Every secret is tried, in constant time."""
        if len(header) > _HEADER_LIMIT:
            raise Rejected("the signature is too long")
        parts = [part.partition("=") for part in header.split(",")]
        stamps = [value for name, _, value in parts if name.strip() == "t"]
        given = [value for name, _, value in parts if name.strip() == "v1"]
        if len(stamps) != 1 or not stamps[0].isascii() or not stamps[0].isdigit() or len(stamps[0]) > 12 or not given:
            raise Rejected("the delivery is not signed")
        signed = stamps[0].encode() + b"." + raw
        is_known = False
        for secret in self._secrets:
            expected = hmac.new(secret.encode(), signed, "sha256").hexdigest().encode()
            for each in given:
                is_known |= hmac.compare_digest(expected, each.encode())
        if not is_known:
            raise Rejected("the signature does not fit")
        if abs(time.time() - int(stamps[0])) > TOLERANCE_S:
            raise Rejected("the delivery is too old, or a clock is wrong")

    def _change(self, told: dict[str, Any]) -> Change:
        """What an event tells of. One of the other mode, or of a seller's own business, is none of ours."""
        if told["object"] != "event":
            raise ValueError("not an event")
        type_, about = str(told["type"]), told["data"]["object"]
        made: dict[str, Any] = {"event_id": str(told["id"])[:120], "type": type_[:80], "at": int(told["created"])}
        account = told.get("account") or ""
        if bool(told.get("livemode")) != self._is_live or (account and not type_.startswith("account.")):
            return Change(topic=Topic.NOTHING, **made)
        key = text_of(about.get("metadata"), "order") or text_of(about.get("metadata"), "charge")
        if type_.startswith("checkout.session."):
            return Change(
                topic=Topic.PAYMENT, reference=str(about["id"]), key=about.get("client_reference_id") or key, **made
            )
        if type_.startswith("charge.dispute."):
            return Change(topic=Topic.DISPUTE, reference=str(about["id"]), **made)
        if type_.startswith(("payment_intent.", "charge.")) and key:
            return Change(topic=Topic.PAYMENT, key=key, **made)
        if type_ == "account.updated":
            return Change(topic=Topic.ACCOUNT, reference=account or str(about["id"]), **made)
        return Change(topic=Topic.NOTHING, **made)


def _key_of_charge(charge: Any) -> str:
    return first_of(charge, "metadata", "order") or first_of(charge, "metadata", "charge")


def _refund(made: Any) -> Refund:
    return Refund(made.id, made.amount, _REFUND_STATES.get(made.status or "", RefundState.UNDER_WAY))


def _id(found: Any) -> str:
    return found if isinstance(found, str) else str(found.id)
