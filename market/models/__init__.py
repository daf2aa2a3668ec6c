from market.models.catalogue import Listing, Plan
from market.models.licences import LicenceWaiver, LicenceWaiverRevocation
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.search import ListingDocument, SearchChange, SearchHead

__all__ = [
    "Account",
    "AccountKind",
    "Entitlement",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerTransaction",
    "LicenceWaiver",
    "LicenceWaiverRevocation",
    "Listing",
    "ListingDocument",
    "Order",
    "Plan",
    "SearchChange",
    "SearchHead",
    "TransactionKind",
]
