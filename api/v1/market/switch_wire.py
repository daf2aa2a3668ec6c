"""Another plan of a subscription that was chosen, on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from api.v1.market import wire
from market.states import ApprovalOutcome

if TYPE_CHECKING:
    from market.models import PlanSwitch

OUTCOMES = [each.value for each in ApprovalOutcome]


class PlanSwitchWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    subscription = serializers.UUIDField()
    former_plan = wire.PlanWire(help_text="The plan when it was chosen.")
    plan = wire.PlanWire()
    is_now = serializers.BooleanField(help_text="It begins at once; else with the next period.")
    due_minor = serializers.IntegerField(help_text="Due at once when it was chosen.")
    order = serializers.UUIDField(allow_null=True, help_text="What pays it, where it begins at once.")
    terms_digest = serializers.CharField(help_text="Of the terms that were accepted: `/terms/<digest>`.")
    chosen_by = serializers.CharField(allow_blank=True)
    approval = serializers.UUIDField(allow_null=True, help_text="Null: it needed none.")
    outcome = serializers.ChoiceField(OUTCOMES, allow_null=True, help_text="Of the approval.")
    created_at = serializers.DateTimeField()


def switch(row: "PlanSwitch", subscription_uuid: Any) -> dict[str, Any]:
    """Wants what `switches_of` joins."""
    approval, order = getattr(row, "approval", None), row.order
    return {
        "uuid": row.uuid,
        "subscription": subscription_uuid,
        "former_plan": wire.plan(row.former),
        "plan": wire.plan(row.plan),
        "is_now": row.is_now,
        "due_minor": row.due_minor,
        "order": order.uuid if order else None,
        "terms_digest": row.acceptance.terms.digest,
        "chosen_by": row.placed_by.username if row.placed_by else "",
        "approval": approval.uuid if approval else None,
        "outcome": approval.outcome if approval else None,
        "created_at": row.created_at,
    }
