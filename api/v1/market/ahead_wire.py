"""What is told before something is ordered: the approval it would wait for, the caps in its way."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

if TYPE_CHECKING:
    from market.caps_ahead import CapAhead
    from market.services.approval_requests import ApprovalNeeded


class ApprovalNeededWire(serializers.Serializer):
    """What an order would wait for."""

    limit_minor = serializers.IntegerField(help_text="Of the buyer, in the currency of the total, which is above it.")
    approvers = serializers.ListField(child=serializers.CharField(), help_text="Who may approve it.")
    days = serializers.IntegerField(help_text="So long it waits for one of them.")
    sentence = serializers.CharField()


class CapAheadWire(serializers.Serializer):
    """A cap of the buyer that would refuse calls of what is bought, this month."""

    cap = serializers.CharField()
    left = serializers.IntegerField(help_text="Calls, or minor units of `currency`.")
    needed = serializers.IntegerField(allow_null=True, help_text="What the order gives; null: without limit.")
    currency = serializers.CharField(allow_blank=True)
    ends_at = serializers.DateTimeField()
    sentence = serializers.CharField()


def approval_needed(row: "ApprovalNeeded") -> dict[str, Any]:
    return {
        "limit_minor": row.limit_minor,
        "approvers": row.approvers,
        "days": row.days,
        "sentence": row.sentence,
    }


def cap_ahead(row: "CapAhead") -> dict[str, Any]:
    return {
        "cap": row.words,
        "left": row.left,
        "needed": row.needed,
        "currency": row.currency,
        "ends_at": row.ends_at,
        "sentence": row.sentence,
    }
