from market.models.blind import BlindEvaluation, Certificate, CertificateKey
from market.models.catalogue import Listing, Plan
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.search import ListingDocument, SearchChange, SearchHead

__all__ = [
    "Account",
    "AccountKind",
    "BlindEvaluation",
    "Certificate",
    "CertificateKey",
    "Entitlement",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerTransaction",
    "Listing",
    "ListingDocument",
    "Order",
    "Plan",
    "SearchChange",
    "SearchHead",
    "TransactionKind",
]
