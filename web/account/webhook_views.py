"""Webhooks: making, switching, removing them, and the log of their deliveries."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.policies import require_namespace
from common.errors import Invalid
from registry.policies import require_webhook
from registry.services import webhooks
from web.account.webhook_pages import WebhookForm, WebhookPage, WebhooksPage
from web.forms import submit
from web.render import Request, form_status, render


@require_http_methods(["GET", "POST"])
def webhook_list(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and (made := submit(form, _create, request.actor)):
        messages.success(request, "It is told of what happens from now on.")
        return HttpResponseRedirect(f"/webhooks/{made.uuid}")
    return render(
        request, "account_area/webhooks.html", WebhooksPage.of(request.actor, form), status=form_status(request)
    )


@require_GET
def webhook(request: Request, uuid: UUID) -> HttpResponse:
    found = require_webhook(request.actor, uuid)
    return render(request, "account_area/webhook.html", WebhookPage.of(found, request.GET.get("cursor", "")))


@require_POST
def switch(request: Request, uuid: UUID) -> HttpResponse:
    """Switches it on with `on`, else off."""
    webhooks.set_enabled(request.actor, require_webhook(request.actor, uuid), is_enabled="on" in request.POST)
    return HttpResponseRedirect(f"/webhooks/{uuid}")


@require_POST
def removal(request: Request, uuid: UUID) -> HttpResponse:
    webhooks.delete_webhook(request.actor, require_webhook(request.actor, uuid))
    messages.success(request, "The webhook is gone.")
    return HttpResponseRedirect("/webhooks")


@require_POST
def redelivery(request: Request, uuid: UUID, delivery: UUID) -> HttpResponse:
    webhooks.redeliver(request.actor, require_webhook(request.actor, uuid), delivery)
    messages.success(request, "It is sent once more.")
    return HttpResponseRedirect(f"/webhooks/{uuid}")


def _create(actor: Any, *, url: str, watched: str, **more: Any) -> Any:
    return webhooks.create_webhook(actor, url, [_watched(actor, line) for line in watched.split()], **more)


def _watched(actor: Any, name: str) -> dict[str, str]:
    parts = name.strip("/").split("/")
    if len(parts) == 1:
        owner = require_namespace(actor, parts[0])
        return {"type": "org" if owner.is_organization else "user", "name": owner.name}
    kinds = {"datasets": "dataset", "algorithms": "algorithm", "models": "model"}
    if len(parts) == 3 and parts[0] in kinds:
        return {"type": kinds[parts[0]], "name": "/".join(parts[1:])}
    if len(parts) == 2:
        return {"type": "model", "name": "/".join(parts)}
    raise Invalid("Write acme, acme/digits or datasets/acme/wine.", fields={"watched": "not a name"})
