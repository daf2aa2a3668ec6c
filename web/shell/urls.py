from django.urls import path

from web.shell import views

urlpatterns = [
    path("-/components", views.gallery, name="gallery"),
    path("-/theme", views.theme, name="theme"),
]
