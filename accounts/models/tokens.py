"""Tokens: what programs sign in with. Only the hash is stored; the text is shown once."""

from django.db import models

from accounts.models.identity import User
from common.clock import now
from common.ids import new_uuid


class Token(models.Model):
    """A person's credential for programs, narrowed by scopes and, if `namespaces` is set, to things of those namespaces."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    secret_sha256 = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=12)
    """First characters of the text, so that the owner recognises it in a list."""
    scopes = models.JSONField(default=list)
    namespaces = models.JSONField(null=True)
    """Primary keys of the namespaces it is limited to; null: all of its owner's."""
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    last_used_on = models.DateField(null=True)
    """By day, not by instant: a write per request would cost more than the knowledge is worth."""

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="token_by_user")]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"
