"""The audit trail: append-only, each record carrying the hash of the one before it, so that tampering shows."""

from django.db import models


class AuditRecord(models.Model):
    """One deed. `sequence` has no gaps; `sha256` covers every other column and the previous record's hash."""

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=120)
    """`user:<uuid>`, `token:<uuid>`, `system:<name>` or `anonymous`."""
    actor_label = models.CharField(max_length=150)
    tag = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=80)
    namespace_id = models.BigIntegerField(null=True)
    """Whose trail it belongs to, so that its admins can read it."""
    detail = models.JSONField(default=dict)
    previous_sha256 = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["namespace_id", "-sequence"], name="audit_by_namespace"),
            models.Index(fields=["subject_kind", "subject_id", "-sequence"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.tag}"


class AuditHead(models.Model):
    """The end of the chain, one row: locking it puts concurrent writers in line."""

    sequence = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"head at {self.sequence}"


class AccessVersion(models.Model):
    """One row whose number rises, in the same transaction, with every change of who may do what. Processes that keep
    rights in memory compare it to know when to read them anew."""

    number = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.number)
