"""Everything that is not a call: health, what there is, what was counted."""

import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.credentials import Credential
from api.inference.authentication import credential_of
from api.inference.calls import Headers, admitted
from api.inference.replies import Header, Send, reply, reply_json
from api.inference.routing import Deed, Route
from api.inference.service import Service
from api.inference.statistics import exposition
from common.errors import Busy, Forbidden, NotFound
from compute.endpoint_serving import ServedEndpoint, ServingTable

SERVER = {
    "name": "mercato",
    "version": "2",
    "extensions": ["binary_tensor_data", "model_repository", "statistics"],
}
Show = Callable[[Service, Route, Mapping[str, Any], Headers, Send, tuple[Header, ...]], Awaitable[None]]


async def _live(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    await reply_json(send, {"live": True}, extra)


async def _ready(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    """Of the process, also under an endpoint's own base path: without a token nothing is told about endpoints."""
    await service.rights.current()
    await reply_json(send, {"ready": True, "live": True}, extra)


async def _health(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    problem = service.rights.problem
    await reply_json(send, {"status": "degraded" if problem else "ok", "problem": problem}, extra)


async def _server(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    await reply_json(send, SERVER, extra)


async def _metrics(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    """For the networks of METRICS_ALLOW, and only under a host name of ours, so that no web page reaches it through a browser
    on this machine."""
    host, _ = split_domain_port(headers.get(b"host", b"").decode("latin-1"))
    if not _is_allowed(scope.get("client")) or not validate_host(host, settings.ALLOWED_HOSTS):
        raise NotFound("There is nothing at this address.")
    service.statistics.gauges = {
        "mercato_inference_models_loaded": ("Models in memory", float(len(list(service.engine.loaded)))),
        "mercato_inference_models_bytes": ("Estimated memory of the loaded models", float(service.engine.used_bytes)),
        "mercato_inference_rights_age_seconds": ("Since access rights were last checked", service.rights.age_s),
        "mercato_inference_waiting_bytes": ("Bodies of requests in progress", float(service.waiting.held_bytes)),
    }
    body, content_type = exposition(service.statistics, headers.get(b"accept", b"").decode("latin-1"))
    await reply(send, 200, body, content_type.encode())


async def _model(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    _, endpoint, _ = await admitted(service, route, headers)
    spec = (await service.loaded(endpoint)).model.spec
    await reply_json(
        send,
        {
            "name": route.model or endpoint.slug,
            "versions": [endpoint.version_name],
            "platform": "onnxruntime_onnx",
            "inputs": [each.as_json() for each in spec.inputs],
            "outputs": [each.as_json() for each in spec.outputs],
        },
        extra,
    )


async def _model_ready(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    """Ready means that a call is answered: the model may have to be loaded again for it."""
    _, endpoint, _ = await admitted(service, route, headers)
    service.refuse_held_back(endpoint)
    if not endpoint.is_serving:
        raise Busy(f"This model is {endpoint.state}.", retry_after_s=2)
    await reply_json(send, {"name": route.model or endpoint.slug, "ready": True}, extra)


async def _model_statistics(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    """For those who own the endpoint: they tell how much others call it."""
    _, endpoint, seats = await admitted(service, route, headers)
    if seats[0].payer != endpoint.namespace_uuid:
        raise Forbidden("Statistics are shown to the model's owner.")
    counted = service.statistics.of(endpoint.slug, endpoint.version_name)
    await reply_json(
        send, {"model_stats": [counted.as_json(route.model or endpoint.slug, endpoint.version_name)]}, extra
    )


async def _all_statistics(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    table, credential = await _caller(service, headers)
    found = [
        service.statistics.of(each.slug, each.version_name).as_json(each.slug, each.version_name)
        for each in _usable(service, table, credential, route, own_only=True)
    ]
    await reply_json(send, {"model_stats": found}, extra)


async def _index(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    """The models that the caller may call. The request's body is not needed and not read."""
    table, credential = await _caller(service, headers)
    found = [
        {
            "name": each.slug,
            "version": each.version_name,
            "state": "READY" if each.is_serving else "UNAVAILABLE",
            "reason": "" if each.is_serving else str(each.state),
        }
        for each in _usable(service, table, credential, route, own_only=False)
    ]
    await reply_json(send, found, extra)


async def _not_offered(
    service: Service, route: Route, scope: Mapping[str, Any], headers: Headers, send: Send, extra: Any
) -> None:
    raise NotFound("This part of the protocol is not offered here.")


SHOWS: dict[Deed, Show] = {
    Deed.HEALTH: _health,
    Deed.METRICS: _metrics,
    Deed.LIVE: _live,
    Deed.READY: _ready,
    Deed.SERVER: _server,
    Deed.INDEX: _index,
    Deed.ALL_STATISTICS: _all_statistics,
    Deed.MODEL: _model,
    Deed.MODEL_READY: _model_ready,
    Deed.MODEL_STATISTICS: _model_statistics,
    Deed.NOT_OFFERED: _not_offered,
}


async def _caller(service: Service, headers: Headers) -> tuple[ServingTable, Credential]:
    table = await service.rights.current()
    credential = credential_of(headers.get(b"authorization"), table.credentials, time.time())
    service.limiter.take(credential.uuid)
    return table, credential


def _usable(
    service: Service, table: ServingTable, credential: Credential, route: Route, *, own_only: bool
) -> list[ServedEndpoint]:
    """The endpoints under this base path that the credential may call, or that its owner owns, by slug."""
    asked = table.by_slug.values() if route.home is None else filter(None, [table.by_path.get(route.home)])
    found = []
    for endpoint in asked:
        try:
            seats = service.seats(table, credential, endpoint)
        except (NotFound, Forbidden):
            continue
        if not own_only or seats[0].payer == endpoint.namespace_uuid:
            found.append(endpoint)
    return sorted(found, key=lambda each: each.slug)


def _is_allowed(client: tuple[str, int] | None) -> bool:
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in settings.METRICS_ALLOW)
