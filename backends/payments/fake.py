"""A payment provider in memory: for tests, and to see how a real one is written. Moves nobody's money."""

import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from backends.contracts.payments import (
    Capability,
    EventKind,
    Intent,
    IntentState,
    PaymentBackend,
    PaymentEvent,
    Refund,
    Transfer,
)
from backends.errors import Missing, Rejected, Transient

SIGNATURE = "X-Fake-Signature"


@dataclass
class _Payment:
    intent: Intent
    refunds: dict[str, Refund] = field(default_factory=dict)


class FakePayments(PaymentBackend):
    """Buyers pay when `report` says so. `is_down`: every call that would go over the network raises Transient, after it has
    taken effect when `loses_answers`."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.EVENTS, Capability.PAYOUTS})

    def __init__(self, secret: str = "fake-secret") -> None:  # noqa: S107 - guards nothing
        if not secret:
            raise Rejected("a blank secret would let anybody sign")
        self._secret = secret.encode()
        self._lock = threading.Lock()
        self._payments: dict[str, _Payment] = {}
        self.transfers: dict[str, tuple[str, int, str]] = {}
        """By key: account, minor units, currency."""
        self.is_down = False
        self.loses_answers = False

    def create_intent(self, *, key: str, amount_minor: int, currency: str, description: str) -> Intent:
        if amount_minor < 1:
            raise Rejected("an intent needs an amount of at least 1")
        reference = f"fake-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
        with self._lock, _Network(self):
            asked = Intent(reference, IntentState.WAITING, amount_minor, currency, f"https://pay.invalid/{reference}")
            present = self._payments.setdefault(reference, _Payment(asked)).intent
            if (present.amount_minor, present.currency) != (amount_minor, currency):
                raise Rejected("this key was used for another amount")
            return present

    def confirm(self, reference: str, *, key: str) -> Intent:
        with self._lock, _Network(self):
            return self._found(reference).intent

    def refund(self, reference: str, amount_minor: int, *, key: str) -> Refund:
        with self._lock, _Network(self):
            payment = self._found(reference)
            if key in payment.refunds:
                return payment.refunds[key]
            given = sum(refund.amount_minor for refund in payment.refunds.values())
            if (
                payment.intent.state != IntentState.CAPTURED
                or not 1 <= amount_minor <= payment.intent.amount_minor - given
            ):
                raise Rejected("a refund gives back at least 1 and at most what was paid")
            payment.refunds[key] = Refund(f"refund-{key}", amount_minor)
            return payment.refunds[key]

    def transfer(self, *, key: str, account: str, amount_minor: int, currency: str) -> Transfer:
        if amount_minor < 1 or account.startswith("closed"):
            raise Rejected("this account can't be paid")
        wanted = (account, amount_minor, currency)
        with self._lock, _Network(self):
            if self.transfers.setdefault(key, wanted) != wanted:
                raise Rejected("this key was used for another transfer")
        return Transfer(f"transfer-{key}")

    def parse_event(self, headers: Mapping[str, str], raw: bytes) -> PaymentEvent:
        if not hmac.compare_digest(headers.get(SIGNATURE, "").encode(), self._sign(raw)):
            raise Rejected("the signature does not fit")
        told = json.loads(raw)
        return PaymentEvent(
            told["id"], EventKind(told["kind"]), told["reference"], told["amount_minor"], told["currency"]
        )

    def report(self, kind: EventKind, reference: str) -> tuple[dict[str, str], bytes]:
        """The buyer pays, or fails to; returns the signed delivery as (headers, raw)."""
        with self._lock:
            payment = self._found(reference)
            if kind in {EventKind.CAPTURED, EventKind.FAILED}:
                payment.intent = replace(payment.intent, state=IntentState(kind.value))
            told = {
                "id": f"{reference}-{kind}",
                "kind": kind,
                "reference": reference,
                "amount_minor": payment.intent.amount_minor,
                "currency": payment.intent.currency,
            }
        raw = json.dumps(told).encode()
        return {SIGNATURE: self._sign(raw).decode()}, raw

    def refunded_minor(self, reference: str) -> int:
        """What has been given back of an intent, minor units."""
        return sum(refund.amount_minor for refund in self._found(reference).refunds.values())

    def _sign(self, raw: bytes) -> bytes:
        return hmac.new(self._secret, raw, hashlib.sha256).hexdigest().encode()

    def _found(self, reference: str) -> _Payment:
        if reference not in self._payments:
            raise Missing(f"no such intent: {reference[:80]!r}")
        return self._payments[reference]


class _Network:
    """Fails on the way there, or (`loses_answers`) on the way back."""

    def __init__(self, backend: FakePayments) -> None:
        self._backend = backend

    def __enter__(self) -> None:
        if self._backend.is_down and not self._backend.loses_answers:
            raise Transient("the provider does not answer")

    def __exit__(self, *_: object) -> None:
        if self._backend.is_down:
            raise Transient("the answer was lost")
