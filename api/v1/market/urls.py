"""Addresses of the market."""

from django.urls import path

from api.v1.market import licences, listing_views, offer_views, payouts, royalties, views

LISTING = "listings/<str:namespace>/<str:slug>"

urlpatterns = [
    path("listings", views.Listings.as_view()),
    path(LISTING, views.Listing.as_view()),
    path(f"{LISTING}/publication", views.Publication.as_view()),
    path(f"{LISTING}/readiness", listing_views.Readiness.as_view()),
    path(f"{LISTING}/changelog", listing_views.Changelog.as_view()),
    path(f"{LISTING}/images", listing_views.Images.as_view()),
    path(f"{LISTING}/images/<uuid:uuid>", listing_views.Image.as_view()),
    path(f"{LISTING}/review", listing_views.Review.as_view()),
    path(f"{LISTING}/review/decision", listing_views.ReviewDecided.as_view()),
    path("reviews", listing_views.ReviewQueue.as_view()),
    path("organizations/<str:name>/catalogue", listing_views.Catalogue.as_view()),
    path("organizations/<str:name>/review-policy", listing_views.ReviewPolicy.as_view()),
    path(f"{LISTING}/plans", views.Plans.as_view()),
    path(f"{LISTING}/royalties", royalties.OfListing.as_view()),
    path("repos/<str:kind>/<str:namespace>/<str:name>/royalties", royalties.OfRepo.as_view()),
    path("namespaces/<str:name>/royalties", royalties.OfNamespace.as_view()),
    path("plans/<uuid:uuid>", views.Plan.as_view()),
    path("plans/<uuid:uuid>/quote", offer_views.Quote.as_view()),
    path("coupons/<uuid:uuid>", offer_views.Coupon.as_view()),
    path("namespaces/<str:name>/coupons", offer_views.Coupons.as_view()),
    path("namespaces/<str:name>/offers", offer_views.Offers.as_view()),
    path("licence-checks/<str:kind>/<uuid:uuid>", licences.LicenceCheck.as_view()),
    path("waivers", licences.Waivers.as_view()),
    path("waivers/<uuid:uuid>", licences.Waiver.as_view()),
    path("waivers/<uuid:uuid>/revocation", licences.WaiverRevocation.as_view()),
    path("orders", views.Orders.as_view()),
    path("orders/<uuid:uuid>", views.Order.as_view()),
    path("orders/<uuid:uuid>/refund", views.Refund.as_view()),
    path("namespaces/<str:name>/access", views.Access.as_view()),
    path("namespaces/<str:name>/wallet", views.Wallet.as_view()),
    path("namespaces/<str:name>/statement", views.Statement.as_view()),
    path("namespaces/<str:name>/payable", payouts.Payables.as_view()),
    path("namespaces/<str:name>/payout-accounts", payouts.Accounts.as_view()),
    path("namespaces/<str:name>/payout-hold", payouts.Hold.as_view()),
    path("payout-accounts/<uuid:uuid>", payouts.Account.as_view()),
    path("payouts", payouts.Payouts.as_view()),
    path("payouts/<uuid:uuid>", payouts.Payout.as_view()),
    path("payouts/<uuid:uuid>/payment", payouts.Payment.as_view()),
    path("payouts/<uuid:uuid>/failure", payouts.Failure.as_view()),
    path("namespaces/<str:name>/earnings", views.Earnings.as_view()),
    path("namespaces/<str:name>/credits", views.Credits.as_view()),
]
