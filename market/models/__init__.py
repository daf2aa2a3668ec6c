from market.models.catalogue import Listing, Plan
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.review import ListingImage, ReviewEntry, ReviewPolicy
from market.models.search import ListingDocument, SearchChange, SearchHead

__all__ = [
    "Account",
    "AccountKind",
    "Entitlement",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerTransaction",
    "Listing",
    "ListingDocument",
    "ListingImage",
    "Order",
    "Plan",
    "ReviewEntry",
    "ReviewPolicy",
    "SearchChange",
    "SearchHead",
    "TransactionKind",
]
