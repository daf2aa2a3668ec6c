"""The payment backends of this installation, and where the money of an order comes from."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.conf import settings

from backends import catalogue
from backends.contracts.payments import Capability, PaymentBackend
from backends.errors import ConfigError, Missing, Rejected, Transient
from common.errors import Conflict, NotFound, Unavailable
from common.money import CREDIT
from market.models import Account, Order
from market.services import ledger
from market.services.ledger import AccountRef

if TYPE_CHECKING:
    from accounts.models import Namespace

_P = ParamSpec("_P")
_Answer = TypeVar("_Answer")
_WALLET = "credits"


def provider_name() -> str:
    """The backend that takes money which is in no wallet; `credits` when there is none."""
    return str(settings.PAYMENTS["BACKEND"])


def backend(name: str | None = None) -> PaymentBackend:
    """One for the process. Raises NotFound for a name that no payment backend has."""
    name = name or provider_name()
    if name not in catalogue.listing("payments"):
        raise NotFound("There is no such payment backend.")
    return _loaded(name)


def backend_of(buyer: "Namespace", currency: str, total_minor: int) -> str:
    """Who takes the money of an order: the buyer's wallet when it covers the whole, or when no provider knows the currency; else
    the provider. So money that was put into a wallet can be spent, in whichever currency it is. The caller holds the wallet's lock."""
    if currency == CREDIT or is_in_ledger():
        return _WALLET
    balance = Account.objects.filter(key=ledger.wallet(buyer, currency).key).values_list("balance_minor", flat=True)
    return _WALLET if (balance.first() or 0) >= total_minor else provider_name()


def is_in_ledger(name: str | None = None) -> bool:
    """Whether payments come out of wallets in our own ledger, at once and without network."""
    return Capability.LEDGER in backend(name).capabilities


def source_of(order: Order) -> AccountRef:
    """The account that pays an order and gets its refund: the buyer's wallet, or what the provider holds."""
    if is_in_ledger(order.payment_backend):
        return ledger.wallet(order.buyer, order.currency)
    return ledger.provider(order.currency)


def asked(method: Callable[_P, _Answer], *arguments: _P.args, **named: _P.kwargs) -> _Answer:
    """What a backend answers, with its errors as ours: Unavailable when the provider does not answer or does not know this site,
    NotFound for what it does not have, Conflict for what it refuses. Outside of any transaction, unless the backend is the ledger."""
    try:
        return method(*arguments, **named)
    except Transient as error:
        raise Unavailable(
            "The payment provider does not answer. Nothing is lost: we look again every few minutes.",
            code="provider_unreachable",
        ) from error
    except ConfigError as error:
        raise Unavailable(
            "Payments are not set up rightly; the operators of this site have to look.", code="provider_misconfigured"
        ) from error
    except Missing as error:
        raise NotFound(f"The payment provider does not know it: {error}", code="unknown_to_provider") from error
    except Rejected as error:
        raise Conflict(f"The payment was refused: {error}", code="payment_refused") from error


@cache
def _loaded(name: str) -> PaymentBackend:
    options: dict[str, Any] = settings.PAYMENTS["OPTIONS"].get(name, {})
    made: PaymentBackend = catalogue.load("payments", name, **options)
    return made


def forget_loaded() -> None:
    """Build backends anew from the settings: for tests that change them."""
    _loaded.cache_clear()
