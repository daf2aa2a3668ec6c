"""Endpoints: the list, deploying, one with its try-it form."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action, Scope
from accounts.services import tokens
from common.clock import now
from common.errors import Conflict
from compute.endpoint_policies import can, require_endpoint
from compute.endpoint_states import EndpointVisibility
from compute.services import endpoints
from metering.meters import Meter
from metering.queries import daily_usage
from web.exports import csv_response
from web.forms import submit
from web.links import endpoint_url
from web.render import Request, form_status, render, render_part
from web.sharing import ENDPOINT_LEVELS, ShareForm, share_with, take_back
from web.work.endpoint_forms import DeployForm, UnitForm, UpdateForm, VisibilityForm, model_value
from web.work.endpoint_pages import EndpointPage, EndpointsPage
from web.work.pages import DeployPage

if TYPE_CHECKING:
    from compute.models import Endpoint

USAGE_DAYS = 366
TRIAL = timedelta(minutes=15)
"""A token of the try-it form: long enough to play, short enough to forget."""


@require_GET
def endpoint_list(request: Request) -> HttpResponse:
    return render(request, "work/endpoints.html", EndpointsPage.of(request.actor))


@require_http_methods(["GET", "POST"])
def deploy(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    chosen = model_value(request.GET.get("version", ""), request.GET.get("build", ""))
    form = DeployForm(request.actor, request.POST or None, initial={"version_uuid": chosen})
    if request.method == "POST" and (made := submit(form, endpoints.deploy, request.actor)):
        return HttpResponseRedirect(_url(made))
    return render(request, "work/deploy.html", DeployPage.of(form), status=form_status(request))


@require_GET
def endpoint(request: Request, namespace: str, name: str) -> HttpResponse:
    return _page(request, require_endpoint(request.actor, namespace, name, Action.ENDPOINT_DISCOVER))


@require_GET
def state(request: Request, namespace: str, name: str) -> HttpResponse:
    """The state as a fragment, while a model is being loaded."""
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_DISCOVER)
    return render_part("work/_endpoint_state.html", EndpointPage.of(request.actor, found))


@require_GET
def usage(request: Request, namespace: str, name: str) -> HttpResponseBase:
    """Calls a day of the last year."""
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_WRITE)
    days = daily_usage(Meter.INFERENCE_CALLS, subject=found.uuid, days=USAGE_DAYS)
    return csv_response(f"calls-{found.slug}", ["day", "calls"], days)


@require_POST
def update(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_WRITE)
    form = UpdateForm(request.actor, request.POST)
    if submit(form, endpoints.update, request.actor, found):
        messages.success(request, "The next version is being loaded; the present one answers until then.")
        return HttpResponseRedirect(_url(found))
    return _page(request, found, update_form=form, status=400)


@require_POST
def visibility(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_ADMIN)
    wanted = request.POST.get("visibility", "")
    if wanted not in list(EndpointVisibility):
        raise Conflict("Choose who finds it.")
    endpoints.change_visibility(request.actor, found, EndpointVisibility(wanted))
    messages.success(request, "That is saved.")
    return HttpResponseRedirect(_url(found))


@require_POST
def unit(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_ADMIN)
    form = UnitForm(found, request.POST)
    if submit(form, endpoints.declare_unit, request.actor, found):
        messages.success(request, "That is saved: new plans may be priced by it.")
        return HttpResponseRedirect(_url(found))
    return _page(request, found, unit_form=form, status=400)


@require_POST
def shares(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_ADMIN)
    form = ShareForm(ENDPOINT_LEVELS, request.POST)
    if share_with(request, form, found, endpoints.share):
        return HttpResponseRedirect(f"{_url(found)}#sharing")
    return _page(request, found, share_form=form, status=400)


@require_POST
def share_removal(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_ADMIN)
    take_back(request, found, endpoints.unshare)
    # one may give up the share that one came in with
    return HttpResponseRedirect(
        f"{_url(found)}#sharing" if can(request.actor, found, Action.ENDPOINT_ADMIN) else "/endpoints"
    )


@require_POST
def stopping(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_WRITE)
    endpoints.stop(request.actor, found)
    messages.success(request, "It is stopped: calls are refused.")
    return HttpResponseRedirect(_url(found))


@require_POST
def starting(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_WRITE)
    endpoints.start(request.actor, found)
    return HttpResponseRedirect(_url(found))


@require_POST
def deletion(request: Request, namespace: str, name: str) -> HttpResponse:
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_ADMIN)
    endpoints.delete(request.actor, found)
    messages.success(request, f"{namespace}/{name} is deleted. Its address is never given to anybody else.")
    return HttpResponseRedirect("/endpoints")


@never_cache
@require_POST
def trial_token(request: Request, namespace: str, name: str) -> HttpResponse:
    """A token that may call endpoints and nothing else, for a quarter of an hour, for the try-it form of this page."""
    found = require_endpoint(request.actor, namespace, name, Action.ENDPOINT_USE)
    _, text = tokens.issue(
        request.actor, name=f"try {found.name}"[:80], scopes=[Scope.ENDPOINT_USE.value], expires_at=now() + TRIAL
    )
    return JsonResponse({"token": text})


def _page(
    request: Request,
    found: "Endpoint",
    *,
    update_form: UpdateForm | None = None,
    share_form: ShareForm | None = None,
    unit_form: UnitForm | None = None,
    status: int = 200,
) -> HttpResponse:
    page = EndpointPage.of(
        request.actor,
        found,
        update_form
        or UpdateForm(request.actor, initial={"version_uuid": model_value(found.version_uuid, found.build_uuid)}),
        VisibilityForm(initial={"visibility": found.visibility}),
        share_form or ShareForm(ENDPOINT_LEVELS),
        unit_form or UnitForm(found),
    )
    return render(request, "work/endpoint.html", page, status=status)


def _url(found: "Endpoint") -> str:
    return endpoint_url(found.namespace.name, found.name)
