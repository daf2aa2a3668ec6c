"""A payment provider that pays sellers, as the tests of payouts need it: it remembers each transfer under its key, and can be away or
lose its answers."""

import threading
from typing import Any, ClassVar

from backends.contracts.payments import Capability, PayoutAccount, PayoutBackend, Transfer
from backends.errors import Missing, Rejected, Transient
from backends.payments.credits import CreditsPayments


class Sender(CreditsPayments, PayoutBackend):
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.ACCOUNTS})

    def __init__(self) -> None:
        self.transfers: dict[str, Any] = {}
        self.is_down = self.loses_answers = False
        self._lock = threading.Lock()

    def create_account(self, *, key: str, email: str, country: str = "") -> PayoutAccount:
        return PayoutAccount(f"acct_{key}", is_ready=True)

    def look_account(self, account: str) -> PayoutAccount:
        if not account.startswith("acct_"):
            raise Missing("no such account")
        return PayoutAccount(account, is_ready=True)

    def create_account_link(self, account: str, *, return_url: str, refresh_url: str) -> str:
        return f"https://provider.example.org/{account}"

    def transfer(self, *, key: str, account: str, amount_minor: int, currency: str) -> Transfer:
        if self.is_down and not self.loses_answers:
            raise Transient("it does not answer")
        if amount_minor < 1 or account.startswith("closed"):
            raise Rejected("this account can't be paid")
        wanted = (account, amount_minor, currency)
        with self._lock:
            if self.transfers.setdefault(key, wanted) != wanted:
                raise Rejected("this key was used for another transfer")
        if self.is_down:
            raise Transient("its answer is lost")
        return Transfer(f"transfer-{key}", amount_minor)
