"""A payment backend moves money that is not in our ledger yet. The two truths: under one key money moves once; and what counts is
what the provider says *now*. An event, a page that the buyer comes back to and a reconciliation only say where to look."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from backends.errors import Rejected


class Capability(enum.StrEnum):
    """What a payment backend offers beside payments and refunds."""

    LEDGER = "ledger"
    """The money lies in the buyer's wallet in our own ledger: every method answers at once, without network, and may be
    called inside a database transaction. Whether the wallet covers it is the ledger's to say."""
    EVENTS = "events"
    """The provider reports by signed events, and lists what it has reported and what it holds: `read_event`, `changes`."""
    DISPUTES = "disputes"
    """Buyers can dispute a payment with their bank: `look_dispute`."""
    ACCOUNTS = "accounts"
    """Sellers have accounts at the provider and are paid there: the backend is a `PayoutBackend`, too."""
    CARDS = "cards"
    """Buyers can leave a card for later: the backend is a `CardBackend`, too."""
    METERS = "meters"
    """The provider counts usage of its own: the backend is a `MeterBackend`, too."""


class PaymentState(enum.StrEnum):
    WAITING = "waiting"
    """The buyer has something to do at `Payment.url`, or (no `url`) the buyer's bank has."""
    CAPTURED = "captured"
    FAILED = "failed"
    """It will never be paid: lapsed, cancelled or refused by the bank."""


@dataclass(frozen=True)
class Payment:
    """A payment that was asked for. `amount_minor` ≥ 1, minor units of `currency`."""

    reference: str
    """What the provider calls it; ours to keep, at most 120 characters."""
    state: PaymentState
    amount_minor: int
    currency: str
    url: str = ""
    """Where the buyer pays; empty when there is nothing to do. At most 2000 characters."""
    refunded_minor: int = 0
    """What has been given back, also by others than us."""
    fee_minor: int | None = None
    """What the provider keeps for processing it, in the same currency; None: not told (yet)."""
    tax_minor: int | None = None
    """The tax within `amount_minor` as the provider reckoned it; None: not asked for."""


class RefundState(enum.StrEnum):
    UNDER_WAY = "under_way"
    DONE = "done"
    FAILED = "failed"
    """The buyer's bank did not take it: the money is with the site again, a person has to find another way."""


@dataclass(frozen=True)
class Refund:
    """Money on its way back. `amount_minor` ≥ 1."""

    reference: str
    amount_minor: int
    state: RefundState = RefundState.DONE


class DisputeState(enum.StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True)
class Dispute:
    """A payment that the buyer's bank has taken back for the time being (`OPEN`) or for good (`LOST`)."""

    reference: str
    payment: str
    """The reference of the payment; empty when it is none of ours."""
    state: DisputeState
    amount_minor: int
    currency: str
    reason: str = ""
    """One word of the provider's, such as `fraudulent`."""
    fee_minor: int = 0
    """What the provider charges for it, so far."""
    due_at: int | None = None
    """Seconds since 1970: until when evidence can be handed in."""


class Topic(enum.StrEnum):
    """What to look at again."""

    PAYMENT = "payment"
    DISPUTE = "dispute"
    ACCOUNT = "account"
    NOTHING = "nothing"
    """Not of our concern: another site's, of the wrong mode, or a kind that says nothing to us."""


@dataclass(frozen=True)
class Change:
    """Something happened at the provider. Says where to look, never what is so."""

    event_id: str
    """Unique for ever, at most 120 characters; empty when it was found in a list of objects."""
    type: str
    """The provider's word for it, at most 80 characters."""
    topic: Topic
    reference: str = ""
    """What the provider calls the object of the topic; empty when only `key` is known."""
    key: str = ""
    """The key that the payment was started under; empty when only `reference` is known."""
    at: int = 0
    """Seconds since 1970."""


class Listing(enum.StrEnum):
    """What a provider can be asked to list."""

    EVENTS = "events"
    PAYMENTS = "payments"
    REFUNDS = "refunds"
    DISPUTES = "disputes"


@dataclass(frozen=True)
class Changes:
    """A page, newest first."""

    items: tuple[Change, ...]
    next_cursor: str
    """Empty on the last page."""


