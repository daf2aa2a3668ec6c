"""Likes, follows and collections of listings."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from market.addresses import listing_address
from market.policies import require_listing
from market.services import collecting, follows
from registry.policies import require_collection
from registry.services import collections
from web.forms import submit, uuid_of
from web.market.follow_pages import CollectionForm, CollectionPage, CollectionsPage, FollowingPage
from web.render import Request, form_status, render


@require_POST
def like(request: Request, namespace: str, slug: str) -> HttpResponse:
    """Likes it with `like`, else takes that back."""
    listing = require_listing(request.actor, namespace, slug)
    (follows.like_listing if "like" in request.POST else follows.unlike_listing)(request.actor, listing)
    return HttpResponseRedirect(listing_address(listing))


@require_POST
def following(request: Request, namespace: str, slug: str) -> HttpResponse:
    """Follows it with `follow`, else no more."""
    listing = require_listing(request.actor, namespace, slug)
    if "follow" in request.POST:
        follows.follow_listing(request.actor, listing)
        messages.success(request, f"You hear of new versions, prices and the end of {listing.title}.")
    else:
        follows.unfollow_listing(request.actor, listing)
        messages.success(request, f"You do not follow {listing.title} any more.")
    return HttpResponseRedirect(listing_address(listing))


@require_POST
def namespace_following(request: Request, name: str) -> HttpResponse:
    """Follows a seller with `follow`, else no more."""
    if "follow" in request.POST:
        found = follows.follow_namespace(request.actor, name)
        messages.success(request, f"You hear of what {found.name} lists.")
    else:
        found = follows.unfollow_namespace(request.actor, name)
        messages.success(request, f"You do not follow {found.name} any more.")
    return HttpResponseRedirect("/library/following")


@require_GET
def follow_list(request: Request) -> HttpResponse:
    request.actor.require_authenticated()
    return render(request, "market/following.html", FollowingPage.of(request.actor, request.GET.get("cursor", "")))


@require_http_methods(["GET", "POST"])
def collection_list(request: Request) -> HttpResponse:
    if request.method == "POST":
        request.actor.require_authenticated()
    form = CollectionForm(request.actor, request.POST or None) if request.actor.user_id is not None else None
    if request.method == "POST" and form is not None and (made := submit(form, _create, request.actor)):
        return HttpResponseRedirect(f"/collections/{made.uuid}")
    page = CollectionsPage.of(request.actor, request.GET.get("owner", ""), request.GET.get("cursor", ""), form)
    return render(request, "market/collections.html", page, status=form_status(request))


@require_GET
def collection(request: Request, uuid: UUID) -> HttpResponse:
    found = require_collection(request.actor, uuid)
    return render(request, "market/collection.html", CollectionPage.of(request.actor, found))


@require_POST
def collecting_listing(request: Request, namespace: str, slug: str) -> HttpResponse:
    """Puts a listing into the collection `collection`."""
    listing = require_listing(request.actor, namespace, slug)
    request.actor.require_authenticated()
    chosen = uuid_of(request.POST.get("collection", ""))
    collecting.add_to_collection(request.actor, chosen, listing)
    messages.success(request, f"{listing.title} is in the collection.")
    return HttpResponseRedirect(f"/collections/{chosen}")


@require_POST
def removal(request: Request, uuid: UUID, listing: UUID) -> HttpResponse:
    collecting.take_from_collection(request.actor, uuid, listing)
    return HttpResponseRedirect(f"/collections/{uuid}")


@require_POST
def deletion(request: Request, uuid: UUID) -> HttpResponse:
    found = require_collection(request.actor, uuid)
    collections.delete_collection(request.actor, found)
    messages.success(request, f"The collection {found.title} is gone; what was in it stays.")
    return HttpResponseRedirect("/collections")


def _create(actor: Any, *, namespace: str, title: str, description: str, is_private: bool) -> Any:
    return collections.create_collection(actor, namespace, title, description=description, is_private=is_private)
