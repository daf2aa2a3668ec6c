from market.models.catalogue import Listing, Plan
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.payments import Dispute, ProviderAccount, ProviderEvent, ReconciliationMark
from market.models.search import ListingDocument, SearchChange, SearchHead

__all__ = [
    "Account",
    "AccountKind",
    "Dispute",
    "Entitlement",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerTransaction",
    "Listing",
    "ListingDocument",
    "Order",
    "Plan",
    "ProviderAccount",
    "ProviderEvent",
    "ReconciliationMark",
    "SearchChange",
    "SearchHead",
    "TransactionKind",
]
