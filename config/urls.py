"""One line per URL space, in matching order: the first that matches answers."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("-/", include("config.operations")),
    path("-/admin/", admin.site.urls),
    path("api/v1/", include("api.v1.urls")),
    path("hooks/", include("api.hooks.urls")),
    # git's addresses are those of the pages and more
    path("", include("api.git.urls")),
    # the client of the Hugging Face protocol takes no prefix: its addresses lie at the root, before the pages
    path("", include("api.hf.urls")),
    path("accounts/", include("allauth.urls")),
    # pages last: their end takes any two segments
    path("", include("web.urls")),
]

handler400 = "web.errors.bad_request"
handler403 = "web.errors.permission_denied"
handler404 = "web.errors.page_not_found"
handler500 = "web.errors.server_error"
