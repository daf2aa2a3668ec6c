"""Waivers: what an owner permits in writing beyond a licence, for one edge of the lineage."""

from django.db import models

from common.clock import now
from common.ids import new_uuid


class LicenceWaiver(models.Model):
    """The owner of the upstream repository lets what the downstream one makes of it be sold, though some rules of the licence forbid it.
    Append-only."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    upstream_uuid = models.UUIDField()
    """A repository; its name may change."""
    upstream_version_uuid = models.UUIDField(null=True)
    """Only of this version; null: of all."""
    downstream_uuid = models.UUIDField()
    """A repository; the upstream one itself where the owner speaks of selling that as it is."""
    rules = models.JSONField()
    """Names of `market.licences.Rule`, sorted."""
    text = models.TextField()
    """What was written, for people and courts."""
    owner = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """Whose the upstream repository was."""
    holder = models.ForeignKey("accounts.Namespace", on_delete=models.PROTECT, related_name="+")
    """Whose the downstream repository was."""
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        indexes = [
            models.Index(fields=["downstream_uuid", "upstream_uuid"], name="waiver_of_edge"),
            models.Index(fields=["upstream_uuid"], name="waiver_upstream"),
        ]

    def __str__(self) -> str:
        return f"waiver {self.uuid}"


class LicenceWaiverRevocation(models.Model):
    """From then on the waiver opens nothing new; what was bought under it stays. Append-only."""

    waiver = models.OneToOneField(LicenceWaiver, on_delete=models.PROTECT, related_name="revocation")
    reason = models.TextField(blank=True)
    created_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    def __str__(self) -> str:
        return f"revocation of {self.waiver_id}"
