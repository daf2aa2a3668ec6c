"""Sending money to sellers through the payment provider."""

from typing import cast

from backends.contracts.payments import Capability, PayoutBackend, Transfer
from backends.errors import Rejected, Transient
from common.errors import Unavailable
from market.services.payment_backend import backend


class Refused(Exception):
    """The provider will never make this transfer; the message says why."""


def can_transfer() -> bool:
    """Whether the payment backend of this installation sends money to sellers."""
    return Capability.ACCOUNTS in backend().capabilities


def transfer(*, key: str, account: str, amount_minor: int, currency: str) -> Transfer:
    """Have the provider send `amount_minor` to a seller's `account` there, outside of any transaction. The same `key` is the same
    transfer. Raises Unavailable when it does not answer (repeat with the same key), Refused when it never will do it."""
    try:
        return cast("PayoutBackend", backend()).transfer(
            key=key, account=account, amount_minor=amount_minor, currency=currency
        )
    except Transient as error:
        raise Unavailable("The payment provider does not answer.") from error
    except Rejected as error:
        raise Refused(str(error)) from error
