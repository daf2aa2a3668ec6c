"""The seats of what an organisation has bought."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.policies import require_namespace
from api.v1.base import KEY_PARAMETER, View
from api.v1.market import access_wire
from api.v1.market.views import ListingView
from market import queries
from market.access_details import details_of
from market.seat_policies import require_seats, seating_of, unseated_of
from market.services.seats import give_seat, take_seat


class GivenSeatWire(serializers.Serializer):
    uuid = serializers.UUIDField()
    holder = serializers.CharField(help_text="A member, or `organisation/team`.")
    people = serializers.ListField(child=serializers.CharField(), help_text="Who sits by it.")
    waiting = serializers.ListField(child=serializers.CharField(), help_text="Members of the team without a seat.")
    created_at = serializers.DateTimeField()


class SeatingWire(serializers.Serializer):
    total = serializers.IntegerField()
    taken = serializers.IntegerField()
    left = serializers.IntegerField()
    gifts = GivenSeatWire(many=True)


class SeatNew(serializers.Serializer):
    holder = serializers.CharField(max_length=200, help_text="A member, or `organisation/team`.")


class _SeatsView(View):
    def answer(self, uuid: UUID) -> dict[str, Any]:
        seating = seating_of(require_seats(self.actor, uuid))
        gifts = [
            {
                "uuid": each.uuid,
                "holder": each.holder,
                "people": each.people,
                "waiting": each.waiting,
                "created_at": each.created_at,
            }
            for each in seating.gifts
        ]
        return {"total": seating.total, "taken": seating.taken, "left": seating.left, "gifts": gifts}


class Seats(_SeatsView):
    @extend_schema(responses=SeatingWire, tags=["market"])
    def get(self, request: Request, uuid: UUID) -> Response:
        """Who was given seats of an access, who sits, how many are left."""
        return Response(self.answer(uuid))

    @extend_schema(request=SeatNew, responses={201: SeatingWire}, parameters=[KEY_PARAMETER], tags=["market"])
    def post(self, request: Request, uuid: UUID) -> Response:
        """Give a seat to a member, or as many as it has members to a team. Not enough left: `no_seat_left`."""
        entitlement, given = require_seats(self.actor, uuid), self.given(SeatNew)

        def make() -> dict[str, Any]:
            give_seat(self.actor, entitlement, given["holder"])
            return self.answer(uuid)

        return self.creating(make)


class OwnAccess(ListingView):
    @extend_schema(responses=access_wire.OwnAccessWire, tags=["market"])
    def get(self, request: Request, **names: str) -> Response:
        """By what the caller has what a listing sells: the newest purchase of their own or of an organisation's, or a seat of one. Without
        a seat of what an organisation of theirs has bought by the seat: who could give one."""
        self.actor.require_authenticated()
        listing = self.listing()
        found = queries.entitlement_for(self.actor, listing)
        if found is None:
            unseated = unseated_of(self.actor, listing.subject_uuid)
            return Response({"access": None, "no_seat": access_wire.no_seat(unseated) if unseated else None})
        shown = queries.access_of(found)
        # by a seat it is the caller's as a person
        owner = found.holder if found.seats is None else require_namespace(self.actor, self.actor.username)
        detail = details_of(self.actor, owner, [found])[found.pk]
        return Response({"access": access_wire.access(shown, detail), "no_seat": None})


class Seat(_SeatsView):
    @extend_schema(responses={204: None}, tags=["market"])
    def delete(self, request: Request, uuid: UUID, gift_uuid: UUID) -> Response:
        """Take it back: access by it ends at once."""
        take_seat(self.actor, require_seats(self.actor, uuid), gift_uuid)
        return Response(status=204)
