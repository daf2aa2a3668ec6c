"""Webhooks: what they watch, the log of their deliveries, sending one again."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import Scope
from api.v1.base import KEY_PARAMETER, PAGE_PARAMETERS, View, page_of
from market.services.market_events import EVENTS
from registry import community_queries as queries
from registry.policies import require_webhook
from registry.services import webhooks
from registry.services.events import ALL_DOMAINS, DOMAINS

if TYPE_CHECKING:
    from registry.models import Webhook, WebhookDelivery


class WatchedWire(serializers.Serializer):
    type = serializers.ChoiceField(["model", "dataset", "algorithm", "user", "org"])
    name = serializers.CharField(max_length=200, help_text="`namespace/name`, or the name of a person or organisation.")


class WebhookNew(serializers.Serializer):
    url = serializers.CharField(max_length=500)
    watched = WatchedWire(many=True)
    domains = serializers.ListField(child=serializers.ChoiceField(ALL_DOMAINS), required=False, default=list(DOMAINS))
    events = serializers.ListField(
        child=serializers.ChoiceField(list(EVENTS)),
        required=False,
        default=list,
        help_text="Of the domain `market` only these; none: all.",
    )
    secret = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class WebhookChange(serializers.Serializer):
    url = serializers.CharField(max_length=500, required=False)
    watched = WatchedWire(many=True, required=False)
    domains = serializers.ListField(child=serializers.ChoiceField(ALL_DOMAINS), required=False)
    events = serializers.ListField(child=serializers.ChoiceField(list(EVENTS)), required=False)
    secret = serializers.CharField(max_length=200, required=False, allow_blank=True)
    is_enabled = serializers.BooleanField(required=False)


class WebhookWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    url = serializers.CharField()
    watched = WatchedWire(many=True)
    domains = serializers.ListField(child=serializers.CharField())
    events = serializers.ListField(child=serializers.CharField())
    has_secret = serializers.BooleanField()
    is_enabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class DeliveryWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    event = serializers.CharField()
    state = serializers.CharField(help_text="`waiting`, `delivered` or `given_up`.")
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True, help_text="What the other side answered last.")
    error = serializers.CharField(allow_blank=True)
    payload = serializers.JSONField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class Webhooks(View):
    @extend_schema(responses=page_of(WebhookWire), parameters=PAGE_PARAMETERS, tags=["registry"])
    def get(self, request: Request) -> Response:
        """The caller's webhooks, at most twenty."""
        self.actor.require_authenticated()
        self.actor.require_scope(Scope.ACCOUNT_MANAGE)
        return self.listed([webhook_wire(row) for row in queries.webhooks_of(self.actor)], None)

    @extend_schema(request=WebhookNew, responses={201: WebhookWire}, parameters=[KEY_PARAMETER], tags=["registry"])
    def post(self, request: Request) -> Response:
        """Have an address told of what happens to repositories, or in the trade of a namespace, as far as one may see it."""
        self.actor.require_authenticated()
        given = self.given(WebhookNew)
        url, watched = given.pop("url"), given.pop("watched")
        return self.creating(lambda: webhook_wire(webhooks.create_webhook(self.actor, url, watched, **given)))


class WebhookOne(View):
    @extend_schema(responses=WebhookWire, tags=["registry"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """One webhook."""
        return Response(webhook_wire(require_webhook(self.actor, uuid)))

    @extend_schema(request=WebhookChange, responses=WebhookWire, tags=["registry"])
    def patch(self, request: Request, uuid: UUID) -> Response:
        """Change what is given; `is_enabled` switches it on or off."""
        row, given = require_webhook(self.actor, uuid), self.given(WebhookChange, partial=True)
        is_enabled = given.pop("is_enabled", None)
        if given:
            row = webhooks.update_webhook(self.actor, row, **given)
        if is_enabled is not None:
            row = webhooks.set_enabled(self.actor, row, is_enabled=is_enabled)
        return Response(webhook_wire(row))

    @extend_schema(responses={204: None}, tags=["registry"])
    def delete(self, request: Request, uuid: UUID) -> Response:
        """Remove it with all that is on its way to it."""
        webhooks.delete_webhook(self.actor, require_webhook(self.actor, uuid))
        return Response(status=204)


class Deliveries(View):
    @extend_schema(responses=page_of(DeliveryWire), parameters=PAGE_PARAMETERS, tags=["registry"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """What was sent, or is on its way, newest first; kept for thirty days."""
        webhook = require_webhook(self.actor, uuid)
        return self.paged(queries.deliveries_of(webhook, cursor=self.cursor, limit=self.page_limit()), delivery_wire)


class Redelivery(View):
    @extend_schema(request=None, responses={201: DeliveryWire}, tags=["registry"])
    def post(self, request: Request, uuid: UUID, delivery: UUID) -> Response:
        """Send an earlier delivery once more. While it is on its way, nothing changes."""
        sent = webhooks.redeliver(self.actor, require_webhook(self.actor, uuid), delivery)
        return Response(delivery_wire(sent), status=201)


def webhook_wire(row: "Webhook") -> dict[str, Any]:
    """Asks for what it watches unless that is joined. The secret is told to nobody."""
    watched = []
    for each in row.watches.all():
        if each.repo is not None:
            watched.append({"type": each.repo.kind, "name": f"{each.repo.namespace.name}/{each.repo.name}"})
        elif each.namespace is not None:
            kind = "org" if each.namespace.is_organization else "user"
            watched.append({"type": kind, "name": each.namespace.name})
    return {
        "uuid": row.uuid,
        "url": row.url,
        "watched": watched,
        "domains": row.domains,
        "events": row.events,
        "has_secret": bool(row.sealed_secret),
        "is_enabled": row.is_enabled,
        "created_at": row.created_at,
    }


def delivery_wire(row: "WebhookDelivery") -> dict[str, Any]:
    """Wants the event joined."""
    said = row.event.payload["event"]
    return {
        "uuid": row.uuid,
        "event": said.get("name") or f"{said['scope']} {said['action']}",
        "state": row.state,
        "attempts": row.attempts,
        "status": row.status,
        "error": row.error,
        "payload": row.event.payload,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    }
