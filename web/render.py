"""The one way from a page object to a response. A template gets `page` and `frame` and asks nobody for more."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template import loader

from accounts.actors import Actor
from web.frame import Frame


class Request(HttpRequest):
    """What a view gets: the middleware has put the actor and the htmx details on it."""

    actor: Actor
    htmx: Any
    frame: Frame


def render(request: Request, template: str, page: Any, *, status: int = 200) -> HttpResponse:
    """`template` filled with the page object. What the frame around it needs (the number of unread notices) is read before, so
    that rendering itself makes no query."""
    request.frame = Frame.of(request)
    return HttpResponse(loader.render_to_string(template, {"page": page}, request), status=status)


def render_part(template: str, page: Any) -> HttpResponse:
    """A fragment (`_name.html`) without the frame around it, for htmx."""
    return HttpResponse(loader.render_to_string(template, {"page": page}))


def form_status(request: HttpRequest) -> int:
    """A form that comes back unaccepted is a 400, so that nobody takes it for success."""
    return 400 if request.method == "POST" else 200
