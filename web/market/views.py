"""Shopping: the market, a listing, the checkout."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods

from accounts.permissions import Action
from common.errors import NotFound
from market.policies import require_listing, require_plan
from market.search_index import FACETS
from market.services import images
from market.services.orders import place_order
from market.services.views import count_view
from web.forms import submit, uuid_of
from web.links import order_url
from web.market.forms import CheckoutForm
from web.market.pages import CheckoutPage, HomePage, ListingPage, QuoteView
from web.render import Request, form_status, render


@require_GET
def home(request: Request) -> HttpResponse:
    chosen = {name: request.GET.getlist(name)[:20] for name in FACETS if request.GET.getlist(name)}
    asked = request.GET
    page = HomePage.of(
        request.actor,
        asked.get("q", "")[:200],
        chosen,
        asked.get("sort", ""),
        asked.get("cursor", ""),
        asked.getlist("more")[:20],
    )
    return render(request, "market/home.html", page)


@require_GET
def listing(request: Request, namespace: str, slug: str) -> HttpResponse:
    found = require_listing(request.actor, namespace, slug)
    if not request.actor.may(Action.LISTING_MANAGE, found.namespace_id):
        count_view(found, request.headers.get("User-Agent", ""))
    return render(request, "market/listing.html", ListingPage.of(request.actor, found))


@require_GET
def image(request: Request, namespace: str, slug: str, uuid: UUID) -> HttpResponse:
    """A picture of the gallery: ours, encoded anew when it came; it never changes under its address."""
    found = images.image_of(require_listing(request.actor, namespace, slug), uuid)
    headers = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}
    body = images.content_of(found)
    return HttpResponse(
        body, content_type=found.media_type, headers={**headers, "Cache-Control": "private, max-age=86400"}
    )


@require_http_methods(["GET", "POST"])
def checkout(request: Request, namespace: str, slug: str) -> HttpResponse:
    request.actor.require_authenticated()
    found = require_listing(request.actor, namespace, slug)
    plan = require_plan(request.actor, uuid_of(request.GET.get("plan", "")))
    if plan.listing_id != found.pk:
        raise NotFound("There is no such plan.")
    is_asking = "ask" in request.POST
    """The price is asked for what stands in the form; nothing is ordered."""
    if is_asking or request.method == "GET":
        given = request.POST if is_asking else request.GET
        asked = {name: given[name] for name in ("buyer_namespace", "quantity", "coupon", "key") if given.get(name)}
        form = CheckoutForm(request.actor, plan, initial=asked)
    else:
        form = CheckoutForm(request.actor, plan, request.POST)
    if form.is_bound and "reason" in form.fields and form.is_valid() and not request.POST.get("asks"):
        asked_price = QuoteView.of(request.actor, plan, form)
        if asked_price and asked_price.approval:
            form.add_error(None, "This order waits for an approval: see below for whom, and ask for it.")
    if (
        request.method == "POST"
        and not is_asking
        and (order := submit(form, place_order, request.actor, plan_uuid=plan.uuid))
    ):
        said = {"fulfilled": f"{found.title} is yours.", "awaiting_approval": "Those who approve it have been told."}
        messages.success(request, said.get(order.state, "The order is placed."))
        return HttpResponseRedirect(order_url(order.uuid))
    page = CheckoutPage.of(request.actor, found, plan, form)
    return render(request, "market/checkout.html", page, status=200 if is_asking else form_status(request))