class PaymentBackend(ABC):
    """Implementations are safe to use from many threads at once. Every method may raise Transient (repeat with the same key), and
    none takes longer than 20 s."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    @abstractmethod
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
        """Ask for `amount_minor` (≥ 1). Same `key` again: the same payment, as it is now; with another amount or currency
        `Rejected`. The buyer comes back to one of the two addresses. `customer`: who keeps cards (see `CardBackend`)."""

    @abstractmethod
    def look(self, reference: str, *, key: str) -> Payment:
        """What the provider says of a payment now. Changes nothing. Raises Missing when there is none of that reference and key."""

    @abstractmethod
    def refund(self, reference: str, amount_minor: int, *, key: str) -> Refund:
        """Give `amount_minor` (≥ 1) of a captured payment back. Same `key` again, however late: the same refund. Raises Rejected
        above what is left of it (with LEDGER the ledger checks that) or for another amount than before, Missing."""

    @abstractmethod
    def look_refund(self, reference: str, *, key: str) -> Refund | None:
        """What the provider says of the refund `key` of a payment; None when there is none. Raises Missing for an unknown payment."""

    def read_event(self, headers: Mapping[str, str], raw: bytes) -> Change:
        """What a delivery tells of, once its signature over the raw bytes is proven. Raises Rejected for anything forged, altered,
        stale or unreadable. Pure: no network, ≤ 50 ms; the same delivery gives the same change."""
        raise Rejected("this payment backend sends no events: whoever says so is not its provider")

    def changes(self, listing: Listing, *, since: int, cursor: str = "") -> Changes:
        """A page of what has happened, or was made, at the provider since an instant (seconds since 1970)."""
        return Changes((), "")

    def look_dispute(self, reference: str) -> Dispute:
        """What the provider says of a dispute now. Raises Missing."""
        raise Rejected("this payment backend knows no disputes")


@dataclass(frozen=True)
class PayoutAccount:
    """A seller's account at the provider."""

    reference: str
    is_ready: bool
    """Money can be sent to it, and from there to the seller's bank."""
    needs: tuple[str, ...] = ()
    """What the provider still wants to know, in its own words."""


@dataclass(frozen=True)
class Transfer:
    """Money that went to a seller's account."""

    reference: str
    amount_minor: int


class PayoutBackend(ABC):
    """Sellers' accounts at the provider, and money to them."""

    @abstractmethod
    def create_account(self, *, key: str, email: str, country: str = "") -> PayoutAccount:
        """Open an account for a seller (`country`: two letters; empty: the platform's own). Same `key` again: the same account."""

    @abstractmethod
    def look_account(self, account: str) -> PayoutAccount:
        """What the provider says of an account now. Raises Missing."""

    @abstractmethod
    def create_account_link(self, account: str, *, return_url: str, refresh_url: str) -> str:
        """The address of a page of the provider's where the seller says who they are; works once and for minutes only."""

    @abstractmethod
    def transfer(self, *, key: str, account: str, amount_minor: int, currency: str) -> Transfer:
        """Send `amount_minor` (≥ 1) to an account. Same `key` again, however late: the same transfer. Raises Rejected when the
        account cannot take it or the platform does not have it, Transient."""


class CardBackend(ABC):
    """Cards that buyers leave for later."""

    @abstractmethod
    def create_customer(self, *, key: str, email: str, name: str) -> str:
        """Who keeps cards at the provider; returns its reference. Same `key` again: the same one."""

    @abstractmethod
    def charge(self, *, key: str, customer: str, amount_minor: int, currency: str, description: str) -> Payment:
        """Take money from the card that was left last, without its owner. Same `key` again: the same payment, as it is now.
        FAILED: the bank refused, or wants to see the owner. `look`, `refund` and `look_dispute` know the payment as any other. Raises
        Missing when no card is left."""


class MeterBackend(ABC):
    """Usage that the provider counts, for those who bill by its invoices."""

    @abstractmethod
    def report_usage(self, *, key: str, meter: str, customer: str, quantity: int, at: int) -> None:
        """Count `quantity` more of the meter called `meter` at `at` (seconds since 1970, at most 35 days ago). Same `key` again
        within a day: counted once."""
