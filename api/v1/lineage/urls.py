"""Addresses of lineage."""

from django.urls import path

from api.v1.lineage import views

urlpatterns = [path("lineage/<str:kind>/<uuid:uuid>", views.Lineage.as_view())]
