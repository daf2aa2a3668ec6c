"""What was found out for comparing versions: notes that can be made again, and therefore go after a while."""

from django.db import models

from common.clock import now
from common.ids import new_uuid


class Study(models.Model):
    """Something about certain bytes that takes a sandbox, or time, to find out. Its key is a digest of everything that it depends
    on, so what it says never changes; `content` is empty while it is under way."""

    key = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=12)
    content = models.JSONField(null=True)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.kind} {self.key[:12]}"


class Trial(models.Model):
    """An input that somebody gave, to see what versions say to it."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.CASCADE, related_name="+")
    form = models.CharField(max_length=8)
    """tensors, rows or picture: see `registry.services.trials`."""
    content = models.JSONField(default=dict)
    picture = models.BinaryField(blank=True, default=bytes)
    created_at = models.DateTimeField(default=now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.form} {self.uuid}"
