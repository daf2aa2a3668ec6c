"""Webhooks: a bare list, and single ones wrapped in `webhook`, as the client reads them."""

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.permissions import Scope
from api.hf import wire_community as wire
from api.hf.bodies import json_object, list_of, text_of
from api.hf.routing import uuid_of
from api.hf.wire import json_response
from common.errors import Invalid
from registry import community_queries as queries
from registry.policies import require_webhook
from registry.services import webhooks
from registry.services.events import DOMAINS

if TYPE_CHECKING:
    from registry.models import Webhook


def listing(request: HttpRequest, actor: Actor) -> HttpResponse:
    actor.require_authenticated()
    actor.require_scope(Scope.ACCOUNT_MANAGE)
    return json_response([wire.webhook(row) for row in queries.webhooks_of(actor)])


def create(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A webhook that sends to a URL. Jobs are not started by webhooks here."""
    actor.require_authenticated()
    data = _body(request)
    made = webhooks.create_webhook(
        actor,
        text_of(data, "url", max_length=2000),
        _watched(data),
        domains=_domains(data) or DOMAINS,
        secret=text_of(data, "secret", default="", max_length=1000),
    )
    return _shown(made)


def details(request: HttpRequest, actor: Actor, webhook: str) -> HttpResponse:
    return _shown(require_webhook(actor, uuid_of(webhook)))


def update(request: HttpRequest, actor: Actor, webhook: str) -> HttpResponse:
    """Change what is given; an empty list of watched things leaves them as they are, because the client always sends one."""
    row = require_webhook(actor, uuid_of(webhook))
    data = _body(request)
    changed = webhooks.update_webhook(
        actor,
        row,
        url=text_of(data, "url", max_length=2000) if "url" in data else None,
        watched=_watched(data),
        domains=_domains(data),
        secret=text_of(data, "secret", max_length=1000) if "secret" in data else None,
    )
    return _shown(changed)


def enable(request: HttpRequest, actor: Actor, webhook: str) -> HttpResponse:
    return _shown(webhooks.set_enabled(actor, require_webhook(actor, uuid_of(webhook)), is_enabled=True))


def disable(request: HttpRequest, actor: Actor, webhook: str) -> HttpResponse:
    return _shown(webhooks.set_enabled(actor, require_webhook(actor, uuid_of(webhook)), is_enabled=False))


def delete(request: HttpRequest, actor: Actor, webhook: str) -> HttpResponse:
    webhooks.delete_webhook(actor, require_webhook(actor, uuid_of(webhook)))
    return json_response({"success": True})


def _body(request: HttpRequest) -> dict[str, Any]:
    data = json_object(request)
    if data.get("jobSourceId") is not None or data.get("secrets") is not None:
        raise Invalid("Webhooks of this site send to a URL; they start no jobs.", fields={"jobSourceId": "not offered"})
    return data


def _watched(data: dict[str, Any]) -> list[dict[str, str]]:
    rows = list_of(data, "watched", max_length=200) if "watched" in data else []
    if not all(isinstance(row, dict) for row in rows):
        raise Invalid('"watched" must be a list of objects with "type" and "name".', fields={"watched": "not objects"})
    return [{"type": text_of(row, "type", max_length=20), "name": text_of(row, "name", max_length=200)} for row in rows]


def _domains(data: dict[str, Any]) -> list[str] | None:
    if data.get("domains") is None:
        return None
    domains = list_of(data, "domains", max_length=20)
    if not all(isinstance(domain, str) for domain in domains):
        raise Invalid('"domains" must be a list of words.', fields={"domains": "not words"})
    return domains


def _shown(row: "Webhook") -> HttpResponse:
    return json_response({"webhook": wire.webhook(row)})
