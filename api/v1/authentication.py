"""Who asks: a token (bearer, or basic with the token as password), else the browser's session with its CSRF token."""

import base64
import binascii

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from accounts import actors
from accounts.actors import Actor
from common.errors import Unauthenticated


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer mto_…`. A token that is sent must be good, also where none is needed."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Actor] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        return AnonymousUser(), actors.for_token(_token_in(header), address=request.META.get("REMOTE_ADDR", ""))

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class SessionOfPages(SessionAuthentication):
    """The signed-in person of our own pages."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, Actor] | None:
        found = super().authenticate(request)
        return (found[0], actors.for_user(found[0])) if found else None


class TokenScheme(OpenApiAuthenticationExtension):
    """How the document describes tokens."""

    target_class = "api.v1.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An access token of a person, narrowed by its scopes.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """How the document describes the session."""

    target_class = "api.v1.authentication.SessionOfPages"
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "mercato_session"}


def _token_in(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode("ascii").partition(":")[2]
        except (binascii.Error, ValueError):
            pass
    raise Unauthenticated("Invalid credentials in Authorization header", code="bad_token")
