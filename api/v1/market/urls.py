"""Addresses of the market."""

from django.urls import path

from api.v1.market import payments, views

LISTING = "listings/<str:namespace>/<str:slug>"

urlpatterns = [
    path("listings", views.Listings.as_view()),
    path(LISTING, views.Listing.as_view()),
    path(f"{LISTING}/publication", views.Publication.as_view()),
    path(f"{LISTING}/plans", views.Plans.as_view()),
    path("plans/<uuid:uuid>", views.Plan.as_view()),
    path("orders", views.Orders.as_view()),
    path("orders/<uuid:uuid>", views.Order.as_view()),
    path("orders/<uuid:uuid>/payment", payments.Payment.as_view()),
    path("orders/<uuid:uuid>/disputes", payments.Disputes.as_view()),
    path("namespaces/<str:name>/seller-account", payments.SellerAccount.as_view()),
    path("orders/<uuid:uuid>/refund", views.Refund.as_view()),
    path("namespaces/<str:name>/access", views.Access.as_view()),
    path("namespaces/<str:name>/wallet", views.Wallet.as_view()),
    path("namespaces/<str:name>/statement", views.Statement.as_view()),
    path("namespaces/<str:name>/earnings", views.Earnings.as_view()),
    path("namespaces/<str:name>/credits", views.Credits.as_view()),
]
