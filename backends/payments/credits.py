"""Payment from the buyer's wallet: the money stays in our own ledger, so there is nothing to ask anybody."""

import re
from collections.abc import Mapping
from typing import ClassVar

from backends.contracts.payments import Capability, Intent, IntentState, PaymentBackend, PaymentEvent, Refund
from backends.errors import Missing, Rejected

_REFERENCE = re.compile(r"credits:(\d{1,16}):([A-Z]{3}):(.{1,80})", re.DOTALL)


class CreditsPayments(PaymentBackend):
    """Holds no state: a reference says what was asked for, and the ledger, keyed by the order, sees to *once* and *enough*."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.LEDGER})

    def create_intent(self, *, key: str, amount_minor: int, currency: str, description: str) -> Intent:
        if amount_minor < 1 or not 1 <= len(key) <= 80:
            raise Rejected("an intent needs an amount of at least 1 and a key of 1 to 80 characters")
        return self.confirm(f"credits:{amount_minor}:{currency}:{key}", key=key)

    def confirm(self, reference: str, *, key: str) -> Intent:
        found = _REFERENCE.fullmatch(reference)
        if found is None or found[3] != key:
            raise Missing(f"no such intent: {reference[:80]!r}")
        return Intent(reference, IntentState.CAPTURED, int(found[1]), found[2])

    def refund(self, reference: str, amount_minor: int, *, key: str) -> Refund:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise Missing(f"no such intent: {reference[:80]!r}")
        if not 1 <= amount_minor <= int(found[1]):
            raise Rejected("a refund gives back at least 1 and at most what was paid")
        return Refund(f"refund:{key}", amount_minor)

    def parse_event(self, headers: Mapping[str, str], raw: bytes) -> PaymentEvent:
        raise Rejected("credits send no events: whoever says so is not us")
