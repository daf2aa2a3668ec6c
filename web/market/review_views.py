"""Reviewing listings: what waits, the thread, the decision; and the private catalogue of an organisation."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_POST

from accounts.policies import require_organization
from market.policies import require_review
from market.services import reviews
from web.forms import submit
from web.market.forms import CommentForm, DecisionForm
from web.market.review_pages import CataloguePage, QueuePage, ReviewPage
from web.render import Request, render

if TYPE_CHECKING:
    from market.models import Listing


@require_GET
def queue(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/reviews.html", QueuePage.of(request.actor, request.GET.get("cursor", "")))


@require_GET
def review(request: Request, uuid: UUID) -> HttpResponse:
    return _review(request, require_review(request.actor, uuid))


@require_POST
def comment(request: Request, uuid: UUID) -> HttpResponse:
    listing = require_review(request.actor, uuid)
    form = CommentForm(request.POST, auto_id="comment-%s")
    if submit(form, reviews.comment_on_review, request.actor, listing):
        return HttpResponseRedirect(f"/sell/reviews/{uuid}#thread")
    return _review(request, listing, comment_form=form, status=400)


@require_POST
def decision(request: Request, uuid: UUID) -> HttpResponse:
    """Approves with `approve`, else returns."""
    listing = require_review(request.actor, uuid)
    form = DecisionForm(request.POST)
    deed = reviews.approve_listing if "approve" in request.POST else _return
    if decided := submit(form, deed, request.actor, listing):
        said = f"{decided.title} is published." if decided.state == "published" else f"{decided.title} went back."
        messages.success(request, said)
        return HttpResponseRedirect("/sell/reviews")
    return _review(request, listing, form=form, status=400)


@require_GET
def catalogue(request: Request, name: str) -> HttpResponse:
    organization = require_organization(request.actor, name)
    page = CataloguePage.of(request.actor, organization, request.GET.get("cursor", ""))
    return render(request, "market/catalogue.html", page)


@require_POST
def policy(request: Request, name: str) -> HttpResponse:
    is_needed = reviews.want_reviews(request.actor, name, is_needed=request.POST.get("is_needed") == "1")
    messages.success(
        request, "New listings go through review now." if is_needed else "Listings are published without a review now."
    )
    return HttpResponseRedirect(f"/organizations/{name}/catalogue")


def _return(actor: object, listing: "Listing", *, checks: list[str], **given: object) -> "Listing":
    return reviews.return_listing(actor, listing, **given)  # type: ignore[arg-type]


def _review(
    request: Request,
    listing: "Listing",
    *,
    form: DecisionForm | None = None,
    comment_form: CommentForm | None = None,
    status: int = 200,
) -> HttpResponse:
    seen = reviews.submission_of(listing)
    page = ReviewPage.of(
        request.actor,
        listing,
        form or DecisionForm(initial={"submission": seen.uuid if seen else ""}),
        comment_form or CommentForm(auto_id="comment-%s"),
        request.GET.get("cursor", ""),
    )
    return render(request, "market/review.html", page, status=status)
