"""Addresses of jobs and endpoints."""

from django.urls import path

from api.v1.compute import views

urlpatterns = [
    path("recipes", views.Recipes.as_view()),
    path("jobs", views.Jobs.as_view()),
    path("jobs/<uuid:uuid>", views.Job.as_view()),
    path("jobs/<uuid:uuid>/cancellation", views.JobCancellation.as_view()),
    path("jobs/<uuid:uuid>/retries", views.JobRetry.as_view()),
    path("jobs/<uuid:uuid>/log", views.JobLog.as_view()),
    path("jobs/<uuid:uuid>/metrics", views.JobMetrics.as_view()),
    path("endpoints", views.Endpoints.as_view()),
    path("endpoints/<str:namespace>/<str:name>", views.Endpoint.as_view()),
    path("endpoints/<str:namespace>/<str:name>/shares", views.EndpointShares.as_view()),
    path("endpoints/<str:namespace>/<str:name>/shares/<str:holder_kind>/<uuid:holder>", views.EndpointShare.as_view()),
    path("endpoints/<str:namespace>/<str:name>/usage", views.EndpointUsage.as_view()),
]
