"""Posting to the ledger and counting it again. Nothing else writes accounts, transactions or entries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from common.errors import Conflict, Invalid, OverBudget
from common.ids import new_uuid
from common.money import EXPONENTS, LIMIT_MINOR, Money
from market.models import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.money import NEVER_NEGATIVE
from market.rating import shares_upto

if TYPE_CHECKING:
    from accounts.models import Namespace
    from market.models import Order


@dataclass(frozen=True)
class AccountRef:
    """Names an account before it exists: it is opened by the first money that moves through it."""

    kind: AccountKind
    currency: str
    namespace_id: int | None = None
    """None: the platform's own."""
    reference: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.namespace_id or 'platform'}:{self.currency}:{self.reference}"


@dataclass(frozen=True)
class Leg:
    """`amount_minor` into (positive) or out of (negative) an account."""

    account: AccountRef
    amount_minor: int


def wallet(namespace: "Namespace", currency: str) -> AccountRef:
    return AccountRef(AccountKind.WALLET, currency, namespace.pk)


def earnings(namespace: "Namespace", currency: str) -> AccountRef:
    return AccountRef(AccountKind.EARNINGS, currency, namespace.pk)


def held(namespace: "Namespace", currency: str, order: UUID) -> AccountRef:
    return AccountRef(AccountKind.HELD, currency, namespace.pk, str(order))


def fees(currency: str) -> AccountRef:
    return AccountRef(AccountKind.FEES, currency)


def clearing(currency: str) -> AccountRef:
    return AccountRef(AccountKind.CLEARING, currency)


def provider(currency: str) -> AccountRef:
    return AccountRef(AccountKind.PROVIDER, currency)


def disputed(currency: str) -> AccountRef:
    return AccountRef(AccountKind.DISPUTED, currency)


def provider_fees(currency: str) -> AccountRef:
    return AccountRef(AccountKind.PROVIDER_FEES, currency)


def issued(currency: str) -> AccountRef:
    return AccountRef(AccountKind.ISSUED, currency)


def earned(seller: "Namespace", currency: str, amount_minor: int, fee_percent: int) -> list[Leg]:
    """The two legs that share what was sold between seller and platform."""
    shares = shares_upto(amount_minor, fee_percent)
    return [Leg(earnings(seller, currency), shares.seller_minor), Leg(fees(currency), shares.fee_minor)]


def post(
    kind: TransactionKind,
    source: str,
    source_id: str,
    legs: Iterable[Leg],
    *,
    order: "Order | None" = None,
    memo: str = "",
    reverses: LedgerTransaction | None = None,
) -> LedgerTransaction:
    """Move money: one transaction whose `legs` sum to zero in each currency; legs on the same account are added up, and those
    that come to nothing are left out. Joins the caller's database transaction; locks the accounts in one order, so two posts
    never wait for each other in a circle (a caller that posts twice takes `lock` on all of them first).

    Keyed by (`source`, `source_id`) for ever: the second call with the same legs returns what the first wrote, one with
    other legs raises Conflict. Raises Invalid when the legs do not balance or are out of range, OverBudget when a wallet or
    a held account does not cover its leg; then nothing has moved."""
    amounts = _checked(legs)
    with transaction.atomic():
        accounts = lock(amounts)
        existing = LedgerTransaction.objects.filter(source=source, source_id=source_id).first()
        if existing is not None:
            return _same(existing, kind, amounts)
        for ref, amount in amounts.items():
            balance = accounts[ref].balance_minor
            if balance + amount < 0 and ref.kind in NEVER_NEGATIVE:
                raise OverBudget(
                    f"The balance of {Money(balance, ref.currency)} does not cover {Money(-amount, ref.currency)}.",
                    code="insufficient_funds",
                    balance_minor=balance,
                    needed_minor=-amount,
                    currency=ref.currency,
                )
        uuid = new_uuid()
        row = LedgerTransaction.objects.create(
            seal_id=uuid, kind=kind, source=source, source_id=source_id, memo=memo[:200], order=order, reverses=reverses
        )
        LedgerEntry.objects.bulk_create(
            LedgerEntry(
                transaction=row,
                account=accounts[ref],
                amount_minor=amount,
                balance_after_minor=accounts[ref].balance_minor + amount,
            )
            for ref, amount in amounts.items()
        )
        LedgerSeal.objects.create(uuid=uuid)
    return row


def reverse(original: LedgerTransaction, source: str, source_id: str, *, memo: str = "") -> LedgerTransaction:
    """Undo `original` by the opposite entries, in the caller's transaction. A second reversal of the same transaction under
    another key raises Conflict; under the same key it returns the first."""
    earlier = LedgerTransaction.objects.filter(reverses=original).first()
    if earlier is not None and (earlier.source, earlier.source_id) != (source, source_id):
        raise Conflict("This movement of money has been reversed already.")
    legs = [Leg(ref, -amount) for ref, amount in _amounts_of(original).items()]
    return post(TransactionKind.REVERSAL, source, source_id, legs, order=original.order, memo=memo, reverses=original)


