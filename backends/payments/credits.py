"""Payment from the buyer's wallet: the money stays in our own ledger, so there is nothing to ask anybody."""

import re
from typing import ClassVar

from backends.contracts.payments import Capability, Payment, PaymentBackend, PaymentState, Refund
from backends.errors import Missing, Rejected

_REFERENCE = re.compile(r"credits:(\d{1,16}):([A-Z]{3}):(.{1,80})", re.DOTALL)


class CreditsPayments(PaymentBackend):
    """Holds no state: a reference says what was asked for, and the ledger, keyed by the order, sees to *once* and *enough*."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.LEDGER})

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
        if amount_minor < 1 or not 1 <= len(key) <= 80:
            raise Rejected("a payment needs an amount of at least 1 and a key of 1 to 80 characters")
        return self.look(f"credits:{amount_minor}:{currency}:{key}", key=key)

    def look(self, reference: str, *, key: str) -> Payment:
        found = _REFERENCE.fullmatch(reference)
        if found is None or found[3] != key:
            raise Missing(f"no such payment: {reference[:80]!r}")
        return Payment(reference, PaymentState.CAPTURED, int(found[1]), found[2])

    def refund(self, reference: str, amount_minor: int, *, key: str) -> Refund:
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise Missing(f"no such payment: {reference[:80]!r}")
        if not 1 <= amount_minor <= int(found[1]):
            raise Rejected("a refund gives back at least 1 and at most what was paid")
        return Refund(f"refund:{key}", amount_minor)

    def look_refund(self, reference: str, *, key: str) -> Refund | None:
        """None: the ledger knows what went back, and is never in doubt about it."""
        if _REFERENCE.fullmatch(reference) is None:
            raise Missing(f"no such payment: {reference[:80]!r}")
        return None
