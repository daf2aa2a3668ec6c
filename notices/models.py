"""What people are told."""

from django.conf import settings
from django.db import models

from common.clock import now
from common.ids import new_uuid


class Notice(models.Model):
    """A sentence to one person, with the page it is about."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=40)
    text = models.CharField(max_length=400)
    url = models.CharField(max_length=300, blank=True)
    key = models.CharField(max_length=160, null=True)
    """Names the event, so that telling it again tells it once."""
    created_at = models.DateTimeField(default=now)
    read_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="notice_once")]
        indexes = [
            models.Index(fields=["user", "-created_at", "-id"], name="notice_newest"),
            models.Index(fields=["user"], condition=models.Q(read_at__isnull=True), name="notice_unread"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
