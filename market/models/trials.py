"""A day's free calls to a listed endpoint."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from market.models.catalogue import Listing


class TrialAllowance(models.Model):
    """Calls that one person may make to the endpoint of one listing on one day (UTC) without buying. What was made is in its budget."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="trial_allowances")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    granted_calls = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=now)
    closed_at = models.DateTimeField(null=True)
    """When the seller ended it before the day was over."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "user", "day"], name="trial_once_a_day"),
            models.CheckConstraint(condition=models.Q(granted_calls__gt=0), name="trial_has_calls"),
        ]
        indexes = [models.Index(fields=["listing", "-day"], name="trial_of_listing")]

    def __str__(self) -> str:
        return f"{self.granted_calls} calls on {self.day}"

    @property
    def source(self) -> str:
        """Names its grant and its budget below."""
        return f"trial:{self.uuid}"
