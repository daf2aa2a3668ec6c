"""Buyer reviews: reading, writing, answering, reporting; and the queue of staff."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.permissions import Action
from market.addresses import listing_address, review_address
from market.community_policies import require_buyer_review, require_report, visible_buyer_reviews
from market.policies import require_listing
from market.proofs import proofs_of
from market.services import buyer_reviews, moderation
from web.forms import submit
from web.market.buyer_review_forms import AnswerForm, BuyerReviewForm, ModerationForm, ReportForm
from web.market.buyer_review_pages import ModerationPage, ReviewPage, ReviewsPage
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from market.models import BuyerReview, Listing


@require_http_methods(["GET", "POST"])
def reviews(request: Request, namespace: str, slug: str) -> HttpResponse:
    listing = require_listing(request.actor, namespace, slug)
    if request.method == "POST":
        request.actor.require_authenticated()
    form = _form(request, listing)
    if (
        request.method == "POST"
        and form is not None
        and submit(form, buyer_reviews.write_review, request.actor, listing)
    ):
        messages.success(request, "Your review is published. Thank you.")
        return HttpResponseRedirect(f"{listing_address(listing)}/reviews")
    if request.method == "POST" and form is None:
        # says why not
        buyer_reviews.write_review(request.actor, listing, stars=1, title="-")
    stars = request.GET.get("stars", "")
    page = ReviewsPage.of(
        request.actor,
        listing,
        form,
        version=request.GET.get("version", "")[:100],
        stars=int(stars) if stars in {"1", "2", "3", "4", "5"} else None,
        cursor=request.GET.get("cursor", ""),
    )
    return render(request, "market/buyer_reviews.html", page, status=form_status(request))


@require_GET
def review(request: Request, namespace: str, slug: str, uuid: UUID) -> HttpResponse:
    return _review(request, require_buyer_review(request.actor, uuid))


@require_POST
def answer(request: Request, namespace: str, slug: str, uuid: UUID) -> HttpResponse:
    found = require_buyer_review(request.actor, uuid)
    form = AnswerForm(request.POST, auto_id="answer-%s")
    if submit(form, buyer_reviews.answer_review, request.actor, found):
        messages.success(request, "Your answer is published.")
        return HttpResponseRedirect(review_address(found))
    return _review(request, found, answer_form=form, status=400)


@require_POST
def report(request: Request, namespace: str, slug: str, uuid: UUID) -> HttpResponse:
    found = require_buyer_review(request.actor, uuid)
    form = ReportForm(request.POST, auto_id="report-%s")
    if submit(form, moderation.report, request.actor, found):
        messages.success(request, "Thank you. Staff will look at it.")
        return HttpResponseRedirect(f"{listing_address(found.listing)}/reviews")
    return _review(request, found, report_form=form, status=400)


@require_GET
def queue(request: Request) -> HttpResponse:
    return render(request, "market/moderation.html", ModerationPage.of(request.actor, request.GET.get("cursor", "")))


@require_POST
def decision(request: Request, uuid: UUID) -> HttpResponse:
    """Hides with `hide`, else lets it stand."""
    found = require_report(request.actor, uuid)
    form = ModerationForm(request.POST)
    is_upheld = "hide" in request.POST
    if submit(form, moderation.decide, request.actor, found, is_upheld=is_upheld):
        messages.success(request, "It is hidden." if is_upheld else "It stays.")
    else:
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    return HttpResponseRedirect("/-/moderation")


def _form(request: Request, listing: "Listing") -> BuyerReviewForm | None:
    actor = request.actor
    if not actor.is_authenticated or listing.namespace_id in actor.roles:
        return None
    proofs = proofs_of(actor, listing)
    buying = [pk for pk in actor.roles if actor.may(Action.NAMESPACE_BUY, pk)]
    own = list(visible_buyer_reviews(actor, listing).filter(buyer_id__in=buying).order_by("pk"))
    return BuyerReviewForm(proofs, own, request.POST or None) if proofs or own else None


def _review(
    request: Request,
    found: "BuyerReview",
    *,
    answer_form: AnswerForm | None = None,
    report_form: ReportForm | None = None,
    status: int = 200,
) -> HttpResponse:
    page = ReviewPage.of(
        request.actor,
        found,
        answer_form or AnswerForm(auto_id="answer-%s"),
        report_form or ReportForm(auto_id="report-%s"),
    )
    return render(request, "market/buyer_review.html", page, status=status)
