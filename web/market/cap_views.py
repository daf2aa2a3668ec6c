"""Caps on calls."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from accounts.policies import require_namespace
from market.cap_policies import require_cap
from market.services.caps import lift_cap, set_cap
from web.forms import submit
from web.links import with_query
from web.market.cap_pages import CapsPage, cap_form
from web.render import Request, form_status, render


@require_http_methods(["GET", "POST"])
def caps(request: Request) -> HttpResponse:
    """What may be used in a month. A POST sets a cap."""
    request.actor.require_authenticated()
    name = request.GET.get("owner") or request.actor.username
    is_setting = request.method == "POST"
    owner = require_namespace(request.actor, name, Action.NAMESPACE_APPROVE if is_setting else Action.NAMESPACE_READ)
    form = cap_form(request.actor, owner, request.POST) if is_setting else None
    if form is not None and submit(form, set_cap, request.actor, owner.name):
        messages.success(request, "The cap holds from now on; what was used this month counts.")
        return HttpResponseRedirect(with_query("/library/caps", owner=owner.name))
    return render(request, "market/caps.html", CapsPage.of(request.actor, owner, form), status=form_status(request))


@require_POST
def removal(request: Request, uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    _, owner = require_cap(request.actor, uuid)
    lift_cap(request.actor, uuid)
    messages.success(request, "The cap is lifted.")
    return HttpResponseRedirect(with_query("/library/caps", owner=owner.name))
