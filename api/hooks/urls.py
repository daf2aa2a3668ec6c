"""Where others report to."""

from django.urls import path

from api.hooks import views

urlpatterns = [path("payments/<str:backend>", views.payment_event)]
"""The address that is told to the payment provider."""
