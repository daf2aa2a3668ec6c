from django.urls import path

from web.moving import views

urlpatterns = [
    path("exports", views.of_namespace, name="exports"),
    path("exports/<uuid:uuid>", views.export, name="export"),
    path("exports/<uuid:uuid>/archive", views.archive, name="export-archive"),
    path("exports/<uuid:uuid>/removal", views.removal, name="export-removal"),
    path("new/from-export", views.new_import, name="new-from-export"),
    path("imports/<uuid:uuid>", views.import_state, name="import"),
]
