"""`/-/`: what operators and their machines ask. No accounts: the network decides who may."""

import ipaddress

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import health, metrics


@require_safe
@never_cache
def show_health(request: HttpRequest) -> JsonResponse:
    """`{"status": "ok" | "degraded" | "down", "checks": {name: {ok, detail}}}`. 200 while pages can be served, also degraded,
    so that a load balancer keeps the machine; 503 without the database. Details only for those who may read the metrics."""
    checks = health.all_checks()
    down = any(check.is_vital and not check.ok for check in checks)
    status = "down" if down else "ok" if all(check.ok for check in checks) else "degraded"
    shown = {check.name: check.as_json() if _is_operator(request) else {"ok": check.ok} for check in checks}
    return JsonResponse({"status": status, "checks": shown}, status=503 if down else 200)


@require_safe
@never_cache
def show_metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text or OpenMetrics, as the Accept header asks. 404 for addresses outside METRICS_ALLOW."""
    if not _is_operator(request):
        raise Http404
    checks = health.all_checks()
    present = {f"mercato_{check.name}_ok": (f"1 when {check.name} is well", float(check.ok)) for check in checks}
    present |= {
        f"mercato_{name}": (help_text, check.value)
        for check in checks
        for known, name, help_text in _VALUES
        if known == check.name and check.value is not None
    }
    body, content_type = metrics.exposition(request.headers.get("Accept", ""), present)
    return HttpResponse(body, content_type=content_type)


_VALUES = (
    ("disk", "disk_free_bytes", "Free bytes in the data folder"),
    ("queue", "queue_oldest_due_seconds", "How long the oldest due task has been waiting"),
)


def _is_operator(request: HttpRequest) -> bool:
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in settings.METRICS_ALLOW)


urlpatterns = [path("health", show_health, name="health"), path("metrics", show_metrics, name="metrics")]
