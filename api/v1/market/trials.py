"""Free calls of a day: what the caller has, opening them, and the seller's terms."""

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import system
from accounts.permissions import Action
from api.v1.market import access_wire
from api.v1.market.views import ListingView
from common.errors import NotFound
from compute.endpoint_policies import require_endpoint_by_uuid
from market.services import trials
from market.states import SubjectKind
from market.trial_queries import Way, right_of, trial_calls, trial_days

if TYPE_CHECKING:
    from market.models import Listing
    from market.trial_queries import Right, TrialDay


class FreeCallsWire(serializers.Serializer):
    """How the caller would call the endpoint now. `trial`: by today's free calls, of which `left` are left until `ends_at`."""

    way = serializers.ChoiceField([each.value for each in Way])
    calls_per_day = serializers.IntegerField(help_text="Free calls that a person without access has each day (UTC).")
    used = serializers.IntegerField(allow_null=True)
    left = serializers.IntegerField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    next_call_price = access_wire.NextCallWire(allow_null=True, help_text="Of what was bought.")
    bought_by = serializers.CharField(allow_blank=True, help_text="Whose purchase the next call is paid from.")
    by_seat = serializers.BooleanField(help_text="The caller has a seat of that.")
    no_seat = access_wire.NoSeatWire(allow_null=True)


class FreeCallsDayWire(serializers.Serializer):
    day = serializers.DateField()
    people = serializers.IntegerField(help_text="Who opened their free calls.")
    calls = serializers.IntegerField()


class FreeCallsTermsWire(serializers.Serializer):
    calls_per_day = serializers.IntegerField()
    is_site_figure = serializers.BooleanField()
    days = FreeCallsDayWire(many=True)


class FreeCallsTermsChange(serializers.Serializer):
    calls_per_day = serializers.IntegerField(
        min_value=0, max_value=trials.MOST_CALLS, allow_null=True, help_text="Null: as the site says; 0: none."
    )


class Trial(ListingView):
    @extend_schema(responses=FreeCallsWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """How the caller would call the endpoint now, and what is left of today's free calls."""
        return Response(self._now())

    @extend_schema(request=None, responses={201: FreeCallsWire}, tags=["market"])
    def post(self, request: Request, **names: str) -> Response:
        """Open today's free calls: from then on, until midnight UTC, the caller's tokens call the endpoint. Repeating it opens nothing more."""
        self.actor.require_authenticated()
        trials.open_trial(self.actor, self.listing())
        return Response(self._now(), status=201)

    def _now(self) -> dict[str, Any]:
        listing = self.listing()
        if listing.subject_kind != SubjectKind.ENDPOINT:
            raise NotFound("Only endpoints are called.")
        endpoint = require_endpoint_by_uuid(system("market"), listing.subject_uuid, Action.ENDPOINT_DISCOVER)
        return _trial(right_of(self.actor, endpoint, listing), listing)


class TrialTerms(ListingView):
    @extend_schema(responses=FreeCallsTermsWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """The seller's figure, and the free calls made on each of the last 30 days."""
        return Response(_terms(self.listing(Action.LISTING_MANAGE)))

    @extend_schema(request=FreeCallsTermsChange, responses=FreeCallsTermsWire, tags=["market"])
    def put(self, request: Request, **names: str) -> Response:
        """Say how many free calls each person has in a day."""
        listing = self.listing(Action.LISTING_MANAGE)
        return Response(
            _terms(trials.set_trial_calls(self.actor, listing, self.given(FreeCallsTermsChange)["calls_per_day"]))
        )


def _trial(right: "Right", listing: "Listing") -> dict[str, Any]:
    trial = right.trial
    return {
        "way": right.way,
        "calls_per_day": trial_calls(listing),
        "used": trial.used if trial else None,
        "left": trial.left if trial else None,
        "ends_at": trial.ends_at if trial else None,
        "next_call_price": access_wire.next_call(right.next_call) if right.next_call else None,
        "bought_by": right.next_call.entitlement.holder.name if right.next_call else "",
        "by_seat": right.next_call is not None and right.next_call.entitlement.seats is not None,
        "no_seat": access_wire.no_seat(right.unseated) if right.unseated else None,
    }


def _terms(listing: "Listing") -> dict[str, Any]:
    return {
        "calls_per_day": trial_calls(listing),
        "is_site_figure": listing.trial_calls is None,
        "days": [_day(each) for each in trial_days(listing)],
    }


def _day(row: "TrialDay") -> dict[str, Any]:
    return {"day": row.day, "people": row.people, "calls": row.calls}
