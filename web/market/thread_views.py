"""Questions and discussions on listings."""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods, require_POST

from common.errors import NotFound
from market.addresses import thread_address
from market.community_policies import require_post, require_thread
from market.policies import require_listing
from market.services import moderation, threads
from web.forms import SHOWN_IN_FORM, submit, uuid_of
from web.market.thread_pages import PostForm, ThreadForm, ThreadPage, ThreadsPage
from web.render import Request, form_status, render

if TYPE_CHECKING:
    from market.models import ListingPost, ListingThread


@require_http_methods(["GET", "POST"])
def thread_list(request: Request, namespace: str, slug: str) -> HttpResponse:
    listing = require_listing(request.actor, namespace, slug)
    if request.method == "POST":
        request.actor.require_authenticated()
    form = ThreadForm(request.POST or None)
    if request.method == "POST" and (made := submit(form, threads.open_thread, request.actor, listing)):
        return HttpResponseRedirect(thread_address(made))
    page = ThreadsPage.of(
        request.actor, listing, form, kind=request.GET.get("kind", ""), cursor=request.GET.get("cursor", "")
    )
    return render(request, "market/threads.html", page, status=form_status(request))


@require_http_methods(["GET", "POST"])
def thread(request: Request, namespace: str, slug: str, number: int) -> HttpResponse:
    found = _thread(request, namespace, slug, number)
    if request.method == "POST":
        request.actor.require_authenticated()
    form = PostForm(request.POST or None)
    if request.method == "POST" and (made := submit(form, threads.write_post, request.actor, found)):
        return HttpResponseRedirect(f"{thread_address(found)}#post-{made.uuid}")
    page = ThreadPage.of(request.actor, found, form, request.GET.get("cursor", ""))
    return render(request, "market/thread.html", page, status=form_status(request))


@require_POST
def state(request: Request, namespace: str, slug: str, number: int) -> HttpResponse:
    """Closes with `close`, else opens again."""
    found = _thread(request, namespace, slug, number)
    threads.set_state(request.actor, found, is_open="close" not in request.POST)
    return HttpResponseRedirect(thread_address(found))


@require_POST
def acceptance(request: Request, namespace: str, slug: str, number: int) -> HttpResponse:
    """Accepts the answer `post`; without one, none is accepted any more."""
    found = _thread(request, namespace, slug, number)
    answer = require_post(request.actor, uuid_of(request.POST["post"])) if request.POST.get("post") else None
    threads.accept_answer(request.actor, found, answer)
    return HttpResponseRedirect(thread_address(found))


@require_POST
def post_change(request: Request, namespace: str, slug: str, number: int, uuid: UUID) -> HttpResponse:
    """Changes, deletes (`delete`) or reports (`report`) a post."""
    found, post = _thread(request, namespace, slug, number), require_post(request.actor, uuid)
    if post.thread_id != found.pk:
        raise NotFound("There is no such post.")
    try:
        messages.success(request, _change(request, post))
    except SHOWN_IN_FORM as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(f"{thread_address(found)}#post-{uuid}")


def _change(request: Request, post: "ListingPost") -> str:
    if "delete" in request.POST:
        threads.delete_post(request.actor, post)
        return "It is deleted."
    if "report" in request.POST:
        moderation.report(request.actor, post, reason=request.POST.get("reason", ""), text=request.POST.get("text", ""))
        return "Thank you. Staff will look at it."
    threads.edit_post(request.actor, post, text=request.POST.get("text", ""))
    return "It is changed."


def _thread(request: Request, namespace: str, slug: str, number: int) -> "ListingThread":
    return require_thread(request.actor, require_listing(request.actor, namespace, slug), number)
