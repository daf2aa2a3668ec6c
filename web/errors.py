"""Errors as pages: what happened and what to do next, in the design of the site."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.http import HttpResponse
from django.template import loader
from django.urls import reverse

from common.errors import DomainError, Unauthenticated
from market.queries import listing_for
from registry.errors import AccessNeeded
from web.links import listing_url
from web.render import Request, render

TITLES = {
    400: "That request cannot be answered",
    401: "Sign in first",
    402: "This has to be paid for",
    403: "You may not do this",
    404: "Nothing is here",
    405: "That is not how this address works",
    409: "It has changed meanwhile",
    410: "This is gone",
    413: "That is too large",
    429: "That was a bit much at once",
    500: "Something went wrong here",
    503: "Not right now",
}
ADVICE = {
    400: "Go back and check what was sent.",
    402: "See what it costs and what your wallet holds.",
    403: "Ask an owner of it for the right, or sign in with another account.",
    404: "It may have been moved or deleted, or you may not see it. Search, or sign in with the account that can.",
    409: "Look at the present state, then decide again.",
    413: "Send it in smaller parts, or with the command-line client.",
    429: "Wait a moment, then try again.",
    500: "Nothing of what you did was half saved. The operators find it in their log; try again in a moment.",
    503: "The site is busy or a part of it does not answer. The same request will succeed later.",
}


@dataclass(frozen=True)
class ErrorPage:
    status: int
    title: str
    message: str
    advice: str
    retry_after_s: int | None
    action_label: str
    action_href: str


def error_response(request: Request, error: DomainError) -> HttpResponse:
    """The page of an expected error; somebody who is not signed in is sent to sign in and back."""
    if isinstance(error, Unauthenticated) and not request.htmx:
        back = request.get_full_path() if request.method == "GET" else "/"
        return redirect_to_login(back, reverse("account_login"))
    return _page(request, error.status, error.message, getattr(error, "retry_after_s", None), _offer(request, error))


def bad_request(request: Request, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 400)


def permission_denied(request: Request, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 403)


def page_not_found(request: Request, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 404)


def csrf_failure(request: Request, reason: str = "") -> HttpResponse:
    return _page(request, 403, "The form was too old or came from another site. Open the page again and repeat.")


def server_error(request: Request) -> HttpResponse:
    """Says so without the frame of the site: whatever failed may fail again there."""
    body = loader.get_template("errors/500.html").render({"page": _content(500, "", None, None)})
    return HttpResponse(body, status=500)


def _offer(request: Request, error: DomainError) -> tuple[str, str] | None:
    """Where the files of a restricted repository can be had, when they are for sale."""
    if not isinstance(error, AccessNeeded) or "repo" not in error.fields:
        return None
    listing = listing_for(request.actor, UUID(str(error.fields["repo"])))
    return ("See the offer", listing_url(listing.namespace.name, listing.slug)) if listing else None


def _page(
    request: Request,
    status: int,
    message: str = "",
    retry_after_s: int | None = None,
    action: tuple[str, str] | None = None,
) -> HttpResponse:
    response = render(request, "errors/error.html", _content(status, message, retry_after_s, action), status=status)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _content(status: int, message: str, retry_after_s: int | None, action: tuple[str, str] | None) -> ErrorPage:
    label, href = action or ("To the start page", "/")
    return ErrorPage(
        status, TITLES.get(status, TITLES[400]), message, ADVICE.get(status, ""), retry_after_s, label, href
    )
