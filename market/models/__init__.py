from market.models.catalogue import Listing, Plan
from market.models.coupons import Coupon, CouponRedemption
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.search import ListingDocument, SearchChange, SearchHead

__all__ = [
    "Account",
    "AccountKind",
    "Coupon",
    "CouponRedemption",
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
