from market.models.approvals import Approval, PurchaseLimit
from market.models.blind import BlindEvaluation, Certificate, CertificateKey
from market.models.catalogue import Listing, Plan
from market.models.community import (
    BuyerReview,
    BuyerReviewRevision,
    CollectionListing,
    ContentReport,
    Follow,
    ListingLike,
    ListingPost,
    ListingThread,
    SellerAnswer,
)
from market.models.coupons import Coupon, CouponRedemption
from market.models.invoices import BillingDetails, Invoice, InvoiceCounter, InvoiceLine
from market.models.licences import LicenceWaiver, LicenceWaiverRevocation
from market.models.money import Account, AccountKind, LedgerEntry, LedgerSeal, LedgerTransaction, TransactionKind
from market.models.orders import Entitlement, Order
from market.models.payments import Dispute, ProviderAccount, ProviderEvent, ReconciliationMark
from market.models.payouts import Payout, PayoutAccount, PayoutHold
from market.models.recalls import Recall, RecallAction, RecallEvent, RecallItem
from market.models.returns import Refund, ReturnEntry, ReturnRequest
from market.models.review import ListingImage, ReviewEntry, ReviewPolicy
from market.models.royalties import OrderRoyalty, RoyaltyAcceptance, RoyaltyTerms
from market.models.search import ListingDocument, SearchChange, SearchHead
from market.models.seats import SeatGift, SeatHolder
from market.models.subscriptions import PlanSwitch, Subscription, SubscriptionTerm
from market.models.terms import TermsAcceptance, TermsText
from market.models.trials import TrialAllowance
from market.models.views import ListingViews

__all__ = [
    "Account",
    "AccountKind",
    "Approval",
    "BillingDetails",
    "BlindEvaluation",
    "BuyerReview",
    "BuyerReviewRevision",
    "Certificate",
    "CertificateKey",
    "CollectionListing",
    "ContentReport",
    "Coupon",
    "CouponRedemption",
    "Dispute",
    "Entitlement",
    "Follow",
    "Invoice",
    "InvoiceCounter",
    "InvoiceLine",
    "LedgerEntry",
    "LedgerSeal",
    "LedgerTransaction",
    "LicenceWaiver",
    "LicenceWaiverRevocation",
    "Listing",
    "ListingDocument",
    "ListingImage",
    "ListingLike",
    "ListingPost",
    "ListingThread",
    "ListingViews",
    "Order",
    "OrderRoyalty",
    "Payout",
    "PayoutAccount",
    "PayoutHold",
    "Plan",
    "PlanSwitch",
    "ProviderAccount",
    "ProviderEvent",
    "PurchaseLimit",
    "Recall",
    "RecallAction",
    "RecallEvent",
    "RecallItem",
    "ReconciliationMark",
    "Refund",
    "ReturnEntry",
    "ReturnRequest",
    "ReviewEntry",
    "ReviewPolicy",
    "RoyaltyAcceptance",
    "RoyaltyTerms",
    "SearchChange",
    "SearchHead",
    "SeatGift",
    "SeatHolder",
    "SellerAnswer",
    "Subscription",
    "SubscriptionTerm",
    "TermsAcceptance",
    "TermsText",
    "TransactionKind",
    "TrialAllowance",
]
