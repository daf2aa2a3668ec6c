from django.urls import path

from web.storage import views

urlpatterns = [
    path("storage", views.report, name="storage"),
    path("storage/repositories.csv", views.repositories_csv, name="storage-csv"),
    path("storage/restoration", views.restoration, name="storage-restoration"),
    path("-/storage", views.overview, name="storage-overview"),
]
