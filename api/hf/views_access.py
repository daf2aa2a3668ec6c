"""Gated repositories: asking for their content, and answering."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Action
from api.hf import wire_community as wire
from api.hf.bodies import json_object, text_of
from api.hf.routing import linked, page_query, uuid_of
from api.hf.wire import json_response
from common.errors import Invalid
from registry import community_queries as queries
from registry.policies import require_repo
from registry.services import access
from registry.states import Gate

PAGE_REQUESTS = 100


def ask_access(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Ask, as a form or as JSON: the answers by the labels of the fields. `onBehalfOf` names an organisation or one of its teams."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_DISCOVER)
    given: dict[str, Any] = (
        json_object(request) if request.content_type == "application/json" else dict(request.POST.items())
    )
    holder_name = text_of(given, "onBehalfOf", default="", max_length=200)
    asked = access.ask(actor, repo, given, holder_name=holder_name)
    return json_response({"requestId": asked.uuid.hex, "status": asked.state})


def listing(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str, state: str) -> HttpResponse:
    """A page of the requests in one state."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_ADMIN)
    if repo.gate == Gate.OPEN:
        raise Invalid("This repository is not gated.", code="not_gated")
    page = queries.access_requests(repo, state, **page_query(request, default=PAGE_REQUESTS, maximum=PAGE_REQUESTS))
    return linked(json_response([wire.access_request(row) for row in page.items]), request, page.next_cursor)


def handle(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Accept, reject, or put back among the pending: named by the holder's name or the request's id."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_ADMIN)
    data = json_object(request)
    asked_id = text_of(data, "requestId", default="", max_length=100)
    holder_name = text_of(data, "user", default="", max_length=200)
    if bool(asked_id) == bool(holder_name):
        raise Invalid('Name either the "user" or the "requestId".')
    decided = access.decide(
        actor,
        repo,
        text_of(data, "status", max_length=20),
        holder_name=holder_name,
        uuid=uuid_of(asked_id) if asked_id else None,
        reason=text_of(data, "rejectionReason", default="", max_length=10_000),
    )
    return json_response({"requestId": decided.uuid.hex, "status": decided.state})


def grant(request: HttpRequest, actor: Actor, kind: str, namespace: str, name: str) -> HttpResponse:
    """Access for somebody who has not asked."""
    repo = require_repo(actor, kind, namespace, name, Action.REPO_ADMIN)
    granted = access.grant_access(actor, repo, text_of(json_object(request), "user", max_length=200))
    return json_response({"requestId": granted.uuid.hex, "status": granted.state})
