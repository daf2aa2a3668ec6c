"""Programs that ask to be signed in through a browser (RFC 8628)."""

from django.db import models

from accounts.models.identity import User
from common.clock import now
from common.ids import new_uuid


class DeviceLogin(models.Model):
    """A program waits, with a secret of its own, while its person types a short code into a page. Both are stored as hashes or are
    useless alone: the code opens nothing without somebody who is signed in and agrees."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    device_sha256 = models.CharField(max_length=64, unique=True)
    user_code = models.CharField(max_length=8, unique=True)
    address = models.CharField(max_length=64, blank=True)
    """Where the program asked from, for the person to recognise."""
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    """Who has answered."""
    is_approved = models.BooleanField(null=True)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(db_index=True)
    polled_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.user_code