def lock(refs: Iterable[AccountRef]) -> dict[AccountRef, Account]:
    """The rows of `refs`, opened if need be, locked in the order of their keys until the caller's transaction ends; balances
    are those of now."""
    by_key = {ref.key: ref for ref in refs}
    found = set(Account.objects.filter(key__in=by_key).values_list("key", flat=True))
    Account.objects.bulk_create(
        (
            Account(
                key=key, namespace_id=ref.namespace_id, kind=ref.kind, currency=ref.currency, reference=ref.reference
            )
            for key, ref in sorted(by_key.items())
            if key not in found
        ),
        ignore_conflicts=True,
    )
    rows = Account.objects.select_for_update(no_key=True).filter(key__in=by_key).order_by("key")
    return {by_key[row.key]: row for row in rows}


@dataclass(frozen=True)
class LedgerReport:
    """What a recount found. `faults` are sentences, at most 100; none when all is well."""

    transactions: int
    entries: int
    accounts: int
    faults: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        return not self.faults


def verify_ledger() -> LedgerReport:
    """Count the whole ledger again: every transaction has entries and sums to zero per currency, every balance is the sum of its
    account's entries and that of its last one, all accounts together come to zero per currency. A handful of grouping queries;
    changes nothing. Consistent when the caller runs it in one REPEATABLE READ transaction or nothing is being sold."""
    faults = [
        f"transaction {row['transaction_id']} is off by {row['total']} {row['account__currency']}"
        for row in LedgerEntry.objects.values("transaction_id", "account__currency")
        .annotate(total=Sum("amount_minor"))
        .exclude(total=0)[:100]
    ]
    faults += [
        f"transaction {pk} has no entries"
        for pk in LedgerTransaction.objects.annotate(count=Count("entries"))
        .filter(count=0)
        .values_list("pk", flat=True)[:100]
    ]
    newest = LedgerEntry.objects.filter(account=OuterRef("pk")).order_by("-pk").values("balance_after_minor")[:1]
    summed = Account.objects.annotate(
        total=Coalesce(Sum("entries__amount_minor"), 0), last=Coalesce(Subquery(newest), 0)
    ).exclude(Q(total=F("balance_minor")) & Q(last=F("balance_minor")))
    faults += [
        f"account {account.key} says {account.balance_minor}, its entries come to {account.total}, the last one says {account.last}"
        for account in summed[:100]
    ]
    faults += [
        f"all accounts in {row['currency']} come to {row['total']}, not to zero"
        for row in Account.objects.values("currency").annotate(total=Sum("balance_minor")).exclude(total=0)
    ]
    return LedgerReport(
        LedgerTransaction.objects.count(), LedgerEntry.objects.count(), Account.objects.count(), tuple(faults[:100])
    )


def _checked(legs: Iterable[Leg]) -> dict[AccountRef, int]:
    amounts: dict[AccountRef, int] = {}
    totals: dict[str, int] = {}
    for leg in legs:
        if type(leg.amount_minor) is not int:
            raise TypeError(f"amount_minor must be int, not {type(leg.amount_minor).__name__}")
        if abs(leg.amount_minor) > LIMIT_MINOR:
            raise Invalid("The amount is too large.", fields={"amount_minor": "too large"})
        if leg.account.currency not in EXPONENTS:
            raise Invalid(f"{leg.account.currency} is not a currency of this site.", fields={"currency": "unknown"})
        amounts[leg.account] = amounts.get(leg.account, 0) + leg.amount_minor
        totals[leg.account.currency] = totals.get(leg.account.currency, 0) + leg.amount_minor
    amounts = {ref: amount for ref, amount in amounts.items() if amount}
    if any(totals.values()):
        raise Invalid("The entries of a transaction must sum to zero in each currency.", code="unbalanced")
    if not amounts:
        raise Invalid("This transaction would move nothing.", code="moves_nothing")
    return amounts


def _same(existing: LedgerTransaction, kind: TransactionKind, amounts: dict[AccountRef, int]) -> LedgerTransaction:
    if existing.kind != kind or _amounts_of(existing) != amounts:
        raise Conflict(f"{existing.source} {existing.source_id} has been posted with other amounts.", code="key_reused")
    return existing


def _amounts_of(row: LedgerTransaction) -> dict[AccountRef, int]:
    entries: Sequence[LedgerEntry] = list(row.entries.select_related("account"))
    return {
        AccountRef(
            AccountKind(entry.account.kind), entry.account.currency, entry.account.namespace_id, entry.account.reference
        ): entry.amount_minor
        for entry in entries
    }
