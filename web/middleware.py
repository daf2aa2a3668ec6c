"""What every request for a page passes: who asks, and errors as pages."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from accounts import actors
from accounts.actors import Actor
from common.errors import DomainError, Invalid, busy_database
from web.errors import error_response

if TYPE_CHECKING:
    from web.render import Request

logger = logging.getLogger(__name__)

PAGE_PACKAGES = ("web.", "allauth.", "django.contrib.auth.")


class PageMiddleware:
    """Puts `request.actor` (built on first use, three queries), renders expected errors of pages. Machine interfaces
    have their own authentication and error shapes: their exceptions pass through untouched."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = SimpleLazyObject(lambda: actor_of(request))  # type: ignore[attr-defined]
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        if not _is_page(request) or not _holds_nul(request):
            return None
        # no name and no text holds one, and PostgreSQL would refuse the query
        return error_response(cast("Request", request), Invalid("The address or the form holds a NUL character."))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not _is_page(request):
            return None
        if isinstance(exception, OperationalError):
            logger.error("The database gave up in %s %s", request.method, request.path, exc_info=exception)
            exception = busy_database()
        if not isinstance(exception, DomainError):
            return None
        return error_response(cast("Request", request), exception)


def _is_page(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and match.func.__module__.startswith(PAGE_PACKAGES)


def _holds_nul(request: HttpRequest) -> bool:
    if "\x00" in request.path:
        return True
    return any(
        "\x00" in text for data in (request.GET, request.POST) for pair in data.lists() for text in (pair[0], *pair[1])
    )


def actor_of(request: HttpRequest) -> Actor:
    return actors.for_user(request.user) if request.user.is_authenticated else actors.anonymous()
