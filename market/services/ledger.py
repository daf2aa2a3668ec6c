"""Posting to the ledger and counting it again. Nothing else writes accounts, transactions or entries."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction

from common.errors import Conflict, Invalid, OverBudget
from common.ids import new_uuid
from common.money import EXPONENTS, LIMIT_MINOR, Money
from market.models import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.money import NEVER_NEGATIVE

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
    return AccountRef(AccountKind.DISPUTES, currency)


def provider_fees(currency: str) -> AccountRef:
    return AccountRef(AccountKind.PROVIDER_FEES, currency)


def issued(currency: str) -> AccountRef:
    return AccountRef(AccountKind.ISSUED, currency)


def platform(kind: AccountKind, currency: str) -> AccountRef:
    """One of the platform's own accounts."""
    return AccountRef(kind, currency)


def post(
    kind: TransactionKind,
    source: str,
    source_id: str,
    legs: Iterable[Leg],
    *,
    order: "Order | None" = None,
    memo: str = "",
    reverses: LedgerTransaction | None = None,
    locked: dict[AccountRef, Account] | None = None,
) -> LedgerTransaction:
    """Move money: one transaction whose `legs` sum to zero in each currency; legs on the same account are added up, and those
    that come to nothing are left out. Joins the caller's database transaction; locks the accounts in one order, so two posts
    never wait for each other in a circle (a caller that posts twice takes `lock` on all of them first, and may hand them over as `locked`: their balances are
    then kept up to date in it).

    Keyed by (`source`, `source_id`) for ever: the second call with the same legs returns what the first wrote, one with
    other legs raises Conflict. Raises Invalid when the legs do not balance or are out of range, OverBudget when a wallet or
    a held account does not cover its leg; then nothing has moved."""
    amounts = _checked(legs)
    with transaction.atomic():
        accounts = lock(amounts) if locked is None else locked
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
    for ref, amount in amounts.items():
        accounts[ref].balance_minor += amount
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
class Fault:
    """One thing that is wrong. What it is not about is None."""

    check: str
    """chain, unbalanced, empty, unsealed, reversal, external_id, balance, overdrawn, currency"""
    text: str
    entry: int | None = None
    """Primary key of the first wrong entry."""
    transaction: int | None = None
    """Primary key of its transaction."""
    account: str | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class LedgerReport:
    """What a recount found: at most 100 faults of each kind, those of the oldest transactions first; none when all is well."""

    transactions: int
    entries: int
    accounts: int
    faults: tuple[Fault, ...]

    @property
    def is_sound(self) -> bool:
        return not self.faults

    @property
    def first(self) -> Fault | None:
        """The oldest: what came after it may follow from it."""
        return next(iter(self.faults), None)


