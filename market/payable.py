"""What a seller can be paid now, what is held back and until when. Pure reading; the run asks it under the accounts' locks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import Max, Sum

from common.clock import now
from common.money import Money, parse_amount
from market.models import Account, AccountKind, LedgerEntry, Order
from market.statements import position_at
from work.schedules import next_period

if TYPE_CHECKING:
    from accounts.models import Namespace

_DAY_S = 24 * 3600
HELD_SHOWN = 50


def minimum(currency: str) -> Money:
    """Less than this is carried over to the next run. Raises Invalid when `PAYOUT_MINIMUM` can't be read."""
    return amount_for(settings.PAYOUT_MINIMUM, currency)


def amount_for(parts: Sequence[str], currency: str) -> Money:
    """What a setting says for a currency: an amount for all of them and others for some, `("10", "JPY=1000")`. Raises Invalid."""
    amount = "0"
    for part in parts:
        name, is_named, value = part.rpartition("=")
        if not is_named or name.strip() == currency:
            amount = value
    return parse_amount(amount, currency)


def every_s() -> int:
    """Seconds between two payout runs."""
    return int(settings.PAYOUT_EVERY_DAYS) * _DAY_S


def next_run_at() -> datetime:
    return next_period(now(), every_s())


def present_run() -> str:
    """The name of the run that is due now: it stays the same until the next one is due, so a run that is repeated pays once."""
    return f"run:{next_run_at() - timedelta(seconds=every_s()):%Y-%m-%d}"


@dataclass(frozen=True)
class Payable:
    """A seller's earnings in one currency, minor units. `balance_minor` may be below zero: then it is carried over until sales
    have made up for it."""

    currency: str
    balance_minor: int
    held_minor: int
    """Earned so recently that it stays here for now."""

    @property
    def ready_minor(self) -> int:
        """What could leave now; 0 when nothing."""
        return max(0, self.balance_minor - self.held_minor)

    @property
    def due_minor(self) -> int:
        """What a run would pay now: all that is ready, or nothing below the minimum."""
        return self.ready_minor if self.ready_minor >= max(1, minimum(self.currency).amount_minor) else 0


@dataclass(frozen=True)
class HeldAmount:
    """Recent earnings of one order that stay here `until` then."""

    order: Order
    amount: Money
    until: datetime


def payable(namespace: "Namespace", currency: str) -> Payable:
    """What the namespace can be paid in `currency`. Recent is what was earned in the last PAYOUT_HOLDING_DAYS: counted by order,
    so what was returned of a recent sale is not held as well, and a payout that came back was never recent. A few dozen small
    queries."""
    account = _earnings(namespace, currency)
    if account is None:
        return Payable(currency, 0, 0)
    held = _recent(account).aggregate(held=Sum("total"))["held"] or 0
    return Payable(currency, account.balance_minor, held)


def payables(namespace: "Namespace") -> list[Payable]:
    """`payable` for each currency in which the namespace has ever earned."""
    return [payable(namespace, currency) for currency in _currencies(namespace)]


def held_amounts(namespace: "Namespace", currency: str) -> list[HeldAmount]:
    """The recent earnings by order, what is free first coming first; at most 50."""
    account = _earnings(namespace, currency)
    if account is None:
        return []
    rows = list(_recent(account).order_by("last", "transaction__order_id")[:HELD_SHOWN])
    found = Order.objects.select_related("listing").in_bulk([row["transaction__order_id"] for row in rows])
    keep = timedelta(days=settings.PAYOUT_HOLDING_DAYS)
    return [
        HeldAmount(found[row["transaction__order_id"]], Money(row["total"], currency), row["last"] + keep)
        for row in rows
    ]


def _earnings(namespace: "Namespace", currency: str) -> Account | None:
    return Account.objects.filter(namespace=namespace, kind=AccountKind.EARNINGS, currency=currency).first()


def _currencies(namespace: "Namespace") -> Iterator[str]:
    accounts = Account.objects.filter(namespace=namespace, kind=AccountKind.EARNINGS)
    return iter(accounts.order_by("currency").values_list("currency", flat=True))


def _recent(account: Account) -> Any:
    """What was earned within the holding period, by order, where it comes to more than zero: a queryset of rows with
    `transaction__order_id`, `total` and `last`, the time of the last entry."""
    since = now() - timedelta(days=settings.PAYOUT_HOLDING_DAYS)
    entries = LedgerEntry.objects.filter(
        account=account, pk__gt=position_at(account, since), transaction__order__isnull=False
    )
    return (
        entries.values("transaction__order_id")
        .annotate(total=Sum("amount_minor"), last=Max("transaction__at"))
        .filter(total__gt=0)
    )
