from market.models.blind import BlindEvaluation, Certificate, CertificateKey
from market.models.catalogue import Listing, Plan
from market.models.coupons import Coupon, CouponRedemption
from market.models.licences import LicenceWaiver, LicenceWaiverRevocation
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.payments import Dispute, ProviderAccount, ProviderEvent, ReconciliationMark
from market.models.payouts import Payout, PayoutAccount, PayoutHold
from market.models.review import ListingImage, ReviewEntry, ReviewPolicy
from market.models.royalties import OrderRoyalty, RoyaltyAcceptance, RoyaltyTerms
from market.models.search import ListingDocument, SearchChange, SearchHead

__all__ = [
    "Account",
    "AccountKind",
    "BlindEvaluation",
    "Certificate",
    "CertificateKey",
    "Coupon",
    "CouponRedemption",
    "Dispute",
    "Entitlement",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerTransaction",
    "LicenceWaiver",
    "LicenceWaiverRevocation",
    "Listing",
    "ListingDocument",
    "ListingImage",
    "Order",
    "OrderRoyalty",
    "Payout",
    "PayoutAccount",
    "PayoutHold",
    "Plan",
    "ProviderAccount",
    "ProviderEvent",
    "ReconciliationMark",
    "ReviewEntry",
    "ReviewPolicy",
    "RoyaltyAcceptance",
    "RoyaltyTerms",
    "SearchChange",
    "SearchHead",
    "TransactionKind",
]
