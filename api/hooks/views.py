"""Deliveries of payment providers. The bytes are proven before anything reads them, and stored before they are answered."""

from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from common.errors import DomainError, Invalid, TooLarge
from market.services.provider_events import receive_event

LIMIT_BYTES = 512 * 1024
"""An event of Stripe's is a few kilobytes; those with the largest objects in them stay below a tenth of this."""


@csrf_exempt
def payment_event(request: HttpRequest, backend: str) -> HttpResponse:
    """Take in one delivery. 200: it is stored, do not send it again. 400 and 404: it never will be. 503: send it again."""
    if request.method != "POST":
        return _answer(405, "method_not_allowed", "Events are sent by POST.", Allow="POST")
    try:
        event = receive_event(backend, request.headers, _raw(request))
    except DomainError as error:
        return _answer(error.status, error.code, error.message)
    return JsonResponse({"received": event.event_id})


def _raw(request: HttpRequest) -> bytes:
    length = request.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()):
        raise Invalid("Say how long the delivery is, in Content-Length.", code="length_required")
    if len(length) > 7 or int(length) > LIMIT_BYTES:
        raise TooLarge(f"A delivery has at most {LIMIT_BYTES} bytes.")
    try:
        return request.read(int(length))
    except UnreadablePostError as error:
        raise Invalid("The delivery was cut off.", code="cut_off") from error


def _answer(status: int, code: str, message: str, **headers: str) -> HttpResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status, headers=headers)
