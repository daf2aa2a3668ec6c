"""Licences of namespaces' own: a text, and what it allows and asks in terms that a machine reads."""

from django.db import models
from django.db.models.functions import Lower

from common.clock import now
from common.ids import new_uuid


class CustomLicence(models.Model):
    """One wording of a licence, for good: append-only, since what stands under it was given under just this text. Another wording is
    another row with the next number and an identifier of its own."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    namespace = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="licences")
    name = models.CharField(max_length=60)
    """In addresses, the same for all numbers."""
    number = models.PositiveIntegerField()
    """1, 2, 3… of this name."""
    key = models.CharField(max_length=80)
    """`LicenseRef-<namespace>-<name>`, from the second on with `-v<number>`: what cards name."""
    title = models.CharField(max_length=120)
    text = models.TextField()
    text_sha256 = models.CharField(max_length=64)
    commercial_use = models.BooleanField()
    derivatives = models.BooleanField()
    redistribution = models.BooleanField()
    hosting = models.BooleanField()
    share_alike = models.BooleanField()
    attribution = models.BooleanField()
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("key"), name="licence_key_ci"),
            models.UniqueConstraint("namespace", Lower("name"), "number", name="licence_number_once"),
        ]
        indexes = [models.Index(fields=["-created_at", "-id"], name="licence_newest")]

    def __str__(self) -> str:
        return self.key
