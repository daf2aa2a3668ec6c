"""Addresses of the market."""

from django.urls import path

from api.v1.market import blind, views

LISTING = "listings/<str:namespace>/<str:slug>"

urlpatterns = [
    path("listings", views.Listings.as_view()),
    path(LISTING, views.Listing.as_view()),
    path(f"{LISTING}/publication", views.Publication.as_view()),
    path(f"{LISTING}/plans", views.Plans.as_view()),
    path(f"{LISTING}/blind-terms", blind.Terms.as_view()),
    path(f"{LISTING}/blind-evaluations", blind.TookPlace.as_view()),
    path(f"{LISTING}/certificates", blind.ShownCertificates.as_view()),
    path(f"{LISTING}/certificates/<uuid:uuid>", blind.ShownCertificate.as_view()),
    path("blind-evaluations", blind.Evaluations.as_view()),
    path("blind-evaluations/<uuid:uuid>", blind.Evaluation.as_view()),
    path("blind-evaluations/<uuid:uuid>/cancellation", blind.Cancellation.as_view()),
    path("blind-evaluations/<uuid:uuid>/publication", blind.CertificatePublication.as_view()),
    path("certificates/<uuid:uuid>", blind.Certificate.as_view()),
    path("certificate-keys", blind.CertificateKeys.as_view()),
    path("certificate-verifications", blind.CertificateVerifications.as_view()),
    path("plans/<uuid:uuid>", views.Plan.as_view()),
    path("orders", views.Orders.as_view()),
    path("orders/<uuid:uuid>", views.Order.as_view()),
    path("orders/<uuid:uuid>/refund", views.Refund.as_view()),
    path("namespaces/<str:name>/access", views.Access.as_view()),
    path("namespaces/<str:name>/wallet", views.Wallet.as_view()),
    path("namespaces/<str:name>/statement", views.Statement.as_view()),
    path("namespaces/<str:name>/earnings", views.Earnings.as_view()),
    path("namespaces/<str:name>/credits", views.Credits.as_view()),
]
