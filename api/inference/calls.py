"""One call, from its token to its reply. Nothing here waits for a database, but for the first call of a slice of a budget and
for a model that is not loaded yet."""

import time
from collections.abc import Mapping
from uuid import UUID

import structlog

from accounts.credentials import Credential
from api.inference.authentication import credential_of
from api.inference.bodies import ClientGone, Receive, pack, read_body
from api.inference.engine import Answer, LoadedModel
from api.inference.purse import ONE, Size
from api.inference.replies import Header, Send, reply
from api.inference.routing import Route
from api.inference.service import Service
from api.inference.spool import Call
from api.inference.statistics import ModelStatistics
from api.inference.wire import BINARY_TYPE, JSON_TYPE, InferRequest, parse, render
from backends.engines.onnx import RunFailed
from common.errors import DomainError, Invalid, NotFound, Unavailable
from common.ids import new_uuid
from compute.endpoint_serving import Seat, ServedEndpoint, ServingTable
from metering.units import Unit

log = structlog.get_logger(__name__)

PACK_FROM_BYTES = 4096
"""Shorter answers are never compressed: it would cost more than it saves."""
UNKNOWN_LENGTH_BYTES = 1024**2
"""Set aside for a body that does not say how long it is."""

Headers = Mapping[bytes, bytes]
_NOTHING = UUID(int=0)


class InternalError(DomainError):
    """Our own fault; the log has it under the request's id."""

    status = 500
    default_code = "internal"


async def admitted(
    service: Service, route: Route, headers: Headers
) -> tuple[Credential, ServedEndpoint, tuple[Seat, ...]]:
    """Who calls, what, and in which ways they may, by the table at hand. A caller whom it refuses, or whose endpoint does not serve
    yet, is judged by a newer one. Raises Unauthenticated, NotFound, Forbidden."""
    table = service.rights.fresh() or await service.rights.current()
    try:
        found = _admit(service, table, route, headers)
    except DomainError:
        found = None
    if found is None or not found[1].is_serving:
        found = _admit(service, await service.rights.newer(), route, headers)
    return found


def _admit(
    service: Service, table: ServingTable, route: Route, headers: Headers
) -> tuple[Credential, ServedEndpoint, tuple[Seat, ...]]:
    credential = credential_of(headers.get(b"authorization"), table.credentials, time.time())
    endpoint = endpoint_at(table, route)
    seats = service.seats(table, credential, endpoint)
    if route.version and route.version != endpoint.version_name:
        raise NotFound(f"The model serves no version {route.version[:80]}.")
    return credential, endpoint, seats


def endpoint_at(table: ServingTable, route: Route) -> ServedEndpoint:
    """The endpoint a path names; under its own base path the model is called by its slug or its name. Raises NotFound."""
    if route.home is None:
        endpoint = table.by_slug.get(route.model)
    else:
        endpoint = table.by_path.get(route.home)
        if endpoint is not None and route.model and route.model.lower() not in {endpoint.slug, endpoint.name}:
            endpoint = None
    if endpoint is None:
        raise NotFound("There is no such model.")
    return endpoint


