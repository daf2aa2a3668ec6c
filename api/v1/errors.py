"""Errors as problem+json (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `fields`."""

from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from common.errors import DomainError, Invalid, NotFound, TooLarge, Unauthenticated, busy_database

log = structlog.get_logger(__name__)

TITLES = {
    400: "Invalid",
    401: "Not signed in",
    402: "Payment required",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    410: "Gone",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Error",
    503: "Not available now",
}


def render_error(error: Exception, context: dict[str, Any]) -> Response:
    """The answer for whatever a view raised. What nobody expected is logged and told apart by nothing but its status."""
    if isinstance(error, OperationalError):
        log.error("the database gave up", exc_info=error)
        error = busy_database()
    if isinstance(error, DomainError):
        response = _problem(error.status, error.code, error.message, _fields(error))
        if (wait_s := getattr(error, "retry_after_s", None)) is not None:
            response["Retry-After"] = str(wait_s)
        if isinstance(error, Unauthenticated):
            response["WWW-Authenticate"] = "Bearer"
        return response
    if isinstance(error, exceptions.ValidationError):
        return _problem(400, Invalid.default_code, "Some fields are not right.", _flatten(error.detail))
    if isinstance(error, exceptions.APIException):
        response = _problem(error.status_code, error.default_code, str(error.detail), {})
        if error.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"
        return response
    if isinstance(error, RequestDataTooBig):
        return _problem(413, TooLarge.default_code, "The body is too large.", {})
    if isinstance(error, Http404):
        return _problem(404, NotFound.default_code, "There is nothing at this address.", {})
    log.error("unexpected error", exc_info=error)
    return _problem(500, "internal", "Something went wrong here. Nothing was half saved; try again.", {})


def _problem(status: int, code: str, detail: str, fields: dict[str, Any]) -> Response:
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
        "fields": fields,
    }
    return Response(body, status=status, content_type="application/problem+json")


def _fields(error: DomainError) -> dict[str, Any]:
    """What the error says of single inputs; other detail only where it is plain."""
    fields = error.fields.get("fields")
    if isinstance(fields, dict):
        return {str(name): str(text) for name, text in fields.items()}
    return {name: value for name, value in error.fields.items() if isinstance(value, str | int | bool)}


def _flatten(detail: Any, path: str = "") -> dict[str, str]:
    if isinstance(detail, dict):
        parts: dict[str, str] = {}
        for name, value in detail.items():
            parts |= _flatten(value, f"{path}.{name}" if path else str(name))
        return parts
    if isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        parts = {}
        for index, value in enumerate(detail):
            parts |= _flatten(value, f"{path}[{index}]")
        return parts
    text = " ".join(str(item) for item in detail) if isinstance(detail, list) else str(detail)
    return {path or "body": text}
