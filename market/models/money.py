"""The ledger: accounts, transactions, entries. The truth it keeps: every transaction sums to zero in each currency, nothing is
ever altered, and each account's balance is the sum of its entries. The database enforces all of it (migration `0002_ledger`)."""

from enum import StrEnum

from django.db import models

from common.clock import now


class AccountKind(StrEnum):
    """What money in an account is. Positive: the site owes it to the owner (wallet, earnings) or has it (fees)."""

    WALLET = "wallet"
    """What a namespace can spend; never below zero."""
    HELD = "held"
    """Paid for calls that have not been made; one account per order, never below zero."""
    EARNINGS = "earnings"
    """What a seller has earned. Below zero when a sale is refunded after its money was paid out."""
    CLEARING = "clearing"
    """Money between buyer and seller, inside one deed; zero when nothing is under way."""
    FEES = "platform_fees"
    PROVIDER_FEES = "provider_fees"
    """What payment providers kept for their work: minus all of it."""
    PROVIDER = "provider"
    """The other side of money that a payment provider holds for the site."""
    ISSUED = "issued"
    """The other side of every credit that was handed out: minus all credits in existence."""
    PAYOUTS = "payouts"
    """Taken from earnings and on its way to the seller; zero when no payout is waiting or being sent."""
    OUTSIDE = "outside"
    """The other side of payouts that the operator sent from an account of its own."""
    TAX = "tax"
    """Collected for the tax office."""
    ROYALTIES = "royalties"
    """Set aside for owners of what a sold thing was made from, who can't be paid yet."""
    REFUNDS = "refunds"
    """Paid back by the site at its own cost, where a seller does not stand for it; below zero or zero."""
    DISPUTES = "disputes"
    """Money of sales that buyers' banks have taken back for the time being; zero when no dispute is open."""
    PROMOTIONS = "promotions"
    """What the site pays of its buyers' prices: coupons, trials; below zero or zero."""


NEVER_NEGATIVE = (AccountKind.WALLET, AccountKind.HELD)


class TransactionKind(StrEnum):
    ISSUE = "issue"
    CAPTURE = "capture"
    SALE = "sale"
    HOLD = "hold"
    USAGE = "usage"
    RELEASE = "release"
    REVERSAL = "reversal"
    PAYOUT = "payout"
    DISPUTE = "dispute"
    PROVIDER_FEE = "provider_fee"
    REFUND = "refund"
    """A part of a price goes back."""


class Account(models.Model):
    """One balance in one currency, of a namespace or (`namespace` null) of the platform."""

    key = models.CharField(max_length=160, unique=True)
    """`kind:namespace:currency:reference`; what makes an account the only one of its sort."""
    namespace = models.ForeignKey("accounts.Namespace", null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in AccountKind])
    currency = models.CharField(max_length=3)
    reference = models.CharField(max_length=64, blank=True)
    """HELD: the uuid of the order. Else empty."""
    balance_minor = models.BigIntegerField(default=0)
    """Moved by the database alone, when an entry is inserted."""
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [models.Index(fields=["namespace", "kind", "currency"], name="account_by_owner")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(balance_minor__gte=0) | ~models.Q(kind__in=[kind.value for kind in NEVER_NEGATIVE]),
                name="account_not_overdrawn",
            )
        ]

    def __str__(self) -> str:
        return self.key


class LedgerSeal(models.Model):
    """Closes a transaction. Only one that balances can be sealed, none can be committed unsealed, and a sealed one takes no
    further entry."""

    uuid = models.UUIDField(primary_key=True)

    def __str__(self) -> str:
        return str(self.uuid)


class LedgerTransaction(models.Model):
    """One movement of money between two or more accounts, for one reason."""

    seal = models.OneToOneField(LedgerSeal, db_column="uuid", on_delete=models.PROTECT, related_name="transaction")
    """The transaction's own uuid. The foreign key is deferred: it may dangle until COMMIT, and no longer. That is how both
    databases refuse a transaction that was never balanced and closed."""
    kind = models.CharField(max_length=16, choices=[(kind.value, kind.value) for kind in TransactionKind])
    source = models.CharField(max_length=40)
    source_id = models.CharField(max_length=120)
    reverses = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="reversed_by")
    """One-to-one: what is undone can't be undone twice."""
    order = models.ForeignKey("market.Order", null=True, on_delete=models.PROTECT, related_name="+")
    """The order that it is about; null for credits."""
    memo = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "source_id"], name="ledger_source_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.source}:{self.source_id}"


class LedgerEntry(models.Model):
    """One leg: `amount_minor` into (positive) or out of (negative) an account, in the account's currency."""

    transaction = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, related_name="entries")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries")
    amount_minor = models.BigIntegerField()
    balance_after_minor = models.BigIntegerField()
    """The account's balance with this entry in it: any past state can be read, none can be invented."""

    class Meta:
        indexes = [models.Index(fields=["account", "-id"], name="entry_by_account")]
        constraints = [
            models.UniqueConstraint(fields=["transaction", "account"], name="entry_once_per_account"),
            models.CheckConstraint(condition=~models.Q(amount_minor=0), name="entry_moves_money"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor:+} {self.account_id}"