_FAULTS = """SELECT * FROM ({}) AS found ORDER BY 1, 2 LIMIT 100"""
_CHECKS: dict[str, tuple[str, str]] = {
    # each statement gives: transaction, entry, account, then what the sentence needs
    "chain": (
        """SELECT e.transaction_id, e.id, a.key, e.balance_after_minor, e.before + e.amount_minor
        FROM (SELECT id, transaction_id, account_id, amount_minor, balance_after_minor,
            LAG(balance_after_minor, 1, 0) OVER (PARTITION BY account_id ORDER BY id) AS before FROM market_ledgerentry) e
        JOIN market_account a ON a.id = e.account_id WHERE e.balance_after_minor <> e.before + e.amount_minor""",
        "entry {1} of transaction {0} leaves {3} in {2}; what was there before and its amount come to {4}",
    ),
    "unbalanced": (
        """SELECT e.transaction_id, MIN(e.id), NULL, SUM(e.amount_minor), a.currency
        FROM market_ledgerentry e JOIN market_account a ON a.id = e.account_id
        GROUP BY e.transaction_id, a.currency HAVING SUM(e.amount_minor) <> 0""",
        "transaction {0} is off by {3} {4}",
    ),
    "empty": (
        """SELECT t.id, NULL, NULL FROM market_ledgertransaction t
        WHERE NOT EXISTS (SELECT 1 FROM market_ledgerentry e WHERE e.transaction_id = t.id)""",
        "transaction {0} has no entries",
    ),
    "unsealed": (
        """SELECT t.id, NULL, NULL FROM market_ledgertransaction t
        LEFT JOIN market_ledgerseal s ON s.uuid = t.uuid WHERE s.uuid IS NULL""",
        "transaction {0} was never sealed",
    ),
    "reversal": (
        """SELECT t.id, MIN(e.id), a.key, SUM(e.amount_minor), t.reverses_id FROM market_ledgertransaction t
        JOIN market_ledgerentry e ON e.transaction_id IN (t.id, t.reverses_id)
        JOIN market_account a ON a.id = e.account_id
        WHERE t.reverses_id IS NOT NULL GROUP BY t.id, t.reverses_id, a.key HAVING SUM(e.amount_minor) <> 0""",
        "transaction {0} is not the opposite of {4}, which it reverses: {3} is left in {2}",
    ),
    "external_id": (
        # adding nothing keeps the database from asking the index that should have prevented it
        """SELECT MAX(id), NULL, NULL, source, external FROM
        (SELECT id, source, source_id || '' AS external FROM market_ledgertransaction) AS t
        GROUP BY source, external HAVING COUNT(*) > 1""",
        "transaction {0} has the external id {3} {4} of an earlier one",
    ),
    "balance": (
        """SELECT MAX(e.transaction_id), NULL, a.key, a.balance_minor, COALESCE(SUM(e.amount_minor), 0)
        FROM market_account a LEFT JOIN market_ledgerentry e ON e.account_id = a.id
        GROUP BY a.id, a.key, a.balance_minor HAVING COALESCE(SUM(e.amount_minor), 0) <> a.balance_minor""",
        "account {2} says {3}, its entries come to {4}",
    ),
    "overdrawn": (
        "SELECT NULL, NULL, key, balance_minor FROM market_account WHERE balance_minor < 0 AND kind IN ({kinds})".format(  # noqa: S608 - words of ours
            kinds=", ".join(f"'{kind.value}'" for kind in NEVER_NEGATIVE)
        ),
        "account {2} may not be below zero and says {3}",
    ),
    "currency": (
        """SELECT NULL, NULL, NULL, currency, SUM(balance_minor) FROM market_account
        GROUP BY currency HAVING SUM(balance_minor) <> 0""",
        "all accounts in {3} come to {4}, not to zero",
    ),
}


def verify_ledger() -> LedgerReport:
    """Count the whole ledger again, the entries and not the balances kept beside them. Each entry follows from the one before it
    in its account; each transaction has entries, a seal and the sum of zero in each currency; a reversal is the opposite of
    what it reverses; no external id was used twice; each balance is the sum of its account's entries; all accounts of a
    currency come to zero. A handful of statements over whole tables, in one snapshot where the caller has not begun a
    transaction; nothing is held up and nothing changed."""
    faults: list[Fault] = []
    with _snapshot(), connection.cursor() as cursor:
        for check, (statement, sentence) in _CHECKS.items():
            cursor.execute(_FAULTS.format(statement))
            for row in cursor.fetchall():
                number, entry, account = row[:3]
                faults.append(Fault(check, sentence.format(*row), entry, number, account))
        counts = [model.objects.count() for model in (LedgerTransaction, LedgerEntry, Account)]
    faults.sort(key=lambda fault: fault.transaction or sys.maxsize)
    return LedgerReport(counts[0], counts[1], counts[2], tuple(faults))


@contextmanager
def _snapshot() -> Iterator[None]:
    """All reads see one moment, and no writer waits."""
    if connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    # the site's transactions take SQLite's write lock when they begin; one that only reads must not
    usual, connection.transaction_mode = connection.transaction_mode, "DEFERRED"  # type: ignore[attr-defined]
    try:
        with transaction.atomic():
            yield
    finally:
        connection.transaction_mode = usual  # type: ignore[attr-defined]


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
