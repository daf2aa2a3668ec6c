"""Idempotency keys of the first-party API: the first outcome stands."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import IdempotencyRecord
from common.clock import now
from common.errors import Conflict, Invalid

KEEP = timedelta(days=30)
IN_FLIGHT_LIMIT = timedelta(minutes=10)
"""A request that has not ended by then died with its process; its key may be used anew."""
_KEPT_NOT = {401, 402, 403, 404, 409, 429}
"""Answers that a later attempt may rightly differ from."""


@dataclass(frozen=True)
class Answer:
    """What was answered the first time."""

    status: int
    body: Any


def begin(caller: str, key: str, fingerprint: str) -> Answer | None:
    """Claim `key` for a request; returns the stored answer when it has been dealt with before. Raises Invalid when the key came with
    another request, Conflict while the first one is still running."""
    if not 1 <= len(key) <= 128 or not key.isascii() or not key.isprintable():
        raise Invalid(
            "An Idempotency-Key has 1 to 128 printable ASCII characters.", fields={"Idempotency-Key": "not valid"}
        )
    try:
        with transaction.atomic():
            IdempotencyRecord.objects.create(caller=caller, key=key, fingerprint=fingerprint)
    except IntegrityError:
        return _known(caller, key, fingerprint)
    return None


def finish(caller: str, key: str, status: int, body: Any) -> None:
    """Keep the answer, or free the key when the request did not come to an answer that stands."""
    record = IdempotencyRecord.objects.filter(caller=caller, key=key)
    if status >= 500 or status in _KEPT_NOT:
        record.delete()
    else:
        record.update(status=status, body=body)


def forget_old(limit: int = 5000) -> int:
    """Drop answers older than KEEP; returns how many. Safe to run beside itself."""
    old = list(IdempotencyRecord.objects.filter(created_at__lt=now() - KEEP).values_list("pk", flat=True)[:limit])
    return IdempotencyRecord.objects.filter(pk__in=old).delete()[0]


def _known(caller: str, key: str, fingerprint: str) -> Answer | None:
    record = IdempotencyRecord.objects.get(caller=caller, key=key)
    if record.fingerprint != fingerprint:
        raise Invalid("This Idempotency-Key was used with another request.", code="idempotency_key_reused")
    if record.status is not None:
        return Answer(record.status, record.body)
    moment = now()
    # one of the repeats takes over a dead request: the update decides which
    taken = IdempotencyRecord.objects.filter(
        pk=record.pk, status__isnull=True, created_at__lt=moment - IN_FLIGHT_LIMIT
    ).update(created_at=moment)
    if taken:
        return None
    raise Conflict("The first request with this Idempotency-Key is still running.", code="idempotency_in_flight")
