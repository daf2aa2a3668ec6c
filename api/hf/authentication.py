"""Who asks: a token as bearer or as the password of git's basic authentication, else the browser's session for reading."""

import base64
import binascii

from django.conf import settings
from django.http import HttpRequest

from accounts import actors
from accounts.actors import Actor
from common.errors import Unauthenticated

BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105 - the sentence that the client compares
_SAFE_METHODS = {"GET", "HEAD"}


def actor_of(request: HttpRequest) -> Actor:
    """The actor of `request`. A token that is sent must be good, on every route: raises Unauthenticated with the sentence that
    keeps the client from reporting a missing repository. The session counts for GET and HEAD only, so no page of another site
    can make a browser change something here.
    """
    header = request.headers.get("Authorization", "")
    if header:
        return actors.for_token(_token_in(header))
    if request.method in _SAFE_METHODS and settings.SESSION_COOKIE_NAME in request.COOKIES:
        return actors.for_user(request.user) if request.user.is_authenticated else actors.anonymous()
    return actors.anonymous()


def bearer_token(request: HttpRequest) -> str:
    """The text behind `Bearer`, whatever it is. Raises Unauthenticated when there is none."""
    return _token_in(request.headers.get("Authorization", ""))


def _token_in(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).decode("ascii").partition(":")[2]
            except (binascii.Error, ValueError):
                pass
    raise Unauthenticated(BAD_TOKEN, code="bad_token")
