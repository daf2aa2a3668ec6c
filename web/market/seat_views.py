"""Giving and taking seats."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods, require_POST

from accounts.permissions import Action
from market.seat_policies import require_seats, seating_of
from market.services.seats import give_seat, take_seat
from web.forms import submit
from web.market.seat_pages import SeatsPage, seat_form
from web.render import Request, form_status, render


@require_http_methods(["GET", "POST"])
def seats(request: Request, uuid: UUID) -> HttpResponse:
    """Who sits. A POST gives seats."""
    request.actor.require_authenticated()
    entitlement, form = require_seats(request.actor, uuid), None
    if request.method == "POST":
        require_seats(request.actor, uuid, Action.NAMESPACE_BUY)
        form = seat_form(entitlement, {gift.holder for gift in seating_of(entitlement).gifts}, request.POST)
        if submit(form, give_seat, request.actor, entitlement):
            messages.success(request, f"{form.cleaned_data['holder']} can use it now.")
            return HttpResponseRedirect(f"/library/seats/{uuid}")
    page = SeatsPage.of(request.actor, entitlement, form)
    return render(request, "market/seats.html", page, status=form_status(request))


@require_POST
def removal(request: Request, uuid: UUID, gift_uuid: UUID) -> HttpResponse:
    request.actor.require_authenticated()
    take_seat(request.actor, require_seats(request.actor, uuid), gift_uuid)
    messages.success(request, "The seat is free again.")
    return HttpResponseRedirect(f"/library/seats/{uuid}")
