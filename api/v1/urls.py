"""The first-party API, by area."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

urlpatterns = [
    path("schema", SpectacularAPIView.as_view()),
    path("", include("api.v1.accounts.urls")),
    path("", include("api.v1.registry.urls")),
    path("", include("api.v1.compute.urls")),
    path("", include("api.v1.market.urls")),
    path("", include("api.v1.lineage.urls")),
]
