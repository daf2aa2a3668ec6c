"""Accounts as their owners read them: what was there, what came and went and why, what is there now. Reads only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from common.errors import Invalid
from common.money import EXPONENTS, Money
from common.pagination import Page, keyset_page
from market.models import Account, AccountKind, LedgerEntry, TransactionKind

if TYPE_CHECKING:
    from accounts.models import Namespace

KINDS = (AccountKind.WALLET, AccountKind.EARNINGS)
"""Accounts that have statements."""


@dataclass(frozen=True)
class Line:
    """One entry in words. `order` and `payout` say what it is about; None: neither."""

    at: datetime
    transaction: UUID
    kind: str
    memo: str
    text: str
    amount: Money
    balance: Money
    """After it."""
    order: UUID | None
    payout: UUID | None


@dataclass(frozen=True)
class Statement:
    """An account from `since` (with it) to `until` (without it). `opening` plus all amounts is `closing`."""

    kind: AccountKind
    currency: str
    since: datetime | None
    until: datetime | None
    opening: Money
    closing: Money
    page: Page[Line]


def statement_of(
    namespace: "Namespace",
    kind: AccountKind,
    currency: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Statement:
    """One page of a statement, newest first, two queries and the bisection. The period is a stretch of the account's entries, found by bisection, so old periods
    cost what new ones do. Raises Invalid for a currency that is not known here or a period that ends before it begins."""
    if currency not in EXPONENTS:
        raise Invalid(f"{currency} is not a currency of this site.", fields={"currency": "unknown"})
    if since and until and until < since:
        raise Invalid("The period ends before it begins.", fields={"until": "before since"})
    account = account_of(namespace, kind, currency)
    if account is None:
        nothing = Money(0, currency)
        return Statement(kind, currency, since, until, nothing, nothing, Page([], None))
    first, last = (
        position_at(account, since, is_before=True) if since else 0,
        position_at(account, until, is_before=True),
    )
    entries = LedgerEntry.objects.filter(account=account, pk__gt=first, pk__lte=last).select_related(
        "transaction__order__listing", "transaction__order__buyer", "transaction__reverses", "account"
    )
    found = keyset_page(entries, order=("-pk",), cursor=cursor, limit=limit)
    page = Page(lines_of(found.items, currency), found.next_cursor)
    return Statement(kind, currency, since, until, _left_by(account, first), _left_by(account, last), page)


def account_of(namespace: "Namespace", kind: AccountKind, currency: str) -> Account | None:
    """The wallet or the earnings of a namespace; None before the first money."""
    return Account.objects.filter(namespace=namespace, kind=kind, currency=currency).first()


def currencies_of(namespace: "Namespace", kind: AccountKind) -> list[str]:
    accounts = Account.objects.filter(namespace=namespace, kind=kind)
    return list(accounts.order_by("currency").values_list("currency", flat=True))


def balance_at(account: Account, moment: datetime) -> Money:
    """What was in `account` at `moment`, entries of that very instant included. About 20 small queries for a million entries."""
    return _left_by(account, position_at(account, moment))


def position_at(account: Account, moment: datetime | None, *, is_before: bool = False) -> int:
    """The primary key of the last entry of `account` at `moment` or before it (`is_before`: only before); 0 when there is none.
    None: the last one of all. The times of an account's entries rise with their keys, because each is written under the
    account's lock, so the key can be bisected; the table needs no index over times for it."""
    entries = LedgerEntry.objects.filter(account=account)
    newest = entries.order_by("-pk").values_list("pk", flat=True).first() or 0
    if moment is None:
        return newest
    low, high = 0, newest
    while low < high:
        middle = (low + high + 1) // 2
        probe = entries.filter(pk__gte=middle, pk__lte=high).order_by("pk").values_list("pk", "transaction__at").first()
        if probe is not None and (probe[1] < moment if is_before else probe[1] <= moment):
            low = probe[0]
        else:
            high = middle - 1
    return low


def lines_of(entries: Iterable[LedgerEntry], currency: str) -> list[Line]:
    """Entries (joined with account, transaction, order, listing and buyer) in the words of those whose money it is: an owner upstream
    hears of a royalty, and neither of the order nor of its buyer."""
    return [
        Line(
            entry.transaction.at,
            entry.transaction.seal_id,
            entry.transaction.kind,
            entry.transaction.memo,
            _words(entry),
            Money(entry.amount_minor, currency),
            Money(entry.balance_after_minor, currency),
            entry.transaction.order.uuid if entry.transaction.order and not is_royalty(entry) else None,
            _payout_of(entry),
        )
        for entry in entries
    ]


def _left_by(account: Account, position: int) -> Money:
    """The balance that the entry with this key left; 0 for key 0."""
    if not position:
        return Money(0, account.currency)
    left = LedgerEntry.objects.filter(pk=position).values_list("balance_after_minor", flat=True).get()
    return Money(left, account.currency)


_WORDS: dict[str, str] = {
    TransactionKind.ISSUE: "Credits of this site",
    TransactionKind.CAPTURE: "Bought {title}",
    TransactionKind.SALE: "Sold {title} to {buyer}, after the fee of the site",
    TransactionKind.HOLD: "Set aside for calls of {title}",
    TransactionKind.USAGE: "{title}: {memo}",
    TransactionKind.RELEASE: "Unused calls of {title} paid back",
    TransactionKind.PAYOUT: "Payout: {memo}",
    TransactionKind.DISPUTE: "Sale of {title} disputed by the buyer's bank",
    TransactionKind.REFUND: "Part of the price of {title} given back",
}
_REVERSED: dict[str, str] = {
    TransactionKind.CAPTURE: "Refund of {title}",
    TransactionKind.SALE: "Sale of {title} to {buyer} refunded",
    TransactionKind.PAYOUT: "Payout came back: {memo}",
    TransactionKind.DISPUTE: "Dispute over {title} won",
}


def is_royalty(entry: LedgerEntry) -> bool:
    """Whether it is an owner's part of somebody else's sale. Wants account and order joined."""
    order, account = entry.transaction.order, entry.account
    return order is not None and account.kind == AccountKind.EARNINGS and account.namespace_id != order.seller_id


def _words(entry: LedgerEntry) -> str:
    moved = entry.transaction
    words = _WORDS.get(moved.kind) if moved.reverses is None else _REVERSED.get(moved.reverses.kind)
    order = moved.order
    if order is not None and is_royalty(entry):
        undone = "" if entry.amount_minor > 0 else ", taken back"
        return f"Royalty from {order.listing.title}{undone}"
    if words is None or (order is None and "{title}" in words):
        return moved.memo or moved.kind
    return words.format(
        title=order.listing.title if order else "", buyer=order.buyer.name if order else "", memo=moved.memo
    )


def _payout_of(entry: LedgerEntry) -> UUID | None:
    source, _, step = entry.transaction.source_id.partition(":")
    return UUID(source) if entry.transaction.source == "payout" and step else None
