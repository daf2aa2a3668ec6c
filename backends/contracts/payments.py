"""A payment backend moves money that is not in our ledger yet. The one truth: under one key money moves once."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from backends.errors import Rejected


class Capability(enum.StrEnum):
    """How a payment comes about."""

    LEDGER = "ledger"
    """The money lies in the buyer's wallet in our own ledger: every method answers at once, without network, and may be
    called inside a database transaction. Whether the wallet covers it is the ledger's to say."""
    EVENTS = "events"
    """The provider reports by signed events; `parse_event` reads them."""
    PAYOUTS = "payouts"
    """Sellers have accounts at the provider, and `transfer` sends money there."""


class IntentState(enum.StrEnum):
    WAITING = "waiting"
    """The buyer has something to do at `Intent.url`; an event will tell."""
    CAPTURED = "captured"
    FAILED = "failed"


class EventKind(enum.StrEnum):
    CAPTURED = "captured"
    FAILED = "failed"
    REFUNDED = "refunded"


@dataclass(frozen=True)
class Intent:
    """A payment that was asked for. `amount_minor` ≥ 1, minor units of `currency`."""

    reference: str
    """What the provider calls it; ours to keep, at most 120 characters."""
    state: IntentState
    amount_minor: int
    currency: str
    url: str = ""
    """Where the buyer pays; empty when there is nothing to do."""


@dataclass(frozen=True)
class Refund:
    """Money on its way back. `amount_minor` ≥ 1."""

    reference: str
    amount_minor: int


@dataclass(frozen=True)
class Transfer:
    """Money sent to a seller's account at the provider."""

    reference: str
    """What the provider calls it; ours to keep, at most 120 characters."""


@dataclass(frozen=True)
class PaymentEvent:
    """What a provider reports. `event_id` is unique for ever: the key under which it is taken in."""

    event_id: str
    kind: EventKind
    reference: str
    """That of the intent."""
    amount_minor: int
    currency: str


class PaymentBackend(ABC):
    """Implementations are safe to use from many threads at once."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
    def create_intent(self, *, key: str, amount_minor: int, currency: str, description: str) -> Intent:
        """Ask for `amount_minor` (≥ 1). Same `key` again: the same intent, as it is now; with another amount or currency
        `Rejected`. ≤ 10 s. Raises Transient (repeat with the same key), Rejected (never possible)."""

    @abstractmethod
    def confirm(self, reference: str, *, key: str) -> Intent:
        """Take the money of an intent. Twice: the same answer. A vanished intent raises Missing. ≤ 10 s. An intent that still
        waits for its buyer comes back WAITING."""

    @abstractmethod
    def refund(self, reference: str, amount_minor: int, *, key: str) -> Refund:
        """Give `amount_minor` (≥ 1) of a captured intent back. Same `key` again: the same refund. Raises Rejected above what
        was captured (with LEDGER the ledger checks that), Missing for an unknown intent, Transient. ≤ 10 s."""

    @abstractmethod
    def parse_event(self, headers: Mapping[str, str], raw: bytes) -> PaymentEvent:
        """The event in a delivery, once its signature over the raw bytes is proven. Raises Rejected for anything forged,
        altered, stale or unknown. Pure: no network, ≤ 50 ms; the same delivery gives the same event."""

    def transfer(self, *, key: str, account: str, amount_minor: int, currency: str) -> Transfer:
        """With PAYOUTS: send `amount_minor` (≥ 1) to the seller's `account` at the provider. Same `key` again: the same transfer,
        as long as the provider knows keys; with another amount or account `Rejected`. ≤ 10 s. Raises Transient (repeat with
        the same key), Rejected (this account can't be paid)."""
        raise Rejected(f"{type(self).__name__} sends no money to sellers")
