"""Selling: one's listings, the editor, plans, publishing."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.actors import Actor
from accounts.permissions import Action
from common.errors import Conflict, Invalid
from market.policies import require_listing_by_uuid, require_plan
from market.services import images, listings
from market.states import ListingState
from market.subjects import declared_unit
from web.forms import submit
from web.market.fields import zone_of
from web.market.forms import ImageForm, ListingForm, NewListingForm, PlanForm
from web.market.selling import EditorPage, NewListingPage, SellPage, subject_choices
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from market.models import Listing, ListingImage


@require_GET
def sell(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/sell.html", SellPage.of(request.actor))


@require_http_methods(["GET", "POST"])
def new_listing(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    choices = subject_choices(request.actor)
    form = NewListingForm(choices, request.POST or None, initial={"subject": request.GET.get("subject", "")})
    if request.method == "POST" and (listing := submit(form, _draft, request.actor)):
        return HttpResponseRedirect(f"/sell/{listing.uuid}")
    page = NewListingPage("New listing", form, bool(choices))
    return render(request, "market/new_listing.html", page, status=form_status(request))


@require_http_methods(["GET", "POST"])
def editor(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    form = ListingForm.of(listing, request.POST or None)
    if request.method == "POST" and (saved := submit(form, listings.update_listing, request.actor, listing)):
        went = saved.state != listing.state
        messages.success(request, "The listing is saved" + (" and goes through review again." if went else "."))
        return HttpResponseRedirect(f"/sell/{uuid}")
    return _editor(request, listing, form=form, status=form_status(request))


@require_POST
def plan_addition(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    plan_form = PlanForm(request.POST, unit=declared_unit(listing), zone=zone_of(request.user))
    if submit(plan_form, listings.add_plan, request.actor, listing):
        messages.success(request, "The plan is added.")
        return HttpResponseRedirect(f"/sell/{uuid}")
    return _editor(request, listing, plan_form=plan_form, status=400)


@require_POST
def plan_retirement(request: Request, uuid: UUID, plan_uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    plan = require_plan(request.actor, plan_uuid, Action.LISTING_MANAGE)
    try:
        listings.retire_plan(request.actor, plan)
    except Conflict as error:
        return _editor(request, listing, problem=error.message, status=409)
    return HttpResponseRedirect(f"/sell/{uuid}")


@require_POST
def publication(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    try:
        published = listings.publish_listing(request.actor, listing)
    except Conflict as error:
        return _editor(request, listing, problem=error.message, status=409)
    is_out = published.state == ListingState.PUBLISHED
    messages.success(request, "It is in the market now." if is_out else "It is in review; you will be told.")
    return HttpResponseRedirect(f"/sell/{uuid}")


@require_POST
def withdrawal(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    listings.withdraw_listing(request.actor, listing)
    was_in_review = listing.state == ListingState.IN_REVIEW
    said = "It is a draft again." if was_in_review else "It is out of the market; what was bought stays open."
    messages.success(request, said)
    return HttpResponseRedirect(f"/sell/{uuid}")


@require_POST
def image_addition(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    form = ImageForm(request.POST, request.FILES)
    if submit(form, _add_image, request.actor, listing):
        messages.success(request, "The picture is added.")
        return HttpResponseRedirect(f"/sell/{uuid}#pictures")
    return _editor(request, listing, image_form=form, status=400)


@require_POST
def image_change(request: Request, uuid: UUID, image_uuid: UUID) -> HttpResponse:
    """Moves a picture to `position`, or takes it out with `remove`."""
    listing = require_listing_by_uuid(request.actor, uuid, Action.LISTING_MANAGE)
    image = images.image_of(listing, image_uuid)
    place = request.POST.get("position", "")
    try:
        if "remove" in request.POST:
            images.remove_image(request.actor, image)
        elif place.isascii() and place.isdigit() and len(place) < 4:
            images.change_image(request.actor, image, position=int(place))
    except (Conflict, Invalid) as error:
        return _editor(request, listing, problem=error.message, status=409)
    return HttpResponseRedirect(f"/sell/{uuid}#pictures")


def _add_image(actor: Actor, listing: "Listing", *, image: UploadedFile, alt: str) -> "ListingImage":
    return images.add_image(actor, listing, content=image.read(images.UPLOAD_LIMIT + 1), alt=alt)


def _editor(
    request: Request,
    listing: "Listing",
    *,
    form: ListingForm | None = None,
    plan_form: PlanForm | None = None,
    image_form: ImageForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    plan_form = plan_form or PlanForm(unit=declared_unit(listing), zone=zone_of(request.user))
    page = EditorPage.of(
        request.actor,
        listing,
        form or ListingForm.of(listing),
        plan_form,
        image_form or ImageForm(auto_id="image-%s"),
        problem,
    )
    return render(request, "market/editor.html", page, status=status)


def _draft(actor: Actor, *, subject: str, title: str, summary: str) -> "Listing":
    kind, uuid, namespace = subject.split(":", 2)
    return listings.create_listing(
        actor, namespace=namespace, subject_kind=kind, subject_uuid=UUID(uuid), title=title, summary=summary
    )
