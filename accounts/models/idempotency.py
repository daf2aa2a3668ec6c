"""Answers kept by the key that the caller chose, so that a repeated request gets the same answer and has no second effect."""

from django.db import models

from common.clock import now


class IdempotencyRecord(models.Model):
    """One keyed request of one caller: in flight while `status` is null, then with its answer. Kept for 30 days; what moves money
    is unique for ever in its own table."""

    caller = models.CharField(max_length=60)
    """Uuid of the person, whichever token was used."""
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    """SHA-256 hex of method, path and body: the same key with another request is an error."""
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(default=now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="idempotency_once")]

    def __str__(self) -> str:
        return f"{self.key} ({self.status or 'in flight'})"
