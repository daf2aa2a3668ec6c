from django.urls import path

from web.work import endpoint_views, job_views

_ENDPOINT = "endpoints/<str:namespace>/<str:name>"

urlpatterns = [
    path("jobs", job_views.job_list, name="jobs"),
    path("jobs/new", job_views.new_job, name="new-job"),
    path("jobs/new/<str:recipe_name>", job_views.new_job_of, name="new-job-of"),
    path("jobs/<uuid:uuid>", job_views.job, name="job"),
    path("jobs/<uuid:uuid>/status", job_views.job_status, name="job-status"),
    path("jobs/<uuid:uuid>/log", job_views.job_log, name="job-log"),
    path("jobs/<uuid:uuid>/metrics.csv", job_views.job_metrics, name="job-metrics"),
    path("jobs/<uuid:uuid>/cancellation", job_views.cancellation, name="job-cancellation"),
    path("jobs/<uuid:uuid>/retry", job_views.retry, name="job-retry"),
    path("endpoints", endpoint_views.endpoint_list, name="endpoints"),
    path("endpoints/new", endpoint_views.deploy, name="deploy"),
    path(_ENDPOINT, endpoint_views.endpoint, name="endpoint"),
    path(f"{_ENDPOINT}/state", endpoint_views.state, name="endpoint-state"),
    path(f"{_ENDPOINT}/usage.csv", endpoint_views.usage, name="endpoint-usage"),
    path(f"{_ENDPOINT}/version", endpoint_views.update, name="endpoint-version"),
    path(f"{_ENDPOINT}/visibility", endpoint_views.visibility, name="endpoint-visibility"),
    path(f"{_ENDPOINT}/unit", endpoint_views.unit, name="endpoint-unit"),
    path(f"{_ENDPOINT}/shares", endpoint_views.shares, name="endpoint-shares"),
    path(f"{_ENDPOINT}/shares/removal", endpoint_views.share_removal, name="endpoint-share-removal"),
    path(f"{_ENDPOINT}/stopping", endpoint_views.stopping, name="endpoint-stopping"),
    path(f"{_ENDPOINT}/starting", endpoint_views.starting, name="endpoint-starting"),
    path(f"{_ENDPOINT}/deletion", endpoint_views.deletion, name="endpoint-deletion"),
    path(f"{_ENDPOINT}/trial-token", endpoint_views.trial_token, name="trial-token"),
]