async def infer(
    service: Service, route: Route, headers: Headers, receive: Receive, send: Send, extra: tuple[Header, ...]
) -> None:
    """Answer one call. Raises DomainError for what is to be said instead; ClientGone when nobody is left to hear."""
    began = time.perf_counter_ns()
    credential, endpoint, seats = await admitted(service, route, headers)
    service.limiter.take(credential.uuid)
    statistics = service.statistics.of(endpoint.slug, endpoint.version_name)
    request_id = new_uuid()
    try:
        loaded = service.engine.get(endpoint.digest) if endpoint.may_answer else None
        load_ns = 0
        if loaded is None:
            load_began = time.perf_counter_ns()
            loaded = await service.loaded(endpoint)
            load_ns = time.perf_counter_ns() - load_began
        declared = _declared(headers)
        reserved = UNKNOWN_LENGTH_BYTES if declared is None else declared
        service.waiting.take(reserved)
        try:
            body = await read_body(receive, declared, headers.get(b"content-encoding"))
            request = parse(body, headers.get(b"inference-header-content-length"), loaded.model.spec)
            parsed = time.perf_counter_ns()
            size = _size(endpoint, request)
            ticket = service.purse.take(seats, size) or await service.purse.draw(seats, size)
            try:
                answer = await _compute(service, loaded, request)
                computed = time.perf_counter_ns()
                if ticket.unit is Unit.SECONDS:
                    service.purse.settle(ticket, -(-answer.own_ns // 1_000_000))
                model = route.model or endpoint.slug
                payload, head_length = render(
                    request, answer.arrays, loaded.model.spec, model=model, version=endpoint.version_name
                )
                # from here on the call counts: its record is with the kernel before the first byte of the reply
                service.spool.append(
                    Call(
                        request_id,
                        ticket.payer,
                        endpoint.uuid,
                        credential.uuid,
                        ticket.budget_pk,
                        time.time_ns() // 1000,
                        endpoint.version_uuid or _NOTHING,
                        ticket.units,
                    ),
                    [part.pk for part in ticket.caps],
                )
            except BaseException:
                service.purse.give_back(ticket)
                raise
        finally:
            service.waiting.give_back(reserved)
    except DomainError:
        statistics.count_failure(time.perf_counter_ns() - began)
        raise
    except ClientGone:
        raise
    except RunFailed as error:
        statistics.count_failure(time.perf_counter_ns() - began)
        log.info(
            "a model could not compute", request_id=str(request_id), endpoint=endpoint.slug, problem=str(error)[:500]
        )
        raise Invalid("The model cannot compute an answer for this input.") from error
    except OSError as error:
        statistics.count_failure(time.perf_counter_ns() - began)
        log.exception("a call could not be recorded", request_id=str(request_id))
        raise Unavailable("The call could not be recorded, so it was not served.") from error
    except Exception as error:
        statistics.count_failure(time.perf_counter_ns() - began)
        log.exception("a call failed", request_id=str(request_id), endpoint=endpoint.slug)
        raise InternalError(f"Something went wrong on our side; the request's id is {request_id}.") from error
    _count(statistics, request, answer, began=began, parsed=parsed, computed=computed)
    own = ((b"x-request-id", str(request_id).encode()), _timing(load_ns, answer.infer_ns))
    await _send(send, payload, head_length, own, headers, extra)


def _timing(load_ns: int, infer_ns: int) -> Header:
    """`server-timing`, milliseconds: what the model took, and a cold start where there was one."""
    load = b"load;dur=%.1f, " % (load_ns / 1e6) if load_ns else b""
    return b"server-timing", load + b"compute;dur=%.3f" % (infer_ns / 1e6)


async def _compute(service: Service, loaded: LoadedModel, request: InferRequest) -> Answer:
    if loaded.is_short(request.feeds):
        return service.engine.run_here(loaded, request.feeds, request.outputs)
    return await service.engine.run(loaded, request.feeds, request.outputs)


def _size(endpoint: ServedEndpoint, request: InferRequest) -> Size:
    first = next(iter(request.feeds.values()), None)
    if first is None:
        return ONE
    tokens = request.feeds.get(endpoint.token_input, first)
    return Size(max(1, first.shape[0] if first.ndim else 1), max(1, tokens.size))


def _declared(headers: Headers) -> int | None:
    raw = headers.get(b"content-length")
    if raw is None:
        return None
    if not raw.isdigit() or len(raw) > 18:
        raise Invalid("Content-Length is not a number of bytes.")
    return int(raw)


def _count(
    statistics: ModelStatistics, request: InferRequest, answer: Answer, *, began: int, parsed: int, computed: int
) -> None:
    ended = time.perf_counter_ns()
    first = next(iter(request.feeds.values()), None)
    statistics.count_success(
        total_ns=ended - began,
        queue_ns=answer.queue_ns,
        input_ns=parsed - began,
        infer_ns=answer.infer_ns,
        output_ns=ended - computed,
        rows=first.shape[0] if first is not None and first.ndim else 1,
    )
    statistics.executions += answer.is_first


async def _send(
    send: Send,
    payload: bytes,
    head_length: int | None,
    own: tuple[Header, ...],
    headers: Headers,
    extra: tuple[Header, ...],
) -> None:
    found: tuple[Header, ...] = (*own, *extra)
    content_type = JSON_TYPE
    if head_length is not None:
        content_type = BINARY_TYPE
        found = (*found, (b"inference-header-content-length", b"%d" % head_length))
    accepted = headers.get(b"accept-encoding")
    if accepted is not None and len(payload) >= PACK_FROM_BYTES:
        payload, encoding = pack(payload, accepted)
        if encoding is not None:
            found = (*found, (b"content-encoding", encoding))
    await reply(send, 200, payload, content_type, found)
