"""`hf auth login` through the browser: a device code, then a token (RFC 8628)."""

from django.http import HttpRequest, HttpResponse

from accounts.actors import Actor
from accounts.services import devices
from accounts.services.devices import DeviceRefused
from api.hf.routing import base_url
from api.hf.wire import json_response
from common.errors import DomainError

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_PAGE = "/account/devices"


def device(request: HttpRequest, actor: Actor) -> HttpResponse:
    """A code for a program, and the page where its person types it."""
    login, secret = devices.begin_login(request.META.get("REMOTE_ADDR", ""))
    page = f"{base_url(request)}{_PAGE}"
    shown = f"{login.user_code[:4]}-{login.user_code[4:]}"
    return _kept_private(
        json_response(
            {
                "device_code": secret,
                "user_code": shown,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?code={shown}",
                "expires_in": int(devices.LIFETIME.total_seconds()),
                "interval": devices.INTERVAL_S,
            }
        )
    )


def token(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The token, once its person has agreed. Tokens of this site are not refreshed: after 30 days one logs in again."""
    grant = request.POST.get("grant_type", "")
    if grant != _DEVICE_GRANT:
        error: DomainError = DeviceRefused(
            "This site gives tokens for device codes only; a token that has ended is replaced by logging in again.",
            code="unsupported_grant_type",
        )
        return _refused(error)
    try:
        text = devices.fetch_token(request.POST.get("device_code", ""))
    except DeviceRefused as refusal:
        return _refused(refusal)
    answer = {
        "access_token": text,
        "token_type": "bearer",
        "expires_in": int(devices.TOKEN_LIFETIME.total_seconds()),
        "scope": " ".join(devices.SCOPES),
    }
    return _kept_private(json_response(answer))


def _refused(error: DomainError) -> HttpResponse:
    """In the shape of OAuth, where the code is the error."""
    return _kept_private(json_response({"error": error.code, "error_description": error.message}, status=400))


def _kept_private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
