"""What a namespace has access to, on the wire."""

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from api.v1.market.wire import SUBJECTS, UNITS
from market.access_details import AccessState
from market.prices import unit_price
from market.states import SubscriptionState

if TYPE_CHECKING:
    from market.access_details import AccessDetail
    from market.models import Subscription
    from market.next_call import NextCall
    from market.queries import Access
    from market.seat_policies import Unseated

ACCESS_STATES = [each.value for each in AccessState]
SUBSCRIPTION_STATES = [each.value for each in SubscriptionState]


class NextCallWire(serializers.Serializer):
    """What the next call, row, second or token costs, as of the use that has been counted. What is left is counted in `unit`, seconds in
    milliseconds."""

    unit = serializers.ChoiceField(UNITS)
    amount = serializers.CharField(
        allow_null=True,
        help_text="In the currency, six digits below its minor unit at most, `0.0025`; null when nothing is left.",
    )
    is_exact = serializers.BooleanField()
    currency = serializers.CharField()
    included_left = serializers.IntegerField(help_text="Left that costs nothing.")
    paid_left = serializers.IntegerField(allow_null=True, help_text="Left that is paid; null without limit.")
    beyond_left = serializers.IntegerField(help_text="Left beyond the quota of a subscription, charged later.")


class RunningWire(serializers.Serializer):
    """The subscription that access comes from."""

    uuid = serializers.UUIDField()
    state = serializers.ChoiceField(SUBSCRIPTION_STATES)
    period_end = serializers.DateTimeField(help_text="When it is renewed, or ends.")
    cancel_at_period_end = serializers.BooleanField()


class UsedByWire(serializers.Serializer):
    member = serializers.CharField(allow_blank=True)
    token = serializers.UUIDField(allow_null=True)
    token_name = serializers.CharField(allow_blank=True)
    calls = serializers.IntegerField(help_text="In this month (UTC).")


class SeatsWire(serializers.Serializer):
    total = serializers.IntegerField()
    taken = serializers.IntegerField()
    left = serializers.IntegerField()


class NoSeatWire(serializers.Serializer):
    """An organisation of the caller's has it by the seat, and the caller has none."""

    holder = serializers.CharField()
    seat_givers = serializers.ListField(child=serializers.CharField(), help_text="Who could give one.")
    sentence = serializers.CharField()


class AccessWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    order = serializers.UUIDField()
    listing = serializers.UUIDField()
    title = serializers.CharField()
    subject_kind = serializers.ChoiceField(SUBJECTS)
    subject_uuid = serializers.UUIDField()
    used_units = serializers.IntegerField(allow_null=True)
    left_units = serializers.IntegerField(allow_null=True)
    charged_minor = serializers.IntegerField()
    currency = serializers.CharField()
    next_call_price = NextCallWire(allow_null=True)
    subscription = RunningWire(allow_null=True)
    seats = SeatsWire(allow_null=True)
    used_by = UsedByWire(many=True)
    caps = serializers.ListField(child=serializers.CharField())
    holder = serializers.CharField(help_text="Whose purchase it is: another namespace's where one has a seat of it.")
    plan = serializers.CharField()
    since = serializers.DateTimeField(help_text="Of a subscription its beginning, of a seat since one sits.")
    until = serializers.DateTimeField(allow_null=True, help_text="Null: for good.")
    renews = serializers.BooleanField(help_text="It goes on at `until`, if it is paid.")
    state = serializers.ChoiceField(
        ACCESS_STATES, help_text="`frozen`: it rests. `recalled`: the version that it gives was recalled."
    )
    reason = serializers.CharField(allow_blank=True, help_text="Why it is not `open`.")
    has_seat = serializers.BooleanField(allow_null=True, help_text="Of the caller; null: not by the seat.")
    seat_givers = serializers.ListField(
        child=serializers.CharField(), help_text="Who could give the caller a seat, who has none."
    )
    created_at = serializers.DateTimeField()


def access(row: "Access", detail: "AccessDetail") -> dict[str, Any]:
    held = row.entitlement
    seats = None
    if detail.seats is not None:
        left = max(0, detail.seats - detail.seats_taken)
        seats = {"total": detail.seats, "taken": detail.seats_taken, "left": left}
    return {
        "uuid": held.uuid,
        "order": held.order.uuid,
        "listing": held.listing.uuid,
        "title": held.listing.title,
        "subject_kind": held.subject_kind,
        "subject_uuid": held.subject_uuid,
        "used_units": row.used_units,
        "left_units": row.left_units,
        "charged_minor": row.charged_minor,
        "currency": held.order.currency,
        "next_call_price": next_call(row.next_call) if row.next_call else None,
        "subscription": running(row.subscription) if row.subscription else None,
        "seats": seats,
        "used_by": [
            {"member": each.member, "token": each.token_uuid, "token_name": each.token, "calls": each.calls}
            for each in detail.used_by
        ],
        "caps": [cap.words for cap in detail.caps],
        "holder": held.holder.name,
        "plan": held.order.plan.name,
        "since": detail.term.since,
        "until": detail.term.until,
        "renews": detail.term.renews,
        "state": detail.term.state,
        "reason": detail.term.reason,
        "has_seat": detail.has_seat,
        "seat_givers": detail.givers,
        "created_at": held.created_at,
    }


def no_seat(row: "Unseated") -> dict[str, Any]:
    return {"holder": row.entitlement.holder.name, "seat_givers": row.givers, "sentence": row.sentence}


def running(row: "Subscription") -> dict[str, Any]:
    return {
        "uuid": row.uuid,
        "state": row.state,
        "period_end": row.period_end,
        "cancel_at_period_end": row.cancel_at_period_end,
    }


def next_call(row: "NextCall") -> dict[str, Any]:
    amount, is_exact = (None, True) if row.price is None else unit_price(row.unit, row.price, row.currency)
    return {
        "unit": row.unit,
        "amount": amount,
        "is_exact": is_exact,
        "currency": row.currency,
        "included_left": row.included_left,
        "paid_left": row.paid_left,
        "beyond_left": row.beyond_left,
    }


class OwnAccessWire(serializers.Serializer):
    """By what the caller has a listing. Both null: by nothing."""

    access = AccessWire(allow_null=True)
    no_seat = NoSeatWire(allow_null=True)
