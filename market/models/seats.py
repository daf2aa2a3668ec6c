"""Seats: which members and teams of an organisation were given what it bought for some, and who sits on them now."""

from django.db import models

from common.clock import now
from common.ids import new_uuid
from market.models.orders import Entitlement


class SeatGift(models.Model):
    """A seat for one member, or as many as it has members for one team."""

    uuid = models.UUIDField(default=new_uuid, unique=True, editable=False)
    entitlement = models.ForeignKey(Entitlement, on_delete=models.PROTECT, related_name="gifts")
    user = models.ForeignKey("accounts.User", null=True, on_delete=models.CASCADE, related_name="+")
    team = models.ForeignKey("accounts.Team", null=True, on_delete=models.CASCADE, related_name="+")
    given_by = models.ForeignKey("accounts.User", null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entitlement", "user"], name="seat_gift_to_person_once"),
            models.UniqueConstraint(fields=["entitlement", "team"], name="seat_gift_to_team_once"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True, team__isnull=False)
                | models.Q(user__isnull=False, team__isnull=True),
                name="seat_gift_one_holder",
            ),
        ]

    def __str__(self) -> str:
        return f"seat of {self.user_id or self.team_id}"

    def name_in(self, namespace: str) -> str:
        """Who it was given to: a member's name, or `namespace/team`. Wants user and team joined."""
        return f"{namespace}/{self.team.name}" if self.team else self.user.username if self.user else ""


class SeatHolder(models.Model):
    """One person on one seat, whether by a gift of their own, by a team's or by several. Follows from the gifts."""

    entitlement = models.ForeignKey(Entitlement, on_delete=models.PROTECT, related_name="seat_holders")
    user = models.ForeignKey("accounts.User", on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entitlement", "user"], name="seat_once_per_person")]

    def __str__(self) -> str:
        return f"{self.user_id} sits on {self.entitlement_id}"
